"""Reads a DynamoDB export in S3: its manifests, and its items in both formats.

Format: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

import base64
import datetime as dt
import gzip
import hashlib
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import batched, islice
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from lockstep.console.errors import UserError
from lockstep.stores.image_state import state_of_item
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import WholePage
from shared.horizon import HORIZON
from shared.item import KEY

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

SUMMARY = "manifest-summary.json"
VERSION = "2020-06-30"
ITEMS_PER_PAGE = 500
_CHUNK = 1024 * 1024
_UNREADABLE = (ClientError, BotoCoreError, ResponseParserError, HTTPError, KeyError)
_DAMAGED = (gzip.BadGzipFile, EOFError, zlib.error, msgspec.MsgspecError, ValueError)


class ExportError(UserError):
    """A rebuild cannot use this export; the message says why."""


class _Summary(msgspec.Struct, frozen=True, rename="camel"):
    version: str
    export_arn: str
    table_arn: str
    export_time: dt.datetime | None
    manifest_files_s3_key: str
    item_count: int
    output_format: Literal["DYNAMODB_JSON", "ION"]
    export_type: str = "FULL_EXPORT"


class _File(msgspec.Struct, frozen=True, rename="camel"):
    item_count: int
    md5_checksum: str
    data_file_s3_key: str


class Export:
    """One full export of a table."""

    def __init__(self, client: "S3Client", uri: str, table: str, *, now: dt.datetime) -> None:
        """Read the manifests.

        Args:
            client: the client of S3.
            uri: `s3://BUCKET/PREFIX/AWSDynamoDB/ID`, or that of its `manifest-summary.json`.
            table: the table that it must be an export of.
            now: the time, with a zone.
            horizon: how long tombstones are kept. An older export holds images that have been
                deleted since, and whose tombstones are gone.

        Raises:
            ExportError: it is not an export, not complete, of another table, or too old.
            StoreUnreadableError: it could not be read now; a retry may succeed.
        """
        self._client = client
        where = urlsplit(uri)
        if where.scheme != "s3" or not where.netloc or not where.path.strip("/"):
            raise ExportError(
                f"{uri}: not the address of an export: use s3://BUCKET/PREFIX/AWSDynamoDB/ID"
            )
        self._bucket = where.netloc
        key = where.path.strip("/")
        key = key if key.endswith(".json") else f"{key}/{SUMMARY}"
        self._summary = self._decoded(key, msgspec.json.Decoder(_Summary).decode)
        self._check(table, now)
        is_json = self._summary.output_format == "DYNAMODB_JSON"
        self._read = _json_items if is_json else _ion_reader()
        self._files = self._decoded(
            self._summary.manifest_files_s3_key, msgspec.json.Decoder(_File).decode_lines
        )
        listed = sum(one.item_count for one in self._files)
        if listed != self._summary.item_count:
            raise ExportError(
                f"{self.name} is not complete: its files hold {listed:,} items, its summary says "
                f"{self._summary.item_count:,}"
            )

    @property
    def name(self) -> str:
        """The name of the export in messages and in the state of a rebuild."""
        return f"export {self._summary.export_arn.rpartition('/')[2]}"

    def count(self) -> int:
        """The exact number of items."""
        return self._summary.item_count

    def pages(self, position: str | None) -> Iterator[WholePage]:
        """All items in pages; a position is `FILE:ITEM`, both counted from 0.

        Each file is compared with its checksum before any item of it is used.
        """
        first, _, skip = (position or "0:0").partition(":")
        start, read = int(first), int(skip)
        for number, file in enumerate(self._files[start:], start=start):
            with tempfile.TemporaryFile() as copy:
                self._fetch(file, copy)
                for items in batched(islice(self._items(file, copy), read, None), ITEMS_PER_PAGE):
                    read += len(items)
                    images = [(item[KEY]["S"], state_of_item(item)) for item in items]
                    yield WholePage(images, f"{number}:{read}")
            if read != file.item_count:
                raise self._damaged(
                    file, f"it has {read:,} items, but the manifest lists {file.item_count:,}"
                )
            read = 0
        yield WholePage((), None)

    def _check(self, table: str, now: dt.datetime) -> None:
        summary = self._summary
        if summary.version != VERSION:
            raise ExportError(
                f"{self.name} has format {summary.version}: only {VERSION} is supported"
            )
        if summary.export_type != "FULL_EXPORT":
            raise ExportError(f"{self.name} is of type {summary.export_type}: make a full export")
        of = summary.table_arn.rpartition("/")[2]
        if of != table:
            raise ExportError(f"{self.name} is of table {of}, not of {table}")
        if summary.export_time is None or summary.export_time + HORIZON <= now:
            raise ExportError(
                f"{self.name} is of {summary.export_time}, older than the horizon of "
                f"{HORIZON.days} days: it could restore deleted images; make a new export"
            )

    def _decoded[T](self, key: str, decode: Callable[[bytes], T]) -> T:
        try:
            body = BucketObjects(self._client, self._bucket).read(key)
        except _UNREADABLE as error:
            raise StoreUnreadableError(f"s3://{self._bucket}/{key}: {_described(error)}") from error
        if body is None:
            message = f"s3://{self._bucket}/{key} does not exist: check that the export is complete"
            raise ExportError(message)
        try:
            return decode(body)
        except msgspec.MsgspecError as error:
            message = f"s3://{self._bucket}/{key} is not a manifest of an export: {error}"
            raise ExportError(message) from error

    def _fetch(self, file: _File, copy: IO[bytes]) -> None:
        """Copy a file, and compare it with its checksum."""
        digest = hashlib.md5(usedforsecurity=False)
        try:
            body = self._client.get_object(Bucket=self._bucket, Key=file.data_file_s3_key)["Body"]
            for chunk in body.iter_chunks(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        except _UNREADABLE as error:
            raise StoreUnreadableError(f"{self.name}: {_described(error)}") from error
        if base64.b64encode(digest.digest()).decode() != file.md5_checksum:
            raise self._damaged(file, "it does not match its checksum")
        copy.seek(0)

    def _items(self, file: _File, copy: IO[bytes]) -> Iterator[Mapping[str, Any]]:
        """The items in DynamoDB's low-level form."""
        try:
            with gzip.open(copy) as lines:
                for item in self._read(lines):
                    if "S" not in item.get(KEY, {}):
                        raise self._damaged(file, f"an item has no {KEY}")
                    yield item
        except _DAMAGED as error:
            raise self._damaged(file, str(error)) from error

    def _damaged(self, file: _File, why: str) -> StoreUnreadableError:
        return StoreUnreadableError(f"{self.name}: {file.data_file_s3_key}: {why}")


