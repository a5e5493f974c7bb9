"""The audit, on two stores in memory."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from lockstep.audit.audit import Audit, audit
from lockstep.audit.compare import difference
from lockstep.audit.recheck import SECOND_LOOK_AFTER, Difference
from lockstep.audit.sample import share_at_most
from lockstep.stores.entry import Entry, from_document, from_item
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stream.stream import SKEW
from shared.clock import Clock
from shared.pace import Pace
from tests.builders import clock

NOW = 1_795_248_000.0


def entry(
    image_id: str = "a", version: int = 1, digest: str = "d", checked_version: int = 0
) -> Entry:
    return Entry(
        image_id, version, deleted=False, digest=digest, checked_version=checked_version or version
    )


def arrived(version: int, at: float, **more: Any) -> Entry:
    return msgspec.structs.replace(entry(version=version, **more), arrived_at=int(at * 1000))


def tombstone(image_id: str = "a", version: int = 1, expires_at: int = int(NOW) + 1) -> Entry:
    return Entry(image_id, version, deleted=True, expires_at=expires_at, checked_version=version)


class Memory:
    """One store's entries; `later` is what a lookup finds, `breaks` what a scan raises."""

    def __init__(
        self,
        *entries: Entry,
        later: Sequence[Entry] | None = None,
        breaks: Exception | None = None,
    ) -> None:
        self.entries = entries
        self.later = entries if later is None else later
        self.breaks = breaks

    def scan(self) -> Iterator[Entry]:
        yield from self.entries
        if self.breaks:
            raise self.breaks

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        return {one.image_id: one for one in self.later if one.image_id in image_ids}


def audited(table: Memory, index: Memory, *, explained: Sequence[str] = ()) -> Audit:
    at = clock(now=lambda: NOW)
    quarantined = [("write_to_es", image_id) for image_id in explained]
    return audit(table, index, quarantined_images=lambda: quarantined, clock=at)


@pytest.mark.parametrize(
    ("table", "index", "kind"),
    [
        (None, None, None),
        (entry(), entry(), None),
        (tombstone(), tombstone(), None),
        (entry(), None, "missing_in_index"),
        (None, entry(), "missing_in_table"),
        (tombstone(), None, "missing_in_index"),
        (entry(version=2), entry(version=1), "index_behind"),
        (entry(version=1), entry(version=2), "table_behind"),
        (tombstone(version=2), entry(version=1), "index_behind"),
        (entry(digest="d"), entry(digest="e"), "conflict"),
        (entry(), tombstone(), "deleted_in_one"),
        (entry(), entry(checked_version=2), "index_version_moved"),
        (entry(), Entry("a", malformed="no version"), "malformed"),
        (Entry("a", malformed="no version"), None, "malformed"),
        (tombstone(expires_at=int(NOW)), None, None),
        (None, tombstone(expires_at=int(NOW)), None),
        (tombstone(expires_at=int(NOW)), entry(), "missing_in_table"),
        (tombstone(expires_at=int(NOW)), tombstone(), None),
        (tombstone(), tombstone(expires_at=int(NOW)), None),
        (tombstone(version=2), tombstone(expires_at=int(NOW)), "missing_in_index"),
        (entry(), tombstone(version=2, expires_at=int(NOW)), "missing_in_index"),
    ],
)
def test_each_difference_has_its_name(
    table: Entry | None, index: Entry | None, kind: str | None
) -> None:
    assert difference(table, index, now=NOW) == kind


def test_equal_stores_are_equal_whatever_their_order() -> None:
    found = audited(Memory(entry("a"), entry("b")), Memory(entry("b"), entry("a")))
    assert (found.result, found.table, found.index, found.differences) == ("equal", 2, 2, {})
    assert found.exit_code == 0


def test_differences_are_counted_by_kind_and_by_what_quarantine_explains() -> None:
    table = Memory(entry("a"), entry("b"), entry("c"))
    index = Memory(entry("c", 2))
    found = audited(table, index, explained=["a", "z"])
    assert found.differences == {
        "explained_by_quarantine": 1,
        "missing_in_index": 2,
        "table_behind": 1,
    }
    assert found.exit_code == 1


def test_a_write_in_progress_is_not_a_difference() -> None:
    index = Memory(later=[entry("a")])
    found = audited(Memory(entry("a")), index)
    assert (found.result, found.table, found.index) == ("equal", 1, 1)


def test_an_image_that_differs_in_another_way_at_the_second_look_is_reported_as_it_is_then() -> (
    None
):
    index = Memory(entry("a", 1), later=[tombstone("a", 2)])
    found = audited(Memory(entry("a", 2)), index)
    assert found.differences == {"deleted_in_one": 1}


