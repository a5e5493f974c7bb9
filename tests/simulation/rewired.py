"""Rewiring: a function of ours in which some names of its module mean something else."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, cast


def rewired[**P, R](function: Callable[P, R], **names: Any) -> Callable[P, R]:
    """The function's own code over other components; the module itself stays as it is.

    So a seeded bug in what a function uses needs neither a patched module nor a copied function.

    Raises:
        KeyError: the module has no such name, so nothing would change.
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
