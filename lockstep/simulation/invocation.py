"""An invocation: deliver one batch with the real code, and check the response."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Never

import msgspec

from functions.write_to_es.bulk import MAX_REQUEST_BYTES
from lockstep.local.mapping.response import Errored, Returned
from lockstep.simulation.components import CHANGES_STREAM
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.opensearch import GC_DELETES_SECONDS
from lockstep.simulation.faulty_network import CrashedError, RunningInvocation, TimedOutError
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.broken_index import trouble
from lockstep.simulation.oracle import outrun
from lockstep.simulation.system import Consumer, Snapshot, System
from lockstep.simulation.table_changes import Indexed
from lockstep.simulation.violation import ViolationError
from shared.batch import NO_TIME, REPORTING_SECONDS, Delivery
from shared.clock import Clock
from shared.envelope import IMAGE_EVENTS
from shared.quarantine import INDEX_CONSUMER
from shared.sink import MisconfiguredError

type Crash = Literal["crash between requests", "crash in a pause", "crash before the answer"]

_CRASHES: Sequence[Crash] = (
    "crash between requests",
    "crash in a pause",
    "crash before the answer",
)
# Multiplied by the rate of faults, the share of invocations that crash between requests. About as
# many crash at a request (faulty_network.py).
CRASHING_SHARE = 0.2
# Fewer records have less than 5 MiB.
FEWEST_LARGE = 20
# Few invocations read the clock more often: those with a large batch.
MOST_CLOCK_READS = 12


class Invocations:
    """Invokes the consumers of one system, and checks each response against the stores."""

    def __init__(self, system: System, *, timeout: float) -> None:
        """Invoke in this system. `timeout` is that of the functions, in seconds."""
        self._system = system
        self._timeout = timeout
        self._records: dict[str, Mapping[str, Any]] = {}

    def invoke(self, consumer: Consumer, batch: Sequence[AcceptedRecord]) -> Returned | Errored:
        """Invoke a consumer; return the response to the event source mapping.

        Raises:
            ViolationError: I6, I7 or I8 is broken.
        """
        system = self._system
        conditions, time = system.conditions, system.time
        running = RunningInvocation(time.now + self._timeout)
        conditions.running = running
        unknown = conditions.hidden_effects
        before = system.snapshot(consumer)
        if consumer.function == "write_to_es" and (wrong := trouble(system.index.nodes)):
            conditions.hit(wrong)
        try:
            delivery = self._deliver(consumer, batch, running)
        except CrashedError:
            return Errored("Runtime.ExitError", "the process ended")
        except TimedOutError:
            time.advance(running.deadline - time.now)
            return Errored("Sandbox.Timedout", "the invocation timed out")
        except MisconfiguredError as error:
            if not running.hits:
                raise ViolationError("I7", f"misconfiguration without a fault: {error}") from error
            return Errored("MisconfiguredError", str(error))
        except Exception as error:
            raise ViolationError("I7", f"the handler raised {error!r}") from error
        finally:
            conditions.running = None
        if time.now > running.deadline:
            raise ViolationError("I6", f"{consumer.function} ran longer than its timeout")
        self._count_outcomes(consumer, batch, delivery)
        self._check_checkpoint(
            consumer,
            batch,
            delivery,
            had_faults=running.hits > 0
            or self._is_harmed(consumer, batch)
            or self._used_its_time(consumer, delivery, running),
        )
        if conditions.hidden_effects == unknown:
            self._check_lowest(consumer, batch, delivery, before)
        return Returned(msgspec.json.encode(delivery.response()))

    def _count_outcomes(
        self, consumer: Consumer, batch: Sequence[AcceptedRecord], delivery: Delivery
    ) -> None:
        tally = self._system.conditions.tally
        tally["settled as stale"] += delivery.counts.get("Stale", 0)
        for record in delivery.quarantined:
            tally["settled as conflict"] += record.reason == "conflict"
            tally["settled as outrun"] += record.reason == "outrun"
        if consumer.function == INDEX_CONSUMER and len(batch) >= FEWEST_LARGE:
            size = sum(len(one.data) for one in batch)
            tally["batch of over 5 MiB for the index"] += size > MAX_REQUEST_BYTES

    def _deliver(
        self, consumer: Consumer, batch: Sequence[AcceptedRecord], running: RunningInvocation
    ) -> Delivery:
        system, time = self._system, self._system.time
        crash = self._crash()
        clock = Clock(
            now=lambda: time.now + system.skew,
            elapsed=lambda: time.now,
            sleep=time.advance,
            chance=system.conditions.draw,
        )

        def remaining() -> float:
            return running.deadline - time.now

        if crash is not None:
            clock, remaining = self._crashing(clock, remaining, crash)
        records = [self._as_lambda_record(one) for one in batch]
        envelope = IMAGE_EVENTS
        if consumer.function == INDEX_CONSUMER:
            envelope = system.components.envelope_of(records, CHANGES_STREAM)
        delivery = system.components.deliver(
            records,
            to=consumer.sink,
            quarantine=system.quarantine,
            function=consumer.function,
            clock=clock,
            remaining=remaining,
            envelope=envelope,
        )
        if crash == "crash before the answer":
            self._crash_now(crash)
        return delivery

    def _crash(self) -> Crash | None:
        """Choose where the process crashes between two requests; mostly nowhere."""
        conditions = self._system.conditions
        if not conditions.fault_rate or conditions.draw() >= conditions.fault_rate * CRASHING_SHARE:
            return None
        return conditions.chance.choice(_CRASHES)

    def _crashing(
        self, clock: Clock, remaining: Callable[[], float], crash: Crash
    ) -> tuple[Clock, Callable[[], float]]:
        """A clock and a remaining time that crash the process when they are read, or in a pause.

        Delivery reads them between its steps.
        """
        reads = itertools.count()
        last = int(self._system.conditions.draw() * MOST_CLOCK_READS)

        def read(at: Callable[[], float]) -> float:
            if next(reads) == last:
                self._crash_now(crash)
            return at()

        def sleep(seconds: float) -> None:
            clock.sleep(seconds * self._system.conditions.draw())
            self._crash_now(crash)

        match crash:
            case "crash in a pause":
                return msgspec.structs.replace(clock, sleep=sleep), remaining
            case "crash between requests":
                crashing = msgspec.structs.replace(
                    clock, now=lambda: read(clock.now), chance=lambda: read(clock.chance)
                )
                return crashing, lambda: read(remaining)
            case "crash before the answer":
                return clock, remaining

    def _crash_now(self, crash: Crash) -> Never:
        self._system.conditions.hit(crash)
        raise CrashedError

    def _check_checkpoint(
        self,
        consumer: Consumer,
        batch: Sequence[AcceptedRecord],
        delivery: Delivery,
        *,
        had_faults: bool,
    ) -> None:
        """I8: all records below the checkpoint are durable. I6: without faults, all are settled."""
        for accepted in batch:
            if accepted.sequence_number == delivery.checkpoint:
                if not had_faults and not self._is_remembered(consumer, accepted):
                    why = dict(delivery.failures)
                    raise ViolationError(
                        "I6", f"{consumer.function} did not settle the batch: {why}"
                    )
                return
            if not self._system.is_durable(consumer, accepted) and not self._is_outdone(
                consumer, accepted, batch
            ):
                meaning = self._system.meaning(accepted)
                said = f"{consumer.function} reported {meaning} as settled"
                raise ViolationError("I8", said)
        if delivery.checkpoint is not None:
            raise ViolationError("I8", f"{delivery.checkpoint} is not in this batch")

    def _used_its_time(
        self, consumer: Consumer, delivery: Delivery, running: RunningInvocation
    ) -> bool:
        """Whether the invocation settled records until no time was left for one more request.

        The stores refuse one record of an image at a time. So a function with a short timeout needs
        several invocations for many refused records.
        """
        left = running.deadline - self._system.time.now - REPORTING_SECONDS
        longest = max(consumer.sink.longest_send, self._system.quarantine.longest_put)
        return (
            len(delivery.quarantined) > 0
            and left < longest
            and set(delivery.failures) == {NO_TIME.detail}
        )

    def _is_remembered(self, consumer: Consumer, accepted: AcceptedRecord) -> bool:
        """Whether the index remembered the version of a document that an operator deleted.

        So it takes a version up to that one a minute later. Such a version may arrive when a
        tombstone has expired: an operator asked for it, or it was stamped long ago.
        """
        meaning = self._system.meaning(accepted)
        if isinstance(meaning, Poison) or consumer.function != INDEX_CONSUMER:
            return False
        document = self._system.index.documents.get(meaning.image_id)
        return (
            document is not None
            and document.source is None
            and self._system.time.now - document.at <= GC_DELETES_SECONDS + self._timeout
        )

    def _is_outdone(
        self, consumer: Consumer, accepted: AcceptedRecord, batch: Sequence[AcceptedRecord]
    ) -> bool:
        """Whether a higher version of an image that was changed by hand is in quarantine.

        A document whose `_version` was moved is in conflict with the highest version of a batch,
        and with all below it. The highest goes to quarantine, or waits for it.
        """
        system = self._system
        meaning = system.meaning(accepted)
        if isinstance(meaning, Poison) or meaning.image_id not in system.touched[consumer.function]:
            return False
        for other in system.records():
            its = system.meaning(other)
            if (
                not isinstance(its, Poison)
                and its.image_id == meaning.image_id
                and its.version > meaning.version
                and (
                    other in batch
                    or system.quarantine_key(consumer, other) in system.bucket.objects
                )
            ):
                return True
        return False

    def _is_harmed(self, consumer: Consumer, batch: Sequence[AcceptedRecord]) -> bool:
        """Whether somebody changed the entry of one of these images by hand.

        For a minute, OpenSearch knows the version of a document that was deleted by hand: the sink
        waits for the end of that minute.
        """
        touched = self._system.touched[consumer.function]
        if not touched:
            return False
        meanings = map(self._system.meaning, batch)
        return any(not isinstance(one, Poison) and one.image_id in touched for one in meanings)

    def _check_lowest(
        self,
        consumer: Consumer,
        batch: Sequence[AcceptedRecord],
        delivery: Delivery,
        before: Snapshot,
    ) -> None:
        """I8: the invocation does not report a record that it knows to be settled."""
        system = self._system
        for accepted in batch:
            reported = accepted.sequence_number == delivery.checkpoint
            meaning = system.meaning(accepted)
            if (
                reported
                and system.is_durable(consumer, accepted)
                and not system.is_durable(consumer, accepted, before)
                # What the stored change outran must be in quarantine: a higher version is no end.
                and not (
                    not isinstance(meaning, Poison | Indexed)
                    and outrun(
                        meaning, accepted.arrived_ms, consumer.store.holding(meaning.image_id)
                    )
                )
            ):
                said = f"{consumer.function} settled {meaning}, but reported it"
                raise ViolationError("I8", said)

    def _as_lambda_record(self, accepted: AcceptedRecord) -> Mapping[str, Any]:
        record = self._records.get(accepted.sequence_number)
        if record is None:
            record = accepted.as_lambda_record()
            self._records[accepted.sequence_number] = record
        return record
