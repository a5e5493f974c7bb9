"""The mutants that docs/internals/mutation.md explains are of the code as it is."""

import importlib
import inspect
from typing import Any

import pytest

from tools.mutation import DOCUMENT, Mutant, mutants_in

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
