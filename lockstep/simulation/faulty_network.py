"""A faulty network: random faults of connections, stores and Lambda."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Literal

import msgspec

from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import (
    INDEX_SECONDS,
    QUARANTINE_SECONDS,
    REPLICA_SECONDS,
    TABLE_SECONDS,
)
from lockstep.simulation.fakes.dynamodb import UNPROCESSED
from lockstep.simulation.fakes.network import (
    AnswerError,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
    PartFailure,
)
from lockstep.simulation.faults import AnyFault, Tally

StoreName = Literal["table", "index", "quarantine", "stream", "replica"]

# Below the timeouts of the clients. A slower answer is a timeout, which is a separate fault.
LONGEST_ANSWER_SECONDS = 0.1
# A timeout takes as long as the longest request, with all retries of the client.
TIMEOUT_SECONDS: Mapping[StoreName, float] = {
    "table": TABLE_SECONDS,
    "index": INDEX_SECONDS,
    "quarantine": QUARANTINE_SECONDS,
    "stream": 4.0,
    "replica": REPLICA_SECONDS,
}
LONGEST_ZOMBIE_SECONDS = 3_600.0
APPLIED_SHARE = 0.3

_DOWN: Mapping[StoreName, AnyFault] = {
    "table": "table down",
    "index": "index down",
    "quarantine": "quarantine down",
    "stream": "stream down",
    "replica": "replica down",
}
_PARTIAL: Mapping[StoreName, tuple[AnyFault, AnyFault]] = {
    "table": ("statement failed in a 200", "statement failed but applied"),
    "index": ("bulk item failed in a 200", "bulk item failed but applied"),
    "stream": ("PutRecords failed in part", "PutRecords answer lost"),
    "replica": ("row failed in a 200", "row failed but applied"),
}
_THROTTLED: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ThrottlingException"),
    "index": (429, "circuit_breaking_exception"),
    "quarantine": (503, "SlowDown"),
    "stream": (400, "LimitExceededException"),
    "replica": (503, "OTSServerBusy"),
}
_TOO_LARGE: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ValidationException: too much at once"),
    "index": (413, "request_entity_too_large"),
    "replica": (400, "OTSParameterInvalid: too much at once"),
}
_REFUSED_WHOLE: Mapping[StoreName, AnyFault] = {
    "table": "request of the table refused as a whole",
    "index": "request of the index refused as a whole",
    "replica": "request of the replica refused as a whole",
}
_BULK: Mapping[str, AnyFault] = {
    "429": "bulk item 429",
    "500": "bulk item 500",
    "503": "bulk item 503",
    "504": "bulk item 504",
}
_CUT: Mapping[StoreName, AnyFault] = {
    "table": "answer of the table cut at a byte",
    "index": "answer of the index cut at a byte",
    "quarantine": "answer of the quarantine cut at a byte",
    "stream": "answer of the stream cut at a byte",
    "replica": "answer of the replica cut at a byte",
}
_EXPIRED: Mapping[StoreName, AnyFault] = {
    "table": "credentials for the table expired",
    "index": "credentials for the index expired",
    "quarantine": "credentials for the quarantine expired",
    "stream": "credentials for the stream expired",
    "replica": "AccessKey of the replica refused",
}
# The error of each store. That of the index comes from the managed service before OpenSearch.
_EXPIRED_ANSWERS: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ExpiredTokenException"),
    "index": (403, "The security token included in the request is expired"),
    "quarantine": (400, "ExpiredToken"),
    "stream": (400, "ExpiredTokenException"),
    "replica": (403, "OTSAuthFailed: The AccessKeyID is disabled."),
}
# The time until the client gets new credentials.
LONGEST_EXPIRY_SECONDS = 900.0
# These faults are chosen by these names, and counted by names that include the store.
_Drawn = Literal["answer cut", "credentials expired", "request refused"]
_ANYWHERE: tuple[AnyFault | _Drawn, ...] = (
    "connection reset",
    "answer lost",
    "answer cut",
    "credentials expired",
    "zombie request",
    "throttled request",
    "server error",
    "server error, but applied",
)
_IN_LAMBDA: tuple[AnyFault | _Drawn, ...] = (
    *_ANYWHERE,
    "request refused",
    "crash before a request",
    "crash after a request",
    "Lambda timeout",
)
# Few requests have several parts.
_OF_SEVERAL_PARTS: tuple[AnyFault | _Drawn, ...] = (
    *_IN_LAMBDA,
    "request refused",
    "request refused",
    "request refused",
)
# With these faults, the request is applied, and only the answer is lost.
_APPLIED: frozenset[AnyFault] = frozenset(
    {"crash after a request", "answer lost", "server error, but applied"}
)


class CrashedError(BaseException):
    """The process crashed. A `BaseException`, so that our code does not catch it."""


class TimedOutError(BaseException):
    """Lambda ended the invocation. A `BaseException`, so that our code does not catch it."""


class RunningInvocation(msgspec.Struct):
    """The deadline of an invocation, and the number of faults in its requests."""

    deadline: float
    hits: int = 0


class Conditions:
    """What all connections share: time, random numbers, the rate of faults, and their counts."""

    def __init__(self, time: VirtualTime, tally: Tally, chance: random.Random) -> None:
        self.time = time
        self.tally = tally
        self.chance = chance
        self.fault_rate = 0.0
        self.running: RunningInvocation | None = None
        self.hidden_effects = 0  # requests that were applied, but whose sender does not know it
        self.kill_in: int | None = None  # so many requests later, an operator's process is killed

    def hit(self, fault: AnyFault) -> None:
        """Count a fault of a request."""
        self.tally[fault] += 1
        if self.running is not None:
            self.running.hits += 1

    def draw(self) -> float:
        """A random number from 0 to 1, from the seed of the step."""
        return self.chance.random()

    def kill_if_due(self, apply: Callable[[], object]) -> None:
        """Kill the operator's process at this request, if it is the one: before or after it."""
        self.kill_in = (self.kill_in or 0) - 1 or None
        if self.kill_in is None:
            if self.chance.random() < 0.5:  # noqa: PLR2004 - a coin
                self.hidden_effects += 1
                with suppress(AnswerError):
                    apply()
            raise CrashedError

    def interleave(self, action: Callable[[], None]) -> None:
        """Run another action during the current invocation.

        The deadline of the current invocation moves by the time that the other action takes.
        """
        outer, self.running = self.running, None
        kill_in, self.kill_in = self.kill_in, None
        began = self.time.now
        action()
        self.running, self.kill_in = outer, kill_in
        if outer is not None and self.time.now > began:
            outer.deadline += self.time.now - began
            self.hidden_effects += 1
            self.tally["another invocation in the middle"] += 1


