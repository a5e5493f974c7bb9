"""Kinesis's protocol, JSON 1.1: requests are decoded and validated with botocore's service model.

The model defines types, base64, required members, lengths, ranges, patterns and enumerations. A
wrong type is a SerializationException; all other violations are one ValidationException that lists
them, as in Kinesis.
"""

import binascii
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StringShape, StructureShape

from lockstep.local.kinesis.errors import KinesisError
from shared.nesting import nests_too_deep

CONTENT_TYPE = "application/x-amz-json-1.1"

# The maximum number of violations in a message, and of characters of a value.
_VIOLATIONS_SHOWN = 10
_VALUE_SHOWN = 100

# In seconds since 1970: the range of times that SDKs support.
_YEAR_1, _YEAR_10000 = -62_135_596_800, 253_402_300_800

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
    """Decodes the requests of one service with its model."""

    def __init__(self, service: ServiceModel) -> None:
        self._service = service
        self._checks: dict[str, _Check] = {}

    def decode(self, operation: str, body: bytes | bytearray) -> dict[str, Any]:
        """The members of a request: blobs as bytes, timestamps in seconds, without nulls.

        Unknown members are ignored, as Kinesis does.

        Raises:
            KinesisError: SerializationException or ValidationException.
        """
        if nests_too_deep(body):
            raise KinesisError("SerializationException", "the body has too many levels")
        try:
            raw = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KinesisError("SerializationException", f"the body is not JSON: {error}") from None
        if operation not in self._checks:
            shape = self._service.operation_model(operation).input_shape
            self._checks[operation] = _check_of(shape)
        violations: list[_Violation] = []
        request: dict[str, Any] = self._checks[operation](raw, violations)
        if violations:
            count = f"{len(violations)} validation error{'s'[: len(violations) > 1]} detected"
            shown = "; ".join(map(str, violations[:_VIOLATIONS_SHOWN]))
            raise KinesisError("ValidationException", f"{count}: {shown}")
        return request


@cache
def kinesis_requests() -> RequestModel:
    """The requests of Kinesis, by the model of the installed botocore."""
    model = Loader().load_service_model("kinesis", "service-2")
    return RequestModel(ServiceModel(model, "kinesis"))


def encode(answer: Mapping[str, Any] | None) -> bytes:
    """The body of a response: blobs in base64; empty for an operation without output."""
    return b"" if answer is None else msgspec.json.encode(answer)


def encode_error(error: KinesisError) -> bytes:
    """The body of an error response, as SDKs read it."""
    message = "Message" if error.name == "SerializationException" else "message"
    return msgspec.json.encode({"__type": error.name, message: str(error)})


def _check_of(shape: Shape | None) -> _Check:
    match shape:
        case None:
            return lambda _value, _violations: {}
        case StructureShape():
            return _structure(shape)
        case ListShape():
            return _list(shape)
        case MapShape():
            return _map(shape)
        case StringShape():
            return _string(shape)
    match shape.type_name:
        case "blob":
            return _blob(shape)
        case "boolean":
            return _boolean
        case "timestamp":
            return _timestamp
        case "integer" | "long":
            return _whole_number(shape)
    raise NotImplementedError(f"requests with a {shape.type_name} ({shape.name})")


def _structure(shape: StructureShape) -> _Check:
    required = frozenset(shape.required_members)
    members = [
        (name, name[0].lower() + name[1:], name in required, _check_of(member))
        for name, member in shape.members.items()
    ]

    def check(value: Any, violations: list[_Violation]) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "an object")
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


def _list(shape: ListShape) -> _Check:
    check_member = _check_of(shape.member)
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> list[Any]:
        if not isinstance(value, list):
            raise _unexpected(value, "an array")
        check_length(len(value), value, violations)
        found = []
        for place, member in enumerate(value, start=1):
            before = len(violations)
            found.append(check_member(member, violations))
            if len(violations) > before:
                _move_inside(violations, before, f"{place}.member")
        return found

    return check


def _map(shape: MapShape) -> _Check:
    check_key, check_value = _check_of(shape.key), _check_of(shape.value)
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise _unexpected(value, "an object")
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
            raise _unexpected(value, "a string")
        check_length(len(value), value, violations)
        if pattern is not None and pattern.fullmatch(value) is None:
            rule = f"Member must satisfy regular expression pattern: {pattern.pattern}"
            violations.append(_Violation(_shown(value), "", rule))
        if enum and value not in enum:
            rule = f"Member must satisfy enum value set: [{', '.join(enum)}]"
            violations.append(_Violation(_shown(value), "", rule))
        return value

    return check


def _blob(shape: Shape) -> _Check:
    check_length = _length(shape)

    def check(value: Any, violations: list[_Violation]) -> bytes:
        if not isinstance(value, str):
            raise _unexpected(value, "base64 text")
        try:
            found = binascii.a2b_base64(value, strict_mode=True)
        except ValueError as error:  # also raised for text that is not ASCII
            message = f"a blob must be base64 text: {error}"
            raise KinesisError("SerializationException", message) from None
        # The decoder ignores bits after the last byte; only the last characters can have any.
        last = found[len(found) - len(found) % 3 :]
        if last and not value.endswith(binascii.b2a_base64(last, newline=False).decode()):
            message = "a blob must be base64 text: its last character has bits of no byte"
            raise KinesisError("SerializationException", message)
        check_length(len(found), f"{len(found)} bytes", violations)
        return found

    return check


def _boolean(value: Any, _violations: list[_Violation]) -> bool:
    if not isinstance(value, bool):
        raise _unexpected(value, "true or false")
    return value


def _timestamp(value: Any, _violations: list[_Violation]) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_time(value):
        raise _unexpected(value, "a number of seconds since 1970, of the years 1 to 9999")
    return value


def _is_time(seconds: float) -> bool:
    """Whether the time is in range; NaN is not."""
    return _YEAR_1 <= seconds < _YEAR_10000


def _whole_number(shape: Shape) -> _Check:
    possible = _WHOLE_NUMBERS[shape.type_name]
    check_range = _bounds(shape, "have value")

    def check(value: Any, violations: list[_Violation]) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _unexpected(value, f"a whole number ({shape.type_name})")
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


def _unexpected(value: Any, wanted: str) -> KinesisError:
    # The slice may cut a character.
    shown = msgspec.json.encode(value)[:_VALUE_SHOWN].decode(errors="ignore")
    return KinesisError("SerializationException", f"expected {wanted}, found {shown}")
