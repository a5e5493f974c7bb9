"""What the quarantine's bucket holds, and what operators have moved there, of one image."""

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import batched

import msgspec

from lockstep.quarantine.bucket import (
    AT_ONCE,
    DISCARDED,
    REDRIVEN,
    consumer_of_document,
)
from lockstep.quarantine.discarding import DiscardTrace
from lockstep.quarantine.failure_documents import DISCARDED as BATCH_DISCARDED
from lockstep.quarantine.failure_documents import (
    NotADocumentError,
    document_in,
    quarantined_records,
    stream_records_in,
)
from lockstep.quarantine.notes import NOTES
from lockstep.quarantine.reading import DOCUMENTS_AT_ONCE
from lockstep.quarantine.records import ForeignObjectError, parse_time, payload, read_record
from lockstep.quarantine.redrive import Trace
from lockstep.repair.replaced import REPLACED, replaced_at, replaced_in
from lockstep.stores.objects import BucketObjects
from lockstep.trace.events import NO_RECORD, Place, Source, Told
from lockstep.trace.shards import is_about
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX, QuarantinedRecord

_REDRIVEN_DOCUMENTS = f"{REDRIVEN}{FAILURE_DOCUMENTS}"
# What a redrive did, in words.
_HOW = {
    "as_it_was": "unchanged",
    "mended": "corrected",
    "chose_this": "this content was chosen",
    "chose_stored": "the stored content was chosen",
}


class BucketKeys(msgspec.Struct, frozen=True):
    """The keys of the objects that may be about an image."""

    quarantined: Sequence[str]
    redriven: Sequence[str]
    discarded: Sequence[str]
    documents: Sequence[str]
    replaced: Sequence[str]

    def __len__(self) -> int:
        """How many objects these are: each must be read."""
        return sum(map(len, msgspec.structs.astuple(self)))


class _Redriven(msgspec.Struct, frozen=True):
    redriven: Trace


class _Discarded(msgspec.Struct, frozen=True):
    discarded: DiscardTrace


def list_keys(objects: BucketObjects, since: dt.datetime | None) -> BucketKeys:
    """List the objects: their keys do not tell the image.

    Args:
        objects: the bucket.
        since: leave out what was written before; None: nothing.
    """

    def keys(prefix: str) -> list[str]:
        return [key for key, at in objects.listed(prefix) if since is None or at >= since]

    redriven = keys(REDRIVEN)
    moved = [key for key in redriven if not key.startswith((_REDRIVEN_DOCUMENTS, NOTES))]
    split = [key for key in redriven if key.startswith(_REDRIVEN_DOCUMENTS)]
    return BucketKeys(
        quarantined=keys(PREFIX),
        redriven=moved,
        discarded=keys(DISCARDED),
        documents=[*keys(FAILURE_DOCUMENTS), *split],
        replaced=keys(REPLACED),
    )


