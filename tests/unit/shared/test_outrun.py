"""Events that lost to a version that does not say which of the two is newer, and late events."""

import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_es.table_changes import TABLE_STREAM
from shared.batch import ATTEMPTS, Delivery
from shared.change import Change, change_from, expiry_of
from shared.deliver import deliver
from shared.horizon import HORIZON, QUARANTINE_AGE
from shared.outcome import Held, held
from shared.outrun import outrun
from shared.quarantine import QuarantinedRecord
from shared.record import event_in, from_lambda
from shared.sink import RequestFailedError
from tests.builders import (
    ARRIVED_AT,
    change,
    clock,
    image_event,
    kinesis_record,
    purge_of,
    table_record,
)
from tests.memory_sink import MemorySink

NOW = ARRIVED_AT / 1000
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0

type Batches = Callable[[Sequence[dict[str, Any]]], Sequence[Sequence[dict[str, Any]]]]
BATCHES: dict[str, Batches] = {
    "one batch": lambda records: [records],
    "each alone": lambda records: [[one] for one in records],
}


class Box:
    longest_put = 1.0

    def __init__(self) -> None:
        self.kept: list[QuarantinedRecord] = []

    def put(self, record: QuarantinedRecord) -> None:
        self.kept.append(record)

    @property
    def said(self) -> list[tuple[int | None, str]]:
        return [(one.version, one.reason) for one in self.kept]


class Consumer:
    """A consumer that reads records, in these batches, into a store of its own."""

    def __init__(self, batches: Batches = BATCHES["each alone"]) -> None:
        self.sink, self.box = MemorySink(), Box()
        self._batches = batches

    def reads(self, *records: dict[str, Any], **said: Any) -> list[Delivery]:
        return [
            deliver(
                batch,
                to=self.sink,
                quarantine=self.box,
                function="write_to_es",
                clock=clock(now=lambda: NOW),
                remaining=lambda: 99.0,
                **said,
            )
            for batch in self._batches(records)
        ]

    @property
    def version(self) -> int:
        return self.sink.versions["T1"]


@pytest.fixture(params=list(BATCHES))
def consumer(request: pytest.FixtureRequest) -> Consumer:
    return Consumer(BATCHES[request.param])


def stamp(seconds: float) -> int:
    return round((NOW + seconds) * 1_000_000)


def at(
    seconds: float,
    version: int | None = None,
    *,
    occurred: float | None = None,
    kind: str = "image.updated",
) -> dict[str, Any]:
    """A record that arrives so many seconds from now; by default it occurred then, stamped then."""
    occurred_at = dt.datetime.fromtimestamp(
        NOW + (seconds if occurred is None else occurred), dt.UTC
    )
    event = image_event(
        "T1",
        stamp(seconds) if version is None else version,
        kind,
        occurred_at=msgspec.to_builtins(occurred_at),
    )
    return kinesis_record(
        event,
        position=round((seconds + 400 * DAY) * 1000),
        arrived_at=round((NOW + seconds) * 1000),
    )


def test_revisions_of_a_source_after_an_import_are_quarantined(consumer: Consumer) -> None:
    imported = at(0, stamp(-HORIZON.total_seconds()))
    consumer.reads(imported, at(1, 2), at(2, 3, kind="image.deleted"))
    assert consumer.box.said in ([(2, "outrun"), (3, "outrun")], [(3, "outrun"), (2, "outrun")])
    detail = consumer.box.kept[0].detail
    assert "is a count, and the stored version" in detail
    assert "lockstep redrive --choose" in detail


def test_a_count_that_arrived_before_a_stamp_was_overwritten_in_order(consumer: Consumer) -> None:
    consumer.reads(at(0, 2), at(1))
    assert (consumer.version, consumer.box.kept) == (stamp(1), [])


def test_a_counter_that_starts_again_after_a_deletion_is_quarantined(consumer: Consumer) -> None:
    consumer.reads(
        at(0, 7, kind="image.deleted"), at(DAY, 1, kind="image.uploaded"), at(2 * DAY, 2)
    )
    assert sorted(consumer.box.said) == [(1, "outrun"), (2, "outrun")]
    assert "later than the stored version 7" in consumer.box.kept[0].detail


def test_a_count_that_occurred_before_is_only_stale(consumer: Consumer) -> None:
    late = at(2, 6, occurred=0)
    deliveries = consumer.reads(at(1, 7), late, at(3, 5, occurred=1))
    assert consumer.box.kept == []
    assert sum(one.counts.get("Stale", 0) for one in deliveries) == 2


