"""Tumbling windows: docs/internals/facts.md, TumblingWindowInSeconds, and AWS's page on them.

https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.mapping.batch import PAYLOAD_BYTES, STATE_BYTES, BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import Advance, Invoke, Read
from lockstep.local.mapping.windows import WindowView, windowed
from tests.unit.mapping.play import RAISED, START, Batch, entries, entry, play

MINUTE = Settings(reports_item_failures=True, tumbling_seconds=60)
type Answer = Returned | Errored


def settings(**changes: Any) -> Settings:
    return msgspec.structs.replace(MINUTE, **changes)


def state(said: object, *failed: str) -> Returned:
    failures = [{"itemIdentifier": number} for number in failed]
    return Returned(msgspec.json.encode({"state": said, "batchItemFailures": failures}))


def counting(batch: Batch, view: WindowView) -> Returned:
    """How many records the window has so far."""
    before = msgspec.json.decode(view.state, type=dict[str, int])
    return state({"count": before.get("count", 0) + len(batch)})


def finals(views: list[WindowView]) -> list[tuple[float, object]]:
    """Each window's end: when it began, in seconds after the start, and its last state."""
    return [(one.start - START, msgspec.json.decode(one.state)) for one in views if one.final]


def test_a_record_belongs_to_the_window_in_which_it_arrived() -> None:
    """Boundaries by the times at which the records were inserted into the stream.

    Rule: TumblingWindowInSeconds.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    stream = [
        entry("1", arrived_at=START),
        entry("2", arrived_at=START + 59.999),
        entry("3", arrived_at=START + 60),
        entry("4", arrived_at=START + 200),
    ]

    history = play(stream, counting, MINUTE)

    assert history.invocations == [["1", "2"], [], ["3"], [], ["4"], []]
    assert finals(history.views) == [(0, {"count": 2}), (60, {"count": 1}), (180, {"count": 1})]
    assert all(view.end - view.start == 60 for view in history.views)


def test_the_state_goes_from_invocation_to_invocation_and_begins_empty() -> None:
    """The state goes from invocation to invocation.

    Rule: tumbling state.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    history = play(entries("1", "2", "3"), counting, settings(batch_size=1))

    assert [view.state for view in history.views] == [
        b"{}",
        b'{"count":1}',
        b'{"count":2}',
        b'{"count":3}',
    ]
    assert [view.final for view in history.views] == [False, False, False, True]


def test_a_window_that_gets_no_more_records_ends_when_its_time_is_over() -> None:
    stream: list[BatchRecord | float] = [*entries("1"), 500.0, entry("2", arrived_at=START + 500)]

    history = play(stream, counting, MINUTE)

    assert history.invocations == [["1"], [], ["2"], []]
    assert history.times[1] == pytest.approx(60, abs=1)


def test_a_shards_end_is_its_windows_end() -> None:
    """Aggregation does not go over a split or merge: children begin with a fresh state.

    Rule: tumbling, resharding.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    history = play(entries("1"), counting, MINUTE)

    assert history.invocations == [["1"], []]
    assert history.times == [0, 0]


def test_a_record_that_comes_late_belongs_to_the_open_window() -> None:
    stream = [entry("1", arrived_at=START + 60), entry("2", arrived_at=START + 59)]

    history = play(stream, counting, MINUTE)

    assert finals(history.views) == [(60, {"count": 2})]


def test_the_checkpoint_waits_for_the_windows_end() -> None:
    """The state is kept in memory: a restart must see the window's records again."""
    stream = [entry("1"), entry("2"), entry("3", arrived_at=START + 60)]

    history = play(stream, counting, settings(batch_size=1))

    assert history.checkpoints == ["2", "3"]


def test_a_state_larger_than_a_megabyte_ends_the_window_early() -> None:
    """isWindowTerminatedEarly: the same window begins anew with the records that are left.

    Rule: tumbling state, 1 MB.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    largest = {"x": "y" * (STATE_BYTES - len('{"x":""}'))}
    answers = [largest, {"x": largest["x"] + "y"}, {}, {"fresh": True}, {}]

    history = play(entries("1", "2", "3"), _in_turn(*map(state, answers)), settings(batch_size=1))

    assert history.invocations == [["1"], ["2"], [], ["3"], []]
    assert [view.final for view in history.views] == [False, False, True, False, True]
    assert [view.early for view in history.views] == [False, False, True, False, False]
    assert [len(view.state) for view in history.views[1:4]] == [STATE_BYTES, STATE_BYTES + 1, 2]
    assert len({view.start for view in history.views}) == 1
    assert history.checkpoints == ["2", "3"]


@pytest.mark.parametrize(
    "payload", [b"null", b"{}", b'{"batchItemFailures":[]}', b'{"state":null}', b'{"state":[1]}']
)
def test_a_response_without_a_state_is_a_failed_invocation(payload: bytes) -> None:
    """A response without a state is a failed invocation.

    Rule: tumbling state, missing.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    history = play(entries("1", "2"), _in_turn(Returned(payload)), MINUTE)

    assert history.invocations == [["1", "2"], ["1", "2"], []]


def test_a_partial_response_brings_the_state_of_what_is_done() -> None:
    def handle(batch: Batch, view: WindowView) -> Returned:
        if batch == ["1", "2", "3"]:
            return state({"count": 1}, "2")
        return counting(batch, view)

    history = play(entries("1", "2", "3"), handle, MINUTE)

    assert history.invocations == [["1", "2", "3"], ["2", "3"], []]
    assert finals(history.views) == [(0, {"count": 3})]


