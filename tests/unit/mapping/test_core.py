"""What the mapping does with batches (docs/internals/facts.md, Recorded from real AWS)."""

import math
from typing import Any

import msgspec
import pytest

from lockstep.local.mapping.batch import PAYLOAD_BYTES, BatchRecord
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.lane import (
    FIRST_PAUSE_SECONDS,
    JITTER,
    LONGEST_PAUSE_SECONDS,
    pause_after,
)
from lockstep.local.mapping.response import Errored, Returned, Throttled
from lockstep.local.mapping.settings import Settings
from lockstep.local.mapping.steps import (
    Advance,
    Discard,
    Halved,
    Invoke,
    Progressed,
    Read,
    RetriesExhausted,
    Retrying,
    Settled,
    Wait,
)
from lockstep.stream.order import startable
from tests.unit.mapping.play import (
    DONE,
    RAISED,
    START,
    Batch,
    entries,
    entry,
    play,
    raising,
    report,
    reporting,
)

REPORTS = Settings(reports_item_failures=True)


def settings(**changes: Any) -> Settings:
    return msgspec.structs.replace(REPORTS, **changes)


def test_progress_by_a_partial_response_starts_a_new_quota() -> None:
    """Recorded (1): batch of 3, 3 retries, the last of six records always fails.

    Rule: new quota.
    Source: recorded from real AWS
    """
    history = play(
        entries("1", "2", "3", "4", "5", "6"), reporting("6"), settings(batch_size=3, retries=3)
    )

    assert history.invocations == [["1", "2", "3"], ["4", "5", "6"], *[["6"]] * 4]
    (discard,) = history.discards
    assert history.discarded == [["6"]]
    assert discard.invocations == 4
    assert discard.function_error is None
    assert discard.condition == "RetryAttemptsExhausted"
    assert history.checkpoints == ["3", "5", "6"]


def test_progress_gives_back_the_retries_that_were_used() -> None:
    """Recorded (1): the new quota is whole, whatever was used before."""
    answers = [report("1"), report("2"), report("2"), report("2")]

    history = play(entries("1", "2"), lambda _: answers.pop(0), settings(retries=1))

    assert history.invocations == [["1", "2"], ["1", "2"], ["2"], ["2"]]
    assert history.discards[0].invocations == 2


@pytest.mark.parametrize(("retries", "invocations"), [(0, 1), (1, 2), (2, 3)])
def test_n_retries_mean_one_invocation_more(retries: int, invocations: int) -> None:
    """Recorded (2).

    Rule: MaximumRetryAttempts.
    Source: recorded from real AWS
    """
    history = play(entries("1"), raising("1"), settings(retries=retries))

    assert len(history.invocations) == invocations
    assert [discard.invocations for discard in history.discards] == [invocations]


@pytest.mark.parametrize(
    "answer",
    [
        report("77"),
        report(""),
        report(None),
        Returned(b'{"batchItemFailures":[{"foo":"2"}]}'),
        Returned(b'{"batchItemFailures":[{"foo":null}]}'),
    ],
    ids=["unknown", "empty", "null", "misnamed", "misnamed and null"],
)
def test_an_identifier_that_cannot_be_right_fails_the_whole_batch(answer: Returned) -> None:
    """Recorded (3): retried whole, then discarded, and the function had no error.

    Rule: wrong identifier.
    Source: recorded from real AWS
    """
    history = play(entries("1", "2", "3"), lambda _: answer, settings(retries=2))

    assert history.invocations == [["1", "2", "3"]] * 3
    assert history.discarded == [["1", "2", "3"]]
    assert history.discards[0].function_error is None


def test_an_exception_is_an_unhandled_function_error() -> None:
    """Recorded (3).

    Rule: exception.
    Source: recorded from real AWS
    """
    history = play(entries("1", "2"), raising("2"), settings(retries=2))

    assert history.invocations == [["1", "2"]] * 3
    assert history.discards[0].function_error == "Unhandled"
    assert history.discards[0].request_id == "r3"


