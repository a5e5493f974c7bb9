"""What `lockstep replay` takes, and what it says about what it did."""

from pathlib import Path

import msgspec
import pytest

from lockstep.commands.replay import show_plan, show_replayed
from lockstep.replay.replay import Replayed, ReplayPlan, Span, UnfinishedReplay
from lockstep.stack.stack import STATE
from tests.unit.operator.command import assert_one_line, lockstep

UNTIL = "2026-11-22T08:00:00.000Z"
ALL = Span("2026-11-21T08:00:00.000Z", "2026-11-21T08:00:00.000Z", UNTIL, complete=True)
SOME = Span("2026-11-01T08:00:00.000Z", "2026-11-21T08:00:00.000Z", UNTIL, complete=False)
TOO_OLD = msgspec.structs.replace(SOME, too_old=True)


@pytest.mark.parametrize("words", [[], ["--since", "1h", "--resume", "20261121-080000-000"]])
def test_it_takes_a_time_or_a_replay_to_resume(state: Path, words: list[str]) -> None:
    result = lockstep("replay", *words, "--state", state)
    assert_one_line(result, "give --since TIME to start a replay, or --resume ID to continue")


@pytest.mark.parametrize("apply", [[], ["--apply"]])
def test_a_stack_that_does_not_answer_is_one_line(state: Path, apply: list[str]) -> None:
    result = lockstep("replay", "--since", "1h", *apply, "--state", state)
    assert_one_line(result, "stream s: ")


def test_a_rate_below_one_record_a_second_is_refused(state: Path) -> None:
    result = lockstep("replay", "--since", "1h", "--rate", "0.5", "--state", state)
    assert_one_line(result, "--rate", "x>=1")


def test_the_plan_says_what_an_apply_would_do(capsys: pytest.CaptureFixture[str]) -> None:
    shards = {"shardId-000000000000": 70_000, "shardId-000000000001": 2_000}
    unfinished = [UnfinishedReplay("20261121-080000-000", "2026-11-20T08:00:00.000Z", 1_234)]
    plan = ReplayPlan(ALL, "2026-11-15T08:00:00.123Z", shards, 72_000, 200, 360.0, unfinished)
    show_plan(plan, None, STATE)
    told = capsys.readouterr().out
    assert "shardId-000000000000   70,000\n" in told
    assert "the stream holds records from 2026-11-15T08:00:00.123Z on\n" in told
    assert "72,000 records would be delivered to both stores, in at least 0:06:00 (h" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert "`lockstep replay --resume 20261121-080000-000 --apply`" in told
    assert "nothing is changed yet: add --apply" in told
    assert "NOT replayed" not in told


@pytest.mark.parametrize(
    ("span", "why"),
    [
        (SOME, "the stream no longer holds them\n"),
        (TOO_OLD, "the stream no longer holds them, or they are over 30 days old\n"),
    ],
)
def test_what_is_not_replayed_is_said_first(
    capsys: pytest.CaptureFixture[str], span: Span, why: str
) -> None:
    fates = {
        "table": {"Applied": 1_000, "Stale": 2},
        "index": {"Duplicate": 1_001, "Quarantined": 1},
    }
    show_replayed(Replayed("id", span, 2, 1_002, UNTIL, fates, 1, 10.02))
    told = capsys.readouterr().out
    assert f"NOT replayed: records from {span.since} to {span.read_from}\n" in told
    assert all(len(line) <= 80 for line in told.splitlines())
    assert why in told
    assert "table    1,000          0      2            0\n" in told
    assert "index        0      1,001      0            1\n" in told
    assert "not quarantined again, because they were redriven: 1\n" in told
    assert "1,002 records settled in both stores (10.0 s, 100 a second)\n" in told
    assert f"\narrived from {span.read_from} to {UNTIL}\n" in told
