"""The clock: time and chance, passed in, so that a test or a simulation can replace them."""

from collections.abc import Callable

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """What code may ask of time and chance."""

    now: Callable[[], float]
    """Seconds since 1970."""
    elapsed: Callable[[], float]
    """Seconds that never go back, for durations."""
    sleep: Callable[[float], None]
    """Waits for so many seconds."""
    chance: Callable[[], float]
    """A random number from 0 to 1."""
