"""The import: put images onto the stream that were never there, or that a copy of the table has.

An image that is in the table is skipped. For an image that is not in the table, an event may still
be on the stream: an imported image gets a version that is lower than that of every such event.
"""

import datetime as dt
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from itertools import batched, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
from msgspec import UNSET

from lockstep.producing.checked import CheckedEvent
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, Converter, filled, read_checked
from lockstep.source_files.records import records
from lockstep.source_files.text import SourceError, not_opened
from lockstep.source_files.unreadable import UnreadableRecord
from lockstep.stores.entry import Entry
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import LOOKUP, EntryLookup
from shared.event import Event, digest
from shared.horizon import HORIZON
from shared.stamps import is_stamp, stamp_at

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# After this many lines, everything that was read is on the stream: an import can resume there.
LINES_A_STEP = 1_000

_S3 = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")

Fate = Literal["new", "replaced", "there", "same", "deleted", "newer_there", "counted"]
"""What happens to a line: `new` and `replaced` are put, `counted` is rejected, others skipped."""


_SKIPPED: Sequence[Fate] = ("there", "same", "deleted", "newer_there")

Replaces = Literal["nothing", "deleted", "all"]
"""Which images of the table an import puts again: those that were deleted, or all."""


class Point(msgspec.Struct, frozen=True):
    """A point to resume from: every line up to this one is put, skipped or rejected.

    In a file whose records have no lines of their own, `line` is the number of a record.
    """

    source: str
    line: int


class RefusedLine(msgspec.Struct, frozen=True):
    """A line that is not a valid image."""

    source: str
    line: int
    reason: str
    detail: str


class Backfilled(msgspec.Struct, frozen=True):
    """What an import did, or would do.

    Attributes:
        new: images that are put and were not in the table.
        replaced: images that are put and were in the table.
        skipped: images that are skipped: they are `there`, there with the `same` content, `deleted`
            or `newer_there`.
        rejected: lines that are no valid image.
    """

    new: int
    replaced: int
    skipped: Mapping[Fate, int]
    rejected: int


class RecordSource(Protocol):
    """Something that holds images."""

    @property
    def name(self) -> str:
        """Its name, as it is typed."""
        ...

    def records(
        self, *, are_events: bool
    ) -> AbstractContextManager[Iterator[bytes | UnreadableRecord]]:
        """Open it; its records, one after another.

        Args:
            are_events: the records are events, not converted by a mapping file.
        """
        ...


class Source(msgspec.Struct, frozen=True):
    """A file or an object that holds records; `open` opens it."""

    name: str
    open: Callable[[], io.BufferedReader]

    @contextmanager
    def records(self, *, are_events: bool) -> Iterator[Iterator[bytes | UnreadableRecord]]:
        """See `RecordSource.records`."""
        with self.open() as file:
            named = "standard input" if self.name == "-" else self.name
            yield records(file, named, are_events=are_events).found


def sources(name: str, s3: Callable[[], "S3Client"]) -> Iterator[Source]:
    """Find the sources of a name.

    Args:
        name: a file, `-` for standard input, or `s3://BUCKET/KEY`. A key that ends in `/` means
            all objects under it, in the order of their keys.
        s3: makes a client of S3.

    Raises:
        SourceError: there is no such object or bucket name.
    """
    if not name.startswith(_S3):
        yield Source(name, partial(_file, name))
        return
    bucket, _, key = name.removeprefix(_S3).partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError(
            f"{name}: invalid bucket name: use s3://BUCKET/KEY or s3://BUCKET/FOLDER/"
        )
    is_one = bool(key) and not key.endswith("/")
    keys = [key] if is_one else list(BucketObjects(s3(), bucket).keys(key))
    for one in keys:
        if not one.endswith("/"):  # the S3 console creates such an object for a folder
            yield Source(f"{_S3}{bucket}/{one}", partial(_object, s3(), bucket, one))
    if not keys:
        raise SourceError(f"{name}: there are no objects")


def _file(name: str) -> io.BufferedReader:
    try:
        # Standard input gets a buffer of our own.
        return open(0, "rb", closefd=False) if name == "-" else Path(name).open("rb")
    except OSError as error:
        raise SourceError(not_opened(name, error)) from None


def _object(s3: "S3Client", bucket: str, key: str) -> io.BufferedReader:
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except s3.exceptions.NoSuchKey:
        message = f"{_S3}{bucket}/{key}: no such object; end the name with / for all under it"
        raise SourceError(message) from None
    body: Any = answer["Body"]
    return io.BufferedReader(body)


