"""The words of `status --wait`: what it waits for, how fast that becomes less, the time left."""

import datetime as dt
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from lockstep.console.text import counted
from lockstep.stack.status import Behind

# In seconds. A consumer settles a batch at a time, so the rate of one look says little.
_RATE_SECONDS = 10.0


class _Amount(NamedTuple):
    at: float
    left: float


class Waiting:
    """Follows the backlog of each consumer that is waited for."""

    def __init__(self) -> None:
        self._looks: dict[str, deque[_Amount]] = {}

    def words(self, left: Mapping[str, Behind], now: float) -> str:
        """A line for each consumer that is waited for.

        Args:
            left: the consumers that have not caught up.
            now: in seconds that never go back.
        """
        lines = [f"{name}: {self._said(name, one, now)}" for name, one in left.items()]
        return "waiting for " + ("\n  and ".join(lines) or "the stores to answer")

    def _said(self, name: str, one: Behind, now: float) -> str:
        if not one.reads:
            return "it does not read"
        if one.backlog_records is not None:
            amount, text = one.backlog_records, counted(one.backlog_records, "record")
        elif one.lag_ms is not None:
            amount, text = one.lag_ms, f"lag {one.lag_ms / 1000:,.1f} s"
        else:
            return "its backlog is unknown"
        rate = self._rate(name, _Amount(now, amount))
        if rate is None:
            return text
        if rate <= 0:
            lasts = now - self._looks[name][0].at > _RATE_SECONDS / 2
            return f"{text}, not becoming less" if lasts else text
        seconds = dt.timedelta(seconds=round(amount / rate))
        speed = "" if one.backlog_records is None else f", {rate:,.0f}/s"
        return f"{text}{speed}, {seconds} left"

    def _rate(self, name: str, amount: _Amount) -> float | None:
        """By how much it becomes less a second, of late; None until that can be said."""
        looks = self._looks.setdefault(name, deque())
        looks.append(amount)
        while looks[0].at < amount.at - _RATE_SECONDS:
            looks.popleft()
        seconds = amount.at - looks[0].at
        if seconds < 1.0:
            return None
        return (looks[0].left - amount.left) / seconds
