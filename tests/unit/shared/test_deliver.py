"""The rules of delivery (docs/internals/invariants.md), on a sink with listed failures."""

import base64
import random
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import msgspec
import pytest

from functions.write_to_es.table_changes import TABLE_STREAM
from shared.batch import REPORTING_SECONDS, Delivery
from shared.change import Change, Purge, digest_of
from shared.clock import Clock
from shared.deliver import deliver
from shared.event import Image, digest
from shared.item import item_from
from shared.outcome import Failed, Outcome, Refused
from shared.quarantine import QuarantinedRecord, QuarantineError
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTooLargeError,
    SinkError,
)
from tests.builders import (
    change,
    image,
    image_event,
    kinesis_record,
    kinesis_records,
    table_record,
)
from tests.builders import sequence_number as at
from tests.memory_sink import MemorySink


class Shelf(MemorySink):
    """The store in memory, which refuses single versions and fails images until it recovers."""

    def __init__(
        self,
        *,
        refuses: Sequence[tuple[str, int]] = (),
        fails: Sequence[str] = (),
        recovers_after: int = 1000,
        raises: Sequence[SinkError] = (),
        schema_error: SinkError | None = None,
        per_request: int = 100,
    ) -> None:
        schema = repeat(schema_error)
        super().__init__(*raises, schema=schema, per_request=per_request, longest_send=5.0)
        self._refuses = refuses
        self._fails = fails
        self._recovers_after = recovers_after

    def write(self, change: Change) -> Outcome:
        if (change.image_id, change.version) in self._refuses:
            return Refused("mapper_parsing_exception")
        if change.image_id in self._fails and len(self.sent) <= self._recovers_after:
            return Failed("throttled")
        return super().write(change)

    @property
    def asked(self) -> list[list[tuple[str, int]]]:
        return [[(change.image_id, change.version) for change in request] for request in self.sent]


class Box:
    """A quarantine in memory; `broken` ones refuse everything."""

    longest_put = 3.0

    def __init__(self, *, broken: bool = False) -> None:
        self.kept: dict[str, QuarantinedRecord] = {}
        self._broken = broken

    def put(self, record: QuarantinedRecord) -> None:
        if self._broken:
            raise QuarantineError("no such bucket")
        self.kept.setdefault(record.key, record)

    @property
    def reasons(self) -> list[tuple[str, str]]:
        return [(record.sequence_number, record.reason) for record in self.kept.values()]


class Watch:
    """A clock that only moves when somebody sleeps."""

    def __init__(self, seconds: float = 60.0) -> None:
        self.left = seconds
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.left -= seconds

    def clock(self) -> Clock:
        return Clock(
            now=lambda: 1_795_248_001.0,
            elapsed=lambda: 0.0,
            sleep=self.sleep,
            chance=lambda: 0.5,
        )


def delivered(
    records: list[dict[str, Any]],
    shelf: MemorySink,
    box: Box | None = None,
    watch: Watch | None = None,
) -> Delivery:
    watch = watch or Watch()
    return deliver(
        records,
        to=shelf,
        quarantine=box or Box(),
        function="write_to_es",
        clock=watch.clock(),
        remaining=lambda: watch.left,
    )


def other(image_id: str, version: int) -> dict[str, Any]:
    """The same version with other content."""
    return image_event(image_id, version, image=image("something else"))


def test_all_settled_is_an_empty_response() -> None:
    delivery = delivered(kinesis_records(image_event("a"), image_event("b")), shelf := Shelf())
    assert delivery.response() == {"batchItemFailures": []}
    assert delivery.counts == {"Applied": 2}
    assert shelf.versions == {"a": 1, "b": 1}


def test_what_a_store_says_is_short_in_the_quarantine_and_as_a_cause() -> None:
    class Wordy(Shelf):
        def write(self, change: Change) -> Outcome:
            long = "x" * 100_000
            return Refused(long) if change.image_id == "a" else Failed(long)

    delivery = delivered(kinesis_records(image_event("a"), image_event("b")), Wordy())
    (entry,) = delivery.quarantined
    (cause,) = delivery.failures
    assert entry.detail == cause == shortened("x" * 100_000)


def test_an_empty_batch_is_settled_without_a_request() -> None:
    shelf = Shelf()
    assert delivered([], shelf).response() == {"batchItemFailures": []}
    assert shelf.sent == []


