"""The mutants that docs/internals/mutation.md explains are of the code as it is."""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import mutation
from tools.mutation import (
    COUNTED,
    DECIDERS,
    DOCUMENT,
    Mutant,
    Results,
    figures,
    mutants_in,
    report,
)

EXPLAINED = list(mutants_in(DOCUMENT.read_text()))


@pytest.mark.parametrize("mutant", EXPLAINED, ids=str)
def test_an_explained_mutant_changes_code_that_is_there(mutant: Mutant) -> None:
    module, function = mutant.where.split()
    there: Any = importlib.import_module(module)
    for name in function.split("."):
        there = getattr(there, name)
    lines = {line.partition("  # ")[0].strip() for line in inspect.getsource(there).splitlines()}
    taken_out = [line[2:].partition("  # ")[0] for line in mutant.change if line[0] == "-"]
    assert taken_out
    assert lines.issuperset(taken_out)


def test_no_mutant_is_explained_twice() -> None:
    assert len(set(EXPLAINED)) == len(EXPLAINED) > 0


def test_each_change_of_a_hunk_is_a_mutant_of_its_own() -> None:
    document = """
```diff
@@ a.module function
-    one
+    other
-    one
-    two
@@ a.module Class.method
-three
+four
```
"""
    assert list(mutants_in(document)) == [
        Mutant("a.module function", ("- one", "+ other")),
        Mutant("a.module function", ("- one", "- two")),
        Mutant("a.module Class.method", ("- three", "+ four")),
    ]


def imported_by(tests: Path) -> Iterator[str]:
    """The top-level packages that these tests import."""
    for file in sorted(tests.rglob("*.py")) if tests.is_dir() else [tests]:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.ImportFrom(module=str(name)):
                    yield name.partition(".")[0]
                case ast.Import(names=names):
                    yield from (one.name.partition(".")[0] for one in names)


def test_the_tests_of_a_mutant_find_what_they_import() -> None:
    mutmut = tomllib.loads((mutation.ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    copied = {*mutmut["source_paths"], *mutmut["also_copy"], "tests"}
    tests = ["tests/conftest.py", *mutmut["pytest_add_cli_args_test_selection"]]
    imported = {name for one in tests for name in imported_by(mutation.ROOT / one)}
    ours = {one for one in imported if (mutation.ROOT / one).is_dir()}
    assert {"tools", "shared"} <= ours
    assert ours <= copied


DECIDER = "lockstep.repair.decide.x_decide__mutmut_1"
OTHER = "lockstep.repair.purge.x_verdict__mutmut_1"
UNEXPLAINED = Mutant("lockstep.repair.decide decide", ("- a", "+ b"))


def page(results: Results) -> str:
    """A page with the figures of these results, and without explanations."""
    return f"Text.\n\n{figures('', results)}\nMore text.\n"


@pytest.mark.parametrize(
    ("statuses", "is_good", "said"),
    [
        ({DECIDER: "killed", OTHER: "survived"}, True, "not explained: 0, only counted: 1"),
        ({DECIDER: "killed", OTHER: "no tests"}, True, "not explained: 0, only counted: 0"),
        ({DECIDER: "survived", OTHER: "killed"}, False, "not explained: 1, only counted: 0"),
        ({DECIDER: "no tests", OTHER: "killed"}, False, f"{DECIDER} was not tried: no tests"),
    ],
)
def test_a_survivor_of_a_decider_fails_the_run_and_others_are_counted(
    statuses: dict[str, str], *, is_good: bool, said: str
) -> None:
    survived = {DECIDER: UNEXPLAINED} if statuses[DECIDER] == "survived" else {}
    results = Results(statuses, survived)
    lines, good = report(page(results), results)
    assert good is is_good
    printed = "\n".join(lines)
    assert said in printed
    assert "lockstep.repair.purge *" in printed


def test_other_figures_than_those_of_the_page_fail_the_run() -> None:
    now = Results({DECIDER: "killed"}, {})
    before = Results({DECIDER: "killed", DECIDER.replace("_1", "_2"): "timeout"}, {})
    assert report(page(now), now)[1]
    for other in (page(before), "A page without figures."):
        lines, is_good = report(other, now)
        assert not is_good
        assert any("| lockstep.repair.decide | 1 | 1 | 0 |" in line for line in lines)


def test_the_figures_count_an_explained_mutant_of_its_module() -> None:
    explanation = "```diff\n@@ lockstep.repair.decide decide\n-a\n+b\n```\n"
    results = Results({DECIDER: "survived", OTHER: "killed"}, {DECIDER: UNEXPLAINED})
    rows = figures(explanation, results).splitlines()
    assert "| lockstep.repair.decide | 1 | 0 | 1 |" in rows
    assert rows[-1] == "| all | 1 | 0 | 1 |"


def test_the_page_has_figures_of_each_decider_and_explains_what_is_not_killed() -> None:
    row = re.compile(r"^\| ([\w.]+) \| (\d+) \| (\d+) \| (\d+) \|$", re.MULTILINE)
    rows = row.findall(DOCUMENT.read_text())
    assert {module for module, *_ in rows} == DECIDERS | {"all"}
    for module, mutants, killed, explained in rows:
        assert int(mutants) == int(killed) + int(explained), module
        hunks = [one for one in EXPLAINED if module in {one.where.split()[0], "all"}]
        assert module == "all" or len(hunks) <= int(explained), module


def test_each_module_that_is_changed_fails_the_run_or_is_counted() -> None:
    settings = tomllib.loads((mutation.ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    modules = {name.removesuffix(".py").replace("/", ".") for name in settings["only_mutate"]}
    assert modules > COUNTED | DECIDERS
    assert not COUNTED & DECIDERS