def test_an_expired_record_is_discarded_alone_ahead_of_fresh_ones() -> None:
    """Recorded (4): one expired record ahead of five fresh ones.

    Rule: MaximumRecordAgeInSeconds.
    Source: recorded from real AWS
    """
    old = entry("1", arrived_at=START - 61)
    fresh = entries("2", "3", "4", "5", "6")

    history = play([old, *fresh], reporting(), settings(age_seconds=60, batch_size=10))

    assert history.discarded == [["1"]]
    assert history.discards[0].condition == "RecordAgeExceeded"
    assert history.invocations == [["2", "3", "4", "5", "6"]]
    assert history.checkpoints == ["1", "6"]


def test_an_expired_record_behind_a_fresh_one_is_delivered_with_it() -> None:
    """Arrival times are approximate; giving up the second first would turn the order round."""
    stream = [entry("1"), entry("2", arrived_at=START - 61), entry("3")]

    history = play(stream, reporting(), settings(age_seconds=60))

    assert history.invocations == [["1", "2", "3"]]
    assert not history.discards


def test_expired_records_in_a_row_share_one_document() -> None:
    stream = [*entries("1", "2", arrived_at=START - 61), *entries("3")]

    history = play(stream, reporting(), settings(age_seconds=60))

    assert history.discarded == [["1", "2"]]
    assert history.invocations == [["3"]]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_sixty_seconds_of_endless_retries_are_seven_invocations(chance: float) -> None:
    """Recorded (5): the back-off grows. The eighth attempt finds the record expired.

    Rule: back-off.
    Source: recorded from real AWS
    """
    history = play(entries("1"), raising("1"), settings(age_seconds=60), chance=chance)

    assert len(history.invocations) == 7
    pauses = [later - one for one, later in zip(history.times, history.times[1:], strict=False)]
    assert pauses == sorted(pauses)
    (discard,) = history.discards
    assert discard.condition == "RecordAgeExceeded"
    assert discard.invocations == 7


def test_endless_retries_end_when_the_stream_forgets_the_record() -> None:
    """MaximumRetryAttempts -1 (until expiry).

    Rule: MaximumRetryAttempts, -1.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    history = play(entries("1"), raising("1"), settings(), retention=3600.0)

    assert history.discarded == [["1"]]
    assert history.discards[0].condition == "RecordAgeExceeded"
    assert history.times[-1] <= 3600


def test_the_lowest_of_several_identifiers_is_the_checkpoint() -> None:
    """The retry starts there, inclusive. As numbers: 9 is before 10.

    Rule: lowest.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    answers = [report("11", "9", "10"), DONE]

    history = play(entries("8", "9", "10", "11"), lambda _: answers.pop(0), REPORTS)

    assert history.invocations == [["8", "9", "10", "11"], ["9", "10", "11"]]
    assert history.checkpoints == ["8", "11"]


def test_records_that_were_never_tried_go_with_the_poison_ahead_of_them() -> None:
    """The batch, as it then stands, goes to the destination and the shard moves on.

    Rule: exhausted.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    history = play(entries("1", "2", "3", "4"), reporting("2"), settings(batch_size=3, retries=1))

    assert history.invocations == [["1", "2", "3"], ["2", "3"], ["2", "3"], ["4"]]
    assert history.discarded == [["2", "3"]]
    assert history.checkpoints == ["1", "3", "4"]


def test_responses_are_ignored_without_report_batch_item_failures() -> None:
    """FunctionResponseTypes.

    Rule: FunctionResponseTypes.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    history = play(entries("1", "2"), reporting("1"), Settings())

    assert history.invocations == [["1", "2"]]
    assert history.checkpoints == ["2"]
    assert not history.discards


