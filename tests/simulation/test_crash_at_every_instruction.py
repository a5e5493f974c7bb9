"""Crash a batch at every bytecode instruction of both handlers, and deliver it again.

The handlers are the real code; only clients, environment, time and log are replaced. A crash is an
exception that nothing catches; after it, the process sends no request.
"""

import base64
import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from types import CodeType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast, override

import msgspec
import opensearchpy
import pytest

import doors.quarantine
import doors.stream
import functions.write_to_dynamodb.handler
import functions.write_to_dynamodb.sink
import functions.write_to_es.bulk
import functions.write_to_es.document
import functions.write_to_es.handler
import functions.write_to_es.sink
import shared.batch
import shared.change
import shared.deliver
import shared.envelope
import shared.event
import shared.fold
import shared.item
import shared.outcome
import shared.outrun
import shared.quarantine
import shared.record
import shared.sink
import shared.stamps
from lockstep.simulation import oracle
from lockstep.simulation.components import (
    BUCKET,
    INDEX,
    TABLE,
    bucket_quarantine,
    image_index,
    image_table,
)
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.network import NoAnswerError, NoAnswerInTimeError, PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
)
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.store_views import IndexView, StoreView, TableView
from shared.batch import BatchResponse
from shared.change import Change
from shared.outcome import Outcome
from shared.sink import Sink
from tests.builders import ARRIVED_AT, clock, image, image_event, kinesis_record, kinesis_records
from tests.simulation.instructions import ProcessGoneError, code_of, watched
from tests.simulation.rewired import rewired

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Records = Sequence[Mapping[str, Any]]

RULES = (
    doors.quarantine,
    doors.stream,
    shared.change,
    shared.batch,
    shared.deliver,
    shared.envelope,
    shared.event,
    shared.fold,
    shared.outcome,
    shared.outrun,
    shared.quarantine,
    shared.record,
    shared.sink,
    shared.stamps,
)
UPDATED, DELETED = "image.updated", "image.deleted"
ALL_SETTLED: BatchResponse = {"batchItemFailures": []}

# In the stores before any batch, all at version 5.
KNOWN = ("updated", "uploaded-again", "late", "claimed", "counted-again")
BEFORE = kinesis_records(*(image_event(one, 5) for one in KNOWN))


# An event for each outcome that a store or the batch can give.
MIXED = kinesis_records(
    image_event("new", 5),
    image_event("uploaded-again", 6),
    image_event("late", 4, UPDATED),
    image_event("claimed", 5, DELETED),
    image_event("new", 4),
    image_event("new", 5),
    image_event("new", 5, image=image("other content in the same batch")),
    b"no event",
)
MIXED.append(
    kinesis_record(
        image_event("counted-again", 1, occurred_at="2026-11-22T08:00:00Z"),
        position=len(MIXED) + 1,
        arrived_at=ARRIVED_AT + 1,
    )
)


def refused(name: str) -> Records:
    """A batch with an image that the store refuses. Apart from MIXED, because a request that is
    refused as a whole is sent again in many smaller ones.
    """
    return kinesis_records(
        image_event("updated", 6, UPDATED),
        image_event("refused", 7, image=image(name)),
        image_event("refused", 6, DELETED),
    )


# Every function of the delivery must be crashed in, except for protocols, names of types, what the
# client of the handler uses, and what images do in their own way.
DELIVERY = (
    doors.quarantine,
    shared.batch,
    shared.deliver,
    shared.fold,
    shared.quarantine,
    shared.record,
)
NEVER_RUN = {
    "BatchOf._entry",
    "BatchOf._seconds_of",
    "BatchOf._settled_late",
    "Quarantine.put",
    "Quarantine.longest_put",
    "Sink.longest_send",
    "Sink.requests",
    "Sink.send",
    "Sink.check",
    "Holds",
    "QuarantineReason",
    "Verb",
    "_drop_expect_header",
    "disable_expect_header",
    # Of purges: these batches are of the image stream, which has none.
    "_removes",
    "_removes_again",
    "_removes_again.<locals>.<genexpr>",
}


@cache
def caches_of(modules: Sequence[ModuleType]) -> Sequence[Any]:
    """All functions of these modules that remember their results."""
    return [one for its in modules for one in vars(its).values() if hasattr(one, "cache_clear")]


class Network:
    """Sends the requests of a live process; after a crash, none.

    The answers to the requests with the numbers `lost` do not arrive, those with the numbers `late`
    not in time. In the requests with the numbers `partial`, the first part is not applied; the last
    one is, but reports a failure.
    """

    def __init__(
        self,
        *,
        lost: Sequence[int] = (),
        late: Sequence[int] = (),
        partial: Sequence[int] = (),
    ) -> None:
        self.dead = False
        self._lost = lost
        self._late = late
        self._partial = partial
        self._sent = 0

    def send[T](self, apply: Callable[[], T]) -> T:
        if self.dead:
            raise ProcessGoneError
        self._sent += 1
        answer = apply()
        if self._sent in self._lost:
            raise NoAnswerError("the answer is lost")
        if self._sent in self._late:
            raise NoAnswerInTimeError("the answer is late")
        return answer

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        if self._sent + 1 not in self._partial:
            return {}
        return {
            parts - 1: PartFailure(codes[0], applied=True),
            0: PartFailure(codes[1], applied=False),
        }


