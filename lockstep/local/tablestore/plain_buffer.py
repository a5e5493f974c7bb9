"""PlainBuffer, Table Store's format for rows, as the endpoint reads and writes it.

A row is its key columns, its cells, perhaps a marker that deletes it, and a checksum. Each cell has
a checksum, too: CRC-8 with the polynomial x^8 + x^2 + x + 1. Numbers are little-endian.

Source: "PlainBuffer" in the API reference of Table Store. The official SDKs are the judges in
tests/contract/tablestore.
"""

import math
import struct
from collections.abc import Iterable

from lockstep.local.tablestore.errors import TableStoreError, invalid
from lockstep.local.tablestore.values import (
    Bound,
    Cell,
    CellOperation,
    KeyColumn,
    KeyValue,
    TableRow,
    Value,
)

_HEADER = struct.pack("<I", 0x75)

_ROW_KEY, _ROW_DATA, _CELL, _NAME, _VALUE, _TYPE, _TIMESTAMP, _DELETE, _ROW_SUM, _CELL_SUM = range(
    1, 11
)

_INTEGER, _DOUBLE, _BOOLEAN, _STRING, _BLOB = 0, 1, 2, 3, 7
_BOUNDS = {9: Bound.INF_MIN, 10: Bound.INF_MAX, 11: Bound.AUTO_INCREMENT}

_SIZE = struct.Struct("<I")
_LONG = struct.Struct("<q")
_REAL = struct.Struct("<d")


def _crc_table() -> bytes:
    table = bytearray()
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x107 if crc & 0x80 else 0)
        table.append(crc)
    return bytes(table)


_CRC = _crc_table()
# The remainder of x^127 by the polynomial is 1, so blocks of 127 bytes have the checksum of their
# XOR. Python XORs long integers much faster than it looks up bytes.
_PERIOD = 127


