"""Seeded bugs of the producer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, override

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
)

from lockstep.producing.backfill import Backfill, Fate
from lockstep.producing.checked import CheckedEvent, outgoing
from lockstep.producing.outbox import Answer, Deferred, Outbox, Outgoing
from lockstep.producing.producer import Producer, Stamp, _Put
from lockstep.simulation.components import Components
from lockstep.stores.entry import Entry
from shared.clock import Clock
from shared.event import Event
from tests.simulation.rewired import rewired


def outbox(other: type[Outbox]) -> Components:
    class OtherOutbox(Producer):
        put = rewired(Producer.put, Outbox=other)

    return Components(producer=OtherOutbox)


def one_put(other: type[_Put]) -> Components:
    class OtherPut(Producer):
        put = rewired(Producer.put, _Put=other)

    return Components(producer=OtherPut)


def believing(client: Callable[[Any], Any]) -> Components:
    def producer(real: Any, stream: str, *, clock: Clock) -> Producer:
        return Producer(client(real), stream, clock=clock)

    return Components(producer=producer)


class Resends:
    """A loop around PutRecords."""

    @staticmethod
    def again(records: Sequence[Any], failed: Sequence[bool]) -> Sequence[Any]:
        """The records to send again."""
        raise NotImplementedError

    def __init__(self, client: Any, stream: str, *, clock: Clock) -> None:
        self._client, self._stream, self._clock = client, stream, clock

    def put(self, events: Iterable[Event | CheckedEvent | Outgoing]) -> None:
        ready = [outgoing(one, self._clock.now()) for one in events]
        records: Sequence[Any] = [{"PartitionKey": one.image_id, "Data": one.data} for one in ready]
        while records:
            try:
                answer = self._client.put_records(StreamName=self._stream, Records=records)
            except (ClientError, BotoCoreError):
                self._clock.sleep(60.0)
                continue
            entries = answer.get("Records", [{"ErrorCode": "cut off"}] * len(records))
            records = self.again(records, ["ErrorCode" in entry for entry in entries])


class ResendsWhatFailed(Resends):
    """The loop of the AWS documentation: events of an image overtake each other."""

    @staticmethod
    @override
    def again(records: Sequence[Any], failed: Sequence[bool]) -> Sequence[Any]:
        return [one for one, goes in zip(records, failed, strict=True) if goes]


class ResendsTheTail(Resends):
    """All from the first failed record on: later ones are already on the stream, before it."""

    @staticmethod
    @override
    def again(records: Sequence[Any], failed: Sequence[bool]) -> Sequence[Any]:
        return records[failed.index(True) :] if any(failed) else ()


class LostAnswersAreSuccess:
    def __init__(self, client: Any) -> None:
        self._client = client

    def put_records(self, **request: Any) -> Any:
        try:
            return self._client.put_records(**request)
        except (EndpointConnectionError, ConnectionClosedError):
            return {"Records": [{"SequenceNumber": "1"}] * len(request["Records"])}


class ErrorCodesAreIgnored:
    def __init__(self, client: Any) -> None:
        self._client = client

    def put_records(self, **request: Any) -> Any:
        answer = self._client.put_records(**request)
        return {"Records": [{"SequenceNumber": "1"} for _ in answer.get("Records", ())]}


class DropsWaitingEvents(Outbox):
    @override
    def _remove_accepted(self, record: Outgoing) -> None:
        queue = self._images[record.image_id]
        while len(queue) > 1:
            dropped = queue.pop()
            self._held -= 1
            self._held_bytes -= dropped.size
        super()._remove_accepted(record)


class DeferredGoesToTheEnd(Outbox):
    @override
    def settle(self, request: Sequence[Outgoing], answers: Sequence[Answer], now: float) -> None:
        for record, answer in zip(request, answers, strict=True):
            if isinstance(answer, Deferred):
                self._images[record.image_id].rotate(-1)
        super().settle(request, answers, now)


class ReturnsNothing(_Put):
    @override
    def _not_put(self) -> tuple[Event, ...]:
        return ()


class ReturnsInReverse(_Put):
    @override
    def _not_put(self) -> tuple[Event, ...]:
        return super()._not_put()[::-1]


def stamps_by_the_clock_alone(unix: Callable[[], float]) -> Callable[[], int]:
    return lambda: int(unix() * 1_000_000)


def stamps_that_stand_still(unix: Callable[[], float]) -> Callable[[], int]:
    """Never lower, but repeated within a tick and while the clock is behind."""
    highest = 0

    def stamp() -> int:
        nonlocal highest
        highest = max(highest, int(unix() * 1_000_000))
        return highest

    return stamp


class ImportsWhatIsThere(Backfill):
    """It puts images that the table has, with lower versions: no store shows it."""

    @override
    def _fate(self, event: Event, stored: Entry | None) -> Fate:
        fate = super()._fate(event, stored)
        return "new" if fate == "there" else fate


WRONG: Mapping[str, Components] = {
    "producer: resends only the failed records": Components(producer=ResendsWhatFailed),
    "producer: resends all records after a failure": Components(producer=ResendsTheTail),
    "producer: a lost answer counts as success": believing(LostAnswersAreSuccess),
    "producer: error codes of single records are ignored": believing(ErrorCodesAreIgnored),
    "producer: drops the waiting events of an image": outbox(DropsWaitingEvents),
    "producer: a deferred event moves to the end": outbox(DeferredGoesToTheEnd),
    "producer: does not return the events that were not put": one_put(ReturnsNothing),
    "producer: returns the events that were not put in the wrong order": one_put(ReturnsInReverse),
    "producer: stamps go back with the clock": Components(stamp=stamps_by_the_clock_alone),
    "producer: stamps repeat while the clock is behind": Components(stamp=stamps_that_stand_still),
    "import: without stamps, it beats what is on the stream": Components(past_stamp=Stamp),
    "import: puts images that the table has": Components(backfill=ImportsWhatIsThere),
}
