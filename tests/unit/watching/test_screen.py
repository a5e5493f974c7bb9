"""The screen: it fits each width, and says everything without colour."""

import io
import re
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from lockstep.watching.screen import draw
from lockstep.watching.seen import AlarmOn, Seen, SeenAlarms, SeenAudit, SeenShards
from lockstep.watching.spark import sparkline
from tests.unit.watching.states import MOMENT, NOW, consumer, seen, stream

WIDTHS = [60, 80, 200]


def drawn(state: Seen, width: int = 80, height: int = 24, *, only_ascii: bool = False) -> list[str]:
    text = draw(state, ".lockstep", width=width, height=height, only_ascii=only_ascii)
    return text.plain.splitlines()


@pytest.mark.parametrize("width", WIDTHS)
def test_each_line_fits_and_everything_is_told(width: int) -> None:
    lines = drawn(seen(), width)
    assert max(map(cell_len, lines)) <= width
    told = "\n".join(lines)
    for words in (
        "stack .lockstep",
        "2026-11-30",
        "1,234/s",
        "4 open, the busiest gets 31 %",
        "write_to_dynamodb",
        "118/s",
        "0.4 s",
        "in quarantine  3, discarded batches: 2",
        "equal, 69,202 entries",
        "1 of 13 on",
        "ALARM quarantine-waiting: records wait",
    ):
        assert words in told, words


def test_a_wider_terminal_shows_a_longer_history() -> None:
    marks = [
        sum(line.count(mark) for line in drawn(seen(), width) for mark in "▁▂▃▄▅▆▇█")
        for width in WIDTHS
    ]
    assert marks == sorted(set(marks))
    (narrow,) = [line for line in drawn(seen(), 60) if "backlog" in line]
    assert "rates" in narrow
    assert "lags" not in narrow
    (usual,) = [line for line in drawn(seen(), 80) if "backlog" in line]
    assert "lags" in usual


@pytest.mark.parametrize("width", [1, 10, 30, 59])
def test_a_terminal_that_is_too_narrow_is_no_error(width: int) -> None:
    assert max(map(cell_len, drawn(seen(), width))) <= width


def test_without_unicode_only_ascii_is_drawn() -> None:
    assert all(line.isascii() for line in drawn(seen(), 70, only_ascii=True))
    assert sparkline((0.0, 7.0), 2, only_ascii=True) == "_#"


def test_without_colour_the_words_are_the_same() -> None:
    alarm = seen(stream=stream(consumers={"write_to_es": consumer(reads=False)}))
    told = draw(alarm, "s", width=80, height=24)
    coloured, plain = io.StringIO(), io.StringIO()
    for file, environment in ((coloured, {}), (plain, {"NO_COLOR": "1"})):
        terminal: dict[str, Any] = {"force_terminal": True, "color_system": "256", "width": 80}
        Console(file=file, _environ=environment, **terminal).print(told)
    # Bold is no colour.
    assert "\x1b[1;31m" in coloured.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3\dm", plain.getvalue())
    words = [re.sub(r"\x1b\[[0-9;]*m", "", one.getvalue()) for one in (coloured, plain)]
    assert words[0] == words[1]
    assert "does not read" in words[0]


def test_what_does_not_fit_the_height_is_counted() -> None:
    alarms = SeenAlarms(tuple(AlarmOn(f"a{at}", "is on") for at in range(30)), off=0)
    lines = drawn(seen(alarms=alarms), height=24)
    assert len(lines) == 24
    hidden = 30 - sum("ALARM" in line for line in lines)
    assert lines[-1] == f"and {hidden} more"
    assert "" not in lines, "a blank line takes the place of an alarm"
    assert len(drawn(seen(alarms=alarms), height=200)) > 40
    assert len(drawn(seen(), height=5)) == 5


def test_a_stack_that_has_stopped_is_told_once() -> None:
    why = "no local stack in .lockstep: start one with `lockstep up`"
    parts = ("stream", "quarantine", "audit")
    lines = drawn(Seen(NOW, alarms=None, errors=dict.fromkeys(parts, why)))
    (told,) = [line for line in lines if "no local stack" in line]
    assert told.startswith("unknown stream, quarantine, audit: no local stack in .lockstep")
    assert "last audit     unknown" in lines


def test_what_is_not_read_yet_is_no_error() -> None:
    lines = drawn(Seen(NOW))
    assert "last audit     being read" in lines
    assert "unknown" not in "".join(lines)


def test_a_text_from_outside_cannot_control_the_terminal() -> None:
    wicked = "a\x1b[2Jb\nc"
    alarms = SeenAlarms((AlarmOn(wicked, wicked, MOMENT),), off=0)
    state = seen(
        alarms=alarms,
        errors={"index": wicked},
        audit=SeenAudit(running=wicked),
        stream=stream(shards=SeenShards(1, wicked, 1.0)),
    )
    text = draw(state, wicked, width=200, height=50).plain
    assert "\x1b" not in text
    assert text.count("\\x1b[2Jb\\nc") == 6


def test_metrics_that_are_late_say_how_late() -> None:
    assert not [line for line in drawn(seen()) if "metrics until" in line]
    late = stream(until=NOW - 200, period=60.0)
    assert "metrics until  2026-11-30" in "\n".join(drawn(seen(stream=late)))
    assert "one mark: 60 s" in drawn(seen(stream=late))


def test_a_history_is_drawn_from_nothing_to_its_greatest_value() -> None:
    assert sparkline((0.0, 1.0, 50.0, 100.0), 4) == "▁▂▅█"
    assert sparkline((None, 0.0, None), 5) == "   ▁ "
    assert sparkline((1.0, 2.0, 4.0), 2) == "▅█"
    assert sparkline((), 3) == "   "
    assert sparkline((1.0,), 0) == ""
