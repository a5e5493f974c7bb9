"""The invocation: one batch through the real delivery, as the doors do it, and held to its word."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Never

import msgspec

from lockstep.local.mapping.response import Errored, Returned
from lockstep.simulation.components import STREAM_ARN
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.faulty_network import CrashedError, RunningInvocation, TimedOutError
from lockstep.simulation.interpretation import HORIZON
from lockstep.simulation.system import Consumer, Snapshot, System
from lockstep.simulation.violation import ViolationError
from shared.clock import Clock
from shared.deliver import Delivery
from shared.sink import MisconfiguredError

type Crash = Literal["crash between requests", "crash in a pause", "crash before the answer"]

_CRASHES: Sequence[Crash] = (
    "crash between requests",
    "crash in a pause",
    "crash before the answer",
)
# Of the invocations in trouble; as many again die around a request (faulty_network.py).
CRASHING_SHARE = 0.2
# An invocation looks at the clock more often than this only when it writes large batches.
MOST_LOOKS = 12


class Invocations:
    """Invokes the consumers of one system; every answer is held against the stores at once."""

    def __init__(self, system: System, *, timeout: float) -> None:
        """Invoke in this system; `timeout` is the functions', in seconds."""
        self._system = system
        self._timeout = timeout
        self._shown: dict[str, Mapping[str, Any]] = {}

    def invoke(self, consumer: Consumer, batch: Sequence[AcceptedRecord]) -> Returned | Errored:
        """What the event source mapping hears of one invocation.

        Raises:
            ViolationError: I6, I7 or I8 is broken.
        """
        system = self._system
        conditions, time = system.conditions, system.time
        running = RunningInvocation(time.now + self._timeout)
        conditions.running = running
        unknown = conditions.hidden_effects
        before = system.snapshot(consumer)
        if consumer.function == "write_to_es" and system.index.missing:
            conditions.hit("alias missing")
        try:
            delivery = self._deliver(consumer, batch, running)
        except CrashedError:
            return Errored("Runtime.ExitError", "the process is gone")
        except TimedOutError:
            time.advance(running.deadline - time.now)
            return Errored("Sandbox.Timedout", "the invocation was ended")
        except MisconfiguredError as error:
            if not running.hits:
                raise ViolationError("I7", f"nothing is wrong, and yet: {error}") from error
            return Errored("MisconfiguredError", str(error))
        except Exception as error:
            raise ViolationError("I7", f"the handler raised {error!r}") from error
        finally:
            conditions.running = None
        if time.now > running.deadline:
            raise ViolationError("I6", f"{consumer.function} overran its time")
        self._hold_to(consumer, batch, delivery, troubled=running.hits > 0)
        if conditions.hidden_effects == unknown:
            self._hold_to_lowest(consumer, batch, delivery, before)
        return Returned(msgspec.json.encode(delivery.response()))

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
        delivery = system.components.deliver(
            [self._as_lambda_shows(one) for one in batch],
            to=consumer.sink,
            quarantine=system.quarantine,
            function=consumer.function,
            horizon=HORIZON,
            clock=clock,
            remaining=remaining,
        )
        if crash == "crash before the answer":
            self._die(crash)
        return delivery

    def _crash(self) -> Crash | None:
        """Where the process is to die of itself, between two requests; mostly nowhere."""
        conditions = self._system.conditions
        if not conditions.fault_rate or conditions.draw() >= conditions.fault_rate * CRASHING_SHARE:
            return None
        return conditions.chance.choice(_CRASHES)

    def _crashing(
        self, clock: Clock, remaining: Callable[[], float], crash: Crash
    ) -> tuple[Clock, Callable[[], float]]:
        """Both, such that the process dies at one of its looks at them, or when it waits.

        Delivery looks at the clock between any two things that it does.
        """
        looks = itertools.count()
        last = int(self._system.conditions.draw() * MOST_LOOKS)

        def look(at: Callable[[], float]) -> float:
            if next(looks) == last:
                self._die(crash)
            return at()

        def sleep(seconds: float) -> None:
            clock.sleep(seconds * self._system.conditions.draw())
            self._die(crash)

        match crash:
            case "crash in a pause":
                return msgspec.structs.replace(clock, sleep=sleep), remaining
            case "crash between requests":
                looking = msgspec.structs.replace(
                    clock, now=lambda: look(clock.now), chance=lambda: look(clock.chance)
                )
                return looking, lambda: look(remaining)
            case "crash before the answer":
                return clock, remaining

    def _die(self, crash: Crash) -> Never:
        self._system.conditions.hit(crash)
        raise CrashedError

    def _hold_to(
        self,
        consumer: Consumer,
        batch: Sequence[AcceptedRecord],
        delivery: Delivery,
        *,
        troubled: bool,
    ) -> None:
        """The checkpoint is honest, and as high as it can be."""
        for accepted in batch:
            if accepted.sequence_number == delivery.checkpoint:
                if not troubled:
                    why = dict(delivery.failures)
                    raise ViolationError("I6", f"{consumer.function} settles not: {why}")
                return
            if not self._system.is_durable(consumer, accepted):
                meaning = self._system.interpret(accepted)
                said = f"{consumer.function} said that {meaning} is settled"
                raise ViolationError("I8", said)
        if delivery.checkpoint is not None:
            raise ViolationError("I8", f"{delivery.checkpoint} is not of this batch")

    def _hold_to_lowest(
        self,
        consumer: Consumer,
        batch: Sequence[AcceptedRecord],
        delivery: Delivery,
        before: Snapshot,
    ) -> None:
        """No record is reported that this invocation itself settled, knowing it."""
        system = self._system
        for accepted in batch:
            reported = accepted.sequence_number == delivery.checkpoint
            if (
                reported
                and system.is_durable(consumer, accepted)
                and not system.is_durable(consumer, accepted, before)
            ):
                meaning = self._system.interpret(accepted)
                said = f"{consumer.function} settled {meaning} and reports it"
                raise ViolationError("I8", said)

    def _as_lambda_shows(self, accepted: AcceptedRecord) -> Mapping[str, Any]:
        shown = self._shown.get(accepted.sequence_number)
        if shown is None:
            shown = accepted.as_lambda_record(STREAM_ARN)
            self._shown[accepted.sequence_number] = shown
        return shown
