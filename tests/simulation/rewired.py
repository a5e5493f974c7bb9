"""Rewire a function: some names of its module refer to something else."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast


def rewired[**P, R](function: Callable[P, R], **names: Any) -> Callable[P, R]:
    """The same code with other names; the module itself does not change.

    So a seeded bug in a dependency needs neither a patched module nor a copied function.

    Raises:
        KeyError: the module has no such name.
    """
    own = cast("FunctionType", function)
    for name in names:
        own.__globals__[name]
    other = FunctionType(
        own.__code__,
        own.__globals__ | names,
        own.__name__,
        own.__defaults__,
        own.__closure__,
    )
    other.__kwdefaults__ = own.__kwdefaults__
    return cast("Callable[P, R]", other)