def test_only_the_highest_version_of_an_image_is_written() -> None:
    shelf = Shelf()
    records = kinesis_records(image_event("a", 2), image_event("a", 3), image_event("a", 1))
    delivery = delivered(records, shelf)
    assert shelf.asked == [[("a", 3)]]
    assert delivery.counts == {"Applied": 1, "Stale": 2}


def test_a_repeated_event_in_a_batch_is_a_duplicate() -> None:
    delivery = delivered(kinesis_records(image_event("a"), image_event("a")), Shelf())
    assert delivery.counts == {"Applied": 1, "Duplicate": 1}


def test_of_equal_versions_the_first_is_written_and_the_other_is_a_conflict() -> None:
    shelf, box = Shelf(), Box()
    delivery = delivered(kinesis_records(image_event("a", 5), other("a", 5)), shelf, box)
    assert box.reasons == [(at(2), "conflict")]
    assert shelf.asked == [[("a", 5)]]
    assert delivery.counts == {"Applied": 1, "Quarantined": 1}
    (record,) = delivery.quarantined
    stored, this = (digest(Image(name)) for name in ("a at version 5", "something else"))
    assert record.detail == (
        f"version 5 is taken by other content: stored is digest {stored}, this is {this}"
    )


def test_a_tombstone_and_an_image_of_the_same_version_are_a_conflict() -> None:
    box = Box()
    delete = image_event("a", 5, "image.deleted")
    delivered(kinesis_records(image_event("a", 5), delete), Shelf(), box)
    assert box.reasons == [(at(2), "conflict")]


def test_a_conflict_with_the_store_is_quarantined_and_what_the_store_holds_is_a_duplicate() -> None:
    shelf, box = Shelf(), Box()
    delivered(kinesis_records(image_event("a", 5)), shelf)
    replay = kinesis_records(other("a", 5), image_event("a", 5), image_event("a", 4))
    delivery = delivered(replay, shelf, box)
    assert box.reasons == [(at(1), "conflict")]
    (record,) = delivery.quarantined
    assert record.detail.startswith("version 5 is taken: stored is digest ")
    assert delivery.counts == {"Quarantined": 1, "Duplicate": 1, "Stale": 1}


def test_what_a_conflict_shows_to_be_superseded_is_not_sent() -> None:
    shelf = Shelf()
    delivered(kinesis_records(image_event("a", 5)), shelf)
    replay = kinesis_records(other("a", 5), image_event("a", 4))
    assert delivered(replay, shelf).counts == {"Quarantined": 1, "Stale": 1}
    assert shelf.asked == [[("a", 5)], [("a", 5)]]


def test_equal_versions_below_the_stored_one_are_stale_not_in_conflict() -> None:
    shelf, box = Shelf(), Box()
    delivered(kinesis_records(image_event("a", 6)), shelf)
    delivery = delivered(kinesis_records(image_event("a", 5), other("a", 5)), shelf, box)
    assert box.kept == {}
    assert delivery.counts == {"Stale": 2}


def test_after_a_refusal_the_next_highest_version_is_written() -> None:
    shelf, box = Shelf(refuses=[("a", 3), ("a", 2)]), Box()
    records = kinesis_records(*(image_event("a", n) for n in (1, 2, 3)), image_event("b"))
    delivery = delivered(records, shelf, box)
    assert shelf.versions == {"a": 1, "b": 1}
    assert shelf.asked == [[("a", 3), ("b", 1)], [("a", 2)], [("a", 1)]]
    assert sorted(box.reasons) == [(at(2), "refused_by_store"), (at(3), "refused_by_store")]
    assert delivery.checkpoint is None


def test_a_refusal_is_believed_only_of_a_store_whose_schema_is_ours() -> None:
    shelf = Shelf(refuses=[("a", 1)], schema_error=MisconfiguredError("dynamic is true"))
    box = Box()
    with pytest.raises(MisconfiguredError, match="dynamic is true"):
        delivered(kinesis_records(image_event("a")), shelf, box)
    assert box.kept == {}


def test_the_schema_is_read_once_for_many_refusals_and_never_without_one() -> None:
    shelf = Shelf(refuses=[("a", 1), ("b", 1)])
    delivered(kinesis_records(image_event("a"), image_event("b")), shelf)
    assert shelf.checks == 1
    delivered(kinesis_records(image_event("c")), shelf)
    assert shelf.checks == 1


