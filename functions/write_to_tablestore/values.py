"""Values: from the types of DynamoDB to those of Table Store, without any loss of digits.

The table of types is in docs/guides/tablestore.md.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec

type Cell = str | int | float | bool | bytes
"""A value of Table Store: String, Integer, Double, Boolean or Binary."""

type NumberType = Literal["integer", "double", "string"]
"""The type that all numbers of one attribute get."""

type Unfit = Literal["refuse", "string"]
"""What happens to a number that is neither an Integer nor exactly a Double."""

# An Integer has 64 bits.
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1
# What DynamoDB can hold: 38 digits, between 1E-130 and 9.99E+125
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html).
MOST_DIGITS = 38
LEAST_EXPONENT, GREATEST_EXPONENT = -130, 125
# Each binary of a set is written after its length, in so many bytes.
LENGTH_BYTES = 4


class ConversionError(Exception):
    """Table Store cannot hold the value, or it is no value of DynamoDB; says why."""


def number_in(text: str) -> Decimal:
    """The exact number in a text of DynamoDB.

    Raises:
        ConversionError: it is no number that DynamoDB can hold.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ConversionError("not a number") from None
    if not number.is_finite():
        raise ConversionError("not a finite number")
    if number and not LEAST_EXPONENT <= number.adjusted() <= GREATEST_EXPONENT:
        raise ConversionError("a number out of the range of DynamoDB")
    plain = _plain(number)
    if len(plain.strip("-0.").replace(".", "")) > MOST_DIGITS:
        raise ConversionError(f"a number with more than {MOST_DIGITS} digits")
    return Decimal(plain)


def number_as_text(number: Decimal) -> str:
    """The number in plain digits: no exponent, no zeros at the end of a fraction, no plus sign."""
    return _plain(number)


def integer_in(number: Decimal) -> int | None:
    """The number as an Integer; None if it has a fraction, or more than 64 bits."""
    if number != number.to_integral_value():
        return None
    whole = int(number)
    return whole if LEAST_INTEGER <= whole <= GREATEST_INTEGER else None


def double_in(number: Decimal) -> float | None:
    """The number as a Double; None if the shortest text of that double is another number."""
    double = float(number)
    return double if Decimal(repr(double)) == number else None


def number_cell(number: Decimal, forced: NumberType | None, unfit: Unfit) -> Cell:
    """The cell of a number.

    Args:
        number: the number.
        forced: the type of all numbers of this attribute, if a setting chooses one.
        unfit: what to do if the number has no exact cell and no type is forced.

    Raises:
        ConversionError: no cell holds exactly this number.
    """
    integer, double = integer_in(number), double_in(number)
    match forced:
        case "string":
            return number_as_text(number)
        case "integer" if integer is not None:
            return integer
        case "double" if double is not None:
            return double
        case None if integer is not None:
            return integer
        case None if double is not None:
            return double
        case None if unfit == "string":
            return number_as_text(number)
        case None:
            advice = "set UNFIT_NUMBERS=string, or the type of this attribute in COLUMN_TYPES"
            raise ConversionError(f"{number_as_text(number)} is no Integer and no Double: {advice}")
        case _:
            raise ConversionError(
                f"{number_as_text(number)} is not exactly of the type {forced}, which COLUMN_TYPES "
                "sets"
            )


def cell_of(
    value: Mapping[str, Any], *, forced: NumberType | None = None, unfit: Unfit = "refuse"
) -> Cell | None:
    """The cell of an attribute's value; None for the value NULL.

    Args:
        value: the value in DynamoDB's typed form. Binaries are bytes, or base64.
        forced: as in `number_cell`.
        unfit: as in `number_cell`.

    Raises:
        ConversionError: Table Store cannot hold the value, or it is no value of DynamoDB.
    """
    match value:
        case {"S": str(text)}:
            return text
        case {"N": str(text)}:
            return number_cell(number_in(text), forced, unfit)
        case {"B": binary}:
            return _binary(binary)
        case {"BOOL": bool(flag)}:
            return flag
        case {"NULL": _}:
            return None
        case {"BS": list(binaries)}:
            return binary_set(map(_binary, binaries))
        case {"SS": _} | {"NS": _} | {"L": _} | {"M": _}:
            try:
                return msgspec.json.encode(_json(value), order="sorted").decode()
            except RecursionError:
                raise ConversionError("too many levels") from None
        case _:
            raise ConversionError(f"not a value of DynamoDB: {', '.join(map(str, value))}")


def binary_set(binaries: Any) -> bytes:
    """A set of binaries in one: sorted, each after its length in four bytes, big-endian."""
    return b"".join(len(one).to_bytes(LENGTH_BYTES) + one for one in sorted(binaries))


def binaries_in(cell: bytes) -> Sequence[bytes]:
    """The binaries in a cell that `binary_set` has made."""
    found = []
    while cell:
        end = LENGTH_BYTES + int.from_bytes(cell[:LENGTH_BYTES])
        found.append(cell[LENGTH_BYTES:end])
        cell = cell[end:]
    return found


def _json(value: Mapping[str, Any]) -> Any:
    """The value as JSON: numbers exact, sets sorted, binaries in base64."""
    match value:
        case {"S": str(text)}:
            return text
        case {"N": str(text)}:
            return _json_number(number_in(text))
        case {"B": binary}:
            return _base64(_binary(binary))
        case {"BOOL": bool(flag)}:
            return flag
        case {"NULL": _}:
            return None
        case {"L": list(values)}:
            return [_json(one) for one in values]
        case {"M": dict(attributes)}:
            return {name: _json(one) for name, one in attributes.items()}
        case _:
            return _json_set(value)


def _json_set(value: Mapping[str, Any]) -> Any:
    match value:
        case {"SS": list(texts)}:
            return sorted(texts)
        case {"NS": list(texts)}:
            return [_json_number(one) for one in sorted(map(number_in, texts))]
        case {"BS": list(binaries)}:
            return [_base64(one) for one in sorted(map(_binary, binaries))]
        case _:
            raise ConversionError(f"not a value of DynamoDB: {', '.join(map(str, value))}")


def _json_number(number: Decimal) -> msgspec.Raw:
    return msgspec.Raw(number_as_text(number).encode())


def _binary(value: Any) -> bytes:
    """Clients of DynamoDB return bytes, and the events of Lambda base64."""
    if not isinstance(value, str):
        return bytes(value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ConversionError("a binary that is not base64") from None


def _base64(binary: bytes) -> str:
    return base64.b64encode(binary).decode()


def _plain(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
