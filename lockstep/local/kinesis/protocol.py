"""Kinesis's protocol: requests are validated and decoded with botocore's service model.

The model defines types, base64, required members, lengths, ranges, patterns and enumerations. A
wrong type is a SerializationException; all other violations are one ValidationException that lists
them, as in Kinesis.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.wire import Wire, unexpected

# The maximum number of violations in a message, and of characters of a value.
_VIOLATIONS_SHOWN = 10
_VALUE_SHOWN = 100

# Bounds that the model does not contain, by the names of its shapes.
_BOUNDS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {"PositiveIntegerObject": {"max": 100_000}, "RetentionPeriodHours": {"max": 365 * 24}}
)

_WHOLE_NUMBERS = {"integer": range(-(1 << 31), 1 << 31), "long": range(-(1 << 63), 1 << 63)}


class _Violation(NamedTuple):
    value: str
    path: str
    rule: str

    def inside(self, name: str) -> "_Violation":
        return self._replace(path=f"{name}.{self.path}" if self.path else name)

    def __str__(self) -> str:
        return f"Value {self.value} at '{self.path}' failed to satisfy constraint: {self.rule}"


# Gets a JSON value and a list for violations; returns the decoded value. A check does not know its
# path: its caller prepends names to violations, so that a valid request builds no paths.
type _Check = Callable[[Any, list[_Violation]], Any]


class RequestModel:
    """Decodes the requests of one service with its model, in one form."""

    def __init__(self, service: ServiceModel, wire: Wire) -> None:
        self._service = service
        self._wire = wire
        self._checks: dict[str, _Check] = {}

    def decode(self, operation: str, body: bytes | bytearray) -> dict[str, Any]:
        """The members of a request: blobs as bytes, timestamps in seconds, without nulls.

        Unknown members are ignored, as Kinesis does.

        Raises:
            KinesisError: SerializationException or ValidationException.
        """
        raw = self._wire.load(body)
        if operation not in self._checks:
            shape = self._service.operation_model(operation).input_shape
            self._checks[operation] = _check_of(shape, self._wire)
        violations: list[_Violation] = []
        request: dict[str, Any] = self._checks[operation](raw, violations)
        if violations:
            count = f"{len(violations)} validation error{'s'[: len(violations) > 1]} detected"
            shown = "; ".join(map(str, violations[:_VIOLATIONS_SHOWN]))
            raise KinesisError("ValidationException", f"{count}: {shown}")
        return request


@cache
def kinesis_requests(wire: Wire) -> RequestModel:
    """The requests of Kinesis, by the model of the installed botocore."""
    model = Loader().load_service_model("kinesis", "service-2")
    return RequestModel(ServiceModel(model, "kinesis"), wire)


def error_answer(error: KinesisError) -> Mapping[str, str]:
    """The body of an error response, as SDKs read it."""
    message = "Message" if error.name == "SerializationException" else "message"
    return {"__type": error.name, message: str(error)}


def _check_of(shape: Shape | None, wire: Wire) -> _Check:
    match shape:
        case None:
            return lambda _value, _violations: {}
        case StructureShape():
            return _structure(shape, wire)
        case ListShape():
            return _list(shape, wire)
        case MapShape():
            return _map(shape, wire)
        case StringShape():
            return _string(shape)
    match shape.type_name:
        case "blob":
            return _blob(shape, wire)
        case "boolean":
            return _boolean
        case "timestamp":
            return _timestamp(wire)
        case "integer" | "long":
            return _whole_number(shape)
    raise NotImplementedError(f"requests with a {shape.type_name} ({shape.name})")


def _structure(shape: StructureShape, wire: Wire) -> _Check:
    required = frozenset(shape.required_members)
    members = [
        (name, name[0].lower() + name[1:], name in required, _check_of(member, wire))
        for name, member in shape.members.items()
    ]

    def check(value: Any, violations: list[_Violation]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise unexpected(value, "an object")
        found: dict[str, Any] = {}
        for name, path, is_required, check_member in members:
            member = value.get(name)
            if member is not None:
                before = len(violations)
                found[name] = check_member(member, violations)
                _move_inside(violations, before, path)
            elif is_required:
                violations.append(_Violation("null", path, "Member must not be null"))
        return found

    return check


def _list(shape: ListShape, wire: Wire) -> _Check:
    check_member = _check_of(shape.member, wire)
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> list[Any]:
        if not isinstance(value, list):
            raise unexpected(value, "an array")
        check_length(len(value), value, violations)
        found = []
        for place, member in enumerate(value, start=1):
            before = len(violations)
            found.append(check_member(member, violations))
            if len(violations) > before:
                _move_inside(violations, before, f"{place}.member")
        return found

    return check


def _map(shape: MapShape, wire: Wire) -> _Check:
    check_key, check_value = _check_of(shape.key, wire), _check_of(shape.value, wire)
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise unexpected(value, "an object")
        check_length(len(value), value, violations)
        found = {}
        for key, member in value.items():
            before = len(violations)
            found[check_key(key, violations)] = check_value(member, violations)
            _move_inside(violations, before, f"{key}.member")
        return found

    return check


def _string(shape: StringShape) -> _Check:
    check_length = _length(shape)
    pattern = re.compile(shape.metadata["pattern"]) if "pattern" in shape.metadata else None
    enum = shape.enum

    def check(value: Any, violations: list[_Violation]) -> str:
        if not isinstance(value, str):
            raise unexpected(value, "a string")
        check_length(len(value), value, violations)
        if pattern is not None and pattern.fullmatch(value) is None:
            rule = f"Member must satisfy regular expression pattern: {pattern.pattern}"
            violations.append(_Violation(_shown(value), "", rule))
        if enum and value not in enum:
            rule = f"Member must satisfy enum value set: [{', '.join(enum)}]"
            violations.append(_Violation(_shown(value), "", rule))
        return value

    return check


def _blob(shape: Shape, wire: Wire) -> _Check:
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> bytes:
        found = wire.blob(value)
        check_length(len(found), f"{len(found)} bytes", violations)
        return found

    return check


def _boolean(value: Any, _violations: list[_Violation]) -> bool:
    if not isinstance(value, bool):
        raise unexpected(value, "true or false")
    return value


def _timestamp(wire: Wire) -> _Check:
    def check(value: Any, _violations: list[_Violation]) -> float:
        return wire.seconds(value)

    return check


def _whole_number(shape: Shape) -> _Check:
    possible = _WHOLE_NUMBERS[shape.type_name]
    check_range = _bounds(shape, "have value")

    def check(value: Any, violations: list[_Violation]) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise unexpected(value, f"a whole number ({shape.type_name})")
        # Kinesis takes a number that is too large or too small for its type as the nearest.
        nearest = min(max(value, possible.start), possible.stop - 1)
        check_range(nearest, nearest, violations)
        return nearest

    return check


def _length(shape: Shape) -> Callable[[int, Any, list[_Violation]], None]:
    return _bounds(shape, "have length")


def _bounds(shape: Shape, have: str) -> Callable[[int, Any, list[_Violation]], None]:
    bounds = {**shape.metadata, **_BOUNDS.get(shape.name, {})}
    low, high = bounds.get("min"), bounds.get("max")

    def check(measure: int, value: Any, violations: list[_Violation]) -> None:
        if low is not None and measure < low:
            rule = f"Member must {have} greater than or equal to {low}"
            violations.append(_Violation(_shown(value), "", rule))
        if high is not None and measure > high:
            rule = f"Member must {have} less than or equal to {high}"
            violations.append(_Violation(_shown(value), "", rule))

    return check


def _move_inside(violations: list[_Violation], first: int, name: str) -> None:
    violations[first:] = [each.inside(name) for each in violations[first:]]


def _shown(value: Any) -> str:
    text = f"'{value}'" if isinstance(value, str | int) else f"of {len(value)} members"
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}...'"
