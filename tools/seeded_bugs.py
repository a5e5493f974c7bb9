"""Print each seeded bug with the first history that catches it: `python -m tools.seeded_bugs`.

`make generated` writes the output to docs/internals/seeded-bugs.md.
"""

import re
from collections.abc import Mapping
from functools import cache

import msgspec

from lockstep.simulation.plan import plan
from lockstep.simulation.run import broken_by
from tests.simulation.wrong_components import WRONG

HISTORIES = 10_000
LONGEST_FINDING = 110

INVARIANTS: Mapping[str, str] = {
    "I1": "conservation",
    "I2": "monotonic",
    "I3": "convergence",
    "I4": "no resurrection",
    "I5": "order",
    "I6": "isolation",
    "I7": "liveness",
    "I8": "honest checkpoint",
}

# Shorten findings: a record to "a record", a digest to 8 digits.
_SHORTER: Mapping[str, str] = {
    r"\bPoison\(reason='(\w+)'\)": r"Poison \1",
    r"\bAcceptedRecord\([^()]*\)": "a record",
    r"\b([0-9a-f]{8})[0-9a-f]{56}\b": r"\1",
}


class Catch(msgspec.Struct, frozen=True):
    """The first history that catches a bug, the broken invariant, and the finding."""

    seed: int
    invariant: str
    finding: str


class Slipped(msgspec.Struct, frozen=True):
    """No history catches it."""


@cache
def caught(name: str) -> Catch | Slipped:
    """Run histories from seed 1 on, until one catches this seeded bug."""
    for seed in range(1, HISTORIES + 1):
        violation = broken_by(plan(seed), WRONG[name])
        if violation is not None:
            invariant, _, finding = violation.partition(": ")
            return Catch(seed, invariant, _short(finding))
    return Slipped()


def _short(finding: str) -> str:
    for long, short in _SHORTER.items():
        finding = re.sub(long, short, finding)
    if len(finding) > LONGEST_FINDING:
        finding = finding[:LONGEST_FINDING].rpartition(" ")[0] + " ..."
    return finding


def document() -> str:
    """The text of docs/internals/seeded-bugs.md; a test compares the file with the code."""
    rows = [_row(name) for name in WRONG]
    return f"""\
# Seeded bugs

{len(rows)} wrong variants of our code, each a small patch (`tests/simulation/wrong_*.py`). The
simulation must catch each one within {HISTORIES:,} histories. Seeds count from 1, so the first seed
is also the number of histories until the bug is caught. `make generated` writes this file. Seeds
change whenever the simulation changes.

| seeded bug | first seed | broken invariant | finding |
| --- | ---: | --- | --- |
{"\n".join(rows)}
"""


def _row(name: str) -> str:
    match caught(name):
        case Catch(seed, invariant, finding):
            broke = f"{invariant} {INVARIANTS.get(invariant, '')}".rstrip()
            return f"| {name} | {seed:,} | {broke} | {finding.replace('|', '/')} |"
        case Slipped():
            return f"| {name} | **not caught** | | |"


if __name__ == "__main__":
    print(document(), end="")