def test_what_a_clock_ahead_made_stale_is_quarantined_deletions_included(
    consumer: Consumer,
) -> None:
    consumer.reads(at(0, stamp(DAY - 1)), at(HOUR), at(2 * HOUR, kind="image.deleted"))
    assert consumer.version == stamp(DAY - 1)
    assert sorted(consumer.box.said) == [(stamp(HOUR), "outrun"), (stamp(2 * HOUR), "outrun")]
    assert "is 86399 s ahead of its own arrival" in consumer.box.kept[0].detail


@pytest.mark.parametrize(("ahead", "kept"), [(5 * MINUTE, 0), (5 * MINUTE + 1, 1)])
def test_clocks_may_differ_by_five_minutes(consumer: Consumer, ahead: float, kept: int) -> None:
    consumer.reads(at(0, stamp(ahead)), at(1))
    assert len(consumer.box.kept) == kept


def test_a_retry_of_the_producer_that_arrives_behind_a_newer_event_is_stale(
    consumer: Consumer,
) -> None:
    consumer.reads(at(0, stamp(0)), at(1), at(2, stamp(0), occurred=0))
    assert (consumer.version, consumer.box.kept) == (stamp(1), [])


def test_a_replay_from_the_start_quarantines_nothing_that_was_overwritten(
    consumer: Consumer,
) -> None:
    records = [at(0, 7), at(1), at(2, stamp(DAY / 2)), at(DAY)]
    for _ in range(2):
        consumer.reads(*records)
    assert (consumer.version, consumer.box.kept) == (stamp(DAY), [])


def test_two_events_of_the_same_millisecond_are_decided_by_their_versions(
    consumer: Consumer,
) -> None:
    consumer.reads(at(0), at(0.0001, 3))
    assert (consumer.version, consumer.box.kept) == (stamp(0), [])


def test_a_retry_of_the_winner_in_the_same_batch_hides_nothing(consumer: Consumer) -> None:
    ahead = stamp(DAY / 2)
    consumer.reads(at(0, ahead))
    consumer.reads(at(1), at(2, ahead))
    assert consumer.box.said == [(stamp(1), "outrun")]


@pytest.mark.parametrize("early", [0.0, DAY - 1])
def test_an_import_gives_way_also_to_a_clock_ahead(consumer: Consumer, early: float) -> None:
    """Its own clock may be ahead, too."""
    imported = at(1, stamp(1 + early - HORIZON.total_seconds()))
    consumer.reads(at(0, stamp(DAY / 2)), imported)
    assert consumer.box.kept == []


def test_an_event_below_a_conflict_is_compared_as_well(consumer: Consumer) -> None:
    ahead = stamp(DAY / 2)
    consumer.reads(at(0, ahead))
    consumer.reads(at(1, ahead, kind="image.deleted"), at(2))
    assert sorted(consumer.box.said) == [(stamp(2), "outrun"), (ahead, "conflict")]


def test_a_change_of_the_table_is_never_outrun() -> None:
    index = Consumer()
    later = msgspec.structs.replace(change("T1", 3), arrived_at=ARRIVED_AT + 1)
    changes = [change("T1", stamp(0)), later]
    index.reads(
        *[table_record(one, position=at) for at, one in enumerate(changes, start=1)],
        envelope=TABLE_STREAM,
    )
    assert (index.version, index.box.kept) == (stamp(0), [])


def test_a_purge_is_never_outrun() -> None:
    purge = purge_of(change("T1", 3, "image.deleted"))
    assert outrun(purge, Held(stamp(0), 0, dt.datetime.now(dt.UTC))) is None


@pytest.mark.parametrize(
    "fields",
    [
        (None, 1, "2026-11-21T08:00:00Z"),
        (2**53, 1, "2026-11-21T08:00:00Z"),
        (9, "1", "2026-11-21T08:00:00Z"),
        (9, None, "2026-11-21T08:00:00Z"),
        (9, 1, "yesterday"),
        (9, 1, None),
    ],
)
def test_what_is_malformed_in_a_store_outruns_nothing(fields: tuple[Any, Any, Any]) -> None:
    assert held(*fields) is None
    assert outrun(change("T1", 3), None) is None


AGE = QUARANTINE_AGE.total_seconds()


def late(delivery: Delivery) -> list[int]:
    return [one.version for one in delivery.late]


