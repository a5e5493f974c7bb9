"""The producer: whatever fails, the events of an image arrive in order and none is lost."""

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from typing import Any, cast

import msgspec
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from lockstep.producing.outbox import Bounds, Outgoing
from lockstep.producing.producer import (
    PAUSE,
    GaveUpError,
    Pause,
    Producer,
    PutError,
    PutProgress,
    PutReport,
    Stamp,
    StreamRefusedError,
)
from shared.event import Event, Image, InvalidEventError, decode
from shared.stamps import time_of
from tests.builders import decoded, image, image_event, largest
from tests.unit.producer.scripted_stream import (
    NOON,
    Fail,
    Say,
    ScriptedStream,
    Take,
    Throttle,
    Turn,
    VirtualTime,
    client_error,
)

STREAM = "lockstep-images"


def event(image_id: str = "T02680", version: int = 1, name: str = "Thames") -> Event:
    return decoded(image_event(image_id, version, image=image(name)))


def events(count: int) -> list[Event]:
    """One event for each of this many images."""
    return [event(f"T{number}") for number in range(count)]


def throttle(*at: int) -> Throttle:
    return Throttle(frozenset(at))


def lost() -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url="the stream")


def test_every_event_arrives_unchanged() -> None:
    stream = ScriptedStream()
    given_events = [event("A", 1), decoded(image_event("A", 2, "image.deleted")), event("B", 1)]
    report = Producer(stream, STREAM, clock=VirtualTime().clock).put(given_events)
    assert (report.put, report.resent) == (3, 0)
    assert sorted(stream.events(), key=lambda one: (one.image_id, one.version)) == given_events


def test_an_encoded_record_is_sent_unchanged_and_is_validated() -> None:
    stream = ScriptedStream()
    producer = Producer(stream, STREAM, clock=VirtualTime().clock)
    # With all six digits of the second it would be too large.
    large = largest("A", occurred_at="2026-11-21T08:00:00.1Z")
    assert producer.put([Outgoing("A", large)]).put == 1
    assert stream.events() == [decode(large)]
    with pytest.raises(InvalidEventError, match="partition_key"):
        producer.put([Outgoing("B", large)])


def test_without_events_there_is_no_request() -> None:
    stream = ScriptedStream()
    assert Producer(stream, STREAM).put([]).put == 0
    assert stream.requests == []


def test_a_request_has_at_most_500_records() -> None:
    stream = ScriptedStream()
    Producer(stream, STREAM, clock=VirtualTime().clock).put(events(1001))
    assert [len(request) for request in stream.requests] == [500, 500, 1]


def test_a_request_has_at_most_five_mebibytes_of_data_and_keys() -> None:
    stream = ScriptedStream()
    tags = tuple("x" * 4000 for _ in range(60))  # 240 kB: 21 fit
    heavy = [decoded(image_event(f"T{number}", image=image(tags=tags))) for number in range(50)]
    assert Producer(stream, STREAM, clock=VirtualTime().clock).put(heavy).put == 50
    assert [len(request) for request in stream.requests] == [21, 21, 8]


def test_a_request_has_at_most_one_event_of_an_image() -> None:
    stream = ScriptedStream()
    hot = [event("A", version) for version in range(1, 6)]
    Producer(stream, STREAM, clock=VirtualTime().clock).put([*hot, event("B")])
    assert stream.requests == [["A", "B"], ["A"], ["A"], ["A"], ["A"]]
    assert stream.versions()["A"] == [1, 2, 3, 4, 5]


def test_a_throttled_record_is_resent_before_newer_ones_of_its_image() -> None:
    time = VirtualTime()
    stream = ScriptedStream(throttle(0))
    report = Producer(stream, STREAM, clock=time.clock).put([event("A", 1), event("A", 2)])
    assert stream.requests == [["A"], ["A"], ["A"]]
    assert stream.versions() == {"A": [1, 2]}
    assert (report.put, report.resent) == (2, 1)
    assert len(time.slept) == 1


def test_other_images_continue_while_one_waits() -> None:
    time = VirtualTime()
    stream = ScriptedStream(throttle(0))
    source = [event("A", 1), event("A", 2), event("B", 1), event("B", 2)]
    Producer(stream, STREAM, clock=time.clock).put(source)
    assert stream.requests == [["A", "B"], ["B"], ["A"], ["A"]]


