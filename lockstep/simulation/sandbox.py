"""A sandbox of Lambda: runs one invocation, which may crash, time out, or raise."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, Never

import msgspec

from lockstep.local.mapping.response import Errored
from lockstep.simulation.faulty_network import (
    Conditions,
    CrashedError,
    RunningInvocation,
    TimedOutError,
)
from lockstep.simulation.violation import ViolationError
from shared.batch import NO_TIME, REPORTING_SECONDS, Delivery
from shared.clock import Clock
from shared.quarantine import Quarantine
from shared.sink import MisconfiguredError, SinkOf

type Crash = Literal["crash between requests", "crash in a pause", "crash before the answer"]
type Deliver = Callable[[Clock, Callable[[], float]], Delivery]
"""Delivers a batch, with a clock and the seconds that are left."""

_CRASHES: Sequence[Crash] = (
    "crash between requests",
    "crash in a pause",
    "crash before the answer",
)
# Multiplied by the rate of faults, the share of invocations that crash between requests. About as
# many crash at a request (faulty_network.py).
CRASHING_SHARE = 0.2
# Few invocations read the clock more often: those with a large batch.
MOST_CLOCK_READS = 12


class Sandbox:
    """Where a function runs."""

    def __init__(
        self,
        conditions: Conditions,
        running: RunningInvocation,
        *,
        skew: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Prepare one invocation; `skew` is the error of its clock, in seconds."""
        self._conditions, self._time = conditions, conditions.time
        self._running = running
        self._skew = skew

    def run(self, function: str, deliver: Deliver) -> Delivery | Errored:
        """Run the invocation until it ends.

        Raises:
            ViolationError: I6 or I7 is broken.
        """
        conditions, time, running = self._conditions, self._time, self._running
        try:
            delivery = self._deliver(deliver)
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
            raise ViolationError("I6", f"{function} ran longer than its timeout")
        return delivery

    def _deliver(self, deliver: Deliver) -> Delivery:
        time, running = self._time, self._running
        crash = self._crash()
        clock = Clock(
            now=lambda: time.now + self._skew(),
            elapsed=lambda: time.now,
            sleep=time.advance,
            chance=self._conditions.draw,
        )

        def remaining() -> float:
            return running.deadline - time.now

        if crash is not None:
            clock, remaining = self._crashing(clock, remaining, crash)
        delivery = deliver(clock, remaining)
        if crash == "crash before the answer":
            self._crash_now(crash)
        return delivery

    def _crash(self) -> Crash | None:
        """Choose where the process crashes between two requests; mostly nowhere."""
        conditions = self._conditions
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
        last = int(self._conditions.draw() * MOST_CLOCK_READS)

        def read(at: Callable[[], float]) -> float:
            if next(reads) == last:
                self._crash_now(crash)
            return at()

        def sleep(seconds: float) -> None:
            clock.sleep(seconds * self._conditions.draw())
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
        self._conditions.hit(crash)
        raise CrashedError


def used_its_time(
    delivery: Delivery, left: float, *, sink: SinkOf[Any], quarantine: Quarantine
) -> bool:
    """Whether an invocation settled records until no time was left for one more request.

    The stores refuse one record of a key at a time. So a function with a short timeout needs
    several invocations for many refused records.

    Args:
        delivery: what it did.
        left: the seconds until its deadline.
        sink: its store.
        quarantine: its quarantine.
    """
    longest = max(sink.longest_send, quarantine.longest_put)
    return (
        len(delivery.quarantined) > 0
        and left - REPORTING_SECONDS < longest
        and set(delivery.failures) == {NO_TIME.detail}
    )
