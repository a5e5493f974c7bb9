"""Find the records in a file: JSON lines, a JSON array, pretty-printed JSON, CSV or TSV."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePath
from typing import BinaryIO, Literal

import msgspec

from lockstep.source_files.json_values import json_values
from lockstep.source_files.tables import CsvTable, events_of_rows
from lockstep.source_files.text import joined, utf8
from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?')
_DELIMITERS = b"\t,;|"  # in this order, if a header has as many of two
# The first row of some files for Excel: `sep=;`, also in quotation marks. A tab is stripped here.
_SAYS_SEPARATOR = re.compile(rb'"?sep=([^\w\s"]?)"?', re.IGNORECASE)
_MOST_BLANK_LINES = 1_000  # before the first record

Unit = Literal["line", "record"]


class SourceRecords(msgspec.Struct, frozen=True):
    """The records of a file.

    Attributes:
        found: each record as JSON on one line, or why it cannot be read.
        unit: what is counted, from 1: lines, or records. In an array, in pretty-printed JSON and
            in a table, a record has no line of its own.
    """

    found: Iterator[bytes | UnreadableRecord]
    unit: Unit


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, in bounded memory: a line over MAX_LINE_BYTES is truncated."""
    while line := file.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(MAX_LINE_BYTES + 1)


def records(file: BinaryIO, name: str, *, are_events: bool = False) -> SourceRecords:
    """The records of a file, in bounded memory. Waits until its first line can be read.

    Args:
        file: the file, compressed or not, in any Unicode encoding.
        name: its name: for messages, and its ending (.csv, .tsv) for its format.
        are_events: the records are events, not converted by a mapping file: the columns of a table
            have the names of event fields.

    Raises:
        SourceError: the file is not text, or the header of a table is not valid. While the records
            are read: the file is damaged or incomplete.
    """
    text = utf8(file, name)
    begun: list[bytes] = []
    first = _line_of(text, begun)
    if first.startswith(b"{") and _is_open(first):
        # JSON lines with a broken first line, or an object over several lines.
        second = _line_of(text, begun)
        is_values = second[:1] not in {b"", b"{", b"["}
    else:
        is_values = first.startswith(b"[")
    whole = joined(b"".join(begun), text)
    if is_values:
        return SourceRecords(json_values(whole, name), "record")
    if not first.startswith(b"{") and (delimiter := _delimiter(first, name)):
        table = CsvTable(lines(whole), delimiter, name)
        return SourceRecords(events_of_rows(table) if are_events else table.rows(), "record")
    return SourceRecords((line.removeprefix(_BYTE_ORDER_MARK) for line in lines(whole)), "line")


def _line_of(text: BinaryIO, begun: list[bytes]) -> bytes:
    """The next line that is not blank; adds what is read to `begun`."""
    for line in islice(lines(text), _MOST_BLANK_LINES):
        begun.append(line)
        if line.strip():
            return line.strip()
    return b""


def _is_open(line: bytes) -> bool:
    """Whether this is the beginning of a JSON value that goes on in the next line."""
    outside = _STRINGS.sub(b"", line)
    return sum(map(outside.count, (b"{", b"["))) > sum(map(outside.count, (b"}", b"]")))


def _delimiter(header: bytes, name: str) -> str | None:
    """What separates the columns of a table; None if the file is no table."""
    if said := _SAYS_SEPARATOR.fullmatch(header):
        return said[1].decode() or "\t"
    endings = [ending.lower() for ending in PurePath(name).suffixes]
    if ".tsv" in endings or ".tab" in endings:
        return "\t"
    outside = _STRINGS.sub(b"", header)
    best = max(_DELIMITERS, key=outside.count)
    if ".csv" in endings:
        return chr(best) if best in outside else ","
    is_table = b"{" not in outside and best in outside
    return chr(best) if is_table else None
