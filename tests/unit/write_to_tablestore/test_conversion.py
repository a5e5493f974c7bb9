"""An item becomes a row, or its refusal says what to do."""

from typing import Any

import pytest

from functions.write_to_tablestore.conversion import (
    MAX_CELL_BYTES,
    Conversion,
    OtherKeyError,
    size_of,
)
from functions.write_to_tablestore.rows import Column
from functions.write_to_tablestore.values import ConversionError

BY_ID = Conversion(primary_key=("id",))


def columns(item: dict[str, Any], conversion: Conversion = BY_ID) -> dict[str, Any]:
    return dict(conversion.columns_of({"id": {"S": "1"}, **item}))


def refusal(item: dict[str, Any], conversion: Conversion = BY_ID) -> str:
    with pytest.raises(ConversionError) as refused:
        columns(item, conversion)
    return str(refused.value)


def test_the_key_is_in_the_order_of_the_setting() -> None:
    conversion = Conversion(primary_key=("sort", "part-1"))
    key = conversion.key_of({"part-1": {"S": "a"}, "sort": {"N": "7"}})
    assert key == (("sort", 7), ("part_x002D_1", "a"))


@pytest.mark.parametrize("keys", [{"id": {"S": "1"}, "more": {"S": "2"}}, {"other": {"S": "1"}}])
def test_another_key_stops_the_stream(keys: dict[str, Any]) -> None:
    with pytest.raises(OtherKeyError, match="PRIMARY_KEY says id"):
        BY_ID.key_of(keys)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"N": "1.5"}, "'id': 1.5: a number in the key must be an Integer"),
        ({"N": "9223372036854775808"}, "a number in the key must be an Integer of 64 bits"),
        ({"S": "é" * 513}, "'id': 1026 bytes, at most 1024 in a key"),
        ({"B": b"1" * 1025}, "'id': 1025 bytes, at most 1024 in a key"),
        ({"BOOL": True}, "'id': not a value of a key"),
        ({"S": "\ud800"}, "'id': a text has a lone surrogate"),
    ],
)
def test_a_key_that_table_store_cannot_hold_is_refused(value: dict[str, Any], why: str) -> None:
    with pytest.raises(ConversionError, match=why):
        BY_ID.key_of({"id": value})


@pytest.mark.parametrize("value", [{"S": "é" * 512}, {"B": b"1" * 1024}, {"N": "1E+2"}])
def test_the_largest_keys_are_accepted(value: dict[str, Any]) -> None:
    assert BY_ID.key_of({"id": value})


def test_a_null_is_an_empty_text_or_left_out() -> None:
    item = {"a": {"NULL": True}}
    assert columns(item) == {"a": ""}
    assert columns(item, Conversion(primary_key=("id",), nulls="omit")) == {}


def test_settings_name_columns_and_force_types() -> None:
    conversion = Conversion(
        primary_key=("id",), names={"my attribute": "mine"}, types={"price": "double"}
    )
    item = {"my attribute": {"N": "1"}, "price": {"N": "1"}}
    assert columns(item, conversion) == {"mine": 1, "price": 1.0}
    assert type(columns(item, conversion)["price"]) is float


def test_no_attribute_hides_another_or_the_guard() -> None:
    named = Conversion(primary_key=("id",), names={"a": "b", "c": "id", "d": "lockstep_at"})
    assert "has the column 'b', too" in refusal({"a": {"S": ""}, "b": {"S": ""}}, named)
    assert "has the column 'id', too" in refusal({"c": {"S": ""}}, named)
    assert "has the column 'lockstep_at', too" in refusal({"d": {"S": ""}}, named)
    assert columns({"lockstep_version": {"S": "x"}}) == {"_x006C_ockstep_version": "x"}


def test_what_exceeds_a_limit_is_refused_with_its_attribute() -> None:
    assert f"'a': {MAX_CELL_BYTES + 1} bytes" in refusal({"a": {"S": "x" * (MAX_CELL_BYTES + 1)}})
    assert "256 characters, at most 255" in refusal({"a" * 256: {"S": ""}})
    # 1,024 with the key and four columns of the guard.
    item = {f"a{number}": {"BOOL": True} for number in range(1020)}
    assert "1025 columns" in refusal(item)
    del item["a0"]
    assert len(columns(item)) == 1019
    assert "too large for a request" in refusal(
        {"a": {"S": "x" * MAX_CELL_BYTES}, "b": {"S": "x" * MAX_CELL_BYTES}}
    )


def test_an_unfit_number_says_what_to_set() -> None:
    said = refusal({"price": {"N": "0.1234567890123456789"}})
    assert said.startswith("'price': 0.1234567890123456789 is no Integer and no Double")
    assert "UNFIT_NUMBERS=string" in said


def test_the_size_is_never_below_that_of_the_request() -> None:
    """The size that the official SDK computes for a row."""
    builder = pytest.importorskip("tablestore.plainbuffer.plain_buffer_builder")
    row: list[Column] = [
        ("a" * 255, "é" * 1000),
        ("b", 1),
        ("c", True),
        ("d", 1.5),
        ("e", b"x" * 500),
    ]
    size = builder.PlainBufferBuilder.compute_put_row_size([("id", "x" * 1024)], row)
    assert size <= size_of([*row, ("id", "x" * 1024)]) <= size + 600
