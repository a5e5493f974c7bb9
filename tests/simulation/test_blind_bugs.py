"""Each seeded bug changes code that is there, so a bug cannot do nothing unnoticed.

mypy requires `@override` on each method of a seeded bug that overrides one of ours, and refuses it
on a method that overrides nothing (`explicit-override` in pyproject.toml).
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest

from lockstep.repair.purge import purge, verdict
from lockstep.repair.repair import Repair
from lockstep.simulation.components import Components
from lockstep.stores.table import TableReader
from tests.simulation import wrong_components
from tests.simulation.rewired import BlindBugError, rewired
from tools import seeded_bugs

BUGS = "tests.simulation.wrong_"


def all_below(base: type) -> Iterator[type]:
    below: list[type] = type.__subclasses__(base)
    for one in below:
        yield one
        yield from all_below(one)


def classes_of_bugs() -> Sequence[type]:
    """The classes of the seeded bugs, also those that a function of a bug makes."""
    assert wrong_components.WRONG
    return sorted(
        {one for one in all_below(object) if str(one.__module__).startswith(BUGS)},
        key=lambda one: (one.__module__, one.__qualname__, id(one)),
    )


@cache
def tree_of(one: type) -> ast.Module:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(one)))
    except (OSError, TypeError):  # a class of C
        return ast.Module([], [])


def set_by(one: type) -> Iterator[str]:
    """The names that a class gives something to, in its body or to `self`."""
    for node in ast.walk(tree_of(one)):
        match node:
            case ast.Attribute(ast.Name("self"), name, ast.Store()):
                yield name
            case ast.ClassDef(body=body):
                yield from in_body(body)


def in_body(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(name)):
                yield name
            case ast.Assign(targets=[ast.Name(name)]):
                yield name


@cache
def read_by(one: type) -> frozenset[str]:
    """The attributes that the code of a class reads, of whatever object."""
    return frozenset(
        node.attr
        for node in ast.walk(tree_of(one))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    )


def without_effect(one: type) -> Sequence[str]:
    """What a class sets that none of its base classes has, and that nobody reads."""
    bases = [base for base in one.__mro__[1:] if base is not object]
    if not bases:
        return []  # a wrong client, or the like: mypy checks where it is passed
    known = {name for base in bases for name in (*vars(base), *read_by(base))} | read_by(one)
    return [name for name in set_by(one) if name not in known and not name.startswith("__")]


def named(one: type) -> str:
    return f"{one.__module__.removeprefix(BUGS)}.{one.__qualname__}"


@pytest.mark.parametrize("one", classes_of_bugs(), ids=named)
def test_what_a_seeded_bug_sets_replaces_what_is_there(one: type) -> None:
    assert without_effect(one) == []


def test_the_classes_of_the_bugs_are_found() -> None:
    names = {named(one) for one in classes_of_bugs()}
    assert {"repair.IgnoresExpiry", "meaning.items.<locals>.OtherItems"} <= names
    assert len(names) > 100


class RenamedMethod(Repair):
    def _no_such_method(self, *_: object) -> None:
        pass


class RenamedFunction(Repair):
    _no_such_function = rewired(purge, verdict=None)


class RenamedAttribute(TableReader):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._no_such_attribute = True


class WithItsOwn(TableReader):
    """What it sets is read: by itself."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = self._its()

    def _its(self) -> bool:
        return not self._own


@pytest.mark.parametrize(
    ("one", "names"),
    [
        (RenamedMethod, ["_no_such_method"]),
        (RenamedFunction, ["_no_such_function"]),
        (RenamedAttribute, ["_no_such_attribute"]),
        (WithItsOwn, []),
    ],
)
def test_what_replaces_nothing_is_found(one: type, names: Sequence[str]) -> None:
    assert without_effect(one) == names


def test_a_name_that_the_module_does_not_have_is_an_error() -> None:
    with pytest.raises(BlindBugError, match="no_such_name"):
        rewired(purge, no_such_name=None)


def test_a_name_of_the_module_that_the_function_does_not_use_is_an_error() -> None:
    rewired(verdict, digest_of=None)  # this one uses it
    with pytest.raises(BlindBugError, match="purge does not use the name digest_of"):
        rewired(purge, digest_of=None)


def of_other_arguments() -> Any:
    raise AssertionError


def of_other_attributes(*_: object, **__: object) -> Any:
    return object()


def fails(*_: object, **__: object) -> Any:
    raise ValueError


@pytest.mark.parametrize(
    "wrong",
    [
        Components(redrive=of_other_arguments),
        Components(redrive=of_other_attributes),
        Components(redrive=fails),
    ],
    ids=["its arguments", "its attributes", "its own code"],
)
def test_a_seeded_bug_whose_own_code_fails_is_not_caught(
    monkeypatch: pytest.MonkeyPatch, wrong: Components
) -> None:
    monkeypatch.setattr(seeded_bugs, "WRONG", {"x: fails by itself": wrong})
    with pytest.raises(BlindBugError, match="fails by itself"):
        seeded_bugs.caught("x: fails by itself")