def test_a_failed_batch_is_cut_into_halves_until_the_poison_is_alone() -> None:
    """BisectBatchOnFunctionError: splits cost no retry.

    Rule: BisectBatchOnFunctionError.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    numbers = [str(number) for number in range(1, 9)]

    history = play(entries(*numbers), raising("3"), settings(bisect=True, retries=1))

    assert history.invocations == [
        numbers,
        ["1", "2", "3", "4"],
        ["1", "2"],
        ["3", "4"],
        ["3"],
        ["3"],
        ["4"],
        ["5", "6", "7", "8"],
    ]
    assert history.discarded == [["3"]]
    assert history.discards[0].invocations == 2
    assert history.checkpoints == ["2", "3", "4", "8"]


def test_bisecting_splits_a_partial_response_at_the_reported_record_only() -> None:
    """BisectBatchOnFunctionError.

    Rule: BisectBatchOnFunctionError, partial response.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    """
    history = play(
        entries("1", "2", "3", "4", "5"), reporting("2"), settings(bisect=True, retries=1)
    )

    assert history.invocations == [["1", "2", "3", "4", "5"], *[["2", "3", "4", "5"]] * 2]
    assert history.discarded == [["2", "3", "4", "5"]]


def test_halves_inherit_the_retries_that_were_used() -> None:
    """A split gives no new quota: only progress does."""
    answers: list[Returned | Errored] = [report("1"), RAISED, RAISED, RAISED]

    history = play(entries("1", "2"), lambda _: answers.pop(0), settings(bisect=True, retries=1))

    assert history.invocations == [["1", "2"], ["1", "2"], ["1"], ["2"]]
    assert history.discarded == [["1"], ["2"]]


def test_throttled_invocations_use_up_no_retry() -> None:
    """MaximumRetryAttempts.

    Rule: throttling.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    answers: list[Throttled | Errored] = [Throttled(), RAISED, Throttled(), Throttled(), RAISED]

    history = play(entries("1"), lambda _: answers.pop(0), settings(retries=1))

    assert len(history.invocations) == 5
    assert history.discards[0].invocations == 2


def test_a_batch_is_cut_at_the_batch_size() -> None:
    """A batch has at most so many records.

    Rule: BatchSize.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    history = play(entries("1", "2", "3", "4", "5"), reporting(), settings(batch_size=2))

    assert history.invocations == [["1", "2"], ["3", "4"], ["5"]]


def test_a_batch_is_cut_at_six_megabytes_of_invocation() -> None:
    third = PAYLOAD_BYTES // 3
    stream = [entry(number, size=third) for number in "1234"]

    history = play(stream, reporting(), settings(window_seconds=300))

    assert history.invocations == [["1", "2"], ["3", "4"]]


def test_a_full_batch_waits_for_no_window() -> None:
    """A full batch is invoked at once.

    Rule: full batch.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stream: list[BatchRecord | float] = [*entries("1", "2"), 1000.0, *entries("3")]

    history = play(stream, reporting(), settings(batch_size=2, window_seconds=300))

    assert history.times[0] == 0


def test_a_window_gathers_what_comes_in_its_time() -> None:
    """A batch that is not full waits for more, so long.

    Rule: MaximumBatchingWindowInSeconds.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-parameters.html
    """
    stream: list[BatchRecord | float] = [
        *entries("1"),
        3.0,
        *entries("2"),
        3.0,
        *entries("3"),
        100.0,
        *entries("4"),
    ]

    history = play(stream, reporting(), settings(window_seconds=10))

    assert history.invocations[0] == ["1", "2", "3"]
    assert history.times[0] == pytest.approx(10)


