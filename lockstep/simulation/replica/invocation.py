"""An invocation: deliver a batch to the replica with the real code, and check the response."""

from collections.abc import Callable, Sequence

import msgspec

from lockstep.local.mapping.response import Errored, Returned
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faulty_network import RunningInvocation
from lockstep.simulation.replica.checks import check_quarantined
from lockstep.simulation.replica.system import FUNCTION, ReplicaSnapshot, ReplicaSystem
from lockstep.simulation.sandbox import Sandbox, used_its_time
from lockstep.simulation.violation import ViolationError
from shared.batch import Delivery
from shared.clock import Clock


class ReplicaInvocations:
    """Invokes the consumer of one system, and checks each response against the stores."""

    def __init__(self, system: ReplicaSystem) -> None:
        """Invoke in this system."""
        self._system = system
        self.label: str | None = None
        """The setting of the function for the label of all versions, if there is one."""

    def invoke(self, batch: Sequence[AcceptedRecord]) -> Returned | Errored:
        """Invoke the consumer; return the response to the event source mapping.

        Raises:
            ViolationError: I6, I7 or I8 is broken.
        """
        system = self._system
        conditions, time = system.conditions, system.time
        running = RunningInvocation(time.now + system.planned.function_seconds)
        conditions.running = running
        unknown, before = conditions.hidden_effects, system.snapshot()
        sink = system.sink
        delivery = Sandbox(conditions, running).run(
            FUNCTION, lambda clock, remaining: self._deliver(batch, clock, remaining)
        )
        if isinstance(delivery, Errored):
            system.restart()
            return delivery
        conditions.tally["settled as stale"] += delivery.counts.get("Stale", 0)
        check_quarantined(system, delivery.quarantined, batch)
        left = running.deadline - time.now
        had_faults = running.hits > 0 or used_its_time(
            delivery, left, sink=sink, quarantine=system.quarantine
        )
        self._check_checkpoint(batch, delivery, had_faults=had_faults)
        if conditions.hidden_effects == unknown:
            self._check_lowest(batch, delivery, before)
        return Returned(msgspec.json.encode(delivery.response()))

    def _deliver(
        self,
        batch: Sequence[AcceptedRecord],
        clock: Clock,
        remaining: Callable[[], float],
    ) -> Delivery:
        system = self._system
        return system.components.deliver(
            [one.as_lambda_record() for one in batch],
            to=system.sink,
            quarantine=system.quarantine,
            function=FUNCTION,
            clock=clock,
            remaining=remaining,
            change_in=system.components.changes_by(system.conversion, self.label),
        )

    def _check_checkpoint(
        self, batch: Sequence[AcceptedRecord], delivery: Delivery, *, had_faults: bool
    ) -> None:
        """I8: all records below the checkpoint are durable. I6: without faults, all are settled."""
        for record in batch:
            if record.sequence_number == delivery.checkpoint:
                if not had_faults:
                    why = dict(delivery.failures)
                    raise ViolationError("I6", f"{FUNCTION} did not settle the batch: {why}")
                return
            if not self._system.is_durable(record):
                told = self._system.source.meaning(record)
                raise ViolationError("I8", f"{FUNCTION} reported {told} as settled")
        if delivery.checkpoint is not None:
            raise ViolationError("I8", f"{delivery.checkpoint} is not in this batch")

    def _check_lowest(
        self, batch: Sequence[AcceptedRecord], delivery: Delivery, before: ReplicaSnapshot
    ) -> None:
        """I8: the invocation does not report a record that it knows to be settled."""
        system = self._system
        for record in batch:
            if (
                record.sequence_number == delivery.checkpoint
                and system.is_durable(record)
                and not system.is_durable(record, before)
            ):
                told = system.source.meaning(record)
                raise ViolationError("I8", f"{FUNCTION} settled {told}, but reported it")
