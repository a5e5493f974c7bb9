"""What an object of the quarantine's bucket holds of images, and what of it stays."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from lockstep.audit.acknowledgements import ACKNOWLEDGED
from lockstep.audit.pieces.state import REPORTS
from lockstep.audit.report import ReportLine
from lockstep.erasing.erased import Judge
from lockstep.quarantine.bucket import DISCARDED, REDRIVEN, consumer_of_document
from lockstep.quarantine.failure_documents import (
    NotADocumentError,
    document_in,
    quarantined_records,
    stream_records_in,
    without_records,
)
from lockstep.quarantine.notes import NOTES, Note, NotedRecord
from lockstep.quarantine.readable import readable_fields, version_in
from lockstep.quarantine.records import ForeignObjectError, event_in, payload, read_record
from lockstep.quarantine.redrive import Trace
from lockstep.repair.replaced import REPLACED, replaced_at, replaced_in
from lockstep.replay.progress import PREFIX as REPLAYS
from shared.event import InvalidEventError
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX, QuarantinedRecord
from shared.shortened import BriefError

_REDRIVEN_DOCUMENTS = f"{REDRIVEN}{FAILURE_DOCUMENTS}"
# What these hold are times, sequence numbers, counts and the words of an operator.
_WITHOUT_CONTENT = (ACKNOWLEDGED, REPLAYS)


class UnknownObjectError(BriefError):
    """It is unknown whether an object holds content of an image; the message says why."""


class Mention(msgspec.Struct, frozen=True):
    """Content of one image; `arrived_at` in milliseconds since 1970, None if unknown."""

    image_id: str
    version: int | None
    arrived_at: int | None


class ObjectContent(msgspec.Struct, frozen=True):
    """What an object holds of images that are erased.

    Attributes:
        erased: what of it must go.
        new: content of images that were uploaded again: it stays.
        rest: the object without what must go; None if nothing is left.
    """

    erased: Sequence[Mention] = ()
    new: Sequence[Mention] = ()
    rest: bytes | None = None


class _Moved(msgspec.Struct, frozen=True):
    redriven: Trace | None = None


class BucketContent:
    """Reads objects of the bucket, by their keys."""

    def __init__(self, judge: Judge, table_mapping: str, changes_stream: str) -> None:
        """Set it up.

        Args:
            judge: which content must go.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            changes_stream: the Kinesis stream that carries the table's changes, if there is one.
        """
        self._judge = judge
        self._table_mapping = table_mapping
        self._changes_stream = changes_stream

    def read(self, key: str, body: bytes) -> ObjectContent:
        """What this object holds.

        Raises:
            UnknownObjectError: it is none of Lockstep's objects, or a damaged one.
        """
        try:
            return self._read(key, body)
        except (
            ForeignObjectError,
            NotADocumentError,
            ValueError,  # those of msgspec, too
            RecursionError,
        ) as error:
            raise UnknownObjectError(f"{key}: {error}") from None

    def _read(self, key: str, body: bytes) -> ObjectContent:
        if key.startswith(NOTES):
            return self._note(body)
        if key.startswith((FAILURE_DOCUMENTS, _REDRIVEN_DOCUMENTS)):
            return self._document(key.removeprefix(REDRIVEN), body)
        for place in (PREFIX, REDRIVEN, DISCARDED):
            if key.startswith(place):
                return self._record(PREFIX + key.removeprefix(place), body)
        if key.startswith(REPLACED):
            at = round(replaced_at(key).timestamp() * 1000)
            return self._lines(body, partial(_replaced, arrived_by=at))
        if key.startswith(REPORTS):
            return self._lines(body, _difference) if key.endswith(".ndjson") else ObjectContent()
        if key.startswith(_WITHOUT_CONTENT):
            return ObjectContent()
        raise UnknownObjectError(f"{key}: no object of Lockstep: look at it yourself")

    def _record(self, written_as: str, body: bytes) -> ObjectContent:
        mentions = [*mentions_of(read_record(written_as, body))]
        trace = msgspec.json.decode(body, type=_Moved).redriven
        if trace is not None and trace.event is not None:
            # A correction may have given the content another id.
            event, arrived_at = trace.event, mentions[0].arrived_at
            mentions.append(Mention(event.image_id, event.version, arrived_at))
        return self._whole(mentions)

    def _document(self, key: str, body: bytes) -> ObjectContent:
        document = document_in(body)
        if document.payload is UNSET:
            return ObjectContent()  # only positions in the stream
        consumer = consumer_of_document(key, self._table_mapping)
        records = stream_records_in(document, self._changes_stream)
        held = quarantined_records(document, *records, consumer)
        found = [self._whole(mentions_of(one)) for one in held]
        gone = {place for place, one in enumerate(found) if one.erased}
        return ObjectContent(
            _joined(one.erased for one in found),
            _joined(one.new for one in found),
            without_records(body, gone) if gone else None,
        )

    def _note(self, body: bytes) -> ObjectContent:
        """Of a noted event, its keys stay: they say that its record was moved."""
        note = msgspec.json.decode(body, type=Note)
        found = [
            ObjectContent()
            if one.event is None
            else self._whole([Mention(one.event.image_id, one.event.version, one.event.arrived_at)])
            for one in note.records
        ]
        rest = Note(
            tuple(
                NotedRecord(one.keys, None) if its.erased else one
                for one, its in zip(note.records, found, strict=True)
            )
        )
        return ObjectContent(
            _joined(one.erased for one in found),
            _joined(one.new for one in found),
            rest.encoded,
        )

    def _lines(self, body: bytes, read: Callable[[bytes], Mention | None]) -> ObjectContent:
        rest: list[bytes] = []
        erased: list[Mention] = []
        new: list[Mention] = []
        for line in body.splitlines():
            if not line.strip():
                continue
            mention = read(line)
            found = self._whole([] if mention is None else [mention])
            erased += found.erased
            new += found.new
            if not found.erased:
                rest.append(line + b"\n")
        return ObjectContent(erased, new, b"".join(rest) or None)

    def _whole(self, mentions: Iterable[Mention]) -> ObjectContent:
        """What is one thing: it goes if one of its images is erased."""
        fates = [(one, self._judge(one.image_id, one.version, one.arrived_at)) for one in mentions]
        return ObjectContent(
            [one for one, fate in fates if fate == "erased"],
            [one for one, fate in fates if fate == "new"],
        )


def mentions_of(held: QuarantinedRecord) -> Sequence[Mention]:
    """The images that a quarantined record may be about.

    A valid event says it. Of any other record, nobody knows: its partition key counts, and what can
    be read of it.
    """
    mention = partial(Mention, arrived_at=held.arrived_at)
    try:
        event = event_in(held)
    except InvalidEventError:
        fields = readable_fields(payload(held))
        version = held.version or version_in(fields)
        ids = dict.fromkeys([held.partition_key, held.image_id, *_ids_in(fields)])
        return [mention(one, version) for one in ids if one is not None]
    return [mention(event.image_id, event.version)]


def _ids_in(fields: dict[str, Any]) -> Iterator[str]:
    """The ids in what can be read of a record: an event, or a change of the table."""
    said = fields.get("image_id")
    if isinstance(said, str | int) and not isinstance(said, bool):
        yield str(said)
    match fields:
        case {"dynamodb": {"Keys": {"image_id": {"S": str(key)}}}}:
            yield key


def differences_in(body: bytes) -> Iterator[Mention]:
    """The images in a list of differences; those of which only tombstones are listed are left out.

    Raises:
        ValueError: a line is no difference.
    """
    found = (_difference(line) for line in body.splitlines() if line.strip())
    yield from (one for one in found if one is not None)


def _replaced(line: bytes, *, arrived_by: int) -> Mention:
    (kept,) = replaced_in(line)
    return Mention(kept.image_id, kept.version, arrived_by)


def _difference(line: bytes) -> Mention | None:
    """A difference in a report; None if it says only of tombstones."""
    found = msgspec.json.decode(line, type=ReportLine)
    held = [one for one in (found.table, found.index) if one is not None and not _is_bare(one)]
    if not held:
        return None
    versions = [one["version"] for one in held if type(one.get("version")) is int]
    arrivals = [one["arrived_at"] for one in held if type(one.get("arrived_at")) is int]
    return Mention(found.image_id, min(versions, default=None), min(arrivals, default=None))


def _is_bare(entry: dict[str, Any]) -> bool:
    """Whether an entry is a tombstone, without anything of an image."""
    return entry.get("deleted") is True and entry.get("digest") is None


def _joined(some: Iterable[Sequence[Mention]]) -> Sequence[Mention]:
    return [one for each in some for one in each]
