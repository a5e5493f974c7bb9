"""The forms of a download: CSV for spreadsheets, NDJSON for programs."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

import msgspec
from msgspec import UNSET

from functions.search_images.cells import harmless
from functions.search_images.export import ExportedImage, ImageExport

ExportFormat = Literal["csv", "ndjson"]

# Without it, Excel does not read UTF-8.
BYTE_ORDER_MARK = "\ufeff"
# As `lockstep put` reads them.
_TAGS, _BETWEEN_TAGS, _OWN = "tags", "; ", "attributes."
_OTHERS = "other_attributes"
_FIELDS = tuple(name for name in ExportedImage.__struct_fields__ if name != "attributes")


class Encoding(Protocol):
    """Makes the text of a download."""

    def head(self) -> str:
        """What comes before the first image."""
        ...

    def line(self, image: ExportedImage) -> str:
        """One image, with the end of its line."""
        ...


class NdjsonEncoding:
    """One JSON object a line. Absent fields are left out."""

    def head(self) -> str:
        """Nothing."""
        return ""

    def line(self, image: ExportedImage) -> str:
        """See `Encoding`."""
        return msgspec.json.encode(image).decode() + "\n"


class CsvEncoding:
    """RFC 4180, in UTF-8 with a byte order mark and a header. See docs/guides/search-api.md."""

    def __init__(self, attributes: Sequence[str]) -> None:
        """Set the columns.

        Args:
            attributes: the attributes that have a column of their own. All others are in the last
                column, as one JSON object.
        """
        self._attributes = attributes
        self._text = io.StringIO(newline="")
        self._writer = csv.writer(self._text, lineterminator="\r\n")

    def head(self) -> str:
        """The byte order mark and the header."""
        own = [f"{_OWN}{name}" for name in self._attributes]
        return BYTE_ORDER_MARK + self._row([*_FIELDS, *own, _OTHERS])

    def line(self, image: ExportedImage) -> str:
        """See `Encoding`."""
        return self._row([*map(_cell, self._values(image))])

    def _values(self, image: ExportedImage) -> Iterator[object]:
        for name in _FIELDS:
            value = getattr(image, name)
            yield _BETWEEN_TAGS.join(value) if name == _TAGS else value
        others = dict(image.attributes)
        for name in self._attributes:
            yield others.pop(name, "")
        yield msgspec.json.encode(others).decode() if others else ""

    def _row(self, cells: Sequence[object]) -> str:
        self._writer.writerow(cells)
        text = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        return text


def encoding(form: ExportFormat, export: ImageExport) -> Encoding:
    """How a download in this form is made.

    Raises:
        TooSlowError: the index did not say in time which columns there are.
        OpenSearchException: the index did not answer.
    """
    return CsvEncoding(export.attribute_names()) if form == "csv" else NdjsonEncoding()


def _cell(value: object) -> object:
    if value is UNSET:
        return ""
    return harmless(value) if isinstance(value, str) else value
