"""The backfill: images that were never on the stream, put there without overruling what was.

An image that the table has is left alone. One that it has not may yet be on its way: a version
older than all that may still come loses against any event of its own.
"""

import datetime as dt
import gzip
import io
import re
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import batched, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec

from lockstep.console.errors import UserError
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, Converter, filled, lines, read_events
from lockstep.stores.entry import Entry
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import LOOKUP, EntryLookup
from lockstep.stores.stamps import FIRST_STAMP, stamp_at
from shared.event import Event

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# After so many lines all that was read is on the stream, and an import can go on from there.
LINES_A_STEP = 1_000

_GZIP = b"\x1f\x8b"
_S3 = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")

Fate = Literal["new", "replaced", "there", "deleted", "newer_there", "counted"]
"""What becomes of a line: the first two go onto the stream, the last one is refused."""


_LEFT: Sequence[Fate] = ("there", "deleted", "newer_there")


class SourceError(UserError):
    """What is to be imported cannot be read; the message says where and why."""


class Point(msgspec.Struct, frozen=True):
    """All up to this line of this file or object is on the stream, or needs not be."""

    source: str
    line: int


class Refused(msgspec.Struct, frozen=True):
    """A line that no event can be made of."""

    source: str
    line: int
    reason: str
    detail: str


class Backfilled(msgspec.Struct, frozen=True):
    """What an import did, or would do: how many images are `new`, `replaced`, or left alone.

    Left are those that are `there`, `deleted` or `newer_there`; `refused` counts lines.
    """

    new: int
    replaced: int
    left: Mapping[Fate, int]
    refused: int


class Source(msgspec.Struct, frozen=True):
    """A file or an object of lines; opened when its turn comes."""

    name: str
    open: Callable[[], io.BufferedReader]


def sources(name: str, s3: Callable[[], "S3Client"]) -> Iterator[Source]:
    """What a name names: a file, standard input (`-`), or `s3://BUCKET/KEY`.

    A key that ends in `/` names all objects under it, in the order of their keys.

    Raises:
        SourceError: there is nothing.
    """
    if not name.startswith(_S3):
        yield Source(name, partial(_file, name))
        return
    bucket, _, key = name.removeprefix(_S3).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(f"{name}: name a bucket: s3://BUCKET/KEY, or s3://BUCKET/FOLDER/")
    is_one = bool(key) and not key.endswith("/")
    keys = [key] if is_one else list(BucketObjects(s3(), bucket).keys(key))
    for one in keys:
        if not one.endswith("/"):  # what a console makes for a folder
            yield Source(f"{_S3}{bucket}/{one}", partial(_object, s3(), bucket, one))
    if not keys:
        raise SourceError(f"{name}: nothing is there")


def _file(name: str) -> io.BufferedReader:
    try:
        # For standard input under a buffer of our own.
        return open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror}") from None


def _object(s3: "S3Client", bucket: str, key: str) -> io.BufferedReader:
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        message = f"{_S3}{bucket}/{key}: no such object; for all under it, end the name in /"
        raise SourceError(message) from None
    body: Any = answer["Body"]
    return io.BufferedReader(body)


