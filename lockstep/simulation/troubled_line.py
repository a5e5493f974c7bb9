"""The troubled line: requests meet what networks, stores and Lambda do to them, by chance."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Literal

import msgspec

from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.fakes.line import AnswerError, CutOffError, NoAnswerError, Spoilt
from lockstep.simulation.faults import Fault, Tally
from lockstep.simulation.parts import INDEX_SECONDS, QUARANTINE_SECONDS, TABLE_SECONDS

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
_Troubles = Literal["answer cut", "credentials expired"]
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
    "request refused as a whole",
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


class UnderWay(msgspec.Struct):
    """One invocation: when Lambda ends it, and how many faults its requests have met."""

    deadline: float
    hits: int = 0


class Weather:
    """What all lines of a history share: time, chance, how bad it is, and what was hit."""

    def __init__(self, time: VirtualTime, tally: Tally, chance: random.Random) -> None:
        self.time = time
        self.tally = tally
        self.chance = chance
        self.trouble = 0.0
        self.under_way: UnderWay | None = None
        self.unknown = 0  # requests that did their work, unknown to who sent them

    def hit(self, fault: Fault) -> None:
        """Take note of a fault that a request met."""
        self.tally[fault] += 1
        if self.under_way is not None:
            self.under_way.hits += 1

    def draw(self) -> float:
        """0 to 1, by the chance of the step under way."""
        return self.chance.random()

    def meanwhile(self, action: Callable[[], None]) -> None:
        """Something else happens in the middle of the invocation under way, in its own time.

        What it does is unknown to that invocation; the time that it takes does not count there.
        """
        outer, self.under_way = self.under_way, None
        began = self.time.now
        action()
        self.under_way = outer
        if outer is not None and self.time.now > began:
            outer.deadline += self.time.now - began
            self.unknown += 1
            self.tally["another invocation in the middle"] += 1


class TroubledLine:
    """The line to one store."""

    def __init__(self, store: StoreName, weather: Weather) -> None:
        self.down_until = 0.0
        self._expired_until = 0.0
        self._store: StoreName = store
        self._weather = weather
        self._parts = 1

    def spoilt(self, parts: int, codes: Sequence[str]) -> Mapping[int, Spoilt]:
        """Now and then some of the parts."""
        self._parts = parts
        weather = self._weather
        chance = weather.chance
        if not weather.trouble or chance.random() >= weather.trouble:
            return {}
        failed, applied_too = _PARTIAL[self._store]
        found = {}
        for part in range(parts):
            if chance.random() < 0.5:  # noqa: PLR2004 - half of them
                applied = chance.random() < APPLIED_SHARE
                found[part] = Spoilt(chance.choice(codes), applied)
                weather.hit(applied_too if applied else failed)
                weather.unknown += applied
        return found

    def expire(self, seconds: float) -> None:
        """The credentials are no longer good, for so long."""
        self._expired_until = self._weather.time.now + seconds

    def mend(self) -> None:
        """The store is up, and the credentials are good."""
        self.down_until = self._expired_until = 0.0

    def carry[T](self, apply: Callable[[], T]) -> T:
        """The answer, most of the time."""
        weather = self._weather
        if weather.time.now < self.down_until:
            weather.hit(_DOWN[self._store])
            self._pass(TIMEOUT_SECONDS[self._store])
            raise NoAnswerError("connection refused")
        if weather.time.now < self._expired_until:
            self._pass(weather.chance.random() * LONGEST_ANSWER_SECONDS)
            raise self._expired()
        if not weather.trouble or weather.chance.random() >= weather.trouble:
            answer = apply()
            self._pass(weather.chance.random() * LONGEST_ANSWER_SECONDS)
            return answer
        return self._in_trouble(apply)

    def _in_trouble[T](self, apply: Callable[[], T]) -> T:
        weather = self._weather
        in_lambda = weather.under_way is not None
        fault = weather.chance.choice(_IN_LAMBDA if in_lambda else _ANYWHERE)
        if fault == "request refused as a whole" and (
            self._parts == 1 or self._store not in _TOO_LARGE
        ):
            fault = "throttled request"
        if fault == "answer cut":
            weather.hit(_CUT[self._store])
            weather.unknown += 1
            raise CutOffError(apply(), weather.chance.random())
        if fault == "credentials expired":
            self.expire(weather.chance.random() ** 4 * LONGEST_EXPIRY_SECONDS)
            raise self._expired()
        weather.hit(fault)
        if fault in _APPLIED:
            weather.unknown += 1
            apply()
        if fault == "zombie request":
            self._later(apply)
            self._pass(TIMEOUT_SECONDS[self._store])
        if fault == "Lambda timeout" and weather.chance.random() < APPLIED_SHARE:
            self._later(apply)
        raise self._outcome_of(fault)

    def _expired(self) -> AnswerError:
        self._weather.hit(_EXPIRED[self._store])
        return AnswerError(*_EXPIRED_ANSWERS[self._store])

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
            case "request refused as a whole":
                return AnswerError(*_TOO_LARGE[self._store])
            case _:
                return AnswerError(500, "InternalServerError")

    def _later(self, apply: Callable[[], object]) -> None:
        """The request is still on its way, long after everybody gave it up."""

        def land() -> None:
            self._weather.unknown += 1
            with suppress(AnswerError):  # nobody is there to hear it
                apply()

        seconds = self._weather.chance.random() ** 4 * LONGEST_ZOMBIE_SECONDS
        self._weather.time.later(seconds, land)

    def _pass(self, seconds: float) -> None:
        self._weather.time.advance(seconds)
