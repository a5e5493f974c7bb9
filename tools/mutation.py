"""Report the results of mutation testing: `python -m tools.mutation [--write]`.

`make mutation` runs mutmut first. The exit code is 1 if a mutant survived that
docs/internals/mutation.md does not explain, if a mutant was not tried, or if the figures of the
deciders on that page are not those of this run; `--write` corrects the figures. In the modules of
`COUNTED`, survivors are only counted.
"""

import argparse
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "internals" / "mutation.md"
# Modules that send requests and write texts: contract tests and histories of the simulation cover
# what the tests of a mutant cannot see.
COUNTED = frozenset(
    {
        "functions.write_to_es.document",
        "lockstep.audit.audit",
        "lockstep.quarantine.direct_indexing",
        "lockstep.quarantine.failure_documents",
        "lockstep.quarantine.own_objects",
        "lockstep.quarantine.records",
        "lockstep.quarantine.redrive",
        "lockstep.repair.answers",
        "lockstep.repair.purge",
        "lockstep.repair.repair",
        "lockstep.repair.replaced",
        "shared.envelope",
        "shared.event",
        "shared.outrun",
        "shared.quarantine",
        "shared.record",
        "shared.stamps",
    }
)
# Modules that decide what a store must hold, or what becomes of a record: the document has their
# figures.
DECIDERS = frozenset(
    {
        "functions.write_to_es.table_changes",
        "lockstep.audit.ahead",
        "lockstep.audit.compare",
        "lockstep.quarantine.cases",
        "lockstep.quarantine.readable",
        "lockstep.quarantine.settlement",
        "lockstep.rebuild.copying",
        "lockstep.repair.decide",
        "lockstep.repair.decide_answer",
        "lockstep.stores.writing",
    }
)

# "module.xǁClassǁmethod__mutmut_7" or "module.x_function__mutmut_7": the names that mutmut gives.
_NAME = re.compile(r"(?P<module>[\w.]+)\.x(?:ǁ(?P<of>\w+)ǁ|_)(?P<function>\w+)__mutmut_\d+")
_STATUS = re.compile(r"^ *(\S+__mutmut_\d+): (.+)$", re.MULTILINE)
_DIFF = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Mutant(msgspec.Struct, frozen=True):
    """One small change: the changed function, the lines removed, and the lines added."""

    where: str
    change: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(["```diff", f"@@ {self.where}", *self.change, "```"])


KILLED = frozenset({"killed", "timeout", "segfault", "suspicious"})
_HEADER = "| module | mutants | killed | explained |"
_FIGURES = re.compile(rf"^{re.escape(_HEADER)}\n(?:\|.*\n)+", re.MULTILINE)


class Results(msgspec.Struct, frozen=True):
    """The status of each mutant, by its name, and what changed in those that survived."""

    statuses: Mapping[str, str]
    survivors: Mapping[str, Mutant]


def main() -> int:
    """Print the results of mutmut; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutation", description=__doc__)
    parser.add_argument(
        "--write", action="store_true", help=f"write the figures of this run into {DOCUMENT.name}"
    )
    asked = parser.parse_args()
    statuses = _statuses()
    survived = [name for name, status in statuses.items() if status == "survived"]
    results = Results(
        statuses, {name: _mutant(name) for name in survived if _where(name)[0] not in COUNTED}
    )
    document = DOCUMENT.read_text()
    if asked.write:
        document = _FIGURES.sub(figures(document, results), document)
        DOCUMENT.write_text(document)
    lines, is_good = report(document, results)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0 if is_good else 1


def report(document: str, results: Results) -> tuple[Sequence[str], bool]:
    """What to print about a run, and whether all is killed, explained, or only counted."""
    explained = set(mutants_in(document))
    survivors = set(results.survivors.values())
    missing = sorted(survivors - explained, key=str)
    unknown = [
        name
        for name, status in results.statuses.items()
        if status not in {*KILLED, "survived"} and _where(name)[0] not in COUNTED
    ]
    now = figures(document, results)
    right = [found[0] for found in _FIGURES.finditer(document)] == [now]
    counted = list(results.statuses.values()).count("survived") - len(results.survivors)
    lines = [
        *table(results.statuses),
        *(
            f"No test fails for this mutant, and {DOCUMENT.name} does not explain why:\n{one}"
            for one in missing
        ),
        *(f"{name} was not tried: {results.statuses[name]}" for name in unknown),
        *(
            f"{DOCUMENT.name} explains a mutant that a test kills, or that no longer exists:\n{one}"
            for one in sorted(explained - survivors, key=str)
        ),
        *([] if right else [f"{DOCUMENT.name} has other figures; --write corrects them:\n{now}"]),
        (
            f"survivors explained: {len(survivors & explained)}, not explained: {len(missing)}, "
            f"only counted: {counted}"
        ),
    ]
    return lines, right and not (missing or unknown)


def figures(document: str, results: Results) -> str:
    """The figures of the deciders, as a table of Markdown."""
    explained = set(mutants_in(document))
    counts: dict[str, Counter[str]] = {module: Counter() for module in sorted(DECIDERS)}
    for name, status in results.statuses.items():
        its = counts.get(_where(name)[0], Counter())
        its["mutants"] += 1
        its["killed"] += status in KILLED
        its["explained"] += results.survivors.get(name) in explained
    counts["all"] = sum(counts.values(), Counter())
    rows = [
        f"| {module} | {its['mutants']} | {its['killed']} | {its['explained']} |"
        for module, its in counts.items()
    ]
    return "".join(f"{line}\n" for line in [_HEADER, "| --- | --- | --- | --- |", *rows])


def table(statuses: Mapping[str, str]) -> Iterator[str]:
    """A line for each module: its number of mutants, of killed ones and of survivors.

    In a module with a star, survivors are only counted.
    """
    counts: dict[str, Counter[str]] = {}
    for name, status in statuses.items():
        word = "killed" if status in KILLED else status
        counts.setdefault(_where(name)[0], Counter())[word] += 1
    yield f"{'module':40} mutants killed survived"
    for module, its in sorted(counts.items()):
        name = f"{module} *" if module in COUNTED else module
        yield f"{name:40} {its.total():7} {its['killed']:6} {its['survived']:8}"
    total = sum(counts.values(), Counter())
    yield f"{'all':40} {total.total():7} {total['killed']:6} {total['survived']:8}"


def mutants_in(document: str) -> Iterator[Mutant]:
    """The mutants that the document explains, in diff blocks. `@@` names the function of a hunk."""
    for block in _DIFF.findall(document):
        for hunk in re.split(r"^@@ ", block, flags=re.MULTILINE)[1:]:
            where, *lines = hunk.splitlines()
            pairs = _changes(lines)
            yield from (Mutant(where.strip(), pair) for pair in pairs)


def _changes(lines: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Each group of removed lines, with the lines added after it."""
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
