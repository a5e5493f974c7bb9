"""Printing the cases of the quarantine."""

import datetime as dt
import time
from collections.abc import Sequence

import msgspec

from lockstep.console.terminal import answers, cut, notes, print_table
from lockstep.console.text import printable
from lockstep.console.times import moment, printed
from lockstep.quarantine.cases import Action, Case, FoundCases, Waits, action_of
from lockstep.quarantine.failure_documents import Gone
from lockstep.quarantine.reading import Unreadable
from lockstep.quarantine.records import parse_time
from shared.quarantine import QuarantineReason

# Nobody reads more rows than this; `--json` has all.
ROWS = 50
# Characters of a payload that is not an event.
SHOWN = 2_000


class ListedCase(msgspec.Struct, frozen=True, kw_only=True):
    """One record that one consumer or both have quarantined.

    Attributes:
        id: short, always the same for one record.
        image_id: None if the record has none that is readable.
        version: None if the record has none that is readable.
        consumers: who has quarantined it.
        reasons: why.
        detail: what is wrong with it.
        action: what to do about it. `redrive`: it can be redriven unchanged. `wait`: it can be
            redriven from the time `until`. `choose`: choose its content. `correct`: it is no valid
            event. `too_old`: choose its content or correct it.
        why: why that is to do.
        until: see `action`; None for another action than `wait`.
        arrived_at: the first arrival of its event.
        quarantined_at: when it was quarantined.
        bytes: the size of its payload.
        payload_sha256: the SHA-256 of its payload.
        stream: the stream of the record.
        shard_id: its shard.
        sequence_number: its sequence number.
        partition_key: its partition key.
        objects: its objects in the bucket.
        documents: the failure documents that hold it.
    """

    id: str
    image_id: str | None
    version: int | None
    consumers: Sequence[str]
    reasons: Sequence[QuarantineReason]
    detail: str
    action: Action
    why: str
    until: dt.datetime | None
    arrived_at: dt.datetime
    quarantined_at: dt.datetime
    bytes: int
    payload_sha256: str
    stream: str
    shard_id: str
    sequence_number: str
    partition_key: str
    objects: Sequence[str]
    documents: Sequence[str]


class ListedCases(msgspec.Struct, frozen=True):
    """The quarantined records, the oldest first.

    `unreadable`: objects that cannot be read. `gone`: records that the stream no longer holds.
    """

    cases: Sequence[ListedCase]
    unreadable: Sequence[Unreadable]
    gone: Sequence[Gone]


def listed(found: FoundCases) -> ListedCases:
    """The cases, for programs."""
    return ListedCases([listed_case(one) for one in found.cases], found.unreadable, found.gone)


def listed_case(case: Case) -> ListedCase:
    """A case, for programs."""
    return ListedCase(
        id=case.id,
        image_id=case.image_id,
        version=case.version,
        consumers=case.functions,
        reasons=case.reasons,
        detail=case.detail,
        action=action_of(case.verdict),
        why=case.verdict.why,
        until=parse_time(case.verdict.until) if isinstance(case.verdict, Waits) else None,
        arrived_at=moment(case.arrived_at),
        quarantined_at=parse_time(case.quarantined_at),
        bytes=case.bytes,
        payload_sha256=case.payload_sha256,
        stream=case.stream,
        shard_id=case.shard_id,
        sequence_number=case.sequence_number,
        partition_key=case.partition_key,
        objects=case.keys,
        documents=case.documents,
    )


def show_cases(cases: Sequence[Case]) -> None:
    """Print one row for each case, within the terminal. IDs are whole."""
    if not cases:
        return
    now = time.time()  # noqa: TID251 - shown, and decides nothing
    spare = max(0, answers.width - 80)
    print_table(
        ["id", " age", "image", " version", "reason", "action"],
        [
            [
                case.id,
                age(now - case.arrived_at / 1000),
                printable(case.image),
                "" if case.version is None else str(case.version),
                cut(", ".join(case.reasons), 16 + spare // 2),
                action_of(case.verdict).replace("_", " "),
            ]
            for case in cases[:ROWS]
        ],
    )
    if len(cases) > ROWS:
        answers.print(f"... and {len(cases) - ROWS:,} more (`--json` lists all)")


def tell_of_none(what: str, *, is_filtered: bool) -> None:
    """Say that a list of the quarantine is empty; on standard error, as programs read the list."""
    notes.print(f"in quarantine: no {what}{' that these options choose' if is_filtered else ''}")


def show_rest(found: FoundCases) -> None:
    """Print the objects that cannot be read, and the records that are gone."""
    for unreadable in found.unreadable:
        notes.print(printable(f"skipped: {unreadable.where}: {unreadable.why}"))
    for gone in found.gone:
        notes.print(printable(f"gone: {gone}"))


def show_case(case: Case, readable: int | None) -> None:
    """Print where a record came from and why it is quarantined.

    Args:
        case: the record.
        readable: its version as `redrive --mend` reads it, if the record is not a valid event.
    """
    said = {
        "id": case.id,
        "image": case.image,
        "partition key": case.partition_key,
        "version": _version(case.version, readable),
        "quarantined by": ", ".join(case.functions),
        "reason": ", ".join(case.reasons),
        "detail": case.detail,
        "action": what_to_do(action_of(case.verdict), case.verdict.why, case.detail),
        "arrived": printed(moment(case.arrived_at)),
        "quarantined": printed(parse_time(case.quarantined_at)),
        "stream": f"{case.stream} {case.shard_id}",
        "sequence no.": case.sequence_number,
        "bytes": f"{case.bytes:,}",
    }
    print_table(["", ""], [[label, printable(value)] for label, value in said.items()])


def what_to_do(action: Action, why: str, detail: str) -> str:
    """The action in words. It does not repeat the detail, which `show` prints above it."""
    if action == "correct" and detail and why.endswith(detail):
        why = "`lockstep quarantine export` writes a line to correct, for `lockstep redrive --mend`"
    return f"{action.replace('_', ' ')}: {why}"


def _version(known: int | None, readable: int | None) -> str:
    if known is not None:
        return str(known)
    return "unknown" if readable is None else f"{readable}, as `redrive --mend` reads it"


def age(seconds: float) -> str:
    """An age in hours or days: what counts is how near it is to the quarantine age."""
    hours = max(0, int(seconds / 3600))
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"  # noqa: PLR2004 - hours a day