def test_pauses_grow_with_each_failure_and_have_jitter() -> None:
    calm, hasty = VirtualTime(itertools.repeat(1.0)), VirtualTime(itertools.repeat(0.0))
    for time in (calm, hasty):
        stream = ScriptedStream(*[throttle(0)] * 7)
        Producer(stream, STREAM, clock=time.clock).put([event()])
    assert calm.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.0, 3.0])
    assert hasty.slept == pytest.approx([pause / 2 for pause in calm.slept])


def test_an_accepted_record_resets_the_pause_of_its_image() -> None:
    time = VirtualTime(itertools.repeat(1.0))
    stream = ScriptedStream(throttle(0), throttle(0), Take(), throttle(0))
    Producer(stream, STREAM, clock=time.clock).put([event("A", 1), event("A", 2)])
    assert time.slept == pytest.approx([0.1, 0.2, 0.1])


@pytest.mark.parametrize(
    "turn",
    [
        Fail(lost(), taken=True),
        Fail(lost()),
        Fail(EndpointConnectionError(endpoint_url="the stream")),
        Fail(ResponseParserError("not JSON"), taken=True),
        Fail(client_error("InternalFailure", 500), taken=True),
        Fail(client_error("ServiceUnavailable", 503)),
        Fail(client_error("ProvisionedThroughputExceededException", 400)),
        Fail(client_error("LimitExceededException", 400)),
        Fail(client_error("KMSThrottlingException", 400)),
        Fail(client_error("ThrottlingException", 429)),
        Say({"ResponseMetadata": {}}),
        Say({"Records": [{"SequenceNumber": "1"}]}),
        Say({"Records": None}),
    ],
    ids=repr,
)
def test_a_transient_failure_resends_the_whole_request_in_order(turn: Turn) -> None:
    time = VirtualTime()
    stream = ScriptedStream(turn)
    source = [event("A", 1), event("B", 1), event("A", 2), event("B", 2)]
    report = Producer(stream, STREAM, clock=time.clock).put(source)
    assert stream.requests[:3] == [["A", "B"]] * 3
    assert stream.versions() == {"A": [1, 2], "B": [1, 2]}
    assert (report.put, report.resent) == (4, 2)
    assert len(time.slept) == 1


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize(
    "late",
    [
        ReadTimeoutError(endpoint_url="the stream"),
        ConnectionClosedError(
            endpoint_url="the stream", error=ProtocolError("", TimeoutError("timed out"))
        ),
    ],
    ids=repr,
)
def test_a_request_that_times_out_is_sent_again_in_halves(late: Exception, *, taken: bool) -> None:
    stream = ScriptedStream(Fail(late, taken=taken))
    source = [event(name, version) for version in (1, 2) for name in "ABCD"]
    report = Producer(stream, STREAM, clock=VirtualTime().clock).put(source)
    assert stream.requests[:3] == [["A", "B", "C", "D"], ["A", "B"], ["C", "D", "A", "B"]]
    assert stream.versions() == {key: [1, 2] for key in "ABCD"}
    assert (report.put, report.resent) == (8, 4)


def test_while_requests_fail_as_a_whole_no_other_is_sent_and_the_pauses_grow() -> None:
    time = VirtualTime(itertools.repeat(1.0))
    stream = ScriptedStream(*[Fail(lost())] * 3, Take(), Fail(lost()))
    Producer(stream, STREAM, clock=time.clock).put(events(600))
    assert time.slept == pytest.approx([0.1, 0.2, 0.4, 0.1])
    assert [len(request) for request in stream.requests] == [500, 500, 500, 500, 100, 100]
    assert stream.requests[0] == stream.requests[3]


def test_a_record_without_a_sequence_number_is_not_accepted() -> None:
    stream = ScriptedStream(Say({"Records": [{}]}), Say({"Records": [{"ErrorCode": "Odd"}]}))
    report = Producer(stream, STREAM, clock=VirtualTime().clock).put([event()])
    assert (report.put, report.resent) == (1, 2)


