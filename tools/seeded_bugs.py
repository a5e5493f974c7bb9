"""Print each seeded bug with the first history that catches it: `python -m tools.seeded_bugs`.

`make generated` writes the output to docs/internals/seeded-bugs.md.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from lockstep.simulation.kinds import IMAGES, Kind, tablestore
from lockstep.simulation.run import broken_by
from tests.simulation import (
    wrong_components,
    wrong_replica,
    wrong_replica_operators,
    wrong_replica_rows,
)
from tests.simulation.rewired import BlindBugError

OF_REPLICA: Mapping[str, Any] = {
    **wrong_replica.WRONG,
    **wrong_replica_rows.WRONG,
    **wrong_replica_operators.WRONG,
}
WRONG: Mapping[str, Any] = {**wrong_components.WRONG, **OF_REPLICA}
DOCUMENT = Path(__file__).parents[1] / "docs" / "internals" / "seeded-bugs.md"
HISTORIES = 10_000
LONGEST_FINDING = 80

# Shorten findings: a record to "a record", a digest to 8 digits.
_SHORTER: Mapping[str, str] = {
    r"\bPoison\(reason='(\w+)'\)": r"Poison \1",
    r"\bAcceptedRecord\([^()]*\)": "a record",
    r"\bIndexed\(image_id='(\w+)', version=(\d+), .*\) as": r"\1 version \2 as",
    r"\bStoredDocument\(.*": "a document",
    r"\b([0-9a-f]{8})[0-9a-f]{56}\b": r"\1",
    r"\bversion \S+T[\d:.]+/0*(\d+)": r"version \1",
    r"\[\('.*?\)\] (with '.*?'|removed)": "an item",
}


# A bug whose own code fails is no bug of the product: what it changes has another shape by now.
_BROKEN_PATCHES = frozenset({"AttributeError", "NameError", "TypeError", BlindBugError.__name__})
_PATCHES = re.compile(r"\((\w+/)*tests/simulation/\w+\.py, line \d+\)$")


class Catch(msgspec.Struct, frozen=True):
    """The first history that catches a bug, the broken promise or the exception, and how."""

    seed: int
    promise: str
    finding: str


class Slipped(msgspec.Struct, frozen=True):
    """No history catches it."""


class _Recorder:
    """The real components; notes which of them a history uses."""

    def __init__(self, real: Any) -> None:
        self.used: set[str] = set()
        self._real = real

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(self._real, name)


def kind_of(name: str) -> Kind:
    """The histories that must catch this bug."""
    return tablestore() if name in OF_REPLICA else IMAGES


def used(seed: int, kind: Kind = IMAGES) -> frozenset[str]:
    """The components that the history of this seed uses, with the real ones."""
    return _used(seed, kind.command)


@cache
def _used(seed: int, command: str) -> frozenset[str]:
    kind = IMAGES if command == IMAGES.command else tablestore()
    recorder = _Recorder(kind.components)
    broken_by(kind.plan(seed), recorder, kind=kind)
    return frozenset(recorder.used)


def _replaced(wrong: Any) -> frozenset[str]:
    real = type(wrong)()
    names = wrong.__struct_fields__
    return frozenset(name for name in names if getattr(wrong, name) is not getattr(real, name))


@cache
def caught(name: str) -> Catch | Slipped:
    """Run histories from seed 1 on, until one catches this seeded bug.

    A history that uses none of the components that the bug replaces is the same with it and without
    it, so it is not run again.

    Raises:
        BlindBugError: the code of the bug itself fails.
    """
    kind = kind_of(name)
    replaced = _replaced(WRONG[name])
    for seed in range(1, HISTORIES + 1):
        if replaced.isdisjoint(used(seed, kind)):
            continue
        if (catch := _caught_by(seed, name)) is not None:
            return catch
    return Slipped()


def caught_again(name: str) -> Catch | Slipped:
    """Run only the history that the document names; search if that does not catch the bug."""
    seed = documented_seeds().get(name)
    catch = None if seed is None else _caught_by(seed, name)
    return catch or caught(name)


@cache
def documented_seeds() -> Mapping[str, int]:
    """The seed of each caught bug in the document."""
    seeds: dict[str, int] = {}
    subject = ""
    for line in DOCUMENT.read_text("utf-8").splitlines():
        if line.startswith("## "):
            subject = line.removeprefix("## ")
        elif found := re.match(r"\| (.*?) \| ([\d,]+) \|", line):
            seeds[f"{subject}: {found[1]}".casefold()] = int(found[2].replace(",", ""))
    return {name: seeds[name.casefold()] for name in WRONG if name.casefold() in seeds}


def _caught_by(seed: int, name: str) -> Catch | None:
    """How this history catches a bug; None if it does not.

    Raises:
        BlindBugError: the code of the bug itself fails.
    """
    kind = kind_of(name)
    violation = broken_by(kind.plan(seed), WRONG[name], kind=kind)
    if violation is None:
        return None
    promise, _, finding = violation.partition(": ")
    if promise in _BROKEN_PATCHES or _PATCHES.search(finding):
        raise BlindBugError(f"seed {seed}, with a seeded bug that fails by itself: {violation}")
    return Catch(seed, promise, _short(finding))


def _short(finding: str) -> str:
    for long, short in _SHORTER.items():
        finding = re.sub(long, short, finding)
    finding = " ".join(finding.split()).replace("|", "/")
    if len(finding) > LONGEST_FINDING:
        finding = finding[:LONGEST_FINDING].rpartition(" ")[0] + " ..."
    return finding


def catches(
    search: Callable[[str], Catch | Slipped] = caught,
) -> Mapping[str, Catch | Slipped]:
    """How each seeded bug is caught; on all cores."""
    with ProcessPoolExecutor() as processes:
        return dict(zip(WRONG, processes.map(search, WRONG), strict=True))


def row(name: str, found: Catch | Slipped) -> str:
    """The line of the document about one bug."""
    _, _, what = name.partition(": ")
    match found:
        case Catch(seed, promise, finding):
            return f"| {what} | {seed:,} | {promise} | {finding} |"
        case Slipped():
            return f"| {what} | **not caught** | | |"


def document(found: Mapping[str, Catch | Slipped]) -> str:
    """The text of docs/internals/seeded-bugs.md."""
    return f"""\