@pytest.mark.parametrize(
    ("stamped", "occurred", "is_late"),
    [
        (-AGE - 1, -AGE - 1, True),
        (-AGE - 1, -AGE - DAY, True),
        (-AGE - 2 * DAY, -AGE - DAY + 1, False),
        (-AGE - 1, -AGE + 1, False),
        (-AGE + 1, -AGE - 1, False),
        (-HORIZON.total_seconds(), 0.0, False),  # an import
        (0.0, -AGE - 1, False),  # an old event, stamped when it was put
    ],
)
def test_an_event_is_late_if_its_stamp_and_its_time_are_old_and_near(
    *, stamped: float, occurred: float, is_late: bool
) -> None:
    event = at(0, stamp(stamped), occurred=occurred)
    (delivery,) = Consumer().reads(event)
    assert late(delivery) == ([stamp(stamped)] if is_late else [])
    assert delivery.counts == {"Applied": 1}, "it is taken all the same"


def test_a_count_is_never_late_also_with_a_time_of_1970() -> None:
    (delivery,) = Consumer().reads(at(0, 1, occurred=-NOW))
    assert late(delivery) == []


def test_late_events_are_counted_whatever_becomes_of_them(consumer: Consumer) -> None:
    deliveries = consumer.reads(at(0, occurred=0), at(1, stamp(-AGE - 1), occurred=-AGE - 1))
    assert [one for delivery in deliveries for one in late(delivery)] == [stamp(-AGE - 1)]


def test_a_late_event_that_is_not_settled_is_counted_when_it_is() -> None:
    consumer = Consumer()
    consumer.sink = MemorySink(*[RequestFailedError("down")] * ATTEMPTS)
    event = at(0, stamp(-AGE - 1), occurred=-AGE - 1)
    assert [late(consumer.reads(event)[0]) for _ in range(2)] == [[], [stamp(-AGE - 1)]]


def test_a_change_of_the_table_is_not_counted_as_late_a_second_time() -> None:
    one = change("T1", stamp(-AGE - 1), occurred_at="2026-08-23T08:00:00Z")
    (delivery,) = Consumer().reads(table_record(one), envelope=TABLE_STREAM)
    assert late(delivery) == []


@pytest.mark.parametrize("days_after", [1, 120, 122])
def test_counts_are_protected_by_the_tombstone_and_by_nothing_after_it(days_after: int) -> None:
    """A count does not tell when it was set, so such an event is not late either."""
    consumer = Consumer()
    consumer.reads(at(0, 7, kind="image.deleted"))
    now = NOW + days_after * DAY
    for image_id, tombstone in list(consumer.sink.stored.items()):
        if (expiry_of(tombstone) or now) < now:  # as the time to live and the purge do
            del consumer.sink.stored[image_id]
    (delivery,) = consumer.reads(at(days_after * DAY, 6, occurred=-DAY))
    assert late(delivery) == []
    assert delivery.counts == ({"Applied": 1} if days_after == 122 else {"Stale": 1})


VERSIONS = st.one_of(
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 2.0, DAY / 2, -HORIZON.total_seconds()]).map(stamp),
)
EVENTS = st.lists(st.tuples(VERSIONS, st.integers(-3, 3)), min_size=2, max_size=6)


@given(events=EVENTS, cuts=st.sets(st.integers(1, 5)))
def test_no_event_is_lost_to_what_the_store_holds_whatever_the_batches(
    events: list[tuple[int, int]], cuts: set[int]
) -> None:
    records = [
        at(seconds, version, occurred=occurred)
        for seconds, (version, occurred) in enumerate(events)
    ]
    ends = sorted({*(cut for cut in cuts if cut < len(records)), len(records)})
    in_batches = [records[begin:end] for begin, end in itertools.pairwise([0, *ends])]
    consumers = [Consumer(), Consumer(lambda _: in_batches)]
    for consumer in consumers:
        consumer.reads(*records)
        held_now = _held(consumer.sink.stored["T1"])
        first: dict[int, Change] = {}
        for one in map(from_lambda, records):
            read = change_from(event_in(one), one)
            if outrun(first.setdefault(read.version, read), held_now):
                assert (read.version, "outrun") in consumer.box.said
    each_alone, batched = consumers
    assert each_alone.version == batched.version == max(version for version, _ in events)


def _held(change: Change) -> Held:
    found = held(change.version, change.arrived_at, change.occurred_at)
    assert found is not None
    return found
