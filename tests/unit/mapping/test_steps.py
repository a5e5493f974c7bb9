"""The core, step by step: what it does at the very moment, and at the very byte."""

from typing import Any

import msgspec

from lockstep.local.mapping.batch import PAYLOAD_BYTES, STATE_BYTES
from lockstep.local.mapping.core import GAP_READ_SECONDS, Shard
from lockstep.local.mapping.lane import FIRST_PAUSE_SECONDS
from lockstep.local.mapping.response import Returned, Throttled
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Discard, Invoke, Read, Retrying, Wait
from shared.event import AGGREGATED_MAGIC
from tests.unit.mapping.play import DONE, RAISED, START, entries, entry, report

REPORTS = Settings(reports_item_failures=True)
STATE = Returned(b'{"state":{}}')


def shard(**changes: Any) -> Shard:
    settings = msgspec.structs.replace(REPORTS, **changes)
    return Shard(settings, retention=1e9, chance=lambda: 0.5)


def took(one: Shard, *numbers: str, at: float = START, behind: bool = False) -> None:
    one.records_read(entries(*numbers), behind=behind, ended=False, now=at)


def test_a_batching_window_that_ends_before_the_next_read_is_waited_for() -> None:
    one = shard(window_seconds=5)
    took(one, "1")
    one.next(START)
    took(one, at=START + 4.8)
    assert one.next(START + 4.8) == Wait(START + 5)


def test_a_batching_window_opens_when_the_invocation_ends_whenever_that_is_seen() -> None:
    one = shard(window_seconds=5)
    took(one, "1")
    one.next(START)
    assert isinstance(one.next(START + 5), Invoke)
    one.invocation_ended(DONE, request_id="r", now=START + 6)
    assert one.next(START + 8) == Advance("1")
    one.checkpoint_saved()
    assert isinstance(one.next(START + 8), Read)
    took(one, "2", at=START + 8)
    assert one.next(START + 11) == Invoke(tuple(entries("2")))


def test_a_batching_window_that_ends_empty_opens_again_at_that_moment() -> None:
    one = shard(window_seconds=5)
    took(one)
    one.next(START)
    one.next(START + 5)
    took(one, "1", at=START + 5)
    assert one.next(START + 5) == Wait(START + 5.5)


def test_each_failure_names_its_cause() -> None:
    one = shard(tumbling_seconds=60)
    took(one, "1", "2")
    one.next(START)
    throttled = one.invocation_ended(Throttled(), request_id="r", now=START)
    assert throttled == Retrying("throttled", 2, FIRST_PAUSE_SECONDS)
    one.next(START + 1)
    stateless = one.invocation_ended(DONE, request_id="r", now=START + 1)
    assert stateless == Retrying("the response has no state", 2, 2 * FIRST_PAUSE_SECONDS)
    other = shard()
    took(other, "1", "2")
    other.next(START)
    first = other.invocation_ended(report("1"), request_id="r", now=START)
    assert first == Retrying("the function reported 1", 2, FIRST_PAUSE_SECONDS)


def test_a_tumbling_window_is_over_when_all_is_read_at_its_very_end() -> None:
    one = shard(tumbling_seconds=60)
    took(one, "1")
    one.next(START)
    one.invocation_ended(STATE, request_id="r", now=START)
    assert isinstance(one.next(START + 60), Read)
    took(one, at=START + 60)
    last = one.next(START + 60)
    assert isinstance(last, Invoke)
    assert last.entries == ()


def test_a_tumbling_window_goes_on_while_no_read_has_caught_up() -> None:
    one = shard(tumbling_seconds=60)
    took(one, "1", behind=True)
    took(one, behind=True)
    one.next(START)
    one.invocation_ended(STATE, request_id="r", now=START)
    assert isinstance(one.next(START + 1), Read)


def test_a_gap_is_read_over_sooner_than_an_idle_shard() -> None:
    one = shard()
    took(one, behind=True)
    assert one.next(START) == Wait(START + GAP_READ_SECONDS)


def test_what_is_read_ahead_of_a_lane_that_stands_still_is_bounded_by_its_bytes() -> None:
    """Two lanes, all records of one key: the other lane is idle, and would read on for ever."""
    one = shard(parallelization_factor=2, batch_size=1)
    third = 2 * PAYLOAD_BYTES // 3

    def read(number: str, size: int) -> object:
        one.records_read([entry(number, size=size)], behind=True, ended=False, now=START)
        return one.next(START)

    invoked = read("1", third)
    assert isinstance(invoked, Invoke)
    assert isinstance(one.next(START), Read)
    assert isinstance(read("2", third), Read)
    assert isinstance(read("3", third - 1), Read)
    assert isinstance(read("4", 1), Wait)
    one.invocation_ended(DONE, request_id="r", now=START, lane=invoked.lane)
    assert one.next(START) == Advance("1")
    one.checkpoint_saved()
    assert isinstance(one.next(START), Invoke)
    assert isinstance(one.next(START), Read)
    assert isinstance(read("5", third), Wait)


def test_the_rest_of_a_batch_opens_the_window_again_that_ended_early() -> None:
    one = shard(tumbling_seconds=60)
    took(one, "1", "2")
    one.next(START)
    large = {"state": {"x": "x" * STATE_BYTES}, "batchItemFailures": [{"itemIdentifier": "2"}]}
    one.invocation_ended(Returned(msgspec.json.encode(large)), request_id="r", now=START)
    last = one.next(START)
    assert isinstance(last, Invoke)
    assert last.entries == ()
    one.invocation_ended(STATE, request_id="r", now=START)
    assert one.next(START) == Advance("1")
    one.checkpoint_saved()
    left = one.next(START)
    assert isinstance(left, Invoke)
    assert left.entries == tuple(entries("2"))


def test_a_windows_last_invocation_is_tried_as_long_as_its_end_is_not_too_old() -> None:
    one = shard(tumbling_seconds=60, age_seconds=60)
    took(one, "1")
    one.next(START)
    one.invocation_ended(STATE, request_id="r", now=START)
    one.next(START + 60)
    took(one, at=START + 60)
    one.next(START + 60)
    one.invocation_ended(RAISED, request_id="r", now=START + 60)
    assert isinstance(one.next(START + 120), Invoke)
    one.invocation_ended(RAISED, request_id="r", now=START + 120)
    assert isinstance(one.next(START + 122), Discard)


def test_a_record_of_exactly_the_maximum_age_is_not_discarded() -> None:
    one = shard(age_seconds=60)
    old, just = entry("1", arrived_at=START - 61), entry("2", arrived_at=START - 60)
    one.records_read([old, just], behind=False, ended=False, now=START)
    given_up = one.next(START)
    assert isinstance(given_up, Discard)
    assert given_up.entries == (old,)


def test_a_discard_after_progress_names_the_request_that_made_the_progress() -> None:
    one = shard(age_seconds=60)
    took(one, "1", "2")
    one.next(START)
    one.invocation_ended(report("2"), request_id="the last that saw it", now=START)
    one.checkpoint_saved()
    given_up = one.next(START + 61)
    assert isinstance(given_up, Discard)
    assert given_up.request_id == "the last that saw it"


def test_an_aggregated_record_has_a_lane_where_there_is_but_one() -> None:
    one = shard()
    aggregated = entry("1", data=AGGREGATED_MAGIC)
    one.records_read([aggregated], behind=False, ended=False, now=START)
    assert one.next(START) == Invoke((aggregated,))