class Stage:
    """One handler, with its store and its quarantine, which outlive any process."""

    handler: ModuleType
    its_sink: ModuleType
    beside: Sequence[ModuleType]
    client: str
    store: StoreView
    stored: dict[str, Any]

    def __init__(self, *, faulty: bool = False) -> None:
        self.to_store = Network(lost=[2], late=[3], partial=[1]) if faulty else Network()
        self.to_bucket = Network(lost=[2]) if faulty else Network()
        self.bucket = S3(BUCKET, connection=self.to_bucket)

    def sink(self) -> Sink:
        raise NotImplementedError

    def raw(self, stored: Any) -> object:
        """What the store has of an image, raw."""
        raise NotImplementedError

    def entry(self, meant: Meaning, record: AcceptedRecord) -> object:
        """What the store must have of a record, raw."""
        raise NotImplementedError

    def after(self, other: "Stage") -> "Stage":
        """The same, with the content of the other one's store and quarantine."""
        self.stored.update(other.stored)
        self.bucket.objects.update(other.bucket.objects)
        return self

    def invoke(self, records: Records) -> BatchResponse:
        """Run the handler in a fresh process: without any object of an earlier one."""
        for cached in caches_of((*RULES, self.its_sink)):
            cached.cache_clear()
        sink, quarantine = self.sink(), bucket_quarantine(self.bucket.put_object)
        logger = SimpleNamespace(
            **dict.fromkeys(("append_keys", "info", "warning"), lambda *_, **__: None)
        )
        metrics = SimpleNamespace(add_metric=lambda *_: None)
        consume_with = rewired(
            inspect.unwrap(doors.stream.consume_with),
            logger=logger,
            quarantine=lambda: quarantine,
            SYSTEM_CLOCK=clock(now=lambda: 1_795_248_001.0, chance=lambda: 0.5),
            report=rewired(doors.stream.report, logger=logger, metrics=metrics),
            log_batch=rewired(doors.stream.log_batch, logger=logger),
        )
        consume = rewired(doors.stream.consume, consume_with=consume_with)
        handle = rewired(self.handler.handle, consume=consume, **{self.client: lambda: sink})
        context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 120_000)
        response: BatchResponse = handle({"Records": records}, context)
        return response

    def die(self) -> None:
        """Crash the process: it sends nothing any more."""
        self.to_store.dead = self.to_bucket.dead = True

    def state(self) -> bytes:
        """Everything durable, and the writes that led to it."""
        return msgspec.msgpack.encode((self.stored, self.store.journal, self.bucket.objects))


class TableStage(Stage):
    handler = functions.write_to_dynamodb.handler
    its_sink = functions.write_to_dynamodb.sink
    beside = (shared.item,)
    client = "table"

    def __init__(self, *, faulty: bool = False) -> None:
        super().__init__(faulty=faulty)
        self.table = DynamoDB(
            TABLE,
            connection=self.to_store,
            refuses=lambda item: REFUSED_BY_TABLE in str(item),
            condemns=lambda item: CONDEMNED_BY_TABLE in str(item),
        )
        self.store = TableView(self.table)
        self.stored = self.table.items

    @override
    def sink(self) -> Sink:
        return image_table(cast("DynamoDBClient", self.table))

    @override
    def raw(self, stored: Any) -> object:
        return stored

    @override
    def entry(self, meant: Meaning, record: AcceptedRecord) -> object:
        return oracle.item(
            meant,
            arrived_at=record.arrived_ms,
            shard_id=record.shard_id,
            sequence_number=record.sequence_number,
        )


class IndexStage(Stage):
    handler = functions.write_to_es.handler
    its_sink = functions.write_to_es.sink
    beside = (functions.write_to_es.bulk, functions.write_to_es.document)
    client = "index"

    def __init__(self, *, faulty: bool = False) -> None:
        super().__init__(faulty=faulty)
        self.index = OpenSearch(
            INDEX, connection=self.to_store, refuses=lambda one: one.get("name") == REFUSED_BY_INDEX
        )
        self.store = IndexView(self.index)
        self.stored = self.index.documents

    @override
    def sink(self) -> Sink:
        return image_index(cast("opensearchpy.OpenSearch", self.index))

    @override
    def raw(self, stored: Any) -> object:
        return stored.version, stored.source

    @override
    def entry(self, meant: Meaning, record: AcceptedRecord) -> object:
        return meant.version, oracle.document(meant, arrived_at=record.arrived_ms)


class Crashes(msgspec.Struct):
    """The instructions at which a batch was crashed, and the number of states that this left."""

    instructions: Counter[CodeType]
    states: int


