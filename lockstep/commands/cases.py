"""Printing the cases of the quarantine."""

import datetime as dt
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from lockstep.console.terminal import answers, cut, notes, print_table
from lockstep.console.text import printable, told_apart
from lockstep.quarantine.cases import Case, FoundCases, state_of

# Nobody reads more rows than this; `--json` has all.
ROWS = 50
# Characters of a payload that is not an event, and of a field in a comparison.
SHOWN = 2_000
SHOWN_OF_A_FIELD = 200

# What to do about a case.
STATES = {
    "ready": "redrive",
    "waits": "wait",
    "choose": "choose",
    "mend": "correct",
    "too_old": "too old",
}


def for_programs(found: FoundCases) -> dict[str, Any]:
    """The cases as a JSON object."""
    return {"cases": found.cases, "unreadable": found.unreadable, "gone": found.gone}


def show_cases(cases: Sequence[Case]) -> None:
    """Print one row for each case, within the terminal or, elsewhere, 80 columns."""
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
                cut(case.image, 12 + spare // 2),
                "" if case.version is None else str(case.version),
                cut(", ".join(case.reasons), 16 + spare // 2),
                STATES[state_of(case.verdict)],
            ]
            for case in cases[:ROWS]
        ],
    )
    if len(cases) > ROWS:
        answers.print(f"... and {len(cases) - ROWS:,} more (`--json` lists all)")


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
    arrived = dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC)
    said = {
        "id": case.id,
        "image": case.image,
        "partition key": case.partition_key,
        "version": _version(case.version, readable),
        "quarantined by": ", ".join(case.functions),
        "reason": ", ".join(case.reasons),
        "detail": case.detail,
        "action": f"{STATES[state_of(case.verdict)]}: {case.verdict.why}",
        "arrived": arrived.isoformat(timespec="seconds"),
        "quarantined": case.quarantined_at,
        "stream": f"{case.stream} {case.shard_id}",
        "sequence no.": case.sequence_number,
        "bytes": f"{case.bytes:,}",
    }
    print_table(["", ""], [[label, printable(value)] for label, value in said.items()])


def show_side_by_side(
    fields: Mapping[str, Mapping[str, Any]], marked: Collection[str] | None = None
) -> None:
    """Print several contents, field by field.

    Args:
        fields: the fields of each content, by its name.
        marked: the fields that get a star; None: those that differ.
    """
    names = dict.fromkeys(field for one in fields.values() for field in one)
    rows = []
    for field in names:
        values = told_apart([_text(one.get(field)) for one in fields.values()])
        differs = len(set(values)) > 1 if marked is None else field in marked
        rows.append(
            [
                "*" if differs else "",
                printable(field),
                *(cut(one, SHOWN_OF_A_FIELD) for one in values),
            ]
        )
    print_table(["", "field", *fields], rows)


def _version(known: int | None, readable: int | None) -> str:
    if known is not None:
        return str(known)
    return "unknown" if readable is None else f"{readable}, as `redrive --mend` reads it"


def age(seconds: float) -> str:
    """An age in hours or days: what counts is how near it is to the quarantine age."""
    hours = max(0, int(seconds / 3600))
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"  # noqa: PLR2004 - hours a day


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
