"""A timeline lists each event once, whoever tells of it, in order of time."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.trace.events import NO_RECORD, Place, Source, Told, What, timeline
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

NOW = 1_795_248_000.0
PLACE = Place("images", "shardId-000000000000", "9")
LATER = Place("images", "shardId-000000000000", "10")


def told(
    what: What,
    after: float = 0.0,
    source: Source = "log",
    *,
    place: Place = PLACE,
    detail: str = "",
    function: str | None = TABLE_CONSUMER,
    version: int | None = None,
) -> Told:
    return Told(what, NOW + after, source, place, detail, function, version)


def test_an_event_that_several_sources_tell_is_listed_once() -> None:
    (event,) = timeline(
        [
            told("quarantined", 0.0, "log", detail="schema", version=1),
            told("quarantined", 0.2, "quarantine", detail="schema: $.image is missing"),
        ]
    )
    assert event.sources == ("log", "quarantine")
    assert event.detail == "schema: $.image is missing"
    assert event.at == "2026-11-21T08:00:00.000Z"
    assert (event.version, event.times, event.until) == (1, 1, None)


def test_each_consumer_has_events_of_its_own_and_a_redrive_is_one_for_both() -> None:
    both = [TABLE_CONSUMER, INDEX_CONSUMER]
    events = timeline(
        told(what, 1.0, "quarantine", function=function)
        for what in ("quarantined", "redriven")
        for function in both
    )
    assert [(event.what, event.consumers) for event in events] == [
        ("quarantined", (TABLE_CONSUMER,)),
        ("quarantined", (INDEX_CONSUMER,)),
        ("redriven", (TABLE_CONSUMER, INDEX_CONSUMER)),
    ]


def test_failures_of_one_record_are_one_event_with_the_last_cause() -> None:
    (event,) = timeline(told("not_settled", at, detail=f"cause {at:g}") for at in (2.0, 0.0, 1.0))
    assert (event.times, event.detail) == (3, "cause 2")
    assert (event.at, event.until) == ("2026-11-21T08:00:00.000Z", "2026-11-21T08:00:02.000Z")


def test_a_quarantined_record_is_not_settled_besides() -> None:
    events = timeline(
        [
            told("quarantined"),
            told("settled", 0.1),
            told("settled", 0.1, function=INDEX_CONSUMER),
            told("settled", 0.2, place=LATER),
        ]
    )
    assert [(event.what, event.sequence_number, event.consumers[0]) for event in events] == [
        ("quarantined", "9", TABLE_CONSUMER),
        ("settled", "9", INDEX_CONSUMER),
        ("settled", "10", TABLE_CONSUMER),
    ]


def test_of_one_moment_the_number_decides_not_its_text() -> None:
    events = timeline([told("arrived", place=LATER), told("arrived")])
    assert [event.sequence_number for event in events] == ["9", "10"]


KINDS: Sequence[What] = (
    "arrived",
    "not_settled",
    "quarantined",
    "discarded",
    "redriven",
    "settled",
)


@given(
    st.lists(
        st.builds(
            told,
            st.sampled_from(KINDS),
            st.integers(0, 3).map(float),
            st.sampled_from(["log", "quarantine", "stream"]),
            place=st.sampled_from([PLACE, LATER]),
            function=st.sampled_from([TABLE_CONSUMER, INDEX_CONSUMER]),
        )
    )
)
def test_whatever_is_told_the_order_is_that_of_time_and_nothing_is_lost(some: list[Told]) -> None:
    events = timeline(some)
    moments = [event.at for event in events]
    assert moments == sorted(moments)
    names = [(one.what, one.sequence_number, one.consumers, one.at) for one in events]
    assert len(names) == len(set(names))
    kinds = {one.what for one in some} - {"settled"}
    assert kinds <= {event.what for event in events}


@pytest.mark.parametrize("what", KINDS)
def test_each_kind_alone_is_one_event(what: What) -> None:
    (event,) = timeline([told(what, detail="a detail")])
    assert (event.what, event.detail, event.times) == (what, "a detail", 1)


def test_the_records_that_a_consumer_settled_in_one_batch_are_one_event() -> None:
    places = [Place("images", "shardId-000000000000", str(number)) for number in (9, 10, 11)]
    events = timeline(
        told("settled", at, place=place, detail="3 applied", function=function)
        for function, at in ((TABLE_CONSUMER, 1.0), (INDEX_CONSUMER, 1.0))
        for place in places
    )
    assert [(one.consumers, one.records, one.sequence_number) for one in events] == [
        ((TABLE_CONSUMER,), 3, "9"),
        ((INDEX_CONSUMER,), 3, "9"),
    ]
    assert {one.last_sequence_number for one in events} == {"11"}


def test_the_records_of_two_batches_are_two_events() -> None:
    events = timeline(
        [
            told("settled", 1.0, detail="applied"),
            told("settled", 2.0, place=LATER, detail="applied"),
            told("arrived", 1.0, "stream", place=LATER, function=None),
        ]
    )
    assert [(one.what, one.records) for one in events] == [
        ("arrived", 1),
        ("settled", 1),
        ("settled", 1),
    ]


def test_what_is_about_no_record_is_listed_at_its_time() -> None:
    replaced = told("replaced", 1.0, "replaced", place=NO_RECORD, function=None, version=5)
    events = timeline([told("settled", 2.0), replaced, told("arrived", 0.0, "stream")])
    assert [one.what for one in events] == ["arrived", "replaced", "settled"]
    assert (events[1].sequence_number, events[1].times) == ("", 1)
