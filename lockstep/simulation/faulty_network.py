"""The troubled line: requests meet what networks, stores and Lambda do to them, by chance."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import INDEX_SECONDS, QUARANTINE_SECONDS, TABLE_SECONDS
from lockstep.simulation.fakes.network import AnswerError, CutOffError, NoAnswerError, PartFailure
from lockstep.simulation.faults import Fault, Tally

StoreName = Literal["table", "index", "quarantine", "stream"]

# All below the clients' timeouts: what takes longer is a timeout, and has its own name here.
LONGEST_ANSWER_SECONDS = 0.1
# A timeout takes all the time that the sink was told a request may take, the client's retries too.
TIMEOUT_SECONDS: Mapping[StoreName, float] = {
    "table": TABLE_SECONDS,
    "index": INDEX_SECONDS,
    "quarantine": QUARANTINE_SECONDS,
    "stream": 4.0,
}
LONGEST_ZOMBIE_SECONDS = 3_600.0
APPLIED_SHARE = 0.3

_DOWN: Mapping[StoreName, Fault] = {
    "table": "table down",
    "index": "index down",
    "quarantine": "quarantine down",
    "stream": "stream down",
}
_PARTIAL: Mapping[StoreName, tuple[Fault, Fault]] = {
    "table": ("statement failed in a 200", "statement failed but applied"),
    "index": ("bulk item failed in a 200", "bulk item failed but applied"),
    "stream": ("PutRecords failed in part", "PutRecords answer lost"),
}
_THROTTLED: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ThrottlingException"),
    "index": (429, "circuit_breaking_exception"),
    "quarantine": (503, "SlowDown"),
    "stream": (400, "LimitExceededException"),
}
_TOO_LARGE: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ValidationException: too much at once"),
    "index": (413, "request_entity_too_large"),
}
_REFUSED_WHOLE: Mapping[StoreName, Fault] = {
    "table": "request of the table refused as a whole",
    "index": "request of the index refused as a whole",
}
_BULK: Mapping[str, Fault] = {
    "429": "bulk item 429",
    "500": "bulk item 500",
    "503": "bulk item 503",
    "504": "bulk item 504",
}
_CUT: Mapping[StoreName, Fault] = {
    "table": "answer of the table cut at a byte",
    "index": "answer of the index cut at a byte",
    "quarantine": "answer of the quarantine cut at a byte",
    "stream": "answer of the stream cut at a byte",
}
_EXPIRED: Mapping[StoreName, Fault] = {
    "table": "credentials for the table expired",
    "index": "credentials for the index expired",
    "quarantine": "credentials for the quarantine expired",
    "stream": "credentials for the stream expired",
}
# Each as the store says it; the index's is the managed service's, before OpenSearch is asked.
_EXPIRED_ANSWERS: Mapping[StoreName, tuple[int, str]] = {
    "table": (400, "ExpiredTokenException"),
    "index": (403, "The security token included in the request is expired"),
    "quarantine": (400, "ExpiredToken"),
    "stream": (400, "ExpiredTokenException"),
}
# Until somebody, or the SDK, has fetched new ones.
LONGEST_EXPIRY_SECONDS = 900.0
# What is drawn is not what is counted: that names the store.
_Troubles = Literal["answer cut", "credentials expired", "request refused"]
_ANYWHERE: tuple[Fault | _Troubles, ...] = (
    "connection reset",
    "answer lost",
    "answer cut",
    "credentials expired",
    "zombie request",
    "throttled request",
    "server error",
    "server error, but applied",
)
_IN_LAMBDA: tuple[Fault | _Troubles, ...] = (
    *_ANYWHERE,
    "request refused",
    "crash before a request",
    "crash after a request",
    "Lambda timeout",
)
# These are lost on their way back: the request did its work.
_APPLIED: frozenset[Fault] = frozenset(
    {"crash after a request", "answer lost", "server error, but applied"}
)


class CrashedError(BaseException):
    """The process is gone. No `Exception`: no code of ours may catch it."""


class TimedOutError(BaseException):
    """Lambda ended the invocation. No `Exception`, as above."""


class RunningInvocation(msgspec.Struct):
    """One invocation: when Lambda ends it, and how many faults its requests have met."""

    deadline: float
    hits: int = 0


class Conditions:
    """What all lines of a history share: time, chance, how bad it is, and what was hit."""

    def __init__(self, time: VirtualTime, tally: Tally, chance: random.Random) -> None:
        self.time = time
        self.tally = tally
        self.chance = chance
        self.fault_rate = 0.0
        self.running: RunningInvocation | None = None
        self.hidden_effects = 0  # requests that did their work, unknown to who sent them

    def hit(self, fault: Fault) -> None:
        """Take note of a fault that a request met."""
        self.tally[fault] += 1
        if self.running is not None:
            self.running.hits += 1

    def draw(self) -> float:
        """0 to 1, by the chance of the step under way."""
        return self.chance.random()

    def interleave(self, action: Callable[[], None]) -> None:
        """Something else happens in the middle of the invocation under way, in its own time.

        What it does is unknown to that invocation; the time that it takes does not count there.
        """
        outer, self.running = self.running, None
        began = self.time.now
        action()
        self.running = outer
        if outer is not None and self.time.now > began:
            outer.deadline += self.time.now - began
            self.hidden_effects += 1
            self.tally["another invocation in the middle"] += 1


class FaultyConnection:
    """The line to one store."""

    def __init__(self, store: StoreName, conditions: Conditions) -> None:
        self.down_until = 0.0
        self._expired_until = 0.0
        self._store: StoreName = store
        self._conditions = conditions
        self._parts = 1

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """Now and then some of the parts."""
        self._parts = parts
        conditions = self._conditions
        chance = conditions.chance
        if not conditions.fault_rate or chance.random() >= conditions.fault_rate:
            return {}
        failed, applied_too = _PARTIAL[self._store]
        found = {}
        for part in range(parts):
            if chance.random() < 0.5:  # noqa: PLR2004 - half of them
                applied = chance.random() < APPLIED_SHARE
                code = chance.choice(codes)
                found[part] = PartFailure(code, applied)
                if self._store == "index":
                    conditions.tally[_BULK[code[:3]]] += 1
                conditions.hit(applied_too if applied else failed)
                conditions.hidden_effects += applied
        return found

    def expire(self, seconds: float) -> None:
        """The credentials are no longer good, for so long."""
        self._expired_until = self._conditions.time.now + seconds

    def mend(self) -> None:
        """The store is up, and the credentials are good."""
        self.down_until = self._expired_until = 0.0

    def send[T](self, apply: Callable[[], T]) -> T:
        """The answer, most of the time."""
        conditions = self._conditions
        if conditions.time.now < self.down_until:
            conditions.hit(_DOWN[self._store])
            self._pass(TIMEOUT_SECONDS[self._store])
            raise NoAnswerError("connection refused")
        if conditions.time.now < self._expired_until:
            self._pass(conditions.chance.random() * LONGEST_ANSWER_SECONDS)
            raise self._expired()
        if not conditions.fault_rate or conditions.chance.random() >= conditions.fault_rate:
            answer = apply()
            self._pass(conditions.chance.random() * LONGEST_ANSWER_SECONDS)
            return answer
        return self._in_trouble(apply)

    def _in_trouble[T](self, apply: Callable[[], T]) -> T:
        conditions = self._conditions
        in_lambda = conditions.running is not None
        fault = conditions.chance.choice(_IN_LAMBDA if in_lambda else _ANYWHERE)
        match fault:
            case "answer cut":
                conditions.hit(_CUT[self._store])
                conditions.hidden_effects += 1
                raise CutOffError(apply(), conditions.chance.random())
            case "credentials expired":
                self.expire(conditions.chance.random() ** 4 * LONGEST_EXPIRY_SECONDS)
                raise self._expired()
            case "request refused":
                raise self._refused()
        conditions.hit(fault)
        if fault in _APPLIED:
            conditions.hidden_effects += 1
            apply()
        if fault == "zombie request":
            self._later(apply)
            self._pass(TIMEOUT_SECONDS[self._store])
        if fault == "Lambda timeout" and conditions.chance.random() < APPLIED_SHARE:
            self._later(apply)
        raise self._outcome_of(fault)

    def _expired(self) -> AnswerError:
        self._conditions.hit(_EXPIRED[self._store])
        return AnswerError(*_EXPIRED_ANSWERS[self._store])

    def _refused(self) -> AnswerError:
        """Refused as a whole: only what has more than one part can be too much at once."""
        if self._parts == 1 or self._store not in _TOO_LARGE:
            self._conditions.hit("throttled request")
            return AnswerError(*_THROTTLED[self._store])
        self._conditions.hit(_REFUSED_WHOLE[self._store])
        return AnswerError(*_TOO_LARGE[self._store])

    def _outcome_of(self, fault: Fault) -> BaseException:
        """How the caller hears of it, if ever."""
        match fault:
            case "crash before a request" | "crash after a request":
                return CrashedError()
            case "Lambda timeout":
                return TimedOutError()
            case "connection reset" | "answer lost" | "zombie request":
                return NoAnswerError(fault)
            case "throttled request":
                return AnswerError(*_THROTTLED[self._store])
            case _:
                return AnswerError(500, "InternalServerError")

    def _later(self, apply: Callable[[], object]) -> None:
        """The request is still on its way, long after everybody gave it up."""

        def land() -> None:
            self._conditions.hidden_effects += 1
            with suppress(AnswerError):  # nobody is there to hear it
                apply()

        seconds = self._conditions.chance.random() ** 4 * LONGEST_ZOMBIE_SECONDS
        self._conditions.time.later(seconds, land)

    def _pass(self, seconds: float) -> None:
        self._conditions.time.advance(seconds)
