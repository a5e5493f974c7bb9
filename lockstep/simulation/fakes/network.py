"""The line between a client and its store: all that can happen to a request happens here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec


class NoAnswerError(Exception):
    """The connection was lost or timed out; whether the request was applied, nobody knows."""


class CutOffError(Exception):
    """The first bytes of an answer came, this share of them all; the request was applied."""

    def __init__(self, answer: Any, share: float) -> None:
        super().__init__(share)
        self.answer = answer
        self.share = share


class AnswerError(Exception):
    """The store, or something before it, answered with an error to the request as a whole."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class PartFailure(msgspec.Struct, frozen=True):
    """One part of a request that fails alone; `applied` all the same, or not."""

    code: str
    applied: bool


class Connection(Protocol):
    """Carries one client's requests."""

    def send[T](self, apply: Callable[[], T]) -> T:
        """The answer of `apply`, which is called now, later or never.

        Raises:
            NoAnswerError: see there.
            CutOffError: see there.
            AnswerError: see there.
        """
        ...

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        """Which parts of a request of so many fail alone, each with one of these codes."""
        ...


class PerfectConnection:
    """Everything arrives, at once."""

    def send[T](self, apply: Callable[[], T]) -> T:
        """The answer."""
        return apply()

    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:  # noqa: ARG002 - whatever is asked
        """None."""
        return {}


PERFECT = PerfectConnection()
