"""Finds the cases in the bucket: reads objects and failure documents, many at a time.

What is read at a time is bounded, so that large payloads do not fill the memory.

The notes of redrives are read once, after all records. A redrive notes an event before it puts it,
so the notes are complete for each record that was read: also if it was redriven meanwhile, and then
quarantined again.
"""

import datetime as dt
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from itertools import batched

import msgspec
from msgspec import UNSET

from lockstep.quarantine.bucket import (
    AT_ONCE,
    consumer_of_document,
    is_settled,
)
from lockstep.quarantine.cases import (
    Case,
    FoundCases,
    Identity,
    NeedsChoice,
    Wanted,
    case_id,
    event_or_flaw,
    identity_of,
    judge_event,
)
from lockstep.quarantine.failure_documents import Fetched, Gone, NotADocumentError, records_of
from lockstep.quarantine.notes import Notes
from lockstep.quarantine.reading import Unreadable, read_documents, read_objects
from lockstep.quarantine.records import payload, read_record
from lockstep.stores.objects import Objects
from shared.event import Event, InvalidEventError
from shared.quarantine import QuarantinedRecord


class _Seen(msgspec.Struct, frozen=True):
    """A record that was read, without its payload and without the image of its event.

    `key` is that of its object, and `documents` the failure document that it comes from.
    """

    record: QuarantinedRecord
    identity: Identity
    bytes: int
    event: Event | InvalidEventError
    key: str
    documents: tuple[str, ...]


def _seen(held: QuarantinedRecord, key: str, documents: tuple[str, ...] = ()) -> _Seen:
    event = event_or_flaw(held)
    if isinstance(event, Event):
        event = msgspec.structs.replace(event, image=UNSET)
    else:
        # Without the traceback, which holds the payload.
        event = InvalidEventError(event.reason, event.detail)
    return _Seen(
        record=msgspec.structs.replace(held, payload=""),
        identity=identity_of(held),
        bytes=len(payload(held)),
        event=event,
        key=key,
        documents=documents,
    )


def find(
    objects: Objects,
    table_mapping: str,
    *,
    now: dt.datetime,
    executor: Executor,
    pointers: Iterable[bytes] = (),
    fetch: Callable[[bytes], Fetched] | None = None,
    wanted: Wanted | None = None,
    changes_stream: str = "",
) -> FoundCases:
    """All quarantined records: those of both consumers, and those of failure documents.

    Reads every object once. Keeps no payloads in memory, except of records that only the stream
    holds.

    Args:
        objects: the quarantine's bucket.
        table_mapping: the UUID of the event source mapping of the table's consumer.
        now: the current time.
        executor: reads objects, several at the same time.
        pointers: failure documents without payload, one a line.
        fetch: gets what such a line points at; see `failure_documents.fetch`.
        wanted: which cases to return; None: all.
        changes_stream: the Kinesis stream that carries the table's changes, if there is one.
    """
    gathering = _Gathering(objects, now, executor)
    gathering.read_objects()
    gathering.read_documents(table_mapping, changes_stream)
    if fetch is not None:
        gathering.follow(pointers, fetch)
    gathering.judge()
    cases = sorted(gathering.cases.values(), key=lambda case: (case.arrived_at, case.id))
    return FoundCases(
        cases=[case for case in cases if wanted is None or case in wanted],
        unreadable=gathering.unreadable,
        gone=gathering.gone,
        fetched=gathering.fetched,
    )