def test_a_later_refusal_is_checked_again_because_it_may_be_that_of_another_index() -> None:
    shelf = MemorySink(
        {"a": Refused("too odd"), "b": Failed("busy")},
        {"b": Refused("strict")},
        schema=[None, MisconfiguredError("url is missing")],
    )
    box = Box()
    with pytest.raises(MisconfiguredError, match="url is missing"):
        delivered(kinesis_records(image_event("a"), image_event("b")), shelf, box)
    assert box.reasons == [(at(1), "refused_by_store")]


def test_one_check_holds_back_all_refusals_before_it() -> None:
    moved = RequestFailedError("the alias moved")
    shelf = MemorySink({"a": Refused("1"), "b": Refused("2")}, schema=[moved])
    box = Box()
    assert (
        delivered(kinesis_records(image_event("a"), image_event("b")), shelf, box).checkpoint
        is None
    )
    assert not box.reasons
    assert shelf.versions == {"a": 1, "b": 1}


def test_a_refusal_with_an_unreadable_schema_is_not_settled() -> None:
    shelf = Shelf(refuses=[("a", 1)], schema_error=RequestFailedError("timeout"))
    box = Box()
    delivery = delivered(kinesis_records(image_event("a")), shelf, box)
    assert delivery.checkpoint == at(1)
    why = "refused (mapper_parsing_exception), and the schema could not be read: timeout"
    assert delivery.failures == {why: 1}
    assert box.kept == {}


def test_a_failed_winner_holds_back_the_lowest_record_of_its_image() -> None:
    shelf = Shelf(fails=["a"])
    records = kinesis_records(
        image_event("b", 1), image_event("a", 1), image_event("c", 1), image_event("a", 2)
    )
    delivery = delivered(records, shelf)
    assert delivery.response() == {"batchItemFailures": [{"itemIdentifier": at(2)}]}
    assert shelf.versions == {"b": 1, "c": 1}
    assert delivery.counts == {"Applied": 2, "Failed": 2}
    assert delivery.failures == {"throttled": 2}
    assert delivery.unsettled == [at(2), at(4)]


def test_the_checkpoint_compares_sequence_numbers_as_numbers() -> None:
    records = kinesis_records(image_event("a"), image_event("b"))
    records[0]["kinesis"]["sequenceNumber"] = "10"
    records[1]["kinesis"]["sequenceNumber"] = "9"
    assert delivered(records, Shelf(fails=["a", "b"])).checkpoint == "9"


def test_a_transient_failure_is_retried_with_pauses_and_alone() -> None:
    shelf, watch = Shelf(fails=["a"], recovers_after=2), Watch()
    delivery = delivered(kinesis_records(image_event("a"), image_event("b")), shelf, watch=watch)
    assert shelf.asked == [[("a", 1), ("b", 1)], [("a", 1)], [("a", 1)]]
    assert watch.slept == [0.1, 0.2]
    assert delivery.checkpoint is None


def test_a_failure_is_not_sent_again_because_another_image_falls_back() -> None:
    shelf = Shelf(fails=["a"], recovers_after=2, refuses=[("b", 2)])
    records = kinesis_records(image_event("a"), image_event("b", 2), image_event("b", 1))
    delivered(records, shelf)
    assert shelf.asked == [[("a", 1), ("b", 2)], [("b", 1)], [("a", 1)]]


def test_retries_are_bounded_and_none_is_waited_for_after_the_last() -> None:
    shelf, watch = Shelf(fails=["a"]), Watch()
    delivered(kinesis_records(image_event("a")), shelf, watch=watch)
    assert len(shelf.sent) == 4
    assert len(watch.slept) == 3


def test_a_failed_request_holds_back_only_its_own_images() -> None:
    shelf = Shelf(raises=[RequestFailedError("timeout")] * 2, per_request=1)
    shelf_records = kinesis_records(image_event("a"), image_event("b"), image_event("c"))
    delivery = delivered(shelf_records, shelf, watch=Watch(6.05))
    assert shelf.versions == {"c": 1}
    assert delivery.checkpoint == at(1)
    assert delivery.failures == {"timeout": 2}


def test_a_store_that_answers_for_fewer_changes_than_it_was_sent_settles_nothing() -> None:
    class Terse(Shelf):
        def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
            return super().send(changes, within)[1:]

    with pytest.raises(ValueError, match="shorter"):
        delivered(kinesis_records(image_event("a"), image_event("b")), Terse())


