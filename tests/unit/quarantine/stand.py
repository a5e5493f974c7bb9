"""What a redrive works on, in memory: a bucket, a stream, two stores, and a clock."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from functions.write_to_es.table_changes import TABLE_STREAM
from lockstep.producing.checked import outgoing
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import PutError
from lockstep.quarantine.cases import Case, FoundCases, Wanted
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.failure_documents import Fetched
from lockstep.quarantine.finding import find
from lockstep.quarantine.records import event_bytes, read_record
from lockstep.quarantine.redrive import Redrive, RedriveReport
from lockstep.simulation.in_line import InLine
from lockstep.stores.contents import Content, ContentReader, content_of
from lockstep.stores.image_state import Intact, StoredImage
from shared.change import Change, change_from
from shared.clock import Clock
from shared.envelope import Envelope
from shared.event import Event, InvalidEventError, Reason, decode
from shared.horizon import QUARANTINE_AGE
from shared.outcome import Applied, Outcome, Stale
from shared.quarantine import quarantined
from shared.record import event_in
from tests.builders import ARRIVED_AT, CHANGES_STREAM, change, clock, image_event, record
from tests.memory_sink import MemorySink

CONSUMERS = {"write_to_dynamodb": "Table-1", "write_to_es": "Index-1"}
TABLE_MAPPING = "uuid"
NOTE = "redriven/notes/1.json"
AGE = QUARANTINE_AGE
NOW = ARRIVED_AT / 1000 + 3600.0
DAY = 86_400.0


class Crash(BaseException):
    """The process dies here."""


class MemoryObjects:
    """A bucket in a dictionary; crashes after `crash_after` writes and deletes."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.crash_after: int | None = None

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.kept if key.startswith(prefix)))

    def read(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def write(self, key: str, body: bytes) -> None:
        self._step()
        self.kept[key] = body

    def write_new(self, key: str, body: bytes) -> None:
        self._step()
        self.kept.setdefault(key, body)

    def delete(self, key: str) -> None:
        self._step()
        self.kept.pop(key, None)

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    def _step(self) -> None:
        if self.crash_after is not None:
            if self.crash_after == 0:
                raise Crash
            self.crash_after -= 1


class MemoryCorrections:
    """Overwrites what a sink stores, unless its version is higher."""

    def __init__(self, sink: MemorySink) -> None:
        self._stored = sink.stored

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [self._overwrite(one) for one in changes]

    def _overwrite(self, change: Change) -> Outcome:
        stored = self._stored.get(change.image_id)
        if stored is not None and stored.version > change.version:
            return Stale()
        self._stored[change.image_id] = change
        return Applied()


class Stand:
    """All of it, with short methods for tests."""

    def __init__(
        self,
        *,
        sink: MemorySink | None = None,
        objects: MemoryObjects | None = None,
        executor: Executor | None = None,
    ) -> None:
        self.objects = objects or MemoryObjects()
        self.executor = executor or InLine()
        self.sink = sink or MemorySink()
        self.sent: list[Outgoing] = []
        self.puts: list[int] = []
        self.table: dict[str, Content] = {}
        self.items: dict[str, StoredImage] = {}
        self.index: dict[str, Content] = {}
        self.now = NOW
        self.slept = 0.0
        self.refusal: PutError | None = None
        self.stores = ContentReader(self.table.get, self.index.get)
        self.redrive = Redrive(
            self.objects,
            self._put,
            TABLE_MAPPING,
            clock=clock(now=lambda: self.now, elapsed=lambda: self.slept, sleep=self._sleep),
            executor=self.executor,
            index=DirectIndexing(self.sink, MemoryCorrections(self.sink), self),
            changes_stream=CHANGES_STREAM,
        )

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        """What the table holds, as the redrive reads it before it writes the index."""
        return {one: self.items[one] for one in image_ids if one in self.items}

    def item(self, image_id: str, version: int, **fields: Any) -> None:
        """Store an image in the table."""
        stored = change(image_id, version, **fields)
        self.items[image_id] = Intact(stored, version)
        self.table[image_id] = content(image_id, version, **fields)

    @property
    def stream(self) -> list[Event]:
        return [decode(record.data) for record in self.sent]

    def set_table_change_aside(
        self,
        raw: dict[str, Any],
        envelope: Envelope = TABLE_STREAM,
        reason: Reason = "refused_by_store",
    ) -> str:
        """Quarantine a record as the index's consumer does; returns its key."""
        one = envelope.record(raw)
        try:
            meant = envelope.change(one)
        except InvalidEventError as invalid:
            meant, reason = None, invalid.reason
        held = quarantined(
            one,
            function="write_to_es",
            change=meant,
            reason=reason,
            detail="because",
            at=dt.datetime.fromtimestamp(one.arrived_at / 1000, dt.UTC).isoformat(),
        )
        self.objects.kept[held.key] = msgspec.json.encode(held)
        return held.key

    def set_aside(
        self,
        event: dict[str, Any] | bytes | None = None,
        *,
        functions: Iterable[str] = CONSUMERS,
        reason: Reason = "refused_by_store",
        **place: Any,
    ) -> list[str]:
        """Quarantine a record as the consumers do; returns its keys."""
        one = record(event, **place)
        try:
            meant = change_from(event_in(one), one)
        except InvalidEventError as invalid:
            meant, reason = None, invalid.reason
        keys = []
        for function in functions:
            held = quarantined(
                one,
                function=function,
                change=meant,
                reason=reason,
                detail="because",
                at=dt.datetime.fromtimestamp(one.arrived_at / 1000, dt.UTC).isoformat(),
            )
            self.objects.kept[held.key] = msgspec.json.encode(held)
            keys.append(held.key)
        return keys

    def find(
        self,
        wanted: Wanted | None = None,
        pointers: Iterable[bytes] = (),
        fetch: Callable[[bytes], Fetched] | None = None,
    ) -> FoundCases:
        return find(
            self.objects,
            TABLE_MAPPING,
            now=dt.datetime.fromtimestamp(self.now, dt.UTC),
            executor=self.executor,
            wanted=wanted,
            pointers=pointers,
            fetch=fetch,
            changes_stream=CHANGES_STREAM,
        )

    def only_side(self) -> tuple[str, ...]:
        """The consumers of the objects that have moved to `redriven/`, by key."""
        moved = [key.split("/") for key in self.under("redriven/write_to_")]
        return tuple(dict.fromkeys(parts[1] for parts in moved))

    def only(self) -> Case:
        (case,) = self.find().cases
        return case

    def payload_of(self, case: Case) -> bytes:
        key = case.keys[0]
        return event_bytes(read_record(key, self.objects.kept[key]))

    def apply(self, found: FoundCases | None = None, *, rate: float | None = None) -> RedriveReport:
        found = found or self.find()
        return self.redrive.put_back(found.cases, found.fetched, rate=rate)

    def under(self, prefix: str) -> list[str]:
        return list(self.objects.keys(prefix))

    def trace(self, key: str) -> dict[str, Any]:
        whole: dict[str, Any] = msgspec.json.decode(self.objects.kept[key])
        found: dict[str, Any] = whole["redriven"]
        return found

    def _put(self, events: Iterable[Event | Outgoing], clock: Clock) -> None:
        if self.refusal is not None:
            raise self.refusal
        batch = [outgoing(event, clock.now()) for event in events]  # the producer's rules
        self.sent += batch
        self.puts.append(len(batch))

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds


def document(
    *records: dict[str, Any], payload: bool = True, function: str = "Table-1"
) -> dict[str, Any]:
    """A failure document as Lambda writes it about these records."""
    kinesis = [one["kinesis"] for one in records]
    arrivals = [
        dt.datetime.fromtimestamp(one["approximateArrivalTimestamp"], dt.UTC).isoformat()
        for one in kinesis
    ]
    said: dict[str, Any] = {
        "requestContext": {
            "requestId": "r",
            "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 1,
        },
        "version": "1.0",
        "timestamp": "2026-11-21T09:00:00.000Z",
        "KinesisBatchInfo": {
            "shardId": records[0]["eventID"].partition(":")[0],
            "startSequenceNumber": kinesis[0]["sequenceNumber"],
            "endSequenceNumber": kinesis[-1]["sequenceNumber"],
            "approximateArrivalOfFirstRecord": arrivals[0],
            "approximateArrivalOfLastRecord": arrivals[-1],
            "batchSize": len(records),
            "streamArn": records[0]["eventSourceARN"],
        },
    }
    return said | ({"payload": {"Records": list(records)}} if payload else {})


def content(image_id: str = "T02680", version: int = 1, **fields: Any) -> Content:
    one = record(image_event(image_id, version, **fields))
    return content_of(event_in(one))


def states(found: FoundCases) -> Mapping[str, str]:
    """Each image's state."""
    return {one.image: type(one.verdict).__name__ for one in found.cases}
