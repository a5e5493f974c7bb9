"""Concurrent batches of one shard: ParallelizationFactor (docs/internals/facts.md)."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.core import READ_RECORDS, Shard
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Invoke, Read, Wait
from shared.event import AGGREGATED_MAGIC
from tests.unit.mapping.play import (
    DONE,
    MOODS,
    RAISED,
    START,
    History,
    entry,
    moody,
    play,
    raising,
    reporting,
)

LANES = Settings(reports_item_failures=True, parallelization_factor=10)
# Of two lanes as of ten, these two keys are in the first and in a later one.
ONE, OTHER = "other", "one"


def settings(**changes: Any) -> Settings:
    return msgspec.structs.replace(LANES, **changes)


def keyed(*keys: str) -> list[BatchRecord]:
    """Records with these keys, numbered from 100."""
    return [entry(str(number), key=key) for number, key in enumerate(keys, start=100)]


def test_batches_of_different_keys_run_at_the_same_time() -> None:
    history = play(keyed(ONE, OTHER), reporting(), LANES, seconds=5.0)

    assert sorted(history.invocations) == [["100"], ["101"]]
    assert history.times == [0, 0]


def test_batches_of_one_key_run_one_after_the_other() -> None:
    history = play(keyed(ONE, ONE, ONE), reporting(), settings(batch_size=1), seconds=5.0)

    assert history.invocations == [["100"], ["101"], ["102"]]
    assert history.times == [0, 5, 10]


def test_never_do_more_batches_run_than_the_factor_says() -> None:
    """So many batches of a shard run at once.

    Rule: ParallelizationFactor.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    stream = keyed(*(f"key-{number}" for number in range(200)))

    history = play(
        stream, reporting(), settings(batch_size=1, parallelization_factor=3), seconds=1.0
    )

    assert max(_at_once(history)) == 3


def test_the_checkpoint_is_below_the_lowest_record_that_is_not_settled() -> None:
    """The slow first record holds the checkpoint, and nothing else.

    Rule: ParallelizationFactor, checkpoint.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stream = keyed(ONE, OTHER, OTHER)

    history = play(
        stream,
        reporting(),
        settings(batch_size=1),
        seconds=lambda batch: 60.0 if batch == ["100"] else 1.0,
    )

    assert history.ends == [60, 1, 2]
    assert history.checkpoints == ["102"], "two ended long before it, and moved nothing"


@pytest.mark.parametrize(("poison", "checkpoints"), [("100", ["101"]), ("101", ["100", "101"])])
def test_a_poison_record_holds_up_its_own_lane_only(poison: str, checkpoints: list[str]) -> None:
    stream = keyed(ONE, OTHER)

    history = play(stream, raising(poison), settings(retries=3))

    assert history.invocations == [["100"], ["101"], *[[poison]] * 3]
    assert history.discarded == [[poison]]
    assert history.discards[0].invocations == 4
    assert history.checkpoints == checkpoints


def test_a_lane_that_is_stuck_finally_stops_the_shards_reads() -> None:
    """What is read ahead of the checkpoint is bounded, in memory and in what comes twice."""
    stream = keyed(ONE, *[OTHER] * 5 * READ_RECORDS)

    history = play(
        stream, raising("100"), settings(parallelization_factor=2, age_seconds=3600), retention=1e9
    )

    given_up = history.times[-1]
    before = [
        batch for batch, at in zip(history.invocations, history.times, strict=True) if at < 60
    ]
    ahead = sum(len(batch) for batch in before if batch != ["100"])
    assert READ_RECORDS <= ahead <= 3 * READ_RECORDS
    assert given_up > 3600 - 60


def test_an_unavailable_stream_does_not_delay_records_that_were_read() -> None:
    """Neither a lane whose invocation ends meanwhile, nor a batch that hoped for more."""
    shard = Shard(settings(batch_size=2), retention=1e9, chance=lambda: 0.5)
    assert isinstance(shard.next(START), Read)
    shard.records_read(keyed(ONE, OTHER), behind=True, ended=False, now=START)
    assert isinstance(shard.next(START), Read), "for fuller batches"

    shard.read_failed(again=START + 30)

    assert isinstance(shard.next(START), Invoke)
    assert isinstance(shard.next(START), Invoke)
    assert shard.next(START) == Wait(START + 30)
    shard.invocation_ended(DONE, request_id="r", now=START + 1)
    assert shard.next(START + 1) == Advance("100")
    shard.checkpoint_saved()
    assert isinstance(shard.next(START + 30), Read)


def test_a_destination_that_is_down_delays_only_the_lane_that_discards() -> None:
    """Nor does it let the checkpoint pass what is not written yet."""
    shard = Shard(
        settings(batch_size=1, retries=0, parallelization_factor=2),
        retention=1e9,
        chance=lambda: 0.5,
    )
    shard.records_read(keyed(ONE, OTHER, OTHER), behind=False, ended=True, now=START)
    poison, good = shard.next(START), shard.next(START)
    assert isinstance(poison, Invoke)
    assert isinstance(good, Invoke)
    shard.invocation_ended(RAISED, request_id="r", now=START, lane=poison.lane)
    given_up = shard.next(START)
    assert isinstance(given_up, Discard)

    shard.discard_failed(again=START + 30, lane=given_up.lane)

    for _ in range(2):
        assert shard.next(START + 1) == Wait(START + 30)
        shard.invocation_ended(DONE, request_id="r", now=START + 1, lane=good.lane)
        shard.next(START + 1)
    assert shard.next(START + 2) == Wait(START + 30), "and no checkpoint"
    assert shard.next(START + 30) == given_up
    shard.discarded(lane=given_up.lane)
    assert shard.next(START + 30) == Advance("102")


def test_only_a_running_discard_can_fail() -> None:
    shard = Shard(LANES, retention=1e9, chance=lambda: 0.5)

    with pytest.raises(RuntimeError, match=r"^no discard is running$"):
        shard.discard_failed(again=START, lane=0)


def test_aggregated_records_share_one_lane() -> None:
    """They defeat ParallelizationFactor, for they hold records of many keys.

    Rule: aggregated records.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stream = [
        entry(str(number), key=f"key-{number}", data=AGGREGATED_MAGIC + b"...")
        for number in range(5)
    ]

    history = play(stream, reporting(), settings(batch_size=1), seconds=1.0)

    assert history.times == [0, 1, 2, 3, 4]
    assert history.invocations == [["0"], ["1"], ["2"], ["3"], ["4"]]