def test_a_refused_request_is_cut_down_to_the_one_bad_change() -> None:
    shelf = MemorySink(always={"d": RequestRefusedError("ValidationException")}, longest_send=5.0)
    box = Box()
    delivery = delivered(kinesis_records(*(image_event(name) for name in "abcdef")), shelf, box)
    assert sorted(shelf.versions) == ["a", "b", "c", "e", "f"]
    assert box.reasons == [(at(4), "refused_by_store")]
    assert delivery.checkpoint is None


def test_one_change_is_never_too_large_so_the_limit_is_misconfigured() -> None:
    shelf = MemorySink(always={"d": RequestTooLargeError("413")}, longest_send=5.0)
    box = Box()
    with pytest.raises(MisconfiguredError, match="413: one change alone is never too large"):
        delivered(kinesis_records(*(image_event(name) for name in "abcdef")), shelf, box)
    assert sorted(shelf.versions) == ["a", "b", "c"]
    assert not box.reasons


def test_misconfiguration_raises_whatever_else_went_well() -> None:
    shelf = Shelf(raises=[MisconfiguredError("no alias images")])
    with pytest.raises(MisconfiguredError, match="no alias images"):
        delivered(kinesis_records(image_event("a")), shelf)


class SlowShelf(Shelf):
    """Every request takes its time."""

    def __init__(self, watch: Watch, seconds: float) -> None:
        super().__init__(per_request=1)
        self._watch = watch
        self._seconds = seconds

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        self._watch.left -= self._seconds
        return super().send(changes, within)


def test_no_request_is_started_that_may_outlast_the_invocation() -> None:
    watch = Watch(10.9)
    shelf = SlowShelf(watch, seconds=5.0)
    delivery = delivered(kinesis_records(image_event("a"), image_event("b")), shelf, watch=watch)
    assert shelf.versions == {"a": 1}
    assert delivery.checkpoint == at(2)
    assert delivery.failures == {"no time left in this invocation": 1}


def test_a_request_is_started_that_ends_just_in_time() -> None:
    shelf = Shelf()
    watch = Watch(shelf.longest_send + REPORTING_SECONDS)
    assert delivered(kinesis_records(image_event("a")), shelf, watch=watch).checkpoint is None
    assert shelf.versions == {"a": 1}


@pytest.mark.parametrize("seconds", [5.9, 3.5])
def test_a_timeout_too_short_for_one_request_is_a_misconfiguration(seconds: float) -> None:
    with pytest.raises(MisconfiguredError, match="timeout is too short"):
        delivered(kinesis_records(image_event("a")), Shelf(), watch=Watch(seconds))


def test_no_pause_is_made_that_leaves_no_time_to_send() -> None:
    watch = Watch(5.0 + REPORTING_SECONDS + 0.15)
    shelf = Shelf(fails=["a"])
    delivered(kinesis_records(image_event("a")), shelf, watch=watch)
    assert watch.slept == [0.1]


def test_poison_is_quarantined_whole_and_its_neighbours_are_stored() -> None:
    shelf, box = Shelf(), Box()
    records = kinesis_records(image_event("a"), b"\xff", image_event("b"))
    delivery = delivered(records, shelf, box)
    assert shelf.versions == {"a": 1, "b": 1}
    assert delivery.checkpoint is None
    (record,) = box.kept.values()
    assert delivery.quarantined == [record]
    assert msgspec.to_builtins(record) == {
        "function": "write_to_es",
        "stream": "lockstep-images",
        "shard_id": "shardId-000000000000",
        "sequence_number": at(2),
        "partition_key": "T02680",
        "arrived_at": 1_795_248_000_500,
        "image_id": None,
        "version": None,
        "reason": "not_utf8",
        "detail": "byte 0 is not UTF-8 (invalid start byte): encode the JSON as UTF-8",
        "quarantined_at": "2026-11-21T08:00:01+00:00",
        "payload": "/w==",
    }
    assert record.key == (
        f"quarantine/write_to_es/lockstep-images/shardId-000000000000/{at(2)}.json"
    )


def test_a_partition_key_that_is_not_the_image_id_is_poison() -> None:
    box = Box()
    delivered([kinesis_record(image_event("a"), partition_key="b")], Shelf(), box)
    assert box.reasons == [(at(1), "partition_key")]