def crc8(crc: int, data: bytes) -> int:
    """The checksum of what had the checksum `crc`, followed by `data`; begin with 0."""
    if len(data) > 2 * _PERIOD:
        data = _folded(bytes([crc ^ data[0]]) + data[1:])
        crc = 0
    table = _CRC
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def _folded(data: bytes) -> bytes:
    """Up to two blocks with the same checksum."""
    while len(data) > 2 * _PERIOD:
        half = -(-len(data) // (2 * _PERIOD)) * _PERIOD
        both = int.from_bytes(data[:-half]) ^ int.from_bytes(data[-half:])
        data = both.to_bytes(half)
    return data


def encode_row(row: TableRow) -> bytes:
    """A row with the header."""
    return encode_rows([encode_bare_row(row)])


def encode_rows(bare: Iterable[bytes]) -> bytes:
    """The header, followed by rows of `encode_bare_row`. No rows: no bytes."""
    rows = b"".join(bare)
    return _HEADER + rows if rows else b""


def encode_bare_row(row: TableRow) -> bytes:
    """A row without the header."""
    parts = bytearray([_ROW_KEY])
    crc = 0
    for column in row.key:
        crc = _write_cell(parts, column.name, _encode_value(column.value), b"", crc)
    if row.cells:
        parts.append(_ROW_DATA)
    for cell in row.cells:
        value = b"" if cell.value is None else _encode_value(cell.value)
        timestamp = b"" if cell.timestamp is None else _LONG.pack(cell.timestamp)
        crc = _write_cell(parts, cell.name, value, timestamp, crc)
    crc = crc8(crc, b"\0")
    parts += bytes([_ROW_SUM, crc])
    return bytes(parts)


def _write_cell(parts: bytearray, name: str, value: bytes, timestamp: bytes, row_crc: int) -> int:
    named = name.encode()
    parts += bytes([_CELL, _NAME]) + _SIZE.pack(len(named)) + named
    if value:
        parts += bytes([_VALUE]) + _SIZE.pack(len(value)) + value
    if timestamp:
        parts += bytes([_TIMESTAMP]) + timestamp
    crc = crc8(crc8(crc8(0, named), value), timestamp)
    parts += bytes([_CELL_SUM, crc])
    return crc8(row_crc, bytes([crc]))


def _encode_value(value: Value | KeyValue) -> bytes:
    match value:
        case Bound():
            (code,) = (code for code, bound in _BOUNDS.items() if bound is value)
            return bytes([code])
        case bool():
            return bytes([_BOOLEAN, value])
        case int():
            return bytes([_INTEGER]) + _LONG.pack(value)
        case float():
            return bytes([_DOUBLE]) + _REAL.pack(value)
        case str():
            text = value.encode()
            return bytes([_STRING]) + _SIZE.pack(len(text)) + text
        case bytes():
            return bytes([_BLOB]) + _SIZE.pack(len(value)) + value


def decode_row(data: bytes) -> TableRow:
    """Read one row with the header.

    Raises:
        TableStoreError: OTSParameterInvalid, if it is not exactly one row in this format.
    """
    if not data.startswith(_HEADER):
        actual = int.from_bytes(data[:4], "little")
        raise _broken(f"mismatch header, actual: {actual}, expect: {0x75}.")
    reader = _RowReader(data, len(_HEADER))
    row = reader.row()
    reader.expect_end()
    return row


def decode_bare_row(data: bytes) -> TableRow:
    """Read one row of `encode_bare_row`.

    Raises:
        TableStoreError: as `decode_row`.
    """
    reader = _RowReader(data, 0)
    row = reader.row()
    reader.expect_end()
    return row


def decode_value(data: bytes) -> Value:
    """Read a value that stands alone, as in a condition.

    Raises:
        TableStoreError: OTSParameterInvalid, if it is not exactly one value.
    """
    value = _decode_value(data)
    if isinstance(value, Bound):
        raise invalid(f"{value.value} is an invalid type for the attribute column.")
    return value


class _RowReader:
    """A place in a row."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def row(self) -> TableRow:
        self._expect(_ROW_KEY)
        crc = 0
        key: list[KeyColumn] = []
        while self._next() == _CELL:
            cell, cell_crc = self._cell()
            key.append(_key_column(cell))
            crc = crc8(crc, bytes([cell_crc]))
        if not key:
            raise _broken("PK is empty.")
        cells: list[Cell] = []
        if self._accept(_ROW_DATA):
            while self._next() == _CELL:
                read, cell_crc = self._cell()
                cells.append(_attribute(read))
                crc = crc8(crc, bytes([cell_crc]))
        marked = self._accept(_DELETE)
        crc = crc8(crc, bytes([marked]))
        if not self._accept(_ROW_SUM):
            raise _broken("row is not end with checksum tag.")
        self._check(crc)
        return TableRow(tuple(key), tuple(cells), delete_marker=marked)

    def expect_end(self) -> None:
        if self._at != len(self._data):
            raise invalid("data format is invalid.")

    def _cell(self) -> "tuple[_ReadCell, int]":
        self._expect(_CELL)
        self._expect(_NAME)
        named = self._take(self._size())
        crc = crc8(0, named)
        value = timestamp = b""
        operation = b""
        if self._accept(_VALUE):
            value = self._take(self._size())
            crc = crc8(crc, value)
        if self._accept(_TYPE):
            operation = self._take(1)
        if self._accept(_TIMESTAMP):
            timestamp = self._take(_LONG.size)
        crc = crc8(crc8(crc, timestamp), operation)
        if not self._accept(_CELL_SUM):
            raise _broken("cell is not end with checksum tag.")
        self._check(crc)
        return _ReadCell(_text(named), value, timestamp, operation), crc

    def _size(self) -> int:
        (size,) = _SIZE.unpack(self._take(_SIZE.size))
        return int(size)

    def _check(self, crc: int) -> None:
        (given,) = self._take(1)
        if given != crc:
            raise _broken(f"checksum is mismatch, {given}:{crc}.")

    def _next(self) -> int:
        return self._data[self._at] if self._at < len(self._data) else 0

    def _accept(self, tag: int) -> bool:
        found = self._next() == tag
        self._at += found
        return found

    def _expect(self, tag: int) -> None:
        if not self._accept(tag):
            raise _broken(f"mismatch tag, actual tag({self._next()}), expect({tag}).")

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise invalid("data format is invalid.")
        self._at += size
        return taken


class _ReadCell:
    """The parts of a cell."""

    __slots__ = ("name", "operation", "timestamp", "value")

    def __init__(self, name: str, value: bytes, timestamp: bytes, operation: bytes) -> None:
        self.name = name
        self.value = _decode_value(value) if value else None
        self.timestamp: int | None = _LONG.unpack(timestamp)[0] if timestamp else None
        self.operation = operation[0] if operation else None


def _key_column(read: _ReadCell) -> KeyColumn:
    match read.value:
        case None:
            raise _broken(f"PK value cannot be NULL, name: {read.name}.")
        case bool():
            raise invalid("VT_BOOLEAN is an invalid type for the primary key.")
        case float():
            raise invalid("VT_DOUBLE is an invalid type for the primary key.")
        case value:
            pass
    if read.timestamp is not None:
        raise invalid(f"Timestamp cannot be given for primary key name:{read.name}.")
    if read.operation is not None:
        raise invalid(f"OpType cannot be given for primary key name :{read.name}.")
    return KeyColumn(read.name, value)


def _attribute(read: _ReadCell) -> Cell:
    if isinstance(read.value, Bound):
        raise invalid(f"{read.value.value} is an invalid type for the attribute column.")
    operation = None
    if read.operation is not None:
        try:
            operation = CellOperation(read.operation)
        except ValueError:
            raise invalid(f"Invalid op type of cell: {read.operation}.") from None
    return Cell(read.name, read.value, read.timestamp, operation)


def _decode_value(data: bytes) -> Value | Bound:
    kind, rest = data[:1], data[1:]
    if not kind:
        raise invalid("data format is invalid.")
    match kind[0]:
        case 0 if len(rest) == _LONG.size:
            return int(_LONG.unpack(rest)[0])
        case 1 if len(rest) == _REAL.size:
            return _real(rest)
        case 2 if len(rest) == 1:
            return rest != b"\0"
        case 2:
            raise invalid(f"Invalid boolean real value, value length: {len(rest)}.")
        case 3 | 7 as code if rest[:4] == _SIZE.pack(max(0, len(rest) - 4)):
            return _text(rest[4:]) if code == _STRING else rest[4:]
        case 3 | 7:
            raise _broken(f"wrong string format, size: {len(rest)}.")
        case code if code in _BOUNDS and not rest:
            return _BOUNDS[code]
        case 0 | 1:
            raise invalid("data format is invalid.")
        case _:
            raise invalid("data format is invalid, unknown variant type occured.")


def _real(data: bytes) -> float:
    value = float(_REAL.unpack(data)[0])
    if math.isnan(value):
        raise invalid("NaN can't be set to double value.")
    if math.isinf(value):
        raise invalid("Infinity can't be set to double value.")
    return value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise invalid("Value of column must be UTF8 encoding.") from None


def _broken(what: str) -> TableStoreError:
    return invalid(f"Cell data broken, {what}")
