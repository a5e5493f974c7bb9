"""Cases, as a person reads them."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lockstep.console.terminal import answers, notes, print_table
from lockstep.console.text import printable
from lockstep.quarantine.cases import Case, Found, state_of
from lockstep.stores.contents import Content

# More rows than this nobody reads; programs get all of them.
ROWS = 50
# Of a payload that is no event, and of a field in a comparison.
SHOWN = 2_000
SHOWN_OF_A_FIELD = 200

# What can be done about a case, in a few letters.
STATES = {
    "ready": "can go back",
    "waits": "later",
    "choose": "choose",
    "mend": "mend",
    "too_old": "too old",
}


def for_programs(found: Found) -> dict[str, Any]:
    """All that was found, as a program gets it."""
    return {"cases": found.cases, "unreadable": found.unreadable, "gone": found.gone}


def show_cases(cases: Sequence[Case]) -> None:
    """Cases, one a row, in 80 columns."""
    if not cases:
        return
    now = time.time()
    print_table(
        ["id", " age", "image", " version", "reason", "what now"],
        [
            [
                case.id,
                _age(now - case.arrived_at / 1000),
                cut(case.image, 12),
                "" if case.version is None else str(case.version),
                cut(", ".join(case.reasons), 16),
                STATES[state_of(case.verdict)],
            ]
            for case in cases[:ROWS]
        ],
    )
    if len(cases) > ROWS:
        answers.print(f"... and {len(cases) - ROWS:,} more (--json lists all)")


def show_rest(found: Found) -> None:
    """What cannot be brought back, and how much the rest is."""
    for unreadable in found.unreadable:
        notes.print(printable(f"passed over: {unreadable.where}: {unreadable.why}"))
    for gone in found.gone:
        notes.print(printable(f"gone: {gone}"))


def show_case(case: Case) -> None:
    """Where a record came from and why it lies here."""
    arrived = dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC)
    said = {
        "id": case.id,
        "image": case.image,
        "partition key": case.partition_key,
        "version": "unknown" if case.version is None else str(case.version),
        "set aside by": ", ".join(case.functions),
        "reason": ", ".join(case.reasons),
        "detail": case.detail,
        "what now": f"{STATES[state_of(case.verdict)]}: {case.verdict.why}",
        "arrived": arrived.isoformat(timespec="seconds"),
        "set aside": case.quarantined_at,
        "stream": f"{case.stream} {case.shard_id}",
        "sequence no.": case.sequence_number,
        "bytes": f"{case.bytes:,}",
    }
    print_table(["", ""], [[label, printable(value)] for label, value in said.items()])


def show_side_by_side(contents: Mapping[str, Content | None]) -> None:
    """What the record says and what the stores say, field by field."""
    fields = {name: {} if one is None else one.fields() for name, one in contents.items()}
    names = dict.fromkeys(field for one in fields.values() for field in one)
    rows = []
    for field in names:
        values = [_text(one.get(field)) for one in fields.values()]
        differs = "" if len(set(values)) == 1 else "*"
        rows.append([differs, printable(field), *(cut(one, SHOWN_OF_A_FIELD) for one in values)])
    print_table(["", "field", *contents], rows)


def _age(seconds: float) -> str:
    """How long ago, short: what counts is how near the quarantine age it is."""
    hours = max(0, int(seconds / 3600))
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"  # noqa: PLR2004 - hours a day


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def cut(text: str, most: int) -> str:
    """Text from outside, harmless and short."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