@pytest.mark.parametrize(
    ("microseconds_ahead", "reasons"), [(0, []), (1, [(at(1), "version_ahead")])]
)
def test_a_version_more_than_a_day_after_arrival_is_poison(
    microseconds_ahead: int, reasons: list[tuple[str, str]]
) -> None:
    latest = (1_795_248_000_500 + 24 * 60 * 60 * 1000) * 1000
    box = Box()
    delivered(kinesis_records(image_event("a", latest + microseconds_ahead)), Shelf(), box)
    assert box.reasons == reasons


def test_without_quarantine_poison_is_not_acknowledged_and_its_neighbours_go_on() -> None:
    shelf = Shelf(refuses=[("c", 1)])
    records = kinesis_records(image_event("a"), b"\xff", image_event("b"), image_event("c"))
    delivery = delivered(records, shelf, Box(broken=True))
    assert delivery.checkpoint == at(2)
    assert delivery.counts == {"Applied": 2, "Failed": 2}
    assert delivery.failures == {"quarantine: no such bucket": 2}


def test_no_record_is_set_aside_when_there_is_no_time_for_it() -> None:
    watch, box = Watch(7.0), Box()
    shelf = SlowShelf(watch, seconds=4.0)
    delivery = delivered(kinesis_records(image_event("a"), b"\xff"), shelf, box, watch)
    assert box.kept == {}
    assert delivery.checkpoint == at(2)
    assert delivery.failures == {"no time left in this invocation": 1}


def test_a_quarantine_that_hangs_holds_up_no_good_event() -> None:
    watch = Watch()
    asked: list[str] = []

    class Hanging(Box):
        def put(self, record: QuarantinedRecord) -> None:
            asked.append(record.sequence_number)
            watch.left -= 11
            raise QuarantineError("timeout")

    records = kinesis_records(*[b"\xff"] * 20, *(image_event(f"i{n}") for n in range(50)))
    shelf = Shelf(per_request=10)
    delivery = delivered(records, shelf, Hanging(), watch)
    assert len(shelf.versions) == 50
    assert asked == [at(1)]
    assert delivery.counts == {"Applied": 50, "Failed": 20}
    assert delivery.checkpoint == at(1)


def test_lag_is_measured_from_the_oldest_event_applied() -> None:
    records = kinesis_records(
        image_event("a", occurred_at="2026-11-21T09:00:00+01:00"),
        image_event("b", occurred_at="2026-11-21T08:00:00.5Z"),
    )
    assert delivered(records, Shelf()).lag_ms == 1000


def test_lag_is_unknown_when_nothing_was_applied() -> None:
    assert delivered(kinesis_records(b"\xff"), Shelf()).lag_ms is None


def mixed_batch(chance: random.Random, *, size: int = 100) -> list[dict[str, Any]]:
    """Uploads, updates, deletions and repeats of a dozen images; no version with two contents."""
    events = []
    for _ in range(size):
        image_id, version = f"i{chance.randrange(12)}", chance.randrange(1, 30)
        kind = "image.deleted" if version % 7 == 0 else "image.updated"
        events.append(image_event(image_id, version, kind))
    return kinesis_records(*events)


@pytest.mark.parametrize("seed", range(20))
def test_however_a_batch_is_ordered_cut_or_repeated_the_store_ends_the_same(seed: int) -> None:
    chance = random.Random(seed)
    batch = mixed_batch(chance)
    delivered(batch, once := Shelf())
    shuffled = chance.sample(batch, len(batch))
    cut = chance.randrange(1, len(batch))
    for deliveries in (
        [batch, batch],
        [batch[::-1]],
        [shuffled],
        [batch[:cut], batch[cut:]],
        [batch[cut:], batch[:cut], batch],
    ):
        shelf, box = Shelf(), Box()
        for records in deliveries:
            assert delivered(records, shelf, box).checkpoint is None
        assert {k: (v.version, digest_of(v)) for k, v in shelf.stored.items()} == {
            k: (v.version, digest_of(v)) for k, v in once.stored.items()
        }
        assert box.kept == {}


def purged(version: int) -> dict[str, Any]:
    gone = change("a", version, "image.deleted")
    return table_record(None, gone, position=version * 10, by_time_to_live=True)


