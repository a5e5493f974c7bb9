"""PlainBuffer: the SDK reads what the endpoint writes, and the reverse; other bytes are refused."""

import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablestore.plainbuffer.plain_buffer_builder import PlainBufferBuilder
from tablestore.plainbuffer.plain_buffer_coded_stream import PlainBufferCodedInputStream
from tablestore.plainbuffer.plain_buffer_crc8 import PlainBufferCrc8
from tablestore.plainbuffer.plain_buffer_stream import PlainBufferInputStream

from lockstep.local.tablestore.errors import TableStoreError
from lockstep.local.tablestore.plain_buffer import (
    crc8,
    decode_bare_row,
    decode_row,
    decode_value,
    encode_bare_row,
    encode_row,
    encode_rows,
)
from lockstep.local.tablestore.values import Cell, KeyColumn, TableRow, Value

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = (
    st.booleans()
    | integers
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | st.binary(max_size=20)
)
keys = st.lists(
    st.builds(KeyColumn, names, integers | texts | st.binary(max_size=20)), min_size=1, max_size=4
).map(tuple)
cells = st.lists(st.builds(Cell, names, values, st.integers(0, 2**50)), max_size=5).map(tuple)
rows = st.builds(TableRow, keys, cells)


def for_sdk(value: object) -> object:
    return bytearray(value) if isinstance(value, bytes) else value


def as_sdk(row: TableRow) -> tuple[list[object], list[object]]:
    return (
        [(one.name, for_sdk(one.value)) for one in row.key],
        [(one.name, for_sdk(one.value), one.timestamp) for one in row.cells],
    )


@given(rows)
def test_the_endpoint_reads_what_the_sdk_writes(row: TableRow) -> None:
    assert decode_row(bytes(PlainBufferBuilder.serialize_for_put_row(*as_sdk(row)))) == row
    delete = bytes(PlainBufferBuilder.serialize_for_delete_row(as_sdk(row)[0]))
    assert decode_row(delete) == TableRow(row.key, delete_marker=True)


@given(st.lists(rows, min_size=1, max_size=3))
def test_the_sdk_reads_what_the_endpoint_writes(written: Sequence[TableRow]) -> None:
    data = encode_rows(encode_bare_row(row) for row in written)
    read = PlainBufferCodedInputStream(PlainBufferInputStream(data)).read_rows()
    found = [(row.primary_key, row.attribute_columns) for row in read]
    assert found == [as_sdk(row) for row in written]


@given(rows)
def test_a_stored_row_is_read_as_it_was_written(row: TableRow) -> None:
    assert decode_bare_row(encode_bare_row(row)) == row


@given(values)
def test_a_value_of_a_condition_is_read(value: Value) -> None:
    assert decode_value(bytes(PlainBufferBuilder.serialize_column_value(for_sdk(value)))) == value


# PlainBufferCrc8Test.java of the SDK for Java: bytes, and the checksum after each.
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([1], 7),
        ([1, 3], 28),
        ([1, 3, 7], 65),
        ([1, 3, 7, 255], 51),
        ([1, 3, 7, 255, 128], 16),
        ([1, 3, 7, 255, 128, 0], 112),
    ],
)
def test_the_checksum_is_the_one_of_the_sdk_for_java(data: list[int], expected: int) -> None:
    assert crc8(0, bytes(data)) == expected


@given(st.binary(max_size=50) | st.binary(min_size=250, max_size=2_000), st.integers(0, 255))
def test_the_checksum_is_the_one_of_the_sdk_for_python(data: bytes, start: int) -> None:
    assert crc8(start, data) == PlainBufferCrc8.crc_bytes(start, data)


@given(rows, st.data())
def test_a_changed_byte_is_refused_or_read_as_a_row(row: TableRow, data: st.DataObject) -> None:
    """The checksum has 8 bits, so it cannot find each change; but no change is a fault."""
    encoded = bytearray(encode_row(row))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    read_or_refused(bytes(encoded))


@given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: b"\x75\0\0\0" + data))
def test_any_bytes_are_refused_or_read_as_a_row(data: bytes) -> None:
    read_or_refused(data)


@given(rows, st.data())
def test_a_row_that_is_cut_off_is_refused(row: TableRow, data: st.DataObject) -> None:
    encoded = encode_row(row)
    with pytest.raises(TableStoreError, match="OTSParameterInvalid"):
        decode_row(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


def read_or_refused(data: bytes) -> None:
    with contextlib.suppress(TableStoreError):
        decode_row(data)


def of(value: bytes) -> bytes:
    """A row whose one cell has this value."""
    name = b"\x04\x01\0\0\0c"
    checked = crc8(crc8(0, b"c"), value)
    cell = b"\x03" + name + b"\x05" + len(value).to_bytes(4, "little") + value
    key = encode_row(TableRow((KeyColumn("k", 1),)))
    key_sum = key[-3:-2]  # before the tag and the checksum of the row
    total = crc8(crc8(crc8(0, key_sum), bytes([checked])), b"\0")
    return key[:-2] + b"\x02" + cell + b"\x0a" + bytes([checked]) + b"\x09" + bytes([total])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"\x01" + b"\0\0\0\0\0\0\xf8\x7f", "NaN can't be set to double value."),
        (b"\x01" + b"\0\0\0\0\0\0\xf0\x7f", "Infinity can't be set to double value."),
        (b"\x02\0\0", "Invalid boolean real value, value length: 2."),
        (b"\x03\x01\0\0\0\xff", "Value of column must be UTF8 encoding."),
        (b"\x03\x09\0\0\0a", "Cell data broken, wrong string format, size: 5."),
        (b"\x06", "data format is invalid, unknown variant type occured."),
        (b"\x09", "VT_INF_MIN is an invalid type for the attribute column."),
        (b"\0\0", "data format is invalid."),
    ],
)
def test_a_value_that_no_column_can_have_is_refused(value: bytes, message: str) -> None:
    with pytest.raises(TableStoreError) as refused:
        decode_row(of(value))
    assert refused.value.message == message


def test_a_wrong_checksum_is_refused() -> None:
    encoded = encode_row(TableRow((KeyColumn("k", 1),)))
    with pytest.raises(TableStoreError, match="checksum is mismatch"):
        decode_row(encoded[:-1] + bytes([encoded[-1] ^ 1]))