# Seeded bugs

Each is a wrong variant of our code, made by a small patch (`tests/simulation/wrong_*.py`). The
simulation must catch it within {HISTORIES:,} histories. Seeds count from 1, so the first seed is
also the number of histories until the bug is caught. `make generated` writes this file. Seeds
change whenever the simulation changes.

{_summary(found)}

A bug breaks an invariant (I1 to I8; [what they say](invariants.md)), a promise of an
operator's step (O1 to O6; [what they say](simulation.md)), or ends a history with an
exception, which counts as well. The bugs of the replica are caught by
`lockstep simulate --replica tablestore`, all others by `lockstep simulate`.

{"\n\n".join(_section(subject, found) for subject in _subjects())}
"""


def _summary(found: Mapping[str, Catch | Slipped]) -> str:
    seeds = sorted(one.seed for one in found.values() if isinstance(one, Catch))
    within = ", ".join(
        f"{sum(seed <= most for seed in seeds):,} within {most:,}"
        for most in (10, 100, 1_000, HISTORIES)
    )
    return f"""\
{len(found)} bugs: {within} histories.
The last one is caught by seed {seeds[-1]:,}."""


def _subjects() -> list[str]:
    return list(dict.fromkeys(name.partition(": ")[0] for name in WRONG))


def _section(subject: str, found: Mapping[str, Catch | Slipped]) -> str:
    rows = [row(name, one) for name, one in found.items() if name.partition(": ")[0] == subject]
    return f"""\
## {subject[0].upper()}{subject[1:]}

| seeded bug | first seed | broken | finding |
| --- | ---: | --- | --- |
{"\n".join(rows)}"""


if __name__ == "__main__":
    print(document(catches()), end="")
