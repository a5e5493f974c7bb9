"""The mutants that docs/internals/mutation.md explains are of the code as it is."""

import ast
import importlib
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import mutation
from tools.mutation import COUNTED, DOCUMENT, Mutant, mutants_in

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


@pytest.mark.parametrize(
    ("statuses", "code", "said"),
    [
        ({DECIDER: "killed", OTHER: "survived"}, 0, "not explained: 0, only counted: 1"),
        ({DECIDER: "killed", OTHER: "no tests"}, 0, "not explained: 0, only counted: 0"),
        ({DECIDER: "survived", OTHER: "killed"}, 1, "not explained: 1, only counted: 0"),
        ({DECIDER: "no tests", OTHER: "killed"}, 1, f"{DECIDER} was not tried: no tests"),
    ],
)
def test_a_survivor_of_a_decider_fails_the_run_and_others_are_counted(
    statuses: dict[str, str],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(mutation, "_statuses", lambda: statuses)
    monkeypatch.setattr(mutation, "_mutant", lambda name: Mutant(name, ("- a", "+ b")))
    assert mutation.main() == code
    printed = capsys.readouterr().out
    assert said in printed
    assert "lockstep.repair.purge *" in printed


def test_each_module_that_is_changed_fails_the_run_or_is_counted() -> None:
    settings = tomllib.loads((mutation.ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
    modules = {name.removesuffix(".py").replace("/", ".") for name in settings["only_mutate"]}
    assert modules > COUNTED
