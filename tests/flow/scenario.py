"""Scenarios: a list of what happens, run through producer, stream, mapping, sinks and both stores.

Everything is real but the time and the process around a handler: the Kinesis endpoint, DynamoDB,
OpenSearch and S3 answer over sockets, the event source mapping's core cuts and retries. What goes
wrong is an item in the list.
"""

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from types_boto3_kinesis import KinesisClient

from functions.write_to_es.table_changes import envelope_of
from lockstep.local.mapping.batch import BatchRecord, payload
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.invocation import EventSource, entry
from lockstep.local.mapping.response import Errored, InvocationResult, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Finished, Invoke, Read, Wait
from lockstep.producing.producer import Producer
from lockstep.stream.stream import AfterSequenceNumber, Stream, StreamRecord, TrimHorizon
from shared.batch import Delivery
from shared.change import Change
from shared.deliver import deliver
from shared.outcome import Failed, Outcome
from shared.quarantine import Quarantine
from shared.sink import MisconfiguredError, RequestFailedError, Sink
from tests.builders import clock, decoded

type Name = Literal["write_to_dynamodb", "write_to_es"]


class Crash(BaseException):
    """The function's process dies: no answer, no clean-up."""


@dataclass(frozen=True)
class Put:
    """These events are put onto the stream."""

    events: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Crashed:
    """The function dies around its next request: before it, or after the store has taken it."""

    function: Name
    after_request: bool


@dataclass(frozen=True)
class Throttled:
    """The store refuses these images (none named: the whole request) so many times, for now."""

    function: Name
    times: int
    images: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AnswerLost:
    """The store takes the function's next request, and the answer does not arrive."""

    function: Name


@dataclass(frozen=True)
class Replayed:
    """The whole stream is delivered again, from TRIM_HORIZON."""

    function: Name


type Happening = Put | Crashed | Throttled | AnswerLost | Replayed


class Troubled:
    """A real sink, around whose requests things happen."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.troubles: deque[Crashed | Throttled | AnswerLost] = deque()
        self.longest_send = sink.longest_send

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        return self._sink.requests(changes)

    def check(self) -> None:
        self._sink.check()

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        trouble = self.troubles.popleft() if self.troubles else None
        match trouble:
            case None:
                return self._sink.send(changes, within)
            case Crashed(_, after_request):
                if after_request:
                    self._sink.send(changes, within)
                raise Crash
            case AnswerLost():
                self._sink.send(changes, within)
                raise RequestFailedError("connection reset")
            case Throttled(_, _, images) if not images:
                raise RequestFailedError("429 too many requests")
            case Throttled(_, _, images):
                kept = [change for change in changes if change.image_id not in images]
                done = iter(self._sink.send(kept, within) if kept else [])
                return [
                    Failed("throttled") if change.image_id in images else next(done)
                    for change in changes
                ]


@dataclass
class Consumer:
    """One function behind its event source mapping, with a checkpoint that survives."""

    name: Name
    sink: Troubled
    quarantine: Quarantine
    stream: Stream
    settings: Settings
    place: EventSource
    checkpoints: dict[str, str] = field(default_factory=dict)
    invocations: int = 0
    entry: Callable[[StreamRecord, EventSource], BatchRecord] = entry
    changes_stream: str | None = None

    def drain(self, *, now: float) -> float:
        """Deliver all there is, shard by shard; the time afterwards."""
        for listed in self.stream.shards():
            now = self._drain_shard(listed.shard_id, now)
        return now

    def _drain_shard(self, shard_id: str, now: float) -> float:
        position = self.checkpoints.get(shard_id)
        reader = self.stream.reader(
            shard_id, TrimHorizon() if position is None else AfterSequenceNumber(position)
        )
        place = msgspec.structs.replace(self.place, shard_id=shard_id)
        shard = Shard(self.settings, retention=self.stream.retention(), chance=lambda: 0.5)
        drained = False
        while True:
            match shard.next(now):
                case Read() if drained:
                    return now
                case Read(limit):
                    read = reader.read(limit)
                    entries = [self.entry(record, place) for record in read.records]
                    drained = not entries and not read.behind
                    shard.records_read(entries, behind=read.behind, ended=read.ended, now=now)
                case Invoke(entries):
                    self.invocations += 1
                    shard.invocation_ended(self._invoke(entries), request_id="request", now=now)
                case Advance(sequence_number):
                    self.checkpoints[shard_id] = sequence_number
                    shard.checkpoint_saved()
                case Wait(until):
                    now = max(now, until)
                case Finished():
                    return now
                case Discard() as discard:
                    raise AssertionError(f"given up: {discard}")

    def deliver(self, records: Sequence[Mapping[str, Any]]) -> Delivery:
        """One invocation's worth, as the function's door does it."""
        return deliver(
            records,
            to=self.sink,
            quarantine=self.quarantine,
            function=self.name,
            clock=clock(),
            remaining=lambda: 60.0,
            envelope=envelope_of(records, self.changes_stream),
        )

    def _invoke(self, entries: tuple[BatchRecord, ...]) -> InvocationResult:
        try:
            delivery = self.deliver(msgspec.json.decode(payload(entries))["Records"])
        except Crash:
            return Errored("Runtime.ExitError", "the process ended")
        except MisconfiguredError as error:
            return Errored("MisconfiguredError", str(error))
        return Returned(msgspec.json.encode(delivery.response()))


def run(
    scenario: Iterable[Happening],
    consumers: Mapping[Name, Consumer],
    kinesis: KinesisClient,
    stream: str,
    *,
    started: dt.datetime,
) -> None:
    """Let the scenario happen. Both consumers drain, from their checkpoints, at every put."""
    now = started.timestamp()
    for happening in [*scenario, Put([])]:
        match happening:
            case Put(events):
                Producer(kinesis, stream).put(decoded(event) for event in events)
                for consumer in consumers.values():
                    now = consumer.drain(now=now)
            case Throttled(function, times):
                consumers[function].sink.troubles.extend([happening] * times)
            case Crashed(function) | AnswerLost(function):
                consumers[function].sink.troubles.append(happening)
            case Replayed(function):
                consumers[function].checkpoints.clear()