def test_a_failed_invocation_leaves_the_state_as_it_was() -> None:
    history = play(entries("1", "2"), _in_turn(state({"a": 1}), RAISED), settings(batch_size=1))

    assert history.invocations == [["1"], ["2"], ["2"], []]
    assert [view.state for view in history.views[1:3]] == [b'{"a":1}'] * 2


def test_a_discarded_batch_does_not_end_the_window() -> None:
    """Retries and age count as without windows.

    Rule: tumbling, retries.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """

    def handle(batch: Batch, view: WindowView) -> Answer:
        return RAISED if "2" in batch else counting(batch, view)

    history = play(entries("1", "2", "3"), handle, settings(batch_size=1, retries=1))

    assert history.discarded == [["2"]]
    assert finals(history.views) == [(0, {"count": 2})]
    assert history.checkpoints == ["3"]


@pytest.mark.parametrize(("quota", "condition"), [(1, "RetryAttemptsExhausted"), (None, "Record")])
def test_a_final_invocation_that_always_fails_is_discarded(
    quota: int | None, condition: str
) -> None:
    def handle(batch: Batch, view: WindowView) -> Answer:
        return RAISED if view.final else counting(batch, view)

    history = play(entries("1"), handle, settings(retries=quota), retention=3600.0)

    (discard,) = history.discards
    assert discard.condition.startswith(condition)
    assert discard.entries == ()
    assert history.checkpoints == ["1"]


def test_batches_are_gathered_inside_a_tumbling_window() -> None:
    """MaximumBatchingWindowInSeconds counts from when the lane became idle, or idle again."""
    stream: list[BatchRecord | float] = [
        *entries("1"),
        25.0,
        *(entry(number, arrived_at=START + 25) for number in "2"),
        3.0,
        *(entry(number, arrived_at=START + 28) for number in "3"),
    ]

    history = play(stream, counting, settings(window_seconds=10))

    assert history.invocations == [["1"], ["2", "3"], []]


def test_a_record_at_a_windows_very_end_is_of_the_next_and_lets_this_one_go() -> None:
    stream: list[BatchRecord | float] = [
        *entries("1"),
        60.0,
        entry("2", arrived_at=START + 60),
        400.0,
        entry("3", arrived_at=START + 460),
    ]

    history = play(stream, counting, settings(window_seconds=300))

    assert history.invocations[:3] == [["1"], [], ["2"]]
    assert history.times[0] == pytest.approx(60, abs=1)


def test_records_leave_room_for_the_largest_state() -> None:
    third = PAYLOAD_BYTES // 3
    view = WindowView(0, 60, b" " * STATE_BYTES, final=False, early=False)
    biggest = 0

    def handle(batch: Batch, _: WindowView) -> Returned:
        nonlocal biggest
        sizes = [entry(number, size=third) for number in batch]
        event = windowed(sizes, view, shard_id="shardId-000000000000", stream_arn="arn" * 20)
        biggest = max(biggest, len(event))
        return state({})

    play([entry(number, size=third) for number in "1234"], handle, MINUTE)

    assert PAYLOAD_BYTES / 2 < biggest <= PAYLOAD_BYTES


def test_the_event_says_what_lambda_says_of_the_window() -> None:
    """window, state, isFinalInvokeForWindow, isWindowTerminatedEarly.

    Rule: tumbling event.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-windows.html
    """
    view = WindowView(1_795_248_000, 1_795_248_060, b'{"count":1}', final=True, early=False)

    event = windowed((), view, shard_id="shardId-000000000006", stream_arn="arn:stream")

    assert msgspec.json.decode(event) == {
        "Records": [],
        "window": {"start": "2026-11-21T08:00:00Z", "end": "2026-11-21T08:01:00Z"},
        "state": {"count": 1},
        "shardId": "shardId-000000000006",
        "eventSourceARN": "arn:stream",
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }


def test_a_mapping_that_stops_in_a_window_has_settled_nothing_of_it() -> None:
    shard = Shard(MINUTE, retention=1e9, chance=lambda: 0.5)
    assert isinstance(shard.next(START), Read)
    shard.records_read(entries("1"), behind=False, ended=False, now=START)
    assert isinstance(shard.next(START), Invoke)
    shard.invocation_ended(state({}), request_id="r", now=START)

    assert not isinstance(shard.next(START + 59), Advance)


@given(
    gaps=st.lists(st.sampled_from([0, 1, 30, 60, 200]), max_size=20),
    batch_size=st.integers(1, 5),
    failing=st.sets(st.integers(0, 20)),
)
def test_each_window_ends_once_with_all_of_its_records(
    *, gaps: list[int], batch_size: int, failing: set[int]
) -> None:
    at, stream = START, []
    for position, gap in enumerate(gaps):
        at += gap
        stream.append(entry(str(1000 + position), arrived_at=at))
    calls = iter(range(10_000))

    def handle(batch: Batch, view: WindowView) -> Answer:
        return RAISED if next(calls) in failing else counting(batch, view)

    history = play(stream, handle, settings(batch_size=batch_size))

    expected: dict[float, int] = {}
    for one in stream:
        begins = one.arrived_at - one.arrived_at % 60 - START
        expected[begins] = expected.get(begins, 0) + 1
    found = dict(finals(history.views))
    assert found == {begins: {"count": count} for begins, count in expected.items()}
    assert history.checkpoints[-1:] == [one.sequence_number for one in stream][-1:]


def _in_turn(*answers: Answer) -> Callable[[Batch, WindowView], Answer]:
    """These answers, then counting."""
    left = list(answers)
    return lambda batch, view: left.pop(0) if left else counting(batch, view)