def test_the_second_look_waits_once_and_only_when_something_differs() -> None:
    slept: list[float] = []
    at = clock(now=lambda: NOW, sleep=slept.append)
    many = [entry(f"i{n}") for n in range(250)]
    audit(Memory(*many), Memory(*many), quarantined_images=list, clock=at)
    assert slept == []
    found = audit(Memory(*many), Memory(), quarantined_images=list, clock=at)
    assert slept == [SECOND_LOOK_AFTER]
    assert found.differences == {"missing_in_index": 250}


class Stream:
    """Consumers that have processed all arrivals up to a time, which moves as time passes."""

    def __init__(self, settled: float, *, speed: float) -> None:
        self.settled = settled
        self._speed = speed
        self.waited = 0.0

    def clock(self) -> Clock:
        return clock(now=lambda: NOW, elapsed=lambda: self.waited, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.waited += seconds
        self.settled += seconds * self._speed


def audited_behind(stream: Stream, table: Memory, index: Memory, **more: Any) -> Audit:
    return audit(
        table,
        index,
        quarantined_images=list,
        clock=stream.clock(),
        settled=lambda: stream.settled,
        **more,
    )


def test_a_difference_is_not_proved_until_the_consumer_has_passed_its_record() -> None:
    table, index = Memory(arrived(2, NOW)), Memory(arrived(1, NOW - 60))
    stream = Stream(NOW - 5, speed=1.0)
    found = audited_behind(stream, table, index, watermark=30)
    assert (found.result, found.differences) == ("different", {"index_behind": 1})
    assert 5 <= stream.waited < 30


def test_a_difference_older_than_the_backlog_is_reported_at_the_second_look() -> None:
    table, index = Memory(arrived(2, NOW - 9)), Memory(arrived(1, NOW - 60))
    stream = Stream(NOW - 5, speed=0)
    assert audited_behind(stream, table, index).result == "different"
    assert stream.waited == SECOND_LOOK_AFTER


def test_the_result_is_unknown_if_a_consumer_lags_by_more_than_the_watermark() -> None:
    table, index = Memory(arrived(2, NOW)), Memory(arrived(1, NOW - 60))
    stream = Stream(NOW - 100, speed=1.0)
    found = audited_behind(stream, table, index, watermark=30)
    assert (found.result, found.exit_code, found.under_way) == ("unknown", 2, 1)
    assert found.differences == {}
    assert "lags by more than 30 s" in str(found.reason)
    assert stream.waited <= 30 + SECOND_LOOK_AFTER


@pytest.mark.parametrize("ahead", [SKEW.total_seconds() + 60, 10 * 365 * 86_400])
def test_an_arrival_in_the_future_is_no_record_in_progress(ahead: float) -> None:
    forged = arrived(2, NOW + ahead, image_id="b")
    table, index = Memory(arrived(2, NOW - 200)), Memory(arrived(1, NOW - 200), forged)
    found = audited_behind(Stream(NOW - 5, speed=1.0), table, index, watermark=30)
    assert found.result == "different"
    assert found.differences == {"index_behind": 1, "missing_in_table": 1}
    assert found.ahead == {"image": 1}


def test_a_clock_that_differs_makes_no_record_in_progress_a_difference() -> None:
    table, index = Memory(arrived(2, NOW + SKEW.total_seconds() - 60)), Memory(arrived(1, NOW - 60))
    found = audited_behind(Stream(NOW - 5, speed=1.0), table, index, watermark=30)
    assert (found.result, found.under_way) == ("unknown", 1)


class Busy:
    """A store whose one image has a higher version at each look."""

    def __init__(self, stream: Stream, *versions: int) -> None:
        self._stream = stream
        self._versions = iter(versions)

    def scan(self) -> Iterator[Entry]:
        return iter(self.lookup(["a"]).values())

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        entry = arrived(next(self._versions), NOW + self._stream.waited)
        return dict.fromkeys(image_ids, entry)


def test_an_image_that_changes_all_the_time_is_equal_once_both_stores_passed_the_first_look() -> (
    None
):
    stream = Stream(NOW - 100, speed=1.0)
    found = audit(
        Busy(stream, 1, 5, 9, 13, 17),
        Busy(stream, 0, 1, 4, 6, 7),
        quarantined_images=list,
        clock=stream.clock(),
        settled=lambda: stream.settled,
    )
    assert (found.result, found.under_way) == ("equal", 0)
    assert stream.waited == SECOND_LOOK_AFTER + 2 + 4


def test_an_image_that_changes_all_the_time_stays_in_progress_if_one_store_lags() -> None:
    stream = Stream(NOW - 100, speed=1.0)
    found = audit(
        Busy(stream, *range(5, 50)),
        Busy(stream, *[4] * 50),
        quarantined_images=list,
        clock=stream.clock(),
        settled=lambda: stream.settled,
    )
    assert (found.result, found.under_way) == ("unknown", 1)


def test_a_proved_difference_is_reported_although_another_image_is_in_progress() -> None:
    proved = arrived(2, NOW - 200, image_id="b")
    found = audited_behind(
        Stream(NOW - 100, speed=0), Memory(arrived(2, NOW), proved), Memory(), watermark=1
    )
    assert (found.result, found.under_way) == ("unknown", 1)
    assert found.differences == {"missing_in_index": 1}


def test_the_result_of_an_audit_that_exceeds_its_budget_is_unknown() -> None:
    table, index = Memory(entry()), Memory()
    found = audited_behind(Stream(NOW, speed=0), table, index, budget=1.5)
    assert (found.result, found.reason) == ("unknown", "the audit did not end within 1.5 s")


def test_a_malformed_entry_is_found_although_both_stores_hold_the_same() -> None:
    broken = Entry("a", malformed="no version")
    assert audited(Memory(broken), Memory(broken)).differences == {"malformed": 1}


def test_each_difference_is_reported_with_the_entries_of_both_stores() -> None:
    told: list[Difference] = []
    at = clock(now=lambda: NOW)
    audit(
        Memory(entry("a"), entry("b")),
        Memory(entry("b", 2)),
        quarantined_images=lambda: [("write_to_dynamodb", "b")],
        clock=at,
        on_difference=told.append,
    )
    assert told == [
        Difference("a", "missing_in_index", None, False, entry("a"), None),  # noqa: FBT003 - a record's field
        Difference("b", "table_behind", "image", True, entry("b"), entry("b", 2)),  # noqa: FBT003 - the same
    ]


def test_only_the_requested_images_are_compared() -> None:
    at = clock(now=lambda: NOW)
    table = Memory(entry("a"), entry("b"), entry("c"))
    found = audit(
        table, Memory(entry("b")), quarantined_images=list, clock=at, only=["a", "b", "gone"]
    )
    assert (found.table, found.index, found.differences) == (2, 1, {"missing_in_index": 1})


@pytest.mark.parametrize(
    ("images", "differing", "bound"),
    # The rule of three, and tables of the exact binomial bound.
    [(1000, 0, 0.003682), (100, 5, 0.112835), (10, 10, 1.0), (20, 1, 0.248733)],
)
def test_a_sample_gives_an_upper_bound_of_the_share_that_differs(
    images: int, differing: int, bound: float
) -> None:
    assert share_at_most([(images, differing), (10**6, 0)]) == pytest.approx(bound, rel=1e-3)


def test_the_pace_limits_the_read_units_of_each_second() -> None:
    at = [100.0]

    def sleep(seconds: float) -> None:
        assert seconds > 0
        at[0] += seconds

    pace = Pace(25, clock(elapsed=lambda: at[0], sleep=sleep))
    for _ in range(10):
        pace.spend(50)
        at[0] += 0.5  # a page takes its time, too
    assert at[0] - 100 == pytest.approx(10 * 50 / 25 - 1 + 0.5)


def test_the_result_is_unknown_if_a_store_cannot_be_read_completely() -> None:
    broken = Memory(entry("a"), breaks=StoreUnreadableError("index images: timeout"))
    found = audited(Memory(entry("a")), broken)
    assert (found.result, found.reason, found.exit_code) == ("unknown", "index images: timeout", 2)


ITEM = {
    "image_id": {"S": "a"},
    "version": {"N": "5"},
    "deleted": {"BOOL": False},
    "digest": {"S": "d"},
}


def test_an_item_and_a_document_of_the_same_image_make_the_same_entry() -> None:
    source = {"image_id": "a", "version": 5, "deleted": False, "digest": "d"}
    document = {"_id": "a", "_version": 5, "_source": source}
    assert from_item(ITEM) == from_document(document) == entry("a", 5)


@pytest.mark.parametrize(
    "change",
    [
        {"version": {"S": "5"}},
        {"version": {"N": "5.5"}},
        {"deleted": {"BOOL": True}},
        {"digest": {"NULL": True}},
        {"deleted": {"N": "0"}},
        {"expires_at": {"S": "soon"}},
        {"version": {"BOOL": True}},
        {"version": {"L": [{"N": "1"}]}},
        {"version": {"M": {}}},
        {"version": {"B": b"1"}},
        {"version": {"SS": ["1"]}},
        {"version": {"N": "123456789012345678901234567890"}},
        {"version": {"N": "1E+100"}},
    ],
)
def test_an_item_that_our_sink_never_wrote_is_malformed(change: dict[str, Any]) -> None:
    assert from_item({**ITEM, **change}).malformed


def test_a_foreign_item_without_our_fields_is_malformed() -> None:
    assert from_item({"image_id": {"S": "a"}}).malformed
