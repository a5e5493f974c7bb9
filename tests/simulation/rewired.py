"""Change our code for a seeded bug. What is not there to be changed is an error."""

from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any, cast


class BlindBugError(Exception):
    """A seeded bug changes nothing, because the code that it changes has changed itself."""


def rewired[**P, R](function: Callable[P, R], **names: Any) -> Callable[P, R]:
    """The same code with other names; the module itself does not change.

    So a seeded bug in a dependency needs neither a patched module nor a copied function.

    Raises:
        BlindBugError: the function does not use such a name of its module.
    """
    own = cast("FunctionType", function)
    for name in names:
        if name not in own.__globals__ or name not in _names_in(own.__code__):
            raise BlindBugError(f"{own.__qualname__} does not use the name {name} of its module")
    other = FunctionType(
        own.__code__,
        own.__globals__ | names,
        own.__name__,
        own.__defaults__,
        own.__closure__,
    )
    other.__kwdefaults__ = own.__kwdefaults__
    return cast("Callable[P, R]", other)


def _names_in(code: CodeType) -> Iterator[str]:
    """The names that the function uses, also in its comprehensions and inner functions."""
    yield from code.co_names
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _names_in(one)
