"""Formulas as texts: what is shown is what is calculated.

A formula has numbers, texts, names of earlier figures, `+ - * /`, comparisons, `A if B else C`, and
the functions `ceil`, `floor`, `max`, `min`, and those of `catching_up.py`. The names end with their
units.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lockstep.plan.catching_up import catch_up_s, most_events

type Value = float | str
type Known = Value | Sequence[float]
"""What a formula may name: a figure, or a load by the hour."""

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "catch_up_s": catch_up_s,
    "ceil": lambda number: math.ceil(round(number, 9)),  # 3.0000000000000004 shards are 3
    "floor": lambda number: math.floor(round(number, 9)),
    "max": max,
    "min": min,
    "most_events": most_events,
}


class Formula(msgspec.Struct, frozen=True):
    """How one figure of a plan is calculated.

    Attributes:
        name: its name in other formulas; it ends with the unit if it has one.
        label: what it is, for people.
        unit: its unit; empty for a text.
        text: the formula.
        shown: whether the table shows it; `--explain` and `--json` show all.
    """

    name: str
    label: str
    unit: str
    text: str
    shown: bool = True


def names_in(text: str) -> Sequence[str]:
    """The names that a formula uses, in the order of their first use."""
    tree = ast.parse(text, mode="eval")
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    found.sort(key=lambda node: (node.lineno, node.col_offset))
    return [name for name in dict.fromkeys(node.id for node in found) if name not in _FUNCTIONS]


def value_of(text: str, values: Mapping[str, Known]) -> Value:
    """Calculate a formula.

    Args:
        text: the formula.
        values: the figures that it may name.

    Raises:
        KeyError: it names a figure that is not known.
        TypeError: it contains something that a formula cannot have.
        ZeroDivisionError: it divides by zero.
    """
    found: Value = _value(ast.parse(text, mode="eval").body, values)
    return found


def _value(node: ast.expr, values: Mapping[str, Known]) -> Any:
    match node:
        case ast.Constant(value=float() | int() | str() as value):
            return value
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return _COMPARISONS[type(op)](_value(left, values), _value(right, values))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _value(body if _value(test, values) else orelse, values)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*(_value(one, values) for one in arguments))
        case _:
            raise TypeError(f"a formula cannot contain {ast.unparse(node)}")
