"""The load, with a source in memory and a Table Store without a network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tablestore import Condition, Row, TableOptions

from functions.write_to_tablestore import guard
from lockstep.local.tablestore.faults import SERVER_BUSY, Fault
from lockstep.local.tablestore.store import TableFile
from lockstep.machine.files import write_json
from lockstep.stores.segments import SegmentPage
from lockstep.stores.writing import PATIENCE_SECONDS
from lockstep.tablestore.load import (
    Load,
    LoadParts,
    ReadsNotYetError,
    RefusedItem,
    StreamReader,
)
from lockstep.tablestore.progress import (
    LoadCounts,
    LoadProgress,
    LoadProgressError,
    read_progress,
)
from shared.pace import Pace
from shared.sink import MisconfiguredError, RequestFailedError
from tests.builders import clock
from tests.unit.write_to_tablestore.replica import LABEL, Replica, row_record

READS = StreamReader("Enabled", "OK")
EARLIER = "2026-11-29T01:23:45.678"


class Listed:
    """A source whose pages are given, with one segment."""

    def __init__(self, *pages: Sequence[Mapping[str, Any]]) -> None:
        self.pages = pages
        self.read: list[int] = []

    def page(self, segment: int, position: str | None) -> SegmentPage:
        assert segment == 0
        at = int(position or 0)
        self.read.append(at)
        last = at + 1 == len(self.pages)
        return SegmentPage(self.pages[at], None if last else str(at + 1), units=10.0)


def item(key: str, **attributes: Any) -> dict[str, Any]:
    return {"id": {"S": key}, **attributes}


@pytest.fixture
def replica() -> Iterator[Replica]:
    with TableFile.open(None) as store:
        yield Replica(store)


def load(replica: Replica, source: Listed, *, applies: bool = True, **given: Any) -> LoadProgress:
    one = new_load(replica, source, applies=applies, **given)
    return one.run(one.beginning(1))


def new_load(replica: Replica, source: Listed, *, applies: bool = True, **given: Any) -> Load:
    usual: dict[str, Any] = {
        "source": source,
        "keys": ["id"],
        "stream": f"orders/stream/{LABEL}",
        "target": "local/orders",
        "conversion": replica.conversion,
        "label": LABEL,
        "sink": replica.sink,
        "reader": lambda: READS,
        "clock": clock(now=lambda: 1.5),
    }
    return Load(LoadParts(**(usual | given)), applies=applies)


def test_an_item_becomes_a_row_below_each_record_of_the_stream(replica: Replica) -> None:
    done = load(replica, Listed([item("a", count={"N": "1"}, raw={"B": b"\0"})]))
    assert done.counts == LoadCounts(written=1)
    assert replica.row() == {
        "count": 1,
        "raw": bytearray(b"\0"),
        "lockstep_version": f"{LABEL}/{'0' * 40}",
        "lockstep_at": 1_500,
        "lockstep_deleted": False,
    }
    lowest = row_record(0)
    lowest["dynamodb"]["SequenceNumber"] = "0" * 20 + "1"
    assert replica.deliver(lowest).counts == {"Applied": 1}


def test_a_row_and_a_tombstone_of_this_stream_stay(replica: Replica) -> None:
    replica.deliver(row_record(1, "put", {"note": {"S": "new"}}), row_record(2, "gone"))
    before = replica.row("put"), replica.row("gone")
    done = load(replica, Listed([item("put", note={"S": "old"}), item("gone")]))
    assert done.counts == LoadCounts(newer=2)
    assert (replica.row("put"), replica.row("gone")) == before


def test_without_tombstones_what_is_removed_while_it_is_loaded_comes_back() -> None:
    """The guide says so. With tombstones, the row stays removed: see the test above."""
    with TableFile.open(None) as store:
        replica = Replica(store, deletions="row")

        class RemovedAfterItIsRead(Listed):
            def page(self, segment: int, position: str | None) -> SegmentPage:
                page = super().page(segment, position)
                replica.deliver(row_record(1, "a"))
                return page

        load(replica, RemovedAfterItIsRead([item("a")]))
        assert replica.row("a") is not None


def test_rows_of_an_earlier_stream_and_rows_without_a_version_are_taken_over(
    replica: Replica,
) -> None:
    earlier = {"eventSourceARN": row_record(1)["eventSourceARN"].replace(LABEL, EARLIER)}
    replica.deliver(
        row_record(1, "put", {"note": {"S": "old"}, "gone": {"S": "x"}}, **earlier),
        row_record(2, "removed", **earlier),
    )
    foreign = Row([("id", "foreign")], [("note", "by hand")])
    replica.place.client.put_row("orders", foreign, Condition("IGNORE"))
    keys = ("put", "removed", "foreign")
    done = load(replica, Listed([item(key, note={"S": "now"}) for key in keys]))
    assert done.counts == LoadCounts(written=3)
    for key in keys:
        row = replica.row(key)
        assert row is not None
        assert {*row} == {"note", "lockstep_version", "lockstep_at", "lockstep_deleted"}
        assert (row["note"], row["lockstep_version"]) == ("now", guard.lowest_version(LABEL))


def test_what_the_source_does_not_have_is_left_alone(replica: Replica) -> None:
    replica.deliver(row_record(1, "other", {"note": {"S": "there"}}))
    before = replica.row("other")
    load(replica, Listed([item("a")], []))
    assert replica.row("other") == before


def test_an_item_that_cannot_be_converted_is_told_and_the_rest_goes_on(replica: Replica) -> None:
    told: list[RefusedItem] = []
    source = Listed([item("a"), item("b", n={"N": "0.1234567890123456789"})], [item("c")])
    done = load(replica, source, on_refused=told.append)
    assert done.counts == LoadCounts(written=2, refused=1)
    (one,) = told
    assert (one.key, one.reason) == ('{"id":{"S":"b"}}', "conversion")
    assert one.detail.startswith("'n': 0.1234567890123456789 is no Integer and no Double")
    assert replica.row("b") is None
    assert replica.row("c") is not None


def test_a_row_that_the_service_refuses_is_told_and_the_rest_goes_on(replica: Replica) -> None:
    told: list[RefusedItem] = []
    with replica.failing_with("OTSParameterInvalid", "refused-row"):
        source = Listed([item("a"), item("refused-row"), item("c")])
        done = load(replica, source, on_refused=told.append)
    assert done.counts == LoadCounts(written=2, refused=1)
    assert [(one.key, one.reason) for one in told] == [
        ('{"id":{"S":"refused-row"}}', "refused_by_store")
    ]


def test_a_dry_run_reads_and_converts_and_writes_nothing(replica: Replica) -> None:
    told: list[RefusedItem] = []
    source = Listed([item("a"), item("b", n={"N": "0.1234567890123456789"})])
    done = load(replica, source, applies=False, on_refused=told.append)
    assert done.counts == LoadCounts(written=1, refused=1)
    assert len(told) == 1
    assert replica.row("a") is None
    assert "BatchWriteRow" not in replica.sent


@pytest.mark.parametrize(
    ("reader", "says"),
    [
        (StreamReader("Disabled", "OK"), "mapping of the consumer is Disabled"),
        (StreamReader("Creating", ""), "mapping of the consumer is Creating"),
        (StreamReader("Enabled", "No records processed"), "has not read the stream yet"),
        (StreamReader("Enabled", ""), "has not read the stream yet"),
        (StreamReader("Enabled", "PROBLEM: Function call failed"), "does not write what it reads"),
    ],
)
def test_nothing_is_read_before_the_consumer_reads_the_stream(
    replica: Replica, reader: StreamReader, says: str
) -> None:
    source = Listed([item("a")])
    for applies in (True, False):
        with pytest.raises(ReadsNotYetError, match=says) as refused:
            load(replica, source, applies=applies, reader=lambda: reader)
        assert "\n" not in str(refused.value)
    assert source.read == []
    assert replica.sent == []


def test_a_killed_load_goes_on_and_reads_nothing_again_that_was_done(
    replica: Replica, tmp_path: Path
) -> None:
    """Killed after the first write of each page, and before its progress is written."""
    file = tmp_path / "load.json"
    source = Listed(*([item(f"{page}-{at}") for at in range(3)] for page in range(4)))
    kills = [2, 1, 3]  # after so many writes

    def killed(sent: str) -> None:
        if sent == "BatchWriteRow" and kills:
            kills[0] -= 1
            if kills[0] < 0:
                del kills[0]
                raise KeyboardInterrupt

    replica.connection.instead = killed
    for _ in range(4):
        one = new_load(replica, source, rows_at_once=2, on_step=lambda it: write_json(file, it))
        try:
            done = one.run(read_progress(file) or one.beginning(1))
        except KeyboardInterrupt:
            continue
        break
    assert not kills
    # Only the page that was being written is read again.
    assert source.read == [0, 1, 1, 1, 2, 2, 3]
    assert done.is_done
    assert done.counts.read == 12
    assert [replica.row(f"{page}-{at}") is None for page in range(4) for at in range(3)] == (
        [False] * 12
    )


def test_a_load_that_is_done_reads_nothing_more(replica: Replica) -> None:
    source = Listed([item("a")])
    one = new_load(replica, source)
    done = one.run(one.beginning(1))
    assert one.run(done) == done
    assert source.read == [0]


@pytest.mark.parametrize(
    "other", [{"stream": f"orders/stream/{EARLIER}"}, {"target": "local/others"}]
)
def test_the_progress_of_another_load_is_refused(replica: Replica, other: dict[str, str]) -> None:
    given: dict[str, Any] = other
    begun = new_load(replica, Listed([item("a")]), **given).beginning(1)
    source = Listed([item("a")])
    with pytest.raises(LoadProgressError, match="choose another file for --resume"):
        new_load(replica, source).run(begun)
    assert source.read == []


def test_a_file_that_is_no_progress_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "load.json"
    assert read_progress(file) is None
    for text in (b'{"source": "file", "line": 3}', b"\xff", b"[]"):
        file.write_bytes(text)
        with pytest.raises(LoadProgressError, match="was not written by a load"):
            read_progress(file)


def test_reads_and_writes_are_bounded(replica: Replica) -> None:
    now = 0.0
    requests: list[tuple[float, str]] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    its = clock(elapsed=lambda: now, sleep=sleep)
    replica.connection.instead = lambda sent: requests.append((now, sent))
    source = Listed(*([item(f"{page}-{at}") for at in range(10)] for page in range(4)))
    load(replica, source, clock=its, reads=Pace(5, its), writes=Pace(4, its), rows_at_once=2)
    # 40 rows at 4 a second; those of one second may come at once.
    assert now >= 10 - 1
    written = [at for at, sent in requests if sent == "BatchWriteRow"]
    assert len(written) == 20
    for second in range(round(now)):
        assert sum(second <= at < second + 1 for at in written) * 2 <= 2 * 4


def test_throttled_rows_are_tried_again(replica: Replica) -> None:
    waited: list[float] = []
    busy = Fault(SERVER_BUSY)

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        replica.place.faults.fault = None

    with replica.failing("PutRow", busy, row="a"):
        done = load(replica, Listed([item("a"), item("b")]), clock=clock(sleep=sleep))
    assert done.counts == LoadCounts(written=2)
    assert len(waited) == 1


def test_a_store_that_fails_for_too_long_ends_the_load(replica: Replica) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    busy = Fault(SERVER_BUSY)
    its = clock(elapsed=lambda: now, sleep=sleep)
    with (
        replica.failing("PutRow", busy, row="a"),
        pytest.raises(RequestFailedError, match="OTSServerBusy"),
    ):
        load(replica, Listed([item("a")]), clock=its)
    assert now >= PATIENCE_SECONDS


def test_a_source_with_another_key_stops_in_one_line(replica: Replica) -> None:
    source = Listed([{"id": {"S": "a"}, "order": {"N": "1"}}])
    with pytest.raises(MisconfiguredError, match="PRIMARY_KEY says id") as refused:
        load(replica, source, keys=["id", "order"])
    assert "\n" not in str(refused.value)


def test_a_table_with_a_time_to_live_stops_before_anything_is_read() -> None:
    source = Listed([item("a")])
    with TableFile.open(None) as store:
        replica = Replica(store, options=TableOptions(time_to_live=86_400))
        with pytest.raises(MisconfiguredError, match="time to live"):
            load(replica, source)
    assert source.read == []


def test_segments_are_read_one_page_each_in_turn(replica: Replica) -> None:
    read: list[tuple[int, str | None]] = []

    class Several:
        def page(self, segment: int, position: str | None) -> SegmentPage:
            read.append((segment, position))
            end = None if position or segment == 1 else "1"
            return SegmentPage([item(f"{segment}{position}")], end, 0.5)

    at_once: list[list[int]] = []

    def read_all(read_one: Callable[[int], SegmentPage], segments: Any) -> Iterator[SegmentPage]:
        at_once.append([*segments])
        return map(read_one, at_once[-1])

    source: Any = Several()
    one = new_load(replica, source)
    done = one.run(one.beginning(3), read_all)
    assert at_once == [[0, 1, 2], [0, 2]]
    assert read == [(0, None), (1, None), (2, None), (0, "1"), (2, "1")]
    assert done.counts == LoadCounts(written=5)