@pytest.mark.parametrize(
    "error",
    [
        client_error("ResourceNotFoundException", 400, "Stream lockstep-images not found."),
        client_error("AccessDeniedException", 400),
        client_error("ValidationException", 400),
        client_error("KMSDisabledException", 400),
        client_error("UnrecognizedClientException", 403),
        NoCredentialsError(),
    ],
    ids=repr,
)
def test_a_permanent_failure_says_what_is_put_and_what_is_not(
    error: Exception,
) -> None:
    time = VirtualTime()
    stream = ScriptedStream(Take(), Fail(error))
    source = [*events(500), event("A", 1), event("A", 2), event("B", 1), event("C", 1)]
    with pytest.raises(StreamRefusedError) as caught:
        Producer(stream, STREAM, clock=time.clock).put(source)
    assert caught.value.report.put == 500
    assert [one.image_id for one in caught.value.not_put] == ["A", "A", "B", "C"]
    assert str(caught.value).startswith("stream lockstep-images refuses the request: ")
    assert "500 events are put, 4 events that were read are not" in str(caught.value)
    assert "(A version 1, A version 2, B version 1 and 1 more)" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.slept == []


def test_the_producer_gives_up_when_no_record_is_accepted_for_the_whole_patience() -> None:
    time = VirtualTime(itertools.repeat(1.0))
    stream = ScriptedStream(Take(), then=itertools.repeat(Fail(lost())))
    with pytest.raises(GaveUpError, match=r"gave up after 3[0-9] s without progress") as caught:
        Producer(stream, STREAM, clock=time.clock, patience=30).put(events(510))
    assert caught.value.report.put == 500
    assert len(caught.value.not_put) == 10
    assert 30 < time.now < 34


def test_each_accepted_record_restarts_the_patience() -> None:
    time = VirtualTime(itertools.repeat(1.0))
    outages = [Fail(lost())] * 5 + [Take()]  # 3.1 s each
    stream = ScriptedStream(*outages * 10)
    source = [event("A", version) for version in range(1, 11)]
    assert Producer(stream, STREAM, clock=time.clock, patience=2).put(source).put == 10
    assert time.now > 30


def test_patience_counts_time_and_not_failures() -> None:
    stream = ScriptedStream(Fail(lost()))
    assert Producer(stream, STREAM, clock=VirtualTime().clock, patience=0).put([event()]).put == 1


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (client_error("AccessDeniedException", 400, "no right"), "AccessDeniedException: no right"),
        (NoCredentialsError(), "NoCredentialsError: Unable to locate credentials"),
    ],
)
def test_a_refusal_says_why(error: Exception, why: str) -> None:
    with pytest.raises(StreamRefusedError) as caught:
        Producer(ScriptedStream(Fail(error)), STREAM).put([event()])
    assert str(caught.value).startswith(f"stream lockstep-images refuses the request: {why}; ")


def test_progress_says_why_a_whole_request_is_resent() -> None:
    reports: list[PutProgress] = []
    throttling = client_error("LimitExceededException", 400, "slower")
    Producer(
        ScriptedStream(Fail(throttling)),
        STREAM,
        clock=VirtualTime().clock,
        on_progress=reports.append,
    ).put([event()])
    assert [one.trouble for one in reports] == ["LimitExceededException: slower", None]


def test_waiting_for_a_slow_source_does_not_count_for_the_patience() -> None:
    time = VirtualTime()

    def slow() -> Iterator[Event | Pause]:
        yield event("A")
        yield PAUSE
        time.now += 3600
        yield event("B")

    stream = ScriptedStream(Take(), throttle(0))
    assert Producer(stream, STREAM, clock=time.clock, patience=1).put(slow()).put == 2


def test_events_before_a_pause_are_sent_at_once() -> None:
    stream = ScriptedStream()
    seen: list[int] = []

    def live() -> Iterator[Event | Pause]:
        yield PAUSE
        for number in range(3):
            yield event(f"T{number}")
            yield PAUSE
            seen.append(len(stream.accepted))

    Producer(stream, STREAM, clock=VirtualTime().clock).put(live())
    assert seen == [1, 2, 3]


def test_other_images_overtake_a_hot_image_up_to_the_bound_then_reading_waits() -> None:
    stream = ScriptedStream()
    read = ahead = 0

    def source() -> Iterator[Event]:
        nonlocal read, ahead
        for version in range(1, 100):
            read += 1
            ahead = max(ahead, read - len(stream.accepted))
            yield event("A", version)

    Producer(stream, STREAM, clock=VirtualTime().clock, bounds=Bounds(records=20)).put(source())
    assert ahead == 20
    assert stream.versions() == {"A": list(range(1, 100))}