class BucketTrace:
    """Reads objects, several at the same time, and tells what is about one image."""

    def __init__(
        self,
        objects: BucketObjects,
        executor: Executor,
        image_id: str,
        *,
        table_mapping: str,
        changes_stream: str,
    ) -> None:
        """Set it up.

        Args:
            objects: the bucket.
            executor: reads objects.
            image_id: the image.
            table_mapping: the UUID of the event source mapping of the table's consumer.
            changes_stream: the Kinesis stream that carries the table's changes, if there is one.
        """
        self._objects = objects
        self._executor = executor
        self._image_id = image_id
        self._table_mapping = table_mapping
        self._changes_stream = changes_stream
        self.unreadable: list[str] = []
        """What cannot be read: a key, and why."""

    def told(self, keys: BucketKeys) -> Iterator[Told]:
        """What these objects tell of the image."""
        for key, body in self._read(keys.quarantined, AT_ONCE):
            held = self._record(key, key, body)
            if held is not None and self._is_about(held):
                yield _quarantined(held, "quarantine")
        for key, body in self._read(keys.redriven, AT_ONCE):
            yield from self._redriven(key, body)
        for key, body in self._read(keys.discarded, AT_ONCE):
            yield from self._discarded(key, body)
        for key, body in self._read(keys.documents, DOCUMENTS_AT_ONCE):
            yield from self._document(key, body)
        for key, body in self._read(keys.replaced, DOCUMENTS_AT_ONCE):
            yield from self._replaced(key, body)

    def _read(self, keys: Sequence[str], at_once: int) -> Iterator[tuple[str, bytes]]:
        for some in batched(keys, at_once):
            for key, body in zip(some, self._executor.map(self._objects.read, some), strict=True):
                if body is not None:  # moved after it was listed
                    yield key, body

    def _record(self, key: str, written_as: str, body: bytes) -> QuarantinedRecord | None:
        """The record in an object; None if it cannot be read, which is then listed.

        Args:
            key: the key of the object.
            written_as: the key under `quarantine/`, which tells the consumer.
            body: the object.
        """
        try:
            return read_record(written_as, body)
        except ForeignObjectError as error:
            self.unreadable.append(f"{key}: {error}")
            return None

    def _redriven(self, key: str, body: bytes) -> Iterator[Told]:
        """A redriven record was quarantined before. It may be put under this image's ID."""
        held = self._record(key, PREFIX + key.removeprefix(REDRIVEN), body)
        if held is None:
            return
        is_ours = self._is_about(held)
        if is_ours:
            yield _quarantined(held, "quarantine")
        try:
            trace = msgspec.json.decode(body, type=_Redriven).redriven
            at = parse_time(trace.at).timestamp()
        except (msgspec.MsgspecError, ValueError) as error:
            if is_ours:
                self.unreadable.append(f"{key}: {error}")
            return
        event = trace.event
        if not is_ours and (event is None or event.image_id != self._image_id):
            return
        detail, version = f"{_HOW[trace.how]}: nothing was put", None
        if event is not None:
            detail, version = f"{_HOW[trace.how]}: put as version {event.version}", event.version
            if event.image_id not in {held.image_id, held.partition_key}:
                detail += f" of {event.image_id}"
        yield Told("redriven", at, "quarantine", _place(held), detail, held.function, version)

    def _discarded(self, key: str, body: bytes) -> Iterator[Told]:
        """A record that an operator discarded was quarantined before."""
        held = self._record(key, PREFIX + key.removeprefix(DISCARDED), body)
        if held is None or not self._is_about(held):
            return
        yield _quarantined(held, "quarantine")
        try:
            trace = msgspec.json.decode(body, type=_Discarded).discarded
            at = parse_time(trace.at).timestamp()
        except (msgspec.MsgspecError, ValueError) as error:
            self.unreadable.append(f"{key}: {error}")
            return
        detail = f"by {trace.by}: {trace.reason}"
        yield Told("discarded_by_operator", at, "quarantine", _place(held), detail, held.function)

    def _replaced(self, key: str, body: bytes) -> Iterator[Told]:
        """An answer replaced or removed a document of the index, and kept it."""
        try:
            at, kept = replaced_at(key).timestamp(), list(replaced_in(body))
        except ValueError as error:  # msgspec's are, too
            self.unreadable.append(f"{key}: not what an answer keeps: {error}")
            return
        for one in kept:
            if one.image_id == self._image_id:
                detail = f"an answer replaced or removed it in the index, and kept it in {key}"
                yield Told("replaced", at, "replaced", NO_RECORD, detail, version=one.version)

    def _document(self, key: str, body: bytes) -> Iterator[Told]:
        consumer = consumer_of_document(key.removeprefix(REDRIVEN), self._table_mapping)
        try:
            document = document_in(body)
            records, envelope = stream_records_in(document, self._changes_stream)
            ours = [one for one in records if is_about(self._image_id, one.partition_key, one.data)]
            for held in quarantined_records(document, ours, envelope, consumer):
                yield _quarantined(held, "failure document")
        except NotADocumentError as error:
            self.unreadable.append(f"{key}: {error}")

    def _is_about(self, held: QuarantinedRecord) -> bool:
        return held.image_id == self._image_id or is_about(
            self._image_id, held.partition_key, payload(held)
        )


def _quarantined(held: QuarantinedRecord, source: Source) -> Told:
    """Also the objects of a redrive say that the batch of a record was discarded."""
    discarded = BATCH_DISCARDED in held.detail
    return Told(
        "discarded" if discarded else "quarantined",
        parse_time(held.quarantined_at).timestamp(),
        source,
        _place(held),
        held.detail if discarded else f"{held.reason}: {held.detail}",
        held.function,
        version=held.version,
    )


def _place(held: QuarantinedRecord) -> Place:
    return Place(held.stream, held.shard_id, held.sequence_number)
