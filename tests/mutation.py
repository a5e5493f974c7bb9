"""Mutation testing: docs/internals/mutation.md explains each survivor, or a test is missing.

`make mutation` runs mutmut before this, and this exits with 1 when a survivor is not explained.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "internals" / "mutation.md"
RESULTS = ROOT / "mutants"

# "module.xǁClassǁmethod__mutmut_7" or "module.x_function__mutmut_7", as mutmut calls them.
_NAME = re.compile(r"(?P<module>[\w.]+)\.x(?:ǁ(?P<of>\w+)ǁ|_)(?P<function>\w+)__mutmut_\d+")
_STATUS = re.compile(r"^ *(\S+__mutmut_\d+): (.+)$", re.MULTILINE)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Mutant(msgspec.Struct, frozen=True):
    """One small change: where, what is taken out, and what is put in its place."""

    where: str
    change: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(["```diff", f"@@ {self.where}", *self.change, "```"])


KILLED = frozenset({"killed", "timeout", "segfault", "suspicious"})


def main() -> int:
    """Show what mutmut found; says 1 if a survivor has no explanation."""
    statuses = _statuses()
    explained = set(mutants_in(DOCUMENT.read_text()))
    survivors = {_mutant(name) for name, status in statuses.items() if status == "survived"}
    missing = sorted(survivors - explained, key=str)
    unknown = [name for name, status in statuses.items() if status not in {*KILLED, "survived"}]
    lines = [
        *table(statuses),
        *(f"No test sees this, and {DOCUMENT.name} does not say why:\n{one}" for one in missing),
        *(f"{name} was not tried: {statuses[name]}" for name in unknown),
        *(
            f"{DOCUMENT.name} explains what a test sees, or what is no more:\n{one}"
            for one in sorted(explained - survivors, key=str)
        ),
        f"survivors explained: {len(survivors & explained)}, not explained: {len(missing)}",
    ]
    print("\n".join(lines))  # noqa: T201 - a program that prints
    return 1 if missing or unknown else 0


def table(statuses: Mapping[str, str]) -> Iterator[str]:
    """A line for each module: how many mutants, and how many of them the tests killed."""
    counts: dict[str, Counter[str]] = {}
    for name, status in statuses.items():
        word = "killed" if status in KILLED else status
        counts.setdefault(_where(name)[0], Counter())[word] += 1
    yield f"{'module':36} mutants killed survived"
    for module, its in sorted(counts.items()):
        yield f"{module:36} {its.total():7} {its['killed']:6} {its['survived']:8}"
    total = sum(counts.values(), Counter())
    yield f"{'all':36} {total.total():7} {total['killed']:6} {total['survived']:8}"


def mutants_in(document: str) -> Iterator[Mutant]:
    """Those that the document explains: in blocks of diffs, each hunk headed by its function."""
    for block in _DIFF.findall(document):
        for hunk in re.split(r"^@@ ", block, flags=re.MULTILINE)[1:]:
            where, *lines = hunk.splitlines()
            pairs = _changes(lines)
            yield from (Mutant(where.strip(), pair) for pair in pairs)


def _changes(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each run of taken-out lines with what is put in after it."""
    change: list[str] = []
    for line in lines:
        if line.startswith("-") and change and change[-1].startswith("+"):
            yield tuple(change)
            change = []
        change.append(f"{line[0]} {line[1:].strip()}".rstrip())
    if change:
        yield tuple(change)


def _statuses() -> dict[str, str]:
    return dict(_STATUS.findall(_mutmut("results", "--all", "true")))


def _mutant(name: str) -> Mutant:
    _, *diff = _mutmut("show", name).split("\n+++ ")[1].splitlines()
    lines = [line for line in diff if line[:1] in {"-", "+"}]
    module, function = _where(name)
    (change,) = _changes(lines)
    return Mutant(f"{module} {function}", change)


def _where(name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(name)
    of = f"{found['of']}." if found["of"] else ""
    return found["module"], of + found["function"]


def _mutmut(*words: str) -> str:
    command = [str(Path(sys.executable).with_name("mutmut")), *words]
    return subprocess.check_output(command, text=True, cwd=ROOT)


if __name__ == "__main__":
    sys.exit(main())
