"""What the quarantine's bucket holds, and what a redrive has moved there, of one image."""

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from itertools import batched

import msgspec

from lockstep.quarantine.bucket import (
    AT_ONCE,
    REDRIVEN,
    consumer_of_document,
)
from lockstep.quarantine.failure_documents import (
    DISCARDED,
    NotADocumentError,
    document_in,
    quarantined_records,
    stream_records_in,
)
from lockstep.quarantine.notes import NOTES
from lockstep.quarantine.reading import DOCUMENTS_AT_ONCE
from lockstep.quarantine.records import ForeignObjectError, parse_time, payload, read_record
from lockstep.quarantine.redrive import Trace
from lockstep.stores.objects import BucketObjects
from lockstep.trace.events import Place, Source, Told
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
    documents: Sequence[str]

    def __len__(self) -> int:
        """How many objects these are: each must be read."""
        return len(self.quarantined) + len(self.redriven) + len(self.documents)


class _Redriven(msgspec.Struct, frozen=True):
    redriven: Trace


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
    return BucketKeys(keys(PREFIX), moved, [*keys(FAILURE_DOCUMENTS), *split])


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
            yield from self._record(key, key, body)
        for key, body in self._read(keys.redriven, AT_ONCE):
            yield from self._redriven(key, body)
        for key, body in self._read(keys.documents, DOCUMENTS_AT_ONCE):
            yield from self._document(key, body)

    def _read(self, keys: Sequence[str], at_once: int) -> Iterator[tuple[str, bytes]]:
        for some in batched(keys, at_once):
            for key, body in zip(some, self._executor.map(self._objects.read, some), strict=True):
                if body is not None:  # moved after it was listed
                    yield key, body

    def _record(self, key: str, written_as: str, body: bytes) -> Iterator[Told]:
        """Args: `written_as` is the key under `quarantine/`, which tells the consumer."""
        try:
            held = read_record(written_as, body)
        except ForeignObjectError as error:
            self.unreadable.append(f"{key}: {error}")
            return
        if self._is_about(held):
            yield _quarantined(held, "quarantine")

    def _redriven(self, key: str, body: bytes) -> Iterator[Told]:
        """A redriven record was quarantined before."""
        for told in self._record(key, PREFIX + key.removeprefix(REDRIVEN), body):
            yield told
            try:
                trace = msgspec.json.decode(body, type=_Redriven).redriven
                at = parse_time(trace.at).timestamp()
            except (msgspec.MsgspecError, ValueError) as error:
                self.unreadable.append(f"{key}: {error}")
                continue
            event = trace.event
            put = "nothing was put" if event is None else f"put as version {event.version}"
            detail = f"{_HOW[trace.how]}: {put}"
            version = None if event is None else event.version
            yield Told(
                "redriven", at, "quarantine", told.place, detail, told.function, version=version
            )

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
    discarded = DISCARDED in held.detail
    return Told(
        "discarded" if discarded else "quarantined",
        parse_time(held.quarantined_at).timestamp(),
        source,
        Place(held.stream, held.shard_id, held.sequence_number),
        held.detail if discarded else f"{held.reason}: {held.detail}",
        held.function,
        version=held.version,
    )