def test_the_next_window_opens_when_the_invocation_ends() -> None:
    """MaximumBatchingWindowInSeconds.

    The first invocation lasts from 10 to 14, so the second window is open until 24; the clock
    of the first one would have ended it at 20.

    Rule: next window.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    stream: list[BatchRecord | float] = [
        *entries("1"),
        12.0,
        *entries("2"),
        10.0,
        *entries("3"),
        100.0,
        *entries("4"),
    ]

    history = play(stream, reporting(), settings(window_seconds=10), seconds=4.0)

    assert history.invocations[:2] == [["1"], ["2", "3"]]
    assert history.times[0] == pytest.approx(10)
    assert history.times[1] == pytest.approx(24)


def test_what_a_full_batch_left_behind_waits_in_a_window_of_its_own() -> None:
    stream: list[BatchRecord | float] = [*entries("1", "2", "3"), 100.0, *entries("4")]

    history = play(stream, reporting(), settings(batch_size=2, window_seconds=10), seconds=4.0)

    assert history.invocations[:2] == [["1", "2"], ["3"]]
    assert history.times[:2] == [pytest.approx(0), pytest.approx(14)]


def test_without_a_window_the_first_records_go_at_once() -> None:
    stream: list[BatchRecord | float] = [*entries("1"), 100.0, *entries("2")]

    history = play(stream, reporting(), REPORTS)

    assert history.invocations == [["1"], ["2"]]
    assert history.times[0] == 0


def test_what_is_there_already_is_read_before_a_small_batch_is_cut() -> None:
    shard = Shard(settings(batch_size=10), retention=60.0, chance=lambda: 0.5)
    assert isinstance(shard.next(START), Read)
    shard.records_read(entries("1", "2"), behind=True, ended=False, now=START)
    assert isinstance(shard.next(START), Read)
    shard.records_read([], behind=True, ended=False, now=START)
    assert isinstance(shard.next(START), Invoke)


def test_the_checkpoint_comes_before_anything_new() -> None:
    shard = Shard(settings(batch_size=1), retention=60.0, chance=lambda: 0.5)
    shard.next(START)
    shard.records_read(entries("1", "2"), behind=False, ended=False, now=START)
    assert shard.next(START) == Invoke(tuple(entries("1")))
    shard.invocation_ended(DONE, request_id="r", now=START)
    assert shard.next(START) == Advance("1")
    assert shard.next(START) == Advance("1"), "until it is durable"
    shard.checkpoint_saved()
    assert shard.next(START) == Invoke(tuple(entries("2")))


def test_the_checkpoint_waits_for_the_failure_document() -> None:
    shard = Shard(settings(retries=0), retention=60.0, chance=lambda: 0.5)
    shard.next(START)
    shard.records_read(entries("1"), behind=False, ended=False, now=START)
    shard.next(START)
    shard.invocation_ended(RAISED, request_id="r", now=START)
    discard = shard.next(START)
    assert isinstance(discard, Discard)
    assert shard.next(START) == Wait(math.inf), "while it is being written"
    shard.discard_failed(again=START + 1000, lane=0)
    assert shard.next(START + 1000) == discard
    shard.discarded()
    assert shard.next(START) == Advance("1")


def test_halves_that_grow_too_old_name_the_invocation_they_were_in() -> None:
    shard = Shard(settings(bisect=True, age_seconds=60), retention=1e9, chance=lambda: 0.5)
    shard.next(START)
    shard.records_read(entries("1", "2"), behind=False, ended=False, now=START)
    shard.next(START)
    shard.invocation_ended(RAISED, request_id="r", now=START)
    expired = Discard(tuple(entries("1")), "RecordAgeExceeded", 0, "r", None)
    assert shard.next(START + 61) == expired


def test_a_result_without_an_invocation_is_an_error_of_the_driver() -> None:
    shard = Shard(settings(), retention=60.0, chance=lambda: 0.5)
    with pytest.raises(RuntimeError, match=r"^no invocation is running$"):
        shard.invocation_ended(DONE, request_id="r", now=START)
    with pytest.raises(RuntimeError, match=r"^no discard is running$"):
        shard.discarded()


def test_a_running_discard_accepts_no_result_of_an_invocation() -> None:
    shard = Shard(settings(retries=0), retention=60.0, chance=lambda: 0.5)
    shard.records_read(entries("1"), behind=False, ended=False, now=START)
    shard.next(START)
    shard.invocation_ended(RAISED, request_id="r", now=START)
    assert isinstance(shard.next(START), Discard)
    with pytest.raises(RuntimeError, match=r"^no invocation is running$"):
        shard.invocation_ended(DONE, request_id="r", now=START)


def test_every_answer_has_a_word_for_the_log() -> None:
    shard = Shard(settings(bisect=True, retries=1), retention=1e9, chance=lambda: 0.5)
    shard.next(START)
    shard.records_read(entries("1", "2", "3"), behind=False, ended=False, now=START)

    def answer(said: Returned | Errored) -> object:
        now = START + 100
        while isinstance(step := shard.next(now), Advance):
            shard.checkpoint_saved()
        assert isinstance(step, Invoke)
        return shard.invocation_ended(said, request_id="r", now=START)

    reported = "the function reported 2"
    assert answer(report("2")) == Progressed(reported, 1, 2)
    assert answer(RAISED) == Halved("ValueError: poison", 2)
    assert answer(RAISED) == Retrying("ValueError: poison", 1, FIRST_PAUSE_SECONDS)
    assert answer(RAISED) == RetriesExhausted("ValueError: poison", 1)
    shard.discarded()
    assert answer(DONE) == Settled()


def test_the_pause_grows_to_a_limit_with_a_little_jitter() -> None:
    pauses = [pause_after(failures, 0.5) for failures in range(5)]

    assert pauses == [FIRST_PAUSE_SECONDS * 2**n for n in range(5)]
    assert pause_after(10_000, 1.0) == LONGEST_PAUSE_SECONDS * (1 + JITTER)
    assert pause_after(10_000, 0.0) == LONGEST_PAUSE_SECONDS * (1 - JITTER)


def test_success_makes_the_next_pause_short_again() -> None:
    failing = {"1": 5, "2": 1}

    def handle(batch: Batch) -> Returned | Errored:
        failing[batch[0]] -= 1
        return RAISED if failing[batch[0]] >= 0 else DONE

    history = play(entries("1", "2"), handle, settings(batch_size=1))

    assert history.invocations == [["1"]] * 6 + [["2"]] * 2
    assert history.times[-1] - history.times[-2] == pytest.approx(FIRST_PAUSE_SECONDS)


def test_a_child_waits_until_its_parents_are_read_to_the_end() -> None:
    """A child shard waits until its parents are read to the end.

    Rule: parents first.
    Source: https://docs.aws.amazon.com/streams/latest/dev/kinesis-using-sdk-java-after-resharding.html
    """
    listed = {
        "left": frozenset[str](),
        "right": frozenset[str](),
        "merged": frozenset({"left", "right"}),
    }

    assert startable(listed, ended=set()) == ["left", "right"]
    assert startable(listed, ended={"left"}) == ["right"]
    assert startable(listed, ended={"left", "right"}) == ["merged"]


def test_a_parent_that_the_stream_has_forgotten_holds_up_nobody() -> None:
    assert startable({"child": frozenset({"trimmed"})}, ended=set()) == ["child"]


def test_an_empty_closed_shard_is_finished_without_an_invocation() -> None:
    history = play([], reporting(), REPORTS)

    assert not history.invocations
    assert not history.checkpoints


def idle(*, quiet_seconds: float | None = 5.0, **said: Any) -> Shard:
    """A shard whose first read, at time 100, found nothing."""
    shard = Shard(settings(**said), retention=1e9, chance=lambda: 0.5, quiet_seconds=quiet_seconds)
    assert isinstance(shard.next(100.0), Read)
    shard.records_read([], behind=False, ended=False, now=100.0)
    return shard


def test_an_idle_shard_is_read_twice_a_second() -> None:
    assert idle(quiet_seconds=None).next(100.0) == Wait(100.5)


def test_an_idle_shard_is_read_seldom_if_arrivals_are_announced() -> None:
    shard = idle()
    assert shard.next(100.0) == Wait(105.0)
    assert isinstance(shard.next(105.0), Read)


def test_an_announced_shard_is_read_when_something_arrives() -> None:
    shard = idle()
    shard.arrived()
    # Not sooner: a shard allows five reads a second for all its readers.
    assert shard.next(100.1) == Wait(100.5)
    assert isinstance(shard.next(100.5), Read)
    shard.records_read([], behind=False, ended=False, now=100.5)
    assert shard.next(103.0) == Wait(105.5)
    shard.arrived()
    assert isinstance(shard.next(103.0), Read)


def test_an_arrival_does_not_shorten_the_pause_after_a_failed_read() -> None:
    shard = idle()
    shard.read_failed(again=110.0)
    shard.arrived()
    assert shard.next(101.0) == Wait(110.0)


def test_with_tumbling_windows_an_announced_shard_is_read_as_often_as_others() -> None:
    """A read at the end of the stream ends a window."""
    assert idle(tumbling_seconds=10).next(100.0) == Wait(100.5)
