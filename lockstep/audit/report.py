"""The report of an audit: one line (JSON) for each difference, which answers read again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.audit.recheck import Difference
from lockstep.console.errors import UserError
from lockstep.stores.entry import Entry


class ReportLine(msgspec.Struct, frozen=True):
    """One line of a report. Each entry is an object as `entry_fields` makes it; None: no entry."""

    image_id: str
    kind: DifferenceKind
    table: dict[str, Any] | None
    index: dict[str, Any] | None
    ahead: AheadKind | None = None


class NotAReportError(UserError):
    """A line is not one of a report; the message says which file and line."""


def as_line(found: Difference) -> dict[str, Any]:
    """A difference as a JSON object."""
    return {
        "image_id": found.image_id,
        "kind": found.kind,
        "ahead": found.ahead,
        "explained_by_quarantine": found.explained_by_quarantine,
        "table": entry_fields(found.record),
        "index": entry_fields(found.replica),
    }


def entry_fields(entry: Entry | None) -> dict[str, Any] | None:
    """An entry as a JSON object, without absent fields."""
    if entry is None:
        return None
    return {
        encoded: value
        for name, encoded in _ENTRY_FIELDS
        if (value := getattr(entry, name)) is not None
    }


def report_lines(file: Path) -> Iterator[ReportLine]:
    """The lines of a report.

    Raises:
        NotAReportError: a line is not one of a report.
        OSError: the file cannot be read.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield _decoder.decode(line)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise NotAReportError(
                    f"{file}, line {number}: not a line of a report: {error}: write one with "
                    "`lockstep audit --report FILE`"
                ) from None


_ENTRY_FIELDS = [(field.name, field.encode_name) for field in msgspec.structs.fields(Entry)]
_decoder = msgspec.json.Decoder(ReportLine)
