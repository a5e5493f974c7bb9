"""The connection between a client and its store. Requests can fail there."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec


class NoAnswerError(Exception):
    """The connection was lost or timed out. The request may have been applied."""


class NoAnswerInTimeError(NoAnswerError):
    """The request timed out."""


class CutOffError(Exception):
    """Only this share of the bytes of the answer arrived. The request was applied."""

    def __init__(self, answer: Any, share: float) -> None:
        super().__init__(answer, share)
        self.answer = answer
        self.share = share

    def __str__(self) -> str:
        return f"cut off after {self.share:.0%}"


class AnswerError(Exception):
    """The store or a proxy answered the whole request with an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code

    def __str__(self) -> str:
        return f"{self.status} {self.code}"


class PartFailure(msgspec.Struct, frozen=True):
    """The failure of one part of a request. The part may be `applied` nevertheless."""

    code: str
    applied: bool


class Connection(Protocol):
    """Sends the requests of one client."""

    def send[T](self, apply: Callable[[], T]) -> T:
        """Return the answer of `apply`, which is called now, later or never.

        Raises:
            NoAnswerError: no answer arrived.
            NoAnswerInTimeError: no answer arrived in time.
            CutOffError: a part of the answer arrived.
            AnswerError: the answer is an error.
        """
        ...

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """The parts that fail in a request with this many parts, each with one of these codes."""
        ...


class PerfectConnection:
    """A connection without faults."""

    def send[T](self, apply: Callable[[], T]) -> T:
        """Return the answer."""
        return apply()

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:  # noqa: ARG002 - the same for all requests
        """No part fails."""
        return {}


PERFECT = PerfectConnection()
