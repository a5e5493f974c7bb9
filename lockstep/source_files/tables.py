"""CSV and TSV: each row becomes a JSON object, with the names in the header as field names."""

import csv
import json
from collections.abc import Iterator

import msgspec

from lockstep.console.text import counted
from lockstep.source_files.converters import FieldMapping
from lockstep.source_files.field_rules import FieldRule, rule_of
from lockstep.source_files.text import SourceError
from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord
from shared.event import Event, Image, InvalidEventError

# The names that a column may have without a mapping file.
_EVENT_FIELDS = frozenset(Event.__struct_fields__) - {"image"}
_IMAGE_FIELDS = frozenset(Image.__struct_fields__) - {"attributes"}

# Part of the error of `csv` (Modules/_csv.c of Python), and what the user reads instead.
_CSV_ERRORS = {
    "unexpected end": "a value begins with a quotation mark and has no other one: add it",
    "expected after": "text follows the quotation mark at the end of a value: write a quotation "
    "mark inside a value twice",
    "field limit": f"a value has more than {csv.field_size_limit()} characters: "
    "check its quotation marks",
    "new-line character": "a line ends with CR alone: save the file with the line breaks LF or "
    "CR LF",
}


class CsvTable:
    """A table that is read row by row."""

    def __init__(self, lines: Iterator[bytes], delimiter: str, name: str) -> None:
        """Read the header.

        Args:
            lines: the lines of the file, in UTF-8.
            delimiter: what separates the columns.
            name: the name of the file, for messages.

        Raises:
            SourceError: the header has no names, or one name twice.
        """
        self._lines = _Lines(lines)
        # Strict: a quotation mark in the wrong place is an error and moves no value.
        self._reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        self._name = name
        self.columns = self._header()

    def rows(self) -> Iterator[bytes | UnreadableRecord]:
        """Yield each row that is not blank as a JSON object of strings. No value: no field."""
        while True:
            try:
                row = self._next()
            except InvalidEventError as invalid:
                yield UnreadableRecord(self._lines.taken(), invalid.reason, invalid.detail)
                continue
            if row is None:
                return
            text = self._lines.taken()
            if not row:
                continue
            if len(row) < len(self.columns) or any(row[len(self.columns) :]):
                to_do = (
                    "write a separator for each empty value, too"
                    if len(row) < len(self.columns)
                    else "put quotation marks around a value with a separator or a line break"
                )
                names = counted(len(self.columns), "name")
                detail = f"{counted(len(row), 'value')}, but the header has {names}: {to_do}"
                yield UnreadableRecord(text, "schema", detail)
                continue
            yield _json(
                {name: value for name, value in zip(self.columns, row, strict=False) if value}
            )

    def _next(self) -> list[str] | None:
        """The next row; None at the end of the table.

        Raises:
            InvalidEventError: the row cannot be read.
        """
        first = self._lines.number + 1
        try:
            return next(self._reader, None)
        except csv.Error as error:
            read = (
                f"line {first}"
                if first == self._lines.number
                else (f"lines {first} to {self._lines.number}")
            )
            detail = f"{read}: {_plain(str(error))}"
            raise InvalidEventError("schema", detail) from None

    def _header(self) -> tuple[str, ...]:
        try:
            names = self._next() or []
        except InvalidEventError as invalid:
            raise SourceError(f"{self._name}: header: {invalid.detail}") from None
        self._lines.taken()
        columns = tuple(name or f"column {number}" for number, name in enumerate(names, start=1))
        for position, name in enumerate(columns):
            if not _is_text(name):
                message = "the header is not UTF-8: save the file as UTF-8"
                raise SourceError(f"{self._name}: {message}")
            if name in columns[:position]:
                message = f"the header has `{name}` twice: rename one of the columns"
                raise SourceError(f"{self._name}: {message}")
        return columns


class _Lines:
    """The lines of a table as text, for `csv`; remembers those of the row."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._row = bytearray()
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self._row += line
        if len(self._row) > MAX_LINE_BYTES:
            detail = f"more than {MAX_LINE_BYTES} bytes in one row: check the quotation marks"
            raise InvalidEventError("too_large", detail)
        # Bytes that are not UTF-8 stay as they are: the validator rejects them.
        return line.decode(errors="surrogateescape")

    def taken(self) -> bytes:
        """The lines since the last call, without the last line break."""
        text = bytes(self._row).rstrip(b"\r\n")
        self._row.clear()
        return text


def events_of_rows(
    rows: Iterator[bytes | UnreadableRecord], columns: tuple[str, ...], name: str
) -> Iterator[bytes | UnreadableRecord]:
    """Convert the rows of a table whose columns have the names of event fields.

    Args:
        rows: its rows.
        columns: the names of its columns.
        name: the name of the file, for messages.

    Raises:
        SourceError: a column has another name.
    """
    mapping = _event_mapping(columns, name)
    return (_event(row, mapping) for row in rows)


def _event(row: bytes | UnreadableRecord, mapping: FieldMapping) -> bytes | UnreadableRecord:
    if isinstance(row, UnreadableRecord):
        return row
    try:
        return mapping.convert(row)
    except InvalidEventError as invalid:
        return UnreadableRecord(row, invalid.reason, invalid.detail)


def _event_mapping(columns: tuple[str, ...], name: str) -> FieldMapping:
    """The mapping of a table without a mapping file: its columns have the names of event fields.

    Args:
        columns: the names of its columns, such as `image_id`, `name`, `attributes.artist`.
        name: the name of the file, for messages.

    Raises:
        SourceError: a column has another name.
    """
    fields: dict[str, str | FieldRule] = {}
    for column in columns:
        target = column.removeprefix("image.")
        is_known = target in _IMAGE_FIELDS or target.startswith("attributes.")
        if not is_known and column not in _EVENT_FIELDS:
            message = (
                f"{name}: column `{column}` is not an event field: write such names in the first "
                "row (image_id, name, tags, attributes.artist), or use a mapping file (--from)"
            )
            raise SourceError(message)
        if any(target in rule_of(said).targets for said in fields.values()):
            raise SourceError(f"{name}: two columns are `{target}`: rename one of them")
        fields[column] = FieldRule(target, split=";") if target == "tags" else target
    return FieldMapping(fields=fields)


def _plain(error: str) -> str:
    """What is wrong and what to do, for an error of `csv`."""
    return next((words for part, words in _CSV_ERRORS.items() if part in error), error)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _json(row: dict[str, str]) -> bytes:
    """A row as JSON; bytes that are not UTF-8 stay as they are."""
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:
        return json.dumps(row, ensure_ascii=False).encode(errors="surrogateescape")