class Backfill:
    """Images on their way from files to the stream."""

    def __init__(
        self,
        table: EntryLookup,
        put: Callable[[Iterable[Event]], object],
        *,
        stamp: Stamp,
        now: Callable[[], float],
        mapping: Converter | None = None,
        replace: bool = False,
        on_refused: Callable[[Refused, bytes], None] = lambda _, __: None,
        on_step: Callable[[Point, Backfilled], None] = lambda _, __: None,
    ) -> None:
        """Prepare.

        Args:
            table: says which images are there.
            put: onto the stream; nothing for a dry run.
            stamp: gives versions; `StampOfThePast`, or a clock's to replace.
            now: in seconds since 1970.
            mapping: makes the events, where the lines are records of another shape.
            replace: also images that are there.
            on_refused: is told each line that is no image, and gets its bytes.
            on_step: is told from where an import could go on.
        """
        self._table = table
        self._put = put
        self._stamp = stamp
        self._now = now
        self._converter = _Completing(mapping, now)
        self._replace = replace
        self._on_refused = on_refused
        self._on_step = on_step
        self._fates: Counter[Fate] = Counter()
        self._refused = 0

    def run(self, given: Iterable[Source], after: Point | None = None) -> Backfilled:
        """Bring all of it onto the stream; what is there already, from a point on.

        Raises:
            SourceError: one cannot be read to its end, or the point is in none of them.
        """
        for source in given:
            if after is not None and source.name != after.source:
                continue
            self._run(source, after.line if after else 0)
            after = None
        if after is not None:
            raise SourceError(f"{after.source}: it is to go on there, and that is not there")
        return self.so_far

    @property
    def so_far(self) -> Backfilled:
        """What is done."""
        fates = self._fates
        left = {fate: fates[fate] for fate in _LEFT if fates[fate]}
        return Backfilled(fates["new"], fates["replaced"], left, self._refused)

    def _run(self, source: Source, after: int) -> None:
        with _reading(source) as file:
            numbered = _Numbered(lines(file))
            deque(islice(numbered, after), maxlen=0)
            read = self._images(source, numbered)
            for step in batched(read, LINES_A_STEP, strict=False):
                some = batched(step, LOOKUP, strict=False)
                self._put(one for images in some for one in self._chosen(source, images))
                self._on_step(Point(source.name, numbered.line), self.so_far)

    def _images(self, source: Source, numbered: "_Numbered") -> Iterator["_Read"]:
        """The lines that are images; of the others it is told why not."""
        for read in read_events(numbered, self._stamp, self._converter):
            if isinstance(read, BadLine):
                self._refuse(source, numbered.line, numbered.text, read.reason, read.detail)
            elif read.type == "image.deleted":
                detail = "image.deleted is no image: `lockstep put` takes removals"
                self._refuse(source, numbered.line, numbered.text, "schema", detail)
            else:
                yield _Read(numbered.line, numbered.text, read)

    def _chosen(self, source: Source, some: Sequence["_Read"]) -> Iterator[Event]:
        """Those that are to go onto the stream."""
        there = self._table.lookup(list(dict.fromkeys(one.event.image_id for one in some)))
        for one in some:
            fate = self._fate(one.event, there.get(one.event.image_id))
            if fate == "counted":
                detail = "the source counts this image's versions: give the line the next one"
                self._refuse(source, one.line, one.text, "version", detail)
                continue
            self._fates[fate] += 1
            if fate in {"new", "replaced"}:
                yield one.event

    def _fate(self, event: Event, there: Entry | None) -> Fate:
        if there is None or there.expired(self._now()):
            return "new"
        if not self._replace:
            return "deleted" if there.deleted else "there"
        if event.version <= there.version:
            return "newer_there"
        if there.version < FIRST_STAMP <= event.version and not there.malformed:
            return "counted"
        return "replaced"

    def _refuse(self, source: Source, line: int, text: bytes, reason: str, detail: str) -> None:
        self._refused += 1
        self._on_refused(Refused(source.name, line, reason, detail), text)


class StampOfThePast(Stamp):
    """Versions older than all that may still come, each higher than the one before.

    What is older than the horizon neither comes late nor is redriven
    (docs/internals/invariants.md, Deletions). So an event of the image's own, also one that is
    still on its way, has a higher version than these.
    """

    def __init__(self, horizon: dt.timedelta, unix: Callable[[], float]) -> None:
        """Stamp from so long ago by this clock, in seconds since 1970."""
        super().__init__(unix)
        self._last = stamp_at(unix() - horizon.total_seconds())

    def __call__(self) -> int:
        """The next version."""
        self._last += 1
        return self._last


class _Read(msgspec.Struct, frozen=True):
    """A line, and the image in it."""

    line: int
    text: bytes
    event: Event


class _Numbered:
    """Lines, and which one was read last."""

    def __init__(self, read: Iterator[bytes]) -> None:
        self._read = read
        self.line = 0
        self.text = b""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        self.text = next(self._read)
        self.line += 1
        return self.text


class _Completing:
    """Makes events of images: an upload, now, unless a line says otherwise."""

    def __init__(self, mapping: Converter | None, now: Callable[[], float]) -> None:
        self._mapping = mapping
        self._now = now

    def convert(self, line: bytes) -> bytes:
        """See `Converter.convert`."""
        whole = line if self._mapping is None else self._mapping.convert(line)
        at = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        return filled(whole, type=b'"image.uploaded"', occurred_at=msgspec.json.encode(at))

    def origin(self, finding: str) -> str | None:
        """See `Converter.origin`."""
        return None if self._mapping is None else self._mapping.origin(finding)


@contextmanager
def _reading(source: Source) -> Iterator[BinaryIO]:
    """The lines of a source, unpacked if they are packed."""
    with source.open() as file:
        packed = file.peek(len(_GZIP)).startswith(_GZIP)
        try:
            yield io.BufferedReader(gzip.GzipFile(fileobj=file)) if packed else file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise SourceError(f"{source.name}: damaged, or cut off: {error}") from error