class Backfill:
    """An import of images from files onto the stream."""

    def __init__(
        self,
        table: EntryLookup,
        put: Callable[[Iterable[CheckedEvent]], object],
        *,
        stamp: Stamp,
        now: Callable[[], float],
        mapping: Converter | None = None,
        replaces: Replaces = "nothing",
        on_refused: Callable[[RefusedLine, bytes], None] = lambda _, __: None,
        on_step: Callable[[Point, Backfilled], None] = lambda _, __: None,
    ) -> None:
        """Set up an import.

        Args:
            table: looks up the images that are in the table.
            put: puts events onto the stream; for a dry run it only reads them.
            stamp: gives versions: a `PastStamp`, or a `Stamp` in order to replace images.
            now: the time in seconds since 1970.
            mapping: converts lines of another shape.
            replaces: which images of the table to put again.
            on_refused: called with each rejected line and its bytes.
            on_step: called with a point that an import can resume from.
        """
        self._table = table
        self._put = put
        self._stamp = stamp
        self._now = now
        self._is_mapped = mapping is not None
        self._converter = _Completing(mapping, now)
        self._replaces = replaces
        self._on_refused = on_refused
        self._on_step = on_step
        self._fates: Counter[Fate] = Counter()
        self._refused = 0

    def run(self, given: Iterable[RecordSource], after: Point | None = None) -> Backfilled:
        """Put the images of these sources onto the stream.

        Args:
            given: the sources.
            after: the point to resume from; None for the start.

        Raises:
            SourceError: a source cannot be read completely, or none has the point.
        """
        for source in given:
            if after is not None and source.name != after.source:
                continue
            self._run(source, after.line if after else 0)
            after = None
        if after is not None:
            raise SourceError(
                f"the progress is about {after.source}, which is not in this source: import the "
                "same source as before, or name another file with --resume"
            )
        return self.so_far

    @property
    def so_far(self) -> Backfilled:
        """What the import did until now."""
        fates = self._fates
        left = {fate: fates[fate] for fate in _SKIPPED if fates[fate]}
        return Backfilled(fates["new"], fates["replaced"], left, self._refused)

    def _run(self, source: RecordSource, after: int) -> None:
        with source.records(are_events=not self._is_mapped) as found:
            numbered = _Numbered(found)
            deque(islice(numbered, after), maxlen=0)
            read = self._images(source, numbered)
            for step in batched(read, LINES_A_STEP):
                some = batched(step, LOOKUP)
                self._put(one for images in some for one in self._chosen(source, images))
                self._on_step(Point(source.name, numbered.line), self.so_far)

    def _images(self, source: RecordSource, numbered: "_Numbered") -> Iterator["_Read"]:
        """Yield the images; report every other line."""
        for read in read_checked(numbered, self._stamp, self._converter):
            if isinstance(read, BadLine):
                self._refuse(source, numbered.line, numbered.text, read.reason, read.detail)
            elif read.event.type == "image.deleted":
                detail = "image.deleted is not an image: use `lockstep put` for deletions"
                self._refuse(source, numbered.line, numbered.text, "schema", detail)
            else:
                yield _Read(numbered.line, numbered.text, read)

    def _chosen(self, source: RecordSource, some: Sequence["_Read"]) -> Iterator[CheckedEvent]:
        """Choose the images to put."""
        stored = self._table.lookup(list(dict.fromkeys(one.event.image_id for one in some)))
        for one in some:
            fate = self._fate(one.event, stored.get(one.event.image_id))
            if fate == "counted":
                detail = (
                    "the versions of this image are a counter: set the next version in this line"
                )
                self._refuse(source, one.line, one.text, "version", detail)
                continue
            self._fates[fate] += 1
            if fate in {"new", "replaced"}:
                yield one.checked

    def _fate(self, event: Event, stored: Entry | None) -> Fate:
        if stored is None or stored.expired(self._now()):
            return "new"
        if stored.deleted and self._replaces == "nothing":
            return "deleted"
        if not stored.deleted:
            if self._replaces != "all":
                return "there"
            is_same = event.image is not UNSET and digest(event.image) == stored.digest
            if is_same and stored.malformed is None:
                return "same"
        if event.version <= stored.version:
            return "newer_there"
        if is_stamp(event.version) and not is_stamp(stored.version) and not stored.malformed:
            return "counted"
        return "replaced"

    def _refuse(
        self, source: RecordSource, line: int, text: bytes, reason: str, detail: str
    ) -> None:
        self._refused += 1
        self._on_refused(RefusedLine(source.name, line, reason, detail), text)


class PastStamp(Stamp):
    """Gives versions from before the horizon, each higher than the one before.

    An event that is older than the horizon cannot arrive late and is not redriven
    (docs/internals/invariants.md, Deletions). So every event of the image itself, also one that is
    still on the stream, has a higher version. Consumers tell these versions by their age
    (`shared.stamps.is_imported`): such an event is never outrun.
    """

    def __init__(self, unix: Callable[[], float]) -> None:
        """Start one horizon before now; `unix` gives the time in seconds since 1970."""
        super().__init__(unix)
        self._last = stamp_at(unix() - HORIZON.total_seconds())

    def __call__(self) -> int:
        """Return the next version."""
        self._last += 1
        return self._last


class _Read(msgspec.Struct, frozen=True):
    """A line and the image in it."""

    line: int
    text: bytes
    checked: CheckedEvent

    @property
    def event(self) -> Event:
        """The upload of the image."""
        return self.checked.event


class _Numbered:
    """Lines or records; remembers the one that was read last."""

    def __init__(self, read: Iterator[bytes | UnreadableRecord]) -> None:
        self._read = read
        self.line = 0
        self.text = b""

    def __iter__(self) -> Iterator[bytes | UnreadableRecord]:
        return self

    def __next__(self) -> bytes | UnreadableRecord:
        read = next(self._read)
        self.text = read.text if isinstance(read, UnreadableRecord) else read
        self.line += 1
        return read


class _Completing:
    """Converts images into events. A missing type is an upload, a missing time is now."""

    def __init__(self, mapping: Converter | None, now: Callable[[], float]) -> None:
        self._mapping = mapping
        self._now = now

    def convert(self, line: bytes) -> bytes:
        """See `Converter.convert`."""
        whole = line if self._mapping is None else self._mapping.convert(line)
        return filled(
            whole,
            type=lambda: b'"image.uploaded"',
            occurred_at=lambda: msgspec.json.encode(dt.datetime.fromtimestamp(self._now(), dt.UTC)),
        )

    def origin(self, finding: str, line: bytes) -> str | None:
        """See `Converter.origin`."""
        return None if self._mapping is None else self._mapping.origin(finding, line)