def test_the_bound_also_counts_bytes() -> None:
    stream = ScriptedStream()
    read = ahead = 0

    def source() -> Iterator[Event]:
        nonlocal read, ahead
        for version in range(1, 50):
            read += 1
            ahead = max(ahead, read - len(stream.accepted))
            yield event("A", version, name="x" * 1000)

    bounds = Bounds(records=1000, bytes=5000)
    Producer(stream, STREAM, clock=VirtualTime().clock, bounds=bounds).put(source())
    assert ahead == 5  # of about 1,100 bytes each: the last one exceeds the bound


def test_seventy_thousand_events_are_never_all_held() -> None:
    seen: list[PutProgress] = []
    source = (event(f"T{number % 997}", number + 1) for number in range(70_000))
    stream = ScriptedStream()
    producer = Producer(stream, STREAM, clock=VirtualTime().clock, on_progress=seen.append)
    assert producer.put(source).put == 70_000
    assert max(progress.held for progress in seen) < 2000
    assert seen[-1] == PutProgress(put=70_000, resent=0, held=0, trouble=None)


def test_progress_says_why_a_record_is_resent() -> None:
    seen: list[PutProgress] = []
    stream = ScriptedStream(throttle(0), Fail(lost()))
    Producer(stream, STREAM, clock=VirtualTime().clock, on_progress=seen.append).put([event()])
    assert [(one.put, one.resent, one.held) for one in seen] == [(0, 0, 1), (0, 1, 1), (1, 2, 0)]
    assert str(seen[0].trouble).startswith("ProvisionedThroughputExceededException: Rate")
    assert str(seen[1].trouble).startswith("ConnectionClosedError: ")
    assert seen[2].trouble is None


def test_events_before_an_error_of_the_source_are_put_before_it_is_raised() -> None:
    stream = ScriptedStream(throttle(1))

    def breaking() -> Iterator[Event]:
        yield from events(3)
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        Producer(stream, STREAM, clock=VirtualTime().clock).put(breaking())
    assert len(stream.accepted) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Event("image.uploaded", "A", 1, event().occurred_at), "schema"),
        (Event("image.deleted", "", 1, event().occurred_at), "schema"),
        (Event("image.deleted", "\ud800", 1, event().occurred_at), "not_json"),
        (Event("image.deleted", "A", int(NOON + 100_000) * 1_000_000, event().occurred_at),
         "version_ahead"),
    ],
)  # fmt: skip
def test_an_invalid_event_is_never_sent(bad: Event, reason: str) -> None:
    stream = ScriptedStream()
    with pytest.raises(InvalidEventError) as caught:
        Producer(stream, STREAM, clock=VirtualTime().clock).put([event("B"), bad, event("C")])
    assert caught.value.reason == reason
    assert [key for key, _ in stream.accepted] == ["B"]


