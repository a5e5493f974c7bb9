"""Looks at a stack again and again, and shows what is seen, until somebody ends it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from lockstep.watching.parts import Part, errors_of
from lockstep.watching.seen import Seen, SeenAlarms, SeenShards, SeenStream
from shared.clock import Clock

# In seconds: how soon a change of the terminal's size, or an answer, is seen.
TICK_SECONDS = 0.25


class Watched(NamedTuple):
    """The parts of a stack, and its alarms as the parts show them."""

    parts: Sequence[Part]
    alarms: Callable[[Sequence[Part]], SeenAlarms | None]

    def seen(self, now: float) -> Seen:
        """What is seen now, in seconds since 1970."""
        read = {part.name: part.value for part in self.parts}
        return Seen(
            at=now,
            stream=_with_shares(read["stream"], read.get("shards")),
            quarantine=read["quarantine"],
            audit=read["audit"],
            alarms=self.alarms(self.parts),
            errors=errors_of(self.parts),
        )

    def look(self) -> None:
        """Begin the readings for which it is time."""
        for part in self.parts:
            part.look()

    @property
    def readings(self) -> Sequence[int]:
        """How often each part was read."""
        return [part.readings for part in self.parts]


def _with_shares(stream: SeenStream | None, busiest: SeenShards | None) -> SeenStream | None:
    """The stream with its busiest shard, where that is read by itself."""
    if stream is None or busiest is None:
        return stream
    shards = msgspec.structs.replace(busiest, open=stream.shards.open)
    return msgspec.structs.replace(stream, shards=shards)


class Shown(Protocol):
    """A terminal."""

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height now."""
        ...

    def show(self, seen: Seen) -> None:
        """Show what is seen instead of what was shown before."""
        ...


def show_live(watched: Watched, shown: Shown, *, clock: Clock, looks: int | None) -> None:
    """Draw again whenever something was read, or the terminal has another size.

    Args:
        watched: the stack.
        shown: the terminal.
        clock: of the machine.
        looks: end after so many looks at the stream; None: never.
    """
    before: object = None
    while True:
        watched.look()
        now = (watched.readings, shown.size)
        if now != before:
            before = now
            shown.show(watched.seen(clock.now()))
        if looks is not None and watched.parts[0].readings >= looks:
            return
        clock.sleep(TICK_SECONDS)


def write_lines(
    watched: Watched,
    write: Callable[[Seen], None],
    *,
    clock: Clock,
    every: float,
    looks: int | None,
) -> None:
    """Write a line at an interval; the first one when each part was read once.

    Args:
        watched: the stack.
        write: writes what is seen.
        clock: of the machine.
        every: the interval in seconds.
        looks: end after so many lines; None: never.
    """
    written = 0
    due = clock.elapsed()
    while True:
        watched.look()
        if all(watched.readings) and clock.elapsed() >= due:
            write(watched.seen(clock.now()))
            written += 1
            if looks is not None and written >= looks:
                return
            if written == 1:  # it may have come late
                due = clock.elapsed()
            due += every
            if due < clock.elapsed():  # it took long: no lines in a hurry
                due = clock.elapsed() + every
        clock.sleep(TICK_SECONDS)