def _described(error: Exception) -> str:
    return f"an answer without {error}" if isinstance(error, KeyError) else str(error)


class _Line(msgspec.Struct, frozen=True, rename="pascal"):
    item: dict[str, dict[str, Any]]


def _json_items(lines: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    decoder = msgspec.json.Decoder(_Line)
    return (decoder.decode(line).item for line in lines)


def _ion_reader() -> Callable[[Any], Iterator[Mapping[str, Any]]]:
    """Load the reader of Ion, which is an extra: if it is missing, fail before any work is done."""
    from amazon.ion import simpleion  # noqa: PLC0415 - no other command loads it
    from amazon.ion.exceptions import IonException  # noqa: PLC0415 - the same

    def items(lines: Any) -> Iterator[Mapping[str, Any]]:
        try:
            for line in simpleion.load(lines, single_value=False, parse_eagerly=False):
                yield {name: low_level(value) for name, value in line["Item"].items()}
        except (IonException, KeyError, TypeError) as error:
            raise ValueError(f"it is not Ion as DynamoDB writes it: {error!r}") from error

    return items


def low_level(value: Any) -> dict[str, Any]:
    """An Ion value in DynamoDB's low-level form.

    Sets are lists with an annotation; numbers are decimals, which Ion may write with an exponent.
    """
    for annotation in value.ion_annotations:
        of_set, _, kind = annotation.text.rpartition("_")
        if of_set == "$dynamodb":
            return {kind: [next(iter(low_level(inner).values())) for inner in value]}
    kind, spelled = _TYPES[value.ion_type.name]
    return {kind: spelled(value)}


_TYPES: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "STRING": ("S", str),
    "DECIMAL": ("N", lambda number: f"{number:f}"),
    "INT": ("N", lambda number: str(int(number))),
    "BOOL": ("BOOL", bool),
    "NULL": ("NULL", lambda _: True),
    "BLOB": ("B", bytes),
    "LIST": ("L", lambda values: [low_level(inner) for inner in values]),
    "STRUCT": ("M", lambda fields: {name: low_level(inner) for name, inner in fields.items()}),
}