def table_changes(records: list[dict[str, Any]], shelf: MemorySink, box: Box) -> Delivery:
    return deliver(
        records,
        to=shelf,
        quarantine=box,
        function="write_to_es",
        clock=Watch().clock(),
        remaining=lambda: 60.0,
        envelope=TABLE_STREAM,
    )


@pytest.mark.parametrize("occurred_at", ["2026-11-21T08:00:00z", "2026-11-21t09:00:00+0100"])
def test_any_time_that_an_item_may_have_is_measured_from(occurred_at: str) -> None:
    item = {**item_from(change("a", 3)), "occurred_at": {"S": occurred_at}}
    delivery = table_changes([table_record(item)], shelf := Shelf(), Box())  # type: ignore[arg-type]  # others write items, too
    assert (delivery.counts, delivery.lag_ms) == ({"Applied": 1}, 1000)
    assert shelf.versions == {"a": 3}


@pytest.mark.parametrize("purge_first", [True, False], ids=["before", "behind"])
def test_a_purge_takes_the_tombstone_of_its_own_batch_with_it(*, purge_first: bool) -> None:
    tombstone = table_record(change("a", 3, "image.deleted"), position=1)
    records = [purged(3), tombstone] if purge_first else [tombstone, purged(3)]
    delivery = table_changes(records, shelf := Shelf(), box := Box())
    assert [[type(one) for one in request] for request in shelf.sent] == [[Purge]]
    assert delivery.counts == {"Applied": 1, "Stale": 1}
    assert box.kept == {}


def test_an_image_that_came_back_in_the_same_batch_stays() -> None:
    back = table_record(change("a", 4), position=2)
    delivery = table_changes([purged(3), back], shelf := Shelf(), Box())
    assert shelf.asked == [[("a", 4)]]
    assert delivery.counts == {"Applied": 1, "Stale": 1}


def test_a_lower_version_that_the_table_took_after_the_purge_is_written() -> None:
    # Nothing stops it there any more; the index must follow.
    shelf = Shelf()
    table_changes([table_record(change("a", 3, "image.deleted"))], shelf, Box())
    back = table_record(change("a", 2), position=31)
    table_changes([purged(3), back], shelf, Box())
    assert shelf.asked == [[("a", 3)], [("a", 2)], [("a", 3)], [("a", 2)]]


def test_a_lower_version_from_before_the_purge_stays_superseded() -> None:
    before = table_record(change("a", 2), position=1)
    delivery = table_changes([before, purged(3)], shelf := Shelf(), Box())
    assert shelf.asked == [[("a", 3)]]
    assert delivery.counts == {"Applied": 1, "Stale": 1}


def test_two_contents_at_a_purged_version_are_a_conflict_no_more() -> None:
    image_at_its_version = table_record(change("a", 3), position=1)
    delivery = table_changes([image_at_its_version, purged(3)], Shelf(), box := Box())
    assert delivery.response() == {"batchItemFailures": []}
    assert box.kept == {}


def test_a_malformed_item_is_set_aside_whole_and_the_rest_goes_on() -> None:
    bad = table_record(item_from(change("b", 3)) | {"version": {"NS": ["3"]}}, position=5)
    good = table_record(change("a", 4), position=2)
    delivery = table_changes([bad, good], shelf := Shelf(), box := Box())
    assert delivery.response() == {"batchItemFailures": []}
    assert shelf.versions == {"a": 4}
    ((key, kept),) = box.kept.items()
    assert (kept.reason, kept.holds, kept.partition_key) == ("malformed", "table_change", "b")
    assert msgspec.json.decode(base64.b64decode(kept.payload)) == bad
    where = "lockstep-images/stream/2026-11-21T07:00:00.000"
    position = f"{bad['eventID']}/{bad['dynamodb']['SequenceNumber']}"
    assert key == f"quarantine/write_to_es/{where}/{position}.json"


def test_the_lowest_number_of_a_tables_stream_that_is_not_settled_is_reported() -> None:
    # As text "9" is above "10".
    records = [
        table_record(change(image_id, 4), position=position)
        for image_id, position in (("a", 8), ("b", 9), ("c", 10), ("d", 11))
    ]
    for record, number in zip(records, ["98", "99", "100", "101"], strict=True):
        record["dynamodb"]["SequenceNumber"] = number
    delivery = table_changes(records, Shelf(fails=["b", "d"]), Box())
    assert delivery.response() == {"batchItemFailures": [{"itemIdentifier": "99"}]}