def test_each_lane_fills_batches_and_windows_of_its_own() -> None:
    stream: list[BatchRecord | float] = [*keyed(ONE, OTHER, OTHER), 100.0, entry("200", key=ONE)]

    history = play(stream, reporting(), settings(batch_size=2, window_seconds=10))

    assert history.invocations == [["101", "102"], ["100"], ["200"]]
    assert history.times[0] == 0
    assert history.times[1] == pytest.approx(10)


@given(
    keys=st.lists(st.sampled_from("abcdefgh"), max_size=30),
    moods=MOODS,
    durations=st.lists(st.sampled_from([0.0, 0.1, 1.0, 7.0])),
    factor=st.integers(1, 10),
    batch_size=st.integers(1, 5),
    retries=st.one_of(st.none(), st.integers(0, 2)),
    bisect=st.booleans(),
)
def test_whatever_fails_each_keys_records_are_first_tried_in_order_and_none_is_lost(
    *,
    keys: list[str],
    moods: list[str | int],
    durations: list[float],
    factor: int,
    batch_size: int,
    retries: int | None,
    bisect: bool,
) -> None:
    """Each key's records keep their order whatever the factor.

    Rule: ParallelizationFactor, order.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stream = keyed(*keys)
    key_of = {one.sequence_number: one.partition_key for one in stream}
    settled: list[str] = []
    times = iter(durations)

    history = play(
        stream,
        moody(moods, settled),
        settings(
            batch_size=batch_size, retries=retries, bisect=bisect, parallelization_factor=factor
        ),
        seconds=lambda _: next(times, 0.0),
    )

    discarded = [number for batch in history.discarded for number in batch]
    assert sorted(settled + discarded) == sorted(key_of)
    tried = list(dict.fromkeys(number for batch in history.invocations for number in batch))
    for key in set(keys):
        of_key = [number for number in key_of if key_of[number] == key]
        assert [number for number in tried if key_of[number] == key] == of_key
        runs = sorted(
            (at, end)
            for batch, at, end in zip(history.invocations, history.times, history.ends, strict=True)
            if any(key_of[number] == key for number in batch)
        )
        assert all(end <= at for (_, end), (at, _) in pairwise(runs))
    assert history.checkpoints == sorted(history.checkpoints)
    assert history.checkpoints[-1:] == list(key_of)[-1:]
    assert max(_at_once(history), default=0) <= factor


def _at_once(history: History) -> list[int]:
    """How many invocations ran when each of them began, itself included."""
    return [
        sum(began <= at < ended for began, ended in zip(history.times, history.ends, strict=True))
        for at in history.times
    ]
