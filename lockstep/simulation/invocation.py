"""An invocation: deliver one batch with the real code, and check the response."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from functions.write_to_es.bulk import MAX_REQUEST_BYTES
from lockstep.local.mapping.response import Errored, Returned
from lockstep.simulation.components import CHANGES_STREAM
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.opensearch import GC_DELETES_SECONDS
from lockstep.simulation.faulty_network import RunningInvocation
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.broken_index import trouble
from lockstep.simulation.oracle import outrun
from lockstep.simulation.sandbox import Sandbox, used_its_time
from lockstep.simulation.system import Consumer, Snapshot, System
from lockstep.simulation.table_changes import Indexed
from lockstep.simulation.violation import ViolationError
from shared.batch import Delivery
from shared.clock import Clock
from shared.envelope import IMAGE_EVENTS
from shared.quarantine import INDEX_CONSUMER

# Fewer records have less than 5 MiB.
FEWEST_LARGE = 20


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
        sandbox = Sandbox(conditions, running, skew=lambda: system.skew)
        delivery = sandbox.run(
            consumer.function,
            lambda clock, remaining: self._deliver(consumer, batch, clock, remaining),
        )
        if isinstance(delivery, Errored):
            return delivery
        self._count_outcomes(consumer, batch, delivery)
        self._check_checkpoint(
            consumer,
            batch,
            delivery,
            had_faults=running.hits > 0
            or self._is_harmed(consumer, batch)
            or used_its_time(
                delivery,
                running.deadline - time.now,
                sink=consumer.sink,
                quarantine=system.quarantine,
            ),
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
        self,
        consumer: Consumer,
        batch: Sequence[AcceptedRecord],
        clock: Clock,
        remaining: Callable[[], float],
    ) -> Delivery:
        system = self._system
        records = [self._as_lambda_record(one) for one in batch]
        envelope = IMAGE_EVENTS
        if consumer.function == INDEX_CONSUMER:
            envelope = system.components.envelope_of(records, CHANGES_STREAM)
        return system.components.deliver(
            records,
            to=consumer.sink,
            quarantine=system.quarantine,
            function=consumer.function,
            clock=clock,
            remaining=remaining,
            envelope=envelope,
        )

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
