"""An audit in pieces: interrupted anywhere, it finds what an audit in one process finds."""

import datetime as dt
import random
from collections.abc import Iterator

import pytest

from lockstep.audit.pieces.pieces import FAILURES, LISTED, POINTS, WAITS, parts_for
from lockstep.audit.pieces.schedule import VALUES_AFTER, Every, Nightly
from lockstep.audit.pieces.segments import SegmentBuilder, Segments
from lockstep.audit.pieces.state import STATE, WORK, LeaseLostError, read_state
from lockstep.stores import index as index_reader
from lockstep.stores.entry import Entry
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import EntryPage, TableReader
from tests.audit_toll import toll
from tests.unit.audit.corruptions import ONLY_IN_VALUES
from tests.unit.audit.pieces import (
    LEASE,
    Bucket,
    Invocations,
    MovingIndex,
    MovingTable,
    of_stand,
)
from tests.unit.audit.stand import STAMP, Stand, a_change
from tests.unit.audit.test_at_scale import Run

DAY = 86_400.0


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that the stores have many."""
    monkeypatch.setattr(index_reader, "DOCUMENTS_PER_PAGE", 40)
    monkeypatch.setattr(index_reader, "WHOLE_DOCUMENTS_PER_PAGE", 40)
    monkeypatch.setattr("lockstep.simulation.fakes.dynamodb.PAGE", 40)


@pytest.fixture
def stand() -> Stand:
    stand = Stand()
    stand.write(*(a_change(STAMP + n, f"image {n}", image_id=f"T{n}") for n in range(30)))
    return stand


def of_run(run: Run) -> Invocations:
    def stores(values: bool) -> tuple[MovingTable, MovingIndex]:  # noqa: FBT001 - a callback
        stand = run.stand
        # New readers: the size of their pages is set.
        kinds = stand.whole_stores if values else (stand.table, stand.index)
        return MovingTable(kinds[0], run.traffic), MovingIndex(kinds[1], run.traffic)

    return Invocations(run.clock, run.stand.pass_time, stores, settled=run.traffic.settled, parts=7)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("how", ["in one", "in many", "killed"])
def test_every_corruption_is_found_while_events_flow_in_one_invocation_and_in_many(
    how: str, request: pytest.FixtureRequest
) -> None:
    run = Run(request.config.getoption("--images") or 400)
    invocations = of_run(run)
    invocations.pause = 1.0
    chance = random.Random(1)
    if how == "in many":
        invocations.checks = 4
    elif how == "killed":
        invocations.kills = iter(lambda: chance.randrange(3, 9), None)
    before = run.traffic.put
    for values, but in ((True, ()), (False, ONLY_IN_VALUES)):
        report = invocations.run()
        assert report.values is values
        found = {one.image_id: one.kind for one in invocations.lines(report)}
        expected = run.expected(*but)
        print(toll(f"in pieces, {how}", run.images, expected, found))  # noqa: T201 - shown by -rP
        assert found == expected
        assert report.different == report.listed == len(expected)
        assert report.audit.exit_code == 1
        if how != "killed":
            assert [key for key in invocations.bucket.kept if key.startswith(WORK)] == []
        run.stand.pass_time(3600.0)
    assert run.traffic.put > before
    assert (how == "killed") is (invocations.crashes > 10)
    assert (how != "in one") is (invocations.count > 20)


@pytest.mark.usefixtures("small_pages")
def test_an_audit_in_pieces_finds_what_one_in_one_process_finds(stand: Stand) -> None:
    invocations = of_stand(stand)
    invocations.checks = 4
    report = invocations.run()
    assert report.audit.result == "equal"
    assert (report.audit.table, report.audit.index) == (30, 30)
    stand.opensearch.documents["T3"] = stand.opensearch.documents["T4"]
    del stand.dynamodb.items["T5"]
    stand.pass_time(3600)
    report = invocations.run()
    whole = stand.audit(values=False)
    assert report.audit.differences == whole.differences == {"malformed": 1, "missing_in_table": 1}
    assert (report.audit.table, report.audit.index) == (whole.table, whole.index) == (29, 30)
    assert (report.audit.ahead, report.audit.replay_since) == (whole.ahead, whole.replay_since)


def test_one_invocation_works_at_a_time_and_an_expired_lease_is_taken_over(stand: Stand) -> None:
    invocations = of_stand(stand)
    first = invocations.hold()
    assert first is not None
    assert invocations.hold() is None
    stand.pass_time(LEASE - 1)
    assert invocations.hold() is None
    stand.pass_time(2)
    second = invocations.hold()
    assert second is not None
    assert second.state.invocations == 2
    # The first one still runs: it keeps what it likes, but nothing of it counts.
    assert first.keep("table-000000", b"zombie") != second.keep("table-000000", b"right")
    with pytest.raises(LeaseLostError):
        first.save(table=("zombie",))
    with pytest.raises(LeaseLostError):
        invocations.pieces(first, lambda: 100.0).go_on()
    second.save(part=1)
    state, _ = read_state(invocations.bucket)
    assert state is not None
    assert (state.holder, state.table, state.part) == (second.state.holder, (), 1)


def test_two_that_begin_at_the_same_moment_do_not_both_hold_the_audit(stand: Stand) -> None:
    class Raced(Bucket):
        other: Invocations | None = None

        def read_tagged(self, key: str) -> tuple[bytes, str] | None:
            found = super().read_tagged(key)
            if self.other is not None:
                other, self.other = self.other, None
                assert other.hold() is not None
            return found

    invocations = of_stand(stand)
    invocations.bucket = bucket = Raced()
    bucket.other = invocations
    assert invocations.hold() is None


def test_nothing_is_done_while_no_audit_is_due(stand: Stand) -> None:
    invocations = of_stand(stand)
    invocations.run()
    assert invocations.hold() is None
    stand.pass_time(3600)
    assert invocations.hold() is not None


def test_the_state_of_another_release_is_replaced(stand: Stand) -> None:
    invocations = of_stand(stand)
    invocations.bucket.write(STATE, b'{"form": 2}')
    assert invocations.run().audit.result == "equal"


@pytest.mark.usefixtures("small_pages")
def test_a_lost_point_in_time_starts_the_side_of_the_index_again(stand: Stand) -> None:
    invocations = of_stand(stand)
    stand.write(*(a_change(STAMP + n, "more", image_id=f"M{n}") for n in range(100)))
    invocations.checks = 3
    lost = 0
    while lost < POINTS - 1:
        assert invocations.one() is None
        state, _ = read_state(invocations.bucket)
        assert state is not None
        if state.step == "index" and state.findings.counts["index"]:
            stand.opensearch.nodes.points.clear()
            lost += 1
            assert invocations.one() is None
            state, _ = read_state(invocations.bucket)
            assert state is not None
            assert (state.points_lost, state.findings.counts["index"]) == (lost, 0)
            assert (state.index, state.point) == ((), None)
    report = invocations.run()
    assert (report.audit.result, report.audit.table, report.audit.index) == ("equal", 130, 130)


@pytest.mark.usefixtures("small_pages")
def test_an_audit_whose_point_in_time_is_lost_three_times_is_unknown(stand: Stand) -> None:
    invocations = of_stand(stand)
    stand.write(*(a_change(STAMP + n, "more", image_id=f"M{n}") for n in range(100)))
    invocations.checks = 3
    for _ in range(1_000):
        report = invocations.one()
        if report is not None:
            break
        stand.opensearch.nodes.points.clear()
    assert report is not None
    assert report.audit.result == "unknown"
    assert "search_context_missing" in str(report.audit.reason)
    assert str(report.audit.reason).endswith("could not be read in 3 attempts")
    # An unknown audit of all values does not count: the next one compares them, too.
    stand.pass_time(3600)
    held = invocations.hold()
    assert held is not None
    assert held.state.values


class Unreadable(TableReader):
    """The table, whose scan fails after some pages."""

    pages_left = 0

    def entry_pages(self, position: str | None) -> Iterator[EntryPage]:
        for page in super().entry_pages(position):
            if not self.pages_left:
                raise StoreUnreadableError("table images: throttled")
            self.pages_left -= 1
            yield page


@pytest.mark.usefixtures("small_pages")
def test_a_table_that_cannot_be_read_for_long_is_unknown_and_progress_counts(stand: Stand) -> None:
    stand.write(*(a_change(STAMP + n, "more", image_id=f"M{n}") for n in range(100)))
    table = Unreadable(stand.dynamodb, "images")  # type: ignore[arg-type]
    invocations = Invocations(
        stand.clock,
        stand.pass_time,
        lambda _: (table, stand.whole_stores[1]),
        settled=lambda: stand.at,
    )
    for _ in range(FAILURES - 1):
        assert invocations.one() is None
    table.pages_left = 1
    for _ in range(FAILURES - 1):
        assert invocations.one() is None
    report = invocations.one()
    assert report is not None
    assert (report.audit.result, report.audit.table) == ("unknown", 40)
    assert "throttled" in str(report.audit.reason)


def test_an_audit_waits_for_a_consumer_that_lags_and_is_then_unknown(stand: Stand) -> None:
    del stand.opensearch.documents["T3"]
    lags = of_stand(stand)
    lags._settled = lambda: 0.0  # noqa: SLF001 - it lags from now on
    for waits in range(1, WAITS):
        assert lags.one() is None
        state, _ = read_state(lags.bucket)
        assert state is not None
        assert state.waits == waits
    report = lags.one()
    assert report is not None
    assert report.audit.result == "unknown"
    assert str(report.audit.reason).startswith("1 images differ, but a consumer lagged")


def test_an_audit_that_waited_goes_on_when_the_consumer_has_caught_up(stand: Stand) -> None:
    kept = stand.opensearch.documents.pop("T3")
    invocations = of_stand(stand)
    invocations._settled = lambda: 0.0  # noqa: SLF001 - it lags
    assert invocations.one() is None
    stand.opensearch.documents["T3"] = kept
    report = invocations.one()
    assert report is not None
    assert report.audit.result == "equal"
    assert report.invocations == 2


def test_an_audit_that_does_not_end_in_two_days_is_unknown(stand: Stand) -> None:
    invocations = of_stand(stand)
    invocations.checks = 0
    assert invocations.one() is None
    stand.pass_time(2 * DAY + 1)
    report = invocations.one()
    assert report is not None
    assert report.audit.result == "unknown"
    assert report.audit.reason == "the audit did not end within 48 hours"


def test_a_report_lists_only_so_many_differences_and_counts_all(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LISTED == 100_000
    monkeypatch.setattr("lockstep.audit.pieces.pieces.LISTED", 7)
    stand.opensearch.documents.clear()
    invocations = of_stand(stand)
    report = invocations.run()
    assert (report.different, report.listed, len(invocations.lines(report))) == (30, 7, 7)
    text = invocations.bucket.kept[f"audits/reports/{report.run}.txt"].decode()
    assert "audit of all values: different\n" in text
    assert "missing_in_index: 30\n" in text
    assert f"the first 7 differences: audits/reports/{report.run}.ndjson\n" in text


def test_segments_return_each_entry_in_one_partition_whatever_process_wrote_them() -> None:
    bucket, parts, expected = Bucket(), 5, set()
    keys = []
    for segment in range(3):
        builder = SegmentBuilder(parts)
        some = [f"{segment}-{n}-ÄÖ" for n in range(20)]
        builder.add([Entry(one, 1, digest="d", checked_version=1) for one in some])
        builder.add([Entry(f"{segment}-tombstone", 1, deleted=True, checked_version=1)])
        expected |= {*some, f"{segment}-tombstone"}
        keys.append(f"segment-{segment}")
        bucket.write(keys[-1], builder.build())
        assert builder.count == 0
    read: list[str] = []
    for part in range(parts):
        found = Segments(bucket, parts).partition(keys, part)
        read += [one for one, _, _ in found.rows] + list(found.others)
    assert len(read) == len(expected)
    assert set(read) == expected


@pytest.mark.parametrize(
    ("entries", "parts"), [(0, 16), (800_000, 16), (800_001, 17), (10**7, 200), (10**10, 8_192)]
)
def test_a_partition_has_about_fifty_thousand_entries(entries: int, parts: int) -> None:
    assert parts_for(entries) == parts


def _at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("before", "now", "due"),
    [
        ("2026-11-28T02:00:03Z", "2026-11-29T01:59:59Z", False),
        ("2026-11-28T02:00:03Z", "2026-11-29T02:00:00Z", True),
        ("2026-11-29T02:00:00Z", "2026-11-29T23:00:00Z", False),
        ("2026-11-29T12:00:00Z", "2026-11-30T02:00:01Z", True),
        # An audit that took longer than a day: the next one begins at once.
        ("2026-11-27T02:00:03Z", "2026-11-29T01:00:00Z", True),
    ],
)
def test_a_nightly_audit_is_due_at_its_hour(before: str, now: str, *, due: bool) -> None:
    assert Nightly(2).due(_at(before), _at(now)) is due


def test_all_values_are_compared_at_least_weekly() -> None:
    stand = Stand()
    invocations = of_stand(stand)
    values = []
    for _ in range(16):
        began = stand.at
        values.append(invocations.run().values)
        stand.pass_time(DAY - (stand.at - began))
    assert values == [True, *[False] * 6, True, *[False] * 6, True, False]
    assert VALUES_AFTER < 7 * DAY
    assert not Every(10).due(5, 14)
    assert Every(10).due(5, 15)