class FaultyConnection:
    """The connection to one store."""

    def __init__(self, store: StoreName, conditions: Conditions) -> None:
        self.down_until = 0.0
        self._expired_until = 0.0
        self._slow_until = 0.0
        self._seconds_each = 0.0
        self.store: StoreName = store
        self.around_late: Callable[[], AbstractContextManager[None]] = nullcontext
        """Around each request that is applied when its sender does not wait any more."""
        self._conditions = conditions
        self._parts = 0  # changes of the next request

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """Choose random parts that fail."""
        if codes is UNPROCESSED:
            return self.unprocessed(parts, self._conditions.fault_rate)
        self._parts = parts
        conditions = self._conditions
        chance = conditions.chance
        if not conditions.fault_rate or chance.random() >= conditions.fault_rate:
            return {}
        failed, applied_fault = _PARTIAL[self.store]
        found = {}
        for part in range(parts):
            if chance.random() < 0.5:  # noqa: PLR2004 - half of them
                applied = chance.random() < APPLIED_SHARE
                code = chance.choice(codes)
                found[part] = PartFailure(code, applied)
                if self.store == "index":
                    conditions.tally[_BULK[code[:3]]] += 1
                conditions.hit(applied_fault if applied else failed)
                conditions.hidden_effects += applied
        return found

    def unprocessed(self, keys: int, rate: float) -> Mapping[int, PartFailure]:
        """At this rate, choose keys that a read leaves. As in DynamoDB, one key is always read."""
        conditions = self._conditions
        chance = conditions.chance
        if keys == 1 or not rate or chance.random() >= rate:
            return {}
        left = [at for at in range(1, keys) if chance.random() < 0.5]  # noqa: PLR2004 - half of them
        if left:
            conditions.hit("keys left unprocessed")
        return dict.fromkeys(left, PartFailure(UNPROCESSED[0], applied=False))

    def slow_down(self, seconds: float, *, each: float) -> None:
        """For this many seconds, a request takes this long for each of its changes."""
        self._slow_until = self._conditions.time.now + seconds
        self._seconds_each = each

    def expire(self, seconds: float) -> None:
        """Make the credentials expired for this many seconds."""
        self._expired_until = self._conditions.time.now + seconds

    def restore(self) -> None:
        """Make the store available and fast, and renew the credentials."""
        self.down_until = self._expired_until = self._slow_until = 0.0

    def send[T](self, apply: Callable[[], T]) -> T:
        """Send the request, and return the answer unless a fault occurs."""
        conditions = self._conditions
        if conditions.kill_in is not None:
            conditions.kill_if_due(apply)
        parts, self._parts = self._parts, 0
        if conditions.time.now < self.down_until:
            conditions.hit(_DOWN[self.store])
            self._pass(TIMEOUT_SECONDS[self.store])
            raise NoAnswerError("connection refused")
        if conditions.time.now < self._expired_until:
            self._pass(conditions.chance.random() * LONGEST_ANSWER_SECONDS)
            raise self._expired()
        if not conditions.fault_rate or conditions.chance.random() >= conditions.fault_rate:
            if parts and conditions.time.now < self._slow_until:
                self._work(apply, parts * self._seconds_each)
            answer = apply()
            self._pass(conditions.chance.random() * LONGEST_ANSWER_SECONDS)
            return answer
        return self._with_fault(apply, parts)

    def _work(self, apply: Callable[[], object], seconds: float) -> None:
        """Let the store work on a request; if it takes too long, the client gives up before."""
        self._conditions.hit("request slow by its size")
        longest = TIMEOUT_SECONDS[self.store]
        if seconds < longest:
            self._pass(seconds)
            return
        self._conditions.hit("request timed out by its size")
        self._conditions.time.later(seconds, self._landing(apply))
        self._pass(longest)
        raise NoAnswerInTimeError("slow")

    def _with_fault[T](self, apply: Callable[[], T], parts: int) -> T:
        conditions = self._conditions
        in_lambda = conditions.running is not None
        of_several = _OF_SEVERAL_PARTS if parts > 1 else _IN_LAMBDA
        fault = conditions.chance.choice(of_several if in_lambda else _ANYWHERE)
        match fault:
            case "answer cut":
                conditions.hit(_CUT[self.store])
                conditions.hidden_effects += 1
                raise CutOffError(apply(), conditions.chance.random())
            case "credentials expired":
                self.expire(conditions.chance.random() ** 4 * LONGEST_EXPIRY_SECONDS)
                raise self._expired()
            case "request refused":
                raise self._refused(parts)
        conditions.hit(fault)
        if fault in _APPLIED:
            conditions.hidden_effects += 1
            apply()
        if fault == "zombie request":
            self._later(apply)
            self._pass(TIMEOUT_SECONDS[self.store])
        if fault == "Lambda timeout" and conditions.chance.random() < APPLIED_SHARE:
            self._later(apply)
        raise self._outcome_of(fault)

    def _expired(self) -> AnswerError:
        self._conditions.hit(_EXPIRED[self.store])
        return AnswerError(*_EXPIRED_ANSWERS[self.store])

    def _refused(self, parts: int) -> AnswerError:
        """The error for a request that is too large. A request of one part is throttled instead."""
        if parts <= 1 or self.store not in _TOO_LARGE:
            self._conditions.hit("throttled request")
            return AnswerError(*_THROTTLED[self.store])
        self._conditions.hit(_REFUSED_WHOLE[self.store])
        return AnswerError(*_TOO_LARGE[self.store])

    def _outcome_of(self, fault: AnyFault) -> BaseException:
        """The exception that the caller sees."""
        match fault:
            case "crash before a request" | "crash after a request":
                return CrashedError()
            case "Lambda timeout":
                return TimedOutError()
            case "zombie request":
                return NoAnswerInTimeError(fault)
            case "connection reset" | "answer lost":
                return NoAnswerError(fault)
            case "throttled request":
                return AnswerError(*_THROTTLED[self.store])
            case _:
                return AnswerError(500, "InternalServerError")

    def _later(self, apply: Callable[[], object]) -> None:
        """Apply the request later, when its sender does not wait any more."""
        seconds = self._conditions.chance.random() ** 4 * LONGEST_ZOMBIE_SECONDS
        self._conditions.time.later(seconds, self._landing(apply))

    def _landing(self, apply: Callable[[], object]) -> Callable[[], None]:
        def land() -> None:
            self._conditions.hidden_effects += 1
            # The sender does not wait for the answer.
            with suppress(AnswerError), self.around_late():
                apply()

        return land

    def _pass(self, seconds: float) -> None:
        self._conditions.time.advance(seconds)