class _Gathering:
    """The state of one `find`."""

    def __init__(self, objects: Objects, now: dt.datetime, executor: Executor) -> None:
        self._objects = objects
        self._now = now
        self._executor = executor
        self._notes = Notes(objects, executor)
        self._in_objects: list[_Seen] = []
        self._elsewhere: list[_Seen] = []
        self.cases: dict[Identity, Case] = {}
        self.unreadable: list[Unreadable] = []
        self.gone: list[Gone] = []
        self.fetched: dict[str, QuarantinedRecord] = {}

    def read_objects(self) -> None:
        """Read what the consumers quarantined."""
        for key, read in read_objects(self._objects, self._executor, read_record):
            if isinstance(read, Unreadable):
                self.unreadable.append(read)
            else:
                # The actual key, even if somebody moved the object: a settlement moves it from
                # there.
                self._in_objects.append(_seen(read, key))

    def read_documents(self, table_mapping: str, changes_stream: str) -> None:
        """Read failure documents that hold their records."""

        def parse(key: str, body: bytes) -> list[QuarantinedRecord]:
            return records_of(body, consumer_of_document(key, table_mapping), changes_stream)

        for key, read in read_documents(self._objects, self._executor, parse):
            if isinstance(read, Unreadable):
                self.unreadable.append(read)
            else:
                self._elsewhere += [_seen(one, one.key, (key,)) for one in read]

    def follow(self, pointers: Iterable[bytes], fetch: Callable[[bytes], Fetched]) -> None:
        """Read the records that failure documents point at."""
        for number, line in enumerate(pointers, start=1):
            if not line.strip():
                continue
            try:
                fetched = fetch(line)
            except NotADocumentError as error:
                self.unreadable.append(Unreadable(f"pointer in line {number}", str(error)))
                continue
            if fetched.gone is not None:
                self.gone.append(fetched.gone)
            self._elsewhere += [_seen(one, one.key) for one in fetched.records]
            self.fetched |= {one.key: one for one in fetched.records}

    def judge(self) -> None:
        """Make the cases of all records that were read and not settled. Call this last."""
        if self._in_objects or self._elsewhere:
            self._notes.refresh()
        self.unreadable += [Unreadable(one.key, one.why) for one in self._notes.damaged]
        settled = self._settled_elsewhere()
        for one in self._in_objects:
            self._add(self._case(one))
        for one in self._elsewhere:
            if one.key in settled:
                self.fetched.pop(one.key, None)
            else:
                self._add(self._case(one))

    def _settled_elsewhere(self) -> AbstractSet[str]:
        """The keys of settled records: of these, failure documents and the stream still tell."""
        keys = dict.fromkeys(one.key for one in self._elsewhere)
        uncertain = filter(self._notes.may_be_moved, keys)
        settled = set()
        for some in batched(uncertain, AT_ONCE):
            were = zip(some, self._executor.map(self._was_settled, some), strict=True)
            settled |= {key for key, was in were if was}
        return settled

    def _was_settled(self, key: str) -> bool:
        """Whether it was redriven or discarded; a record that is still in quarantine was not."""
        return is_settled(self._objects, key) and self._objects.read(key) is None

    def _add(self, case: Case) -> None:
        identity = (case.stream, case.shard_id, case.sequence_number, case.payload_sha256)
        known = self.cases.get(identity)
        self.cases[identity] = case if known is None else _merged(known, case)

    def _case(self, one: _Seen) -> Case:
        held, event = one.record, one.event
        first: int | None
        image_id: str | None
        version: int | None
        if isinstance(event, Event):
            first = self._notes.first_arrival(event, held.arrived_at)
            image_id, version = event.image_id, event.version
        else:
            first, image_id, version = held.arrived_at, held.image_id, held.version
        return Case(
            id=case_id(one.identity),
            stream=held.stream,
            shard_id=held.shard_id,
            sequence_number=held.sequence_number,
            partition_key=held.partition_key,
            arrived_at=held.arrived_at if first is None else first,
            image_id=image_id,
            version=version,
            functions=(held.function,),
            reasons=(held.reason,),
            detail=held.detail,
            quarantined_at=held.quarantined_at,
            bytes=one.bytes,
            payload_sha256=one.identity[-1],
            verdict=judge_event(held, event, first, now=self._now),
            keys=(one.key,),
            documents=one.documents,
        )


def _merged(one: Case, other: Case) -> Case:
    """Merge two cases of one record: of both consumers, or of an object and a failure document."""
    first, second = (other, one) if one.of_index_only and not other.of_index_only else (one, other)
    merged = msgspec.structs.replace(
        first,
        functions=_union(first.functions, second.functions),
        reasons=_union(first.reasons, second.reasons),
        keys=_union(first.keys, second.keys),
        documents=_union(first.documents, second.documents),
    )
    if first.of_index_only != second.of_index_only:
        return merged  # what the index's consumer wrote changes nothing about it
    # A choice settles all objects, so a choice is kept.
    choice = next((case for case in (one, other) if isinstance(case.verdict, NeedsChoice)), one)
    return msgspec.structs.replace(
        merged,
        arrived_at=min(one.arrived_at, other.arrived_at),
        detail=choice.detail,
        verdict=choice.verdict,
    )


def _union[T](one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*one, *other)))
