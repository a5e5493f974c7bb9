"""CSV and TSV: each row becomes a JSON object, with the names in the header as field names."""

import csv
from collections.abc import Iterator, Sequence

import msgspec

from lockstep.console.text import counted
from lockstep.source_files.converters import FieldMapping, event_of
from lockstep.source_files.field_rules import FieldRule, rule_of
from lockstep.source_files.text import SourceError
from lockstep.source_files.unreadable import MAX_LINE_BYTES, UnreadableRecord
from shared.event import Event, Image, InvalidEventError
from shared.wrong_fields import meant_name

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
_NOT_UTF_8 = 'is not UTF-8: save the file as UTF-8 (in Excel: "CSV UTF-8")'


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
        self._delimiter = delimiter
        self.name = name
        names = self._header()
        self.columns = tuple(found or _unnamed(at) for at, found in enumerate(names, start=1))
        self.unnamed = [_unnamed(at) for at, found in enumerate(names, start=1) if not found]
        self._check_columns()

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
                    else 'put quotation marks (") around a value with a separator or a line break'
                )
                names = counted(len(self.columns), "name")
                detail = f"{counted(len(row), 'value')}, but the header has {names}: {to_do}"
                yield UnreadableRecord(text, "schema", detail)
                continue
            found = {name: value for name, value in zip(self.columns, row, strict=False) if value}
            try:
                yield msgspec.json.encode(found)
            except UnicodeEncodeError:
                column = next(name for name, value in found.items() if not _is_text(value))
                yield UnreadableRecord(text, "not_utf8", f"column `{column}` {_NOT_UTF_8}")

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

    def _header(self) -> list[str]:
        """The names of the columns, without blanks around them; "" for a column without a name.

        Rows without a value before the header are skipped, and the row `sep=;` that Excel writes.
        """
        try:
            while (row := self._next()) is not None:
                self._lines.taken()
                names = [name.strip() for name in row]
                if any(names) and not self._says_separator(names):
                    return names
        except InvalidEventError as invalid:
            raise SourceError(f"{self.name}: header: {invalid.detail}") from None
        return []

    def _says_separator(self, names: list[str]) -> bool:
        first, *others = names
        return first in {"sep=", f"sep={self._delimiter}"} and not any(others)

    def _check_columns(self) -> None:
        for position, column in enumerate(self.columns):
            if not _is_text(column):
                raise SourceError(f"{self.name}: the header {_NOT_UTF_8}")
            if column in self.columns[:position]:
                message = f"the header has `{column}` twice: rename one of the columns"
                raise SourceError(f"{self.name}: {message}")


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
        # Bytes that are not UTF-8 become lone surrogates, so that only their row is rejected.
        return line.decode(errors="surrogateescape")

    def taken(self) -> bytes:
        """The lines since the last call, without the last line break."""
        text = bytes(self._row).rstrip(b"\r\n")
        self._row.clear()
        return text


def events_of_rows(table: CsvTable) -> Iterator[bytes | UnreadableRecord]:
    """Convert the rows of a table whose columns have the names of event fields.

    A row that cannot be converted keeps the text of its cells, in the form of an event.

    Raises:
        SourceError: a column has another name.
    """
    mapping = _event_mapping(table)
    return (_event(row, mapping, table.unnamed) for row in table.rows())


def _event(
    row: bytes | UnreadableRecord, mapping: FieldMapping, unnamed: Sequence[str]
) -> bytes | UnreadableRecord:
    if isinstance(row, UnreadableRecord):
        return row
    try:
        if unnamed:
            _check_unnamed(row, unnamed)
        return mapping.convert(row)
    except InvalidEventError as invalid:
        cells = msgspec.json.decode(row, type=dict[str, str])
        targets = {name: rule_of(said).targets[0] for name, said in mapping.fields.items()}
        event = event_of({targets.get(name, name): text for name, text in cells.items()})
        return UnreadableRecord(msgspec.json.encode(event), invalid.reason, invalid.detail)


def _check_unnamed(row: bytes, unnamed: Sequence[str]) -> None:
    cells = msgspec.json.decode(row)
    for column in unnamed:
        if column in cells:
            detail = f"{column} has a value, but no name: write the name of its field in the header"
            raise InvalidEventError("schema", detail)


def _event_mapping(table: CsvTable) -> FieldMapping:
    """The mapping of a table without a mapping file: its columns have the names of event fields.

    Raises:
        SourceError: a column has another name.
    """
    fields: dict[str, str | FieldRule] = {}
    for column in table.columns:
        if column in table.unnamed:
            continue
        target = column.removeprefix("image.")
        is_known = target in _IMAGE_FIELDS or target.startswith("attributes.")
        if not is_known and column not in _EVENT_FIELDS:
            known = meant_name(column)
            to_do = (
                "write such names in the first row (image_id, name, tags, attributes.artist)"
                if known is None
                else f"write `{known}`"
            )
            raise SourceError(
                f"{table.name}: column `{column}` is not an event field: {to_do}, or use a mapping "
                "file (--from)"
            )
        if any(target in rule_of(said).targets for said in fields.values()):
            raise SourceError(f"{table.name}: two columns are `{target}`: rename one of them")
        fields[column] = FieldRule(target, split=";") if target == "tags" else target
    return FieldMapping(fields=fields)


def _unnamed(number: int) -> str:
    """What messages and mapping files call a column without a name."""
    return f"column {number}"


def _plain(error: str) -> str:
    """What is wrong and what to do, for an error of `csv`."""
    return next((words for part, words in _CSV_ERRORS.items() if part in error), error)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