def crashed_everywhere(stage: type[Stage], batch: Records, *, faulty: bool = False) -> Crashes:
    """Crash the batch at every instruction, with or without faults; it must recover each time."""
    before = stage()
    assert before.invoke(BEFORE) == ALL_SETTLED
    right = stage().after(before)
    assert right.invoke(batch) == ALL_SETTLED
    entries_are_whole(right, [*BEFORE, *batch])
    recovered = set()
    with watched(code_of((*RULES, stage.handler, stage.its_sink, *stage.beside))) as instructions:
        to_the_end = stage(faulty=faulty).after(before)
        counted = instructions.count(partial(to_the_end.invoke, batch))
        for code, executed in counted.items():
            with instructions.of(code):
                for at in range(1, executed + 1):
                    one = stage(faulty=faulty).after(before)
                    with pytest.raises(ProcessGoneError):  # no answer, so nothing is acknowledged
                        instructions.crash(partial(one.invoke, batch), at=at, then=one.die)
                    # A fresh process depends on this state alone, so each state is tried once.
                    if (state := one.state()) not in recovered:
                        nothing_is_half_done(one, before, right)
                        again = stage().after(one)
                        assert again.invoke(batch) == ALL_SETTLED
                        assert same(again, right)
                        recovered.add(state)
    return Crashes(counted, len(recovered))


def entries_are_whole(stage: Stage, records: Records) -> None:
    """Each entry is what the oracle writes of one of the records."""
    written = [
        stage.entry(meant, record_of(record))
        for record in records
        if (meant := meaning_of(record)) is not None
    ]
    for stored in stage.stored.values():
        assert stage.raw(stored) in written


def record_of(record: Mapping[str, Any]) -> AcceptedRecord:
    kinesis = record["kinesis"]
    return AcceptedRecord(
        shard_id=record["eventID"].partition(":")[0],
        sequence_number=kinesis["sequenceNumber"],
        partition_key=kinesis["partitionKey"],
        arrived_at=kinesis["approximateArrivalTimestamp"],
        data=base64.b64decode(kinesis["data"]),
    )


def meaning_of(record: Mapping[str, Any]) -> Meaning | None:
    data = record_of(record).data
    if not data.startswith(b"{"):
        return None
    event = json.loads(data)
    return Meaning(
        event["image_id"],
        event["version"],
        event["type"],
        event["occurred_at"],
        event.get("image"),
    )


def nothing_is_half_done(crashed: Stage, before: Stage, right: Stage) -> None:
    """Each image is as before or as after the batch, and no version went down."""
    assert crashed.stored.keys() >= before.stored.keys()
    for image_id, stored in crashed.stored.items():
        assert stored in (before.stored.get(image_id), right.stored.get(image_id))
    seen = {image_id: held.version for image_id, held in before.store.versions().items()}
    for written in crashed.store.journal:
        assert written.version is not None
        assert written.version > seen.get(written.image_id, 0)
        seen[written.image_id] = written.version
    assert crashed.bucket.objects.items() <= right.bucket.objects.items()


def same(one: Stage, other: Stage) -> bool:
    return (one.stored, one.bucket.objects) == (other.stored, other.bucket.objects)


# Until Python 3.12, the end of a process may come while a generator is finalized. Python reports
# what is raised there, and goes on. Nothing has an effect after that end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("stage", "names", "most"),
    [
        pytest.param(
            TableStage,
            [REFUSED_BY_TABLE, CONDEMNED_BY_TABLE],
            15_000,
            id="write_to_dynamodb",
        ),
        pytest.param(IndexStage, [REFUSED_BY_INDEX], 8_000, id="write_to_es"),
    ],
)
def test_a_batch_crashed_at_any_instruction_recovers_when_it_is_delivered_again(
    stage: type[Stage], names: Sequence[str], most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    done = [crashed_everywhere(stage, MIXED, faulty=True)]
    done += [crashed_everywhere(stage, refused(name)) for name in names]
    instructions = sum((one.instructions for one in done), Counter[CodeType]())
    with capsys.disabled():
        print(  # noqa: T201 - how much was tried is part of the result
            f"\n{stage.handler.__name__}: crashed at {instructions.total()} instructions of "
            f"{len(instructions)} functions, which left {sum(one.states for one in done)} states"
        )
    assert instructions.total() > most
    missed = code_of((*DELIVERY, stage.its_sink)) - instructions.keys()
    assert {one.co_qualname for one in missed} <= NEVER_RUN


class InTwoSteps:
    """A wrong table: it deletes the old item before it writes the new one."""

    def __init__(self, right: Sink, items: dict[str, Any]) -> None:
        self.longest_send = right.longest_send
        self._right = right
        self._items = items

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        return self._right.requests(changes)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        for change in changes:
            if change.image_id == "updated":
                self._items.pop("updated", None)
        return self._right.send(changes, within)

    def check(self) -> None:
        self._right.check()


class TableStageInTwoSteps(TableStage):
    @override
    def sink(self) -> Sink:
        return InTwoSteps(super().sink(), self.stored)


def test_a_write_in_two_steps_would_be_found() -> None:
    with pytest.raises(AssertionError):
        crashed_everywhere(TableStageInTwoSteps, kinesis_records(image_event("updated", 6)))
