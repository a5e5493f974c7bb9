"""Looking again and again: when what is read and shown, by a clock that a test moves."""

from collections.abc import Callable
from typing import Any

import pytest

from lockstep.console.errors import UserError
from lockstep.watching.loop import TICK_SECONDS, Watched, show_live, write_lines
from lockstep.watching.parts import SILENT_SECONDS, Part
from lockstep.watching.seen import Seen, SeenAlarms, SeenShards
from shared.clock import Clock
from tests.unit.watching.states import stream


class Time:
    """Time that passes only while somebody sleeps. `meanwhile` runs at each sleep."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.meanwhile: Callable[[], None] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.meanwhile()

    def clock(self) -> Clock:
        return Clock(
            now=lambda: self.seconds,
            elapsed=lambda: self.seconds,
            sleep=self.sleep,
            chance=lambda: 0.0,
        )


def now(work: Callable[[], None]) -> None:
    """Read at once, not in a thread."""
    work()


class Terminal:
    """What was shown, and a size."""

    def __init__(self) -> None:
        self.shown: list[Seen] = []
        self.size = (80, 24)

    def show(self, seen: Seen) -> None:
        self.shown.append(seen)


def parts(time: Time, **reads: tuple[Callable[[], Any], float]) -> list[Part]:
    usual: dict[str, tuple[Callable[[], Any], float]] = {
        "stream": (stream, 1.0),
        "quarantine": (lambda: None, 10.0),
        "audit": (lambda: None, 10.0),
    }
    return [
        Part(name, read, every=every, elapsed=lambda: time.seconds, start=now)
        for name, (read, every) in (usual | reads).items()
    ]


def watched(time: Time, **reads: tuple[Callable[[], Any], float]) -> Watched:
    return Watched(parts(time, **reads), lambda _: SeenAlarms((), 0))


def test_it_is_drawn_when_something_was_read_and_not_in_between() -> None:
    time, terminal = Time(), Terminal()
    show_live(watched(time), terminal, clock=time.clock(), looks=4)
    assert [seen.at for seen in terminal.shown] == [0.0, 1.0, 2.0, 3.0]


def test_it_is_drawn_again_when_the_terminal_has_another_size() -> None:
    time, terminal = Time(), Terminal()

    def resize() -> None:
        if time.seconds == 2 * TICK_SECONDS:
            terminal.size = (60, 24)

    time.meanwhile = resize
    show_live(watched(time), terminal, clock=time.clock(), looks=2)
    assert [seen.at for seen in terminal.shown] == [0.0, 2 * TICK_SECONDS, 1.0]


def test_each_part_is_read_at_its_own_interval() -> None:
    time, at = Time(), list[float]()
    slow = (lambda: at.append(time.seconds), 10.0)
    write_lines(
        watched(time, quarantine=slow), lambda _: None, clock=time.clock(), every=1.0, looks=25
    )
    assert at == [0.0, 10.0, 20.0]


def test_a_line_is_written_at_each_interval() -> None:
    time, lines = Time(), list[Seen]()
    write_lines(watched(time), lines.append, clock=time.clock(), every=5.0, looks=3)
    assert [line.at for line in lines] == [0.0, 5.0, 10.0]


def test_the_first_line_waits_until_each_part_was_read() -> None:
    time, lines, waiting = Time(), list[Seen](), list[Callable[[], None]]()
    slow = Part(
        "audit", lambda: None, every=10.0, elapsed=lambda: time.seconds, start=waiting.append
    )

    def answer() -> None:
        if time.seconds == 7.25:
            waiting.pop()()

    time.meanwhile = answer
    made = Watched([*parts(time)[:2], slow], lambda _: None)
    write_lines(made, lines.append, clock=time.clock(), every=1.0, looks=2)
    assert [line.at for line in lines] == [7.25, 8.25]


def test_an_error_is_told_and_the_next_look_goes_on() -> None:
    time, lines, answers = Time(), list[Seen](), iter([None, UserError("no stack"), None])

    def read() -> Any:
        answer = next(answers)
        if answer is not None:
            raise answer
        return stream()

    write_lines(
        watched(time, stream=(read, 1.0)), lines.append, clock=time.clock(), every=1.0, looks=3
    )
    assert [dict(line.errors) for line in lines] == [{}, {"stream": "no stack"}, {}]
    assert [line.stream is None for line in lines] == [False, True, False]


def test_a_bug_is_not_hidden() -> None:
    time = Time()

    def read() -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        show_live(watched(time, stream=(read, 1.0)), Terminal(), clock=time.clock(), looks=None)


def test_what_does_not_answer_delays_nothing_else_and_its_old_value_counts_no_more() -> None:
    time, waiting = Time(), list[Callable[[], None]]()
    part = Part("a", lambda: 7, every=1.0, elapsed=lambda: time.seconds, start=waiting.append)
    part.look()
    waiting.pop()()
    assert (part.value, part.error, part.readings) == (7, None, 1)
    time.seconds = 1.0
    part.look()
    time.seconds = 1.0 + SILENT_SECONDS
    part.look()
    assert (part.value, len(waiting)) == (7, 1)
    time.seconds += 5.0
    assert (part.value, part.error) == (None, "no answer for 15 s")
    waiting.pop()()
    assert (part.value, part.error, part.readings) == (7, None, 2)


def test_the_busiest_shard_may_be_read_by_itself() -> None:
    time = Time()
    busiest = SeenShards(0, "shardId-000000000009", 0.9)
    made = watched(time, shards=(lambda: busiest, 300.0))
    assert made.seen(0.0).stream is None
    made.look()
    found = made.seen(0.0).stream
    assert found is not None
    assert found.shards == SeenShards(4, "shardId-000000000009", 0.9)
