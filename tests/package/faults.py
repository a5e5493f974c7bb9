"""How to change the template, to seed a fault in it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

type Check = Callable[[Mapping[str, Any]], None]
type Change = Callable[[dict[str, Any]], None]


class Fault(NamedTuple):
    """A wrong variant of the template."""

    name: str
    change: Change
    check: Check


def put(path: str, value: Any) -> Change:
    """Set what is at this path."""

    def change(template: dict[str, Any]) -> None:
        parent, last = _parent(template, path)
        parent[last] = value

    return change


def drop(path: str) -> Change:
    """Remove what is at this path."""

    def change(template: dict[str, Any]) -> None:
        parent, last = _parent(template, path)
        del parent[last]

    return change


def _parent(template: dict[str, Any], path: str) -> tuple[Any, Any]:
    *names, last = path.split(".")
    value: Any = template
    for name in names:
        value = value[int(name)] if isinstance(value, list) else value[name]
    return value, int(last) if isinstance(value, list) else last


def allow(resource: str, sid: str, *actions: str) -> Change:
    """Add actions to a statement."""

    def change(template: dict[str, Any]) -> None:
        for statement in _statements(template["Resources"][resource], sid):
            before = statement["Action"]
            statement["Action"] = [*([before] if isinstance(before, str) else before), *actions]

    return change


def on(resource: str, sid: str, what: Any) -> Change:
    """Let a statement allow its actions on something else."""

    def change(template: dict[str, Any]) -> None:
        for statement in _statements(template["Resources"][resource], sid):
            statement["Resource"] = what

    return change


def without_condition(resource: str, sid: str) -> Change:
    """Take the condition from a statement."""

    def change(template: dict[str, Any]) -> None:
        for statement in _statements(template["Resources"][resource], sid):
            del statement["Condition"]

    return change


def _statements(value: Any, sid: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and value.get("Sid") == sid:
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _statements(one, sid)
