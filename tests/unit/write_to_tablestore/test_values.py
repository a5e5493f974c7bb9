"""Values of DynamoDB become values of Table Store without any loss of digits."""

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.write_to_tablestore.values import (
    Cell,
    ConversionError,
    NumberType,
    binaries_in,
    cell_of,
)

# Up to 38 digits, from 1E-130 to 9.99E+125.
NUMBERS = st.builds(
    lambda digits, exponent: f"{digits}E{exponent}",
    st.integers(-(10**38 - 1), 10**38 - 1),
    st.integers(-130, 87),
)


@given(NUMBERS)
@example("9223372036854775807")
@example("-9223372036854775808")
@example("9223372036854775808")
@example("0.1")
@example("1E+125")
@example("1E-130")
@example("0.30000000000000004")
@example("100")
@example("-0")
def test_no_number_is_rounded(text: str) -> None:
    number = Decimal(text)
    try:
        cell = cell_of({"N": text})
    except ConversionError:
        # Only what has no exact cell: no Integer, and no Double whose shortest text is the number.
        assert number != int(number) or not -(2**63) <= number < 2**63
        assert Decimal(repr(float(number))) != number
        assert Decimal(str(cell_of({"N": text}, unfit="string"))) == number
    else:
        assert isinstance(cell, int | float)
        assert Decimal(repr(cell)) == number


@given(st.integers(-(2**63), 2**63 - 1))
def test_a_whole_number_of_64_bits_is_an_integer(number: int) -> None:
    cell = cell_of({"N": str(number)})
    assert type(cell) is int
    assert cell == number


@given(st.integers(-(10**15) + 1, 10**15 - 1), st.integers(1, 14))
def test_a_fraction_of_fifteen_digits_is_always_a_double(digits: int, places: int) -> None:
    number = Decimal(digits).scaleb(-places)
    cell = cell_of({"N": str(number)})
    assert Decimal(repr(cell)) == number


@pytest.mark.parametrize(
    ("text", "forced", "cell"),
    [
        ("1", "double", 1.0),
        ("1", "string", "1"),
        ("1.50", "string", "1.5"),
        ("1E+3", "string", "1000"),
        ("-0.0", "string", "0"),
        (
            "12345678901234567890123456789012345678",
            "string",
            "12345678901234567890123456789012345678",
        ),
        ("3.0", "integer", 3),
    ],
)
def test_a_setting_forces_one_type(text: str, forced: NumberType, cell: Cell) -> None:
    found = cell_of({"N": text}, forced=forced)
    assert (type(found), found) == (type(cell), cell)


@pytest.mark.parametrize(
    ("text", "forced"),
    [("1.5", "integer"), ("9223372036854775808", "integer"), ("9007199254740993", "double")],
)
def test_a_forced_type_never_rounds(text: str, forced: NumberType) -> None:
    with pytest.raises(ConversionError, match=f"{text} is not exactly of the type {forced}"):
        cell_of({"N": text}, forced=forced, unfit="string")


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ({"S": ""}, ""),
        ({"S": "ä\0"}, "ä\0"),
        ({"B": base64.b64encode(b"\0\xff").decode()}, b"\0\xff"),
        ({"B": b"\0\xff"}, b"\0\xff"),
        ({"BOOL": False}, False),
        ({"NULL": True}, None),
        ({"SS": ["b", "a", "é"]}, '["a","b","é"]'),
        ({"NS": ["10", "9.50", "-1"]}, "[-1,9.5,10]"),
        ({"L": []}, "[]"),
        ({"M": {}}, "{}"),
        (
            {"M": {"b": {"L": [{"N": "0.1"}, {"NULL": True}]}, "a": {"BS": ["Ag==", "AQ=="]}}},
            '{"a":["AQ==","Ag=="],"b":[0.1,null]}',
        ),
        ({"BS": ["Ag==", "AQE="]}, b"\0\0\0\2\1\1\0\0\0\1\2"),
    ],
)
def test_the_types_of_the_guide(value: dict[str, Any], cell: Cell | None) -> None:
    found = cell_of(value)
    assert (type(found), found) == (type(cell), cell)


@given(st.recursive(
    st.one_of(
        st.builds(lambda text: {"S": text}, st.text()),
        st.builds(lambda number: {"N": str(number)}, st.integers()
            .filter(lambda number: abs(number) < 10**38)),
        st.builds(lambda flag: {"BOOL": flag}, st.booleans()),
        st.just({"NULL": True}),
    ),
    lambda inner: st.one_of(
        st.builds(lambda values: {"L": values}, st.lists(inner, max_size=4)),
        st.builds(lambda values: {"M": values}, st.dictionaries(st.text(), inner, max_size=4)),
    ),
    max_leaves=12,
))  # fmt: skip
def test_lists_and_maps_are_json_with_exact_numbers(value: dict[str, Any]) -> None:
    def plain(one: dict[str, Any]) -> Any:
        ((kind, content),) = one.items()
        match kind:
            case "L":
                return [plain(inner) for inner in content]
            case "M":
                return {name: plain(inner) for name, inner in content.items()}
            case "N":
                return Decimal(content)
            case "NULL":
                return None
            case _:
                return content

    cell = cell_of({"L": [value]})

    assert isinstance(cell, str)
    assert json.loads(cell, parse_int=Decimal, parse_float=Decimal) == [plain(value)]


@given(NUMBERS)
def test_a_number_in_a_list_is_exact(text: str) -> None:
    cell = cell_of({"L": [{"N": text}]})

    assert isinstance(cell, str)
    (number,) = json.loads(cell, parse_int=Decimal, parse_float=Decimal)
    assert number == Decimal(text)


@given(st.sets(st.binary()))
def test_a_set_of_binaries_comes_back(binaries: set[bytes]) -> None:
    forward = [base64.b64encode(one).decode() for one in sorted(binaries)]
    cell = cell_of({"BS": forward})

    assert isinstance(cell, bytes)
    assert binaries_in(cell) == sorted(binaries)
    assert cell == cell_of({"BS": forward[::-1]})


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"X": "1"},
        {"N": "one"},
        {"N": "NaN"},
        {"N": "1E+999999999"},
        {"N": "1E-999999999"},
        {"N": "1" * 39},
        {"B": "not base64!"},
        {"L": [{"L": [{"X": 1}]}]},
    ],
)
def test_what_is_no_value_of_dynamodb_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ConversionError):
        cell_of(value, unfit="string")
