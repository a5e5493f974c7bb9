"""The clock: time and random numbers, as arguments, so that tests can replace them."""

from collections.abc import Callable

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """The functions for time and random numbers that code may use."""

    now: Callable[[], float]
    """Seconds since 1970."""
    elapsed: Callable[[], float]
    """Seconds that never go back, for durations."""
    sleep: Callable[[float], None]
    """Waits for this many seconds."""
    chance: Callable[[], float]
    """A random number from 0 to 1."""