@pytest.mark.parametrize("share", [0.0, 0.02, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_throttled_at_random_each_image_keeps_its_order(share: float, seed: int) -> None:
    dice = random.Random(seed)
    stream = ScriptedStream(
        then=(
            Throttle(frozenset(at for at in range(500) if dice.random() < share))
            for _ in itertools.count()
        )
    )
    source = [event(f"T{dice.randrange(100)}", number) for number in range(1, 1_501)]
    report = Producer(stream, STREAM, clock=VirtualTime(iter(dice.random, 2)).clock).put(source)
    wanted: dict[str, list[int]] = {}
    for one in source:
        wanted.setdefault(one.image_id, []).append(one.version)
    assert stream.versions() == wanted
    assert report.put == len(stream.accepted) == 1_500
    assert (report.resent > 0) == (share > 0)


turns = st.one_of(
    st.just(Take()),
    st.frozensets(st.integers(0, 7)).map(Throttle),
    st.booleans().map(lambda taken: Fail(lost(), taken=taken)),
    st.booleans().map(lambda taken: Fail(client_error("InternalFailure", 500), taken=taken)),
    st.just(Say({})),
)


@settings(max_examples=200, deadline=None)
@given(
    images=st.lists(st.sampled_from("ABCDEFGH") | st.none(), max_size=40),
    script=st.lists(turns, max_size=25),
    room=st.integers(1, 12),
    permanent=st.none() | st.just(Fail(client_error("AccessDeniedException", 400))),
)
def test_whatever_fails_the_order_holds_and_no_event_is_lost(
    images: list[str | None], script: list[Turn], room: int, permanent: Fail | None
) -> None:
    source = [
        PAUSE if image_id is None else event(image_id, number)
        for number, image_id in enumerate(images, start=1)
    ]
    stream = ScriptedStream(*script, then=[permanent] if permanent else [])
    producer = Producer(
        stream, STREAM, clock=VirtualTime().clock, bounds=Bounds(records=room), patience=1000
    )
    asked: dict[str, list[int]] = {}
    for one in source:
        if isinstance(one, Event):
            asked.setdefault(one.image_id, []).append(one.version)
    reader = iter(source)
    try:
        report = producer.put(reader)
    except PutError as error:
        arrived = stream.versions()
        missing: dict[str, list[int]] = {}
        for left in [*error.not_put, *reader]:
            if isinstance(left, Event) and left.version not in arrived.get(left.image_id, []):
                missing.setdefault(left.image_id, []).append(left.version)
        for image_id, versions in asked.items():
            assert arrived.get(image_id, []) + missing.get(image_id, []) == versions
    else:
        assert stream.versions() == asked
        assert report.put == sum(len(versions) for versions in asked.values())


def test_stamps_increase_when_the_clock_stands_still_or_goes_back() -> None:
    moments = iter([NOON, NOON, NOON - 3600, NOON - 3600, NOON + 1])
    stamp = Stamp(lambda: next(moments))
    noon = int(NOON * 1_000_000)
    assert [stamp() for _ in range(5)] == [noon, noon + 1, noon + 2, noon + 3, noon + 1_000_000]


def test_the_first_stamp_of_a_clock_at_zero_is_the_lowest_version() -> None:
    assert Stamp(lambda: 0.0)() == 1


def test_a_stamp_gives_its_time_back() -> None:
    stamped = Stamp(lambda: NOON + 0.25)()
    assert time_of(stamped) == dt.datetime(2026, 11, 21, 12, 0, 0, 250_000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("count", "named"),
    [
        (0, ""),
        (1, " (A version 1)"),
        (3, " (A version 1, A version 2, A version 3)"),
        (4, " (A version 1, A version 2, A version 3 and 1 more)"),
    ],
)
def test_events_that_are_not_put_are_counted_and_the_first_named(count: int, named: str) -> None:
    not_put = [event("A", version) for version in range(1, count + 1)]
    assert str(PutError("why", PutReport(7, 0, 0.0), not_put)) == (
        f"why; 7 events are put, {count} events that were read are not{named}: "
        "correct the cause, then put these and all later events again"
    )


def test_the_report_has_the_duration() -> None:
    time = VirtualTime()
    time.now = 100.0
    stream = ScriptedStream(Fail(lost()), Fail(lost()))
    report = Producer(stream, STREAM, clock=time.clock).put([event()])
    assert report.seconds == pytest.approx(sum(time.slept))
    assert len(time.slept) == 2


@pytest.mark.parametrize("told", [{}, {"ResponseMetadata": {}}])
def test_an_error_without_a_status_is_transient(told: dict[str, Any]) -> None:
    error = ClientError(cast("Any", {"Error": {"Code": "SomethingNew"}, **told}), "PutRecords")
    report = Producer(ScriptedStream(Fail(error)), STREAM, clock=VirtualTime().clock).put([event()])
    assert (report.put, report.resent) == (1, 1)


def test_a_version_of_now_is_valid() -> None:
    stamped = event("A", int(NOON * 1_000_000))
    assert Producer(ScriptedStream(), STREAM, clock=VirtualTime().clock).put([stamped]).put == 1


def test_a_lone_surrogate_is_refused_with_a_reason() -> None:
    bad = msgspec.structs.replace(event("A"), image=Image("\ud800"))
    with pytest.raises(InvalidEventError) as caught:
        Producer(ScriptedStream(), STREAM, clock=VirtualTime().clock).put([bad])
    assert caught.value.reason == "not_json"
    assert caught.value.detail == "a text has a lone surrogate (half of a character): remove it"


def test_a_response_with_too_few_results_is_no_result_for_any_record() -> None:
    reports: list[PutProgress] = []
    stream = ScriptedStream(Say({"Records": [{"SequenceNumber": "1"}]}))
    producer = Producer(stream, STREAM, clock=VirtualTime().clock, on_progress=reports.append)
    assert producer.put(events(2)).resent == 2
    assert reports[0].trouble == "ValidationError: 1 results for 2 records"
