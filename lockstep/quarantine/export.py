"""Writes a quarantined record as a line that `redrive --mend` takes once it is corrected."""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET, Raw, UnsetType

from lockstep.quarantine.cases import Action, Case, action_of
from lockstep.quarantine.readable import readable_fields
from shared.event import MAX_EVENT_BYTES
from shared.nesting import nests_too_deep
from shared.quarantine import QuarantineReason

# Characters of a payload that a person reads. `redrive` reads lines of at most 1 MiB.
TEXT_LENGTH = 2_000


class ExportedRecord(msgspec.Struct, frozen=True):
    r"""What a line says about its record. `redrive --mend` does not read it.

    `text` and `base64` are there only if the payload is not a JSON object in UTF-8. `text` is the
    beginning of the payload as UTF-8, with `\xNN` for each byte that is not. `base64` is the whole
    payload, if it is not larger than an event may be.
    """

    image: str
    reasons: Sequence[QuarantineReason]
    detail: str
    action: Action
    text: str | UnsetType = UNSET
    base64: bytes | UnsetType = UNSET


class ExportedLine(msgspec.Struct, frozen=True):
    """A line of an export: the ID of a record, and the fields of its event that can be read.

    `event` is None if no field can be read.
    """

    id: str
    record: ExportedRecord
    event: Raw | None


def exported_line(case: Case, payload: bytes) -> bytes:
    """The line of a record, without a line break.

    Args:
        case: the record.
        payload: its data: an event, also if it is not valid.
    """
    event = _encoded(readable_fields(payload))
    record = ExportedRecord(case.image, case.reasons, case.detail, action_of(case.verdict))
    if event is None or not _is_object(payload):
        text = payload[: 4 * TEXT_LENGTH].decode(errors="backslashreplace")[:TEXT_LENGTH]
        whole = payload if len(payload) <= MAX_EVENT_BYTES else UNSET
        record = msgspec.structs.replace(record, text=text, base64=whole)
    return msgspec.json.encode(ExportedLine(case.id, record, event))


def _is_object(payload: bytes) -> bool:
    """Whether this is a JSON object in UTF-8."""
    if nests_too_deep(payload):
        return False
    try:
        return isinstance(json.loads(payload.decode(), parse_constant=_refuse), dict)
    except ValueError:
        return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _encoded(fields: dict[str, Any]) -> Raw | None:
    """These fields as JSON; None if there are none, or JSON cannot express them."""
    if not fields:
        return None
    try:
        # Not msgspec: it refuses a lone surrogate, which a record may have.
        text = json.dumps(fields, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return None
    return Raw(text.encode(errors="backslashreplace"))
