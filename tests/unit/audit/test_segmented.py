"""An audit in segments finds what an audit in one process finds, whatever happens to its tasks."""

import msgspec
import pytest

from lockstep.audit.audit import audit
from lockstep.audit.recheck import Difference
from lockstep.audit.segmented.tasks import ComparePartition, OutOfOrderError, ReadSegment
from lockstep.stores.readers import Segment
from tests.audit_toll import toll
from tests.unit.audit.corruptions import ONLY_IN_VALUES
from tests.unit.audit.segmented import PARTITIONS, SegmentedAudit, audited_in_segments
from tests.unit.audit.stand import STAMP, Stand, a_change
from tests.unit.audit.test_at_scale import Run
from tests.unit.audit.traffic import Moving

SEGMENTS = (1, 7, 64)


@pytest.fixture
def stand() -> Stand:
    stand = Stand()
    stand.write(*(a_change(STAMP + n, f"image {n}", image_id=f"T{n}") for n in range(40)))
    return stand


@pytest.mark.parametrize("how", ["versions", "values"])
@pytest.mark.parametrize("segments", SEGMENTS)
def test_tasks_killed_repeated_and_out_of_order_find_what_one_process_finds(
    segments: int, how: str, request: pytest.FixtureRequest
) -> None:
    run = Run(request.config.getoption("--images") or 400)
    values = how == "values"
    stand, but = run.stand, () if values else ONLY_IN_VALUES
    whole, lines = stand.audited(values=values)
    answer, found, segmented = audited_in_segments(stand, segments, values=values)
    kinds = {image_id: one.kind for image_id, one in found.items()}
    print(toll(f"{segments} segments", run.images, run.expected(*but), kinds))  # noqa: T201 - shown by -rP
    assert kinds == run.expected(*but)
    assert found == {one.image_id: one for one in lines}
    assert msgspec.structs.replace(answer, seconds=0) == msgspec.structs.replace(whole, seconds=0)
    assert segmented.troubled.killed > segments
    assert segmented.troubled.repeated == 2 * segments + PARTITIONS


@pytest.mark.parametrize("segments", SEGMENTS)
def test_the_segments_of_a_store_have_each_entry_once(stand: Stand, segments: int) -> None:
    for store in (stand.table, stand.index):
        parts = [list(store.scan_segment(Segment(n, segments))) for n in range(segments)]
        entries = [one for part in parts for one in part]
        assert len(entries) == 40
        assert {one.image_id: one for one in entries} == {one.image_id: one for one in store.scan()}


def test_no_partition_is_compared_before_each_segment_is_read(stand: Stand) -> None:
    whole = SegmentedAudit((stand.table, stand.index), stand.clock, segments=2)
    for task in (ReadSegment("table", 0), ReadSegment("table", 1), ReadSegment("index", 1)):
        whole.work.do(task)
        with pytest.raises(OutOfOrderError):
            whole.work.do(ComparePartition(0))
    whole.work.do(ReadSegment("index", 0))
    assert [whole.work.do(ComparePartition(n)) for n in range(PARTITIONS)] == [0] * PARTITIONS


def test_the_first_complete_result_of_a_task_stays(stand: Stand) -> None:
    whole = SegmentedAudit((stand.table, stand.index), stand.clock, segments=1)
    task = ReadSegment("table", 0)
    assert whole.work.do(task) == 40
    before = dict(whole.bucket.kept)
    stand.write(a_change(STAMP, "later", image_id="later"))
    assert whole.work.do(task) == 40
    assert whole.bucket.kept == before


def test_two_attempts_at_the_same_time_share_no_object(stand: Stand) -> None:
    whole = SegmentedAudit((stand.table, stand.index), stand.clock, segments=1)
    task, meanwhile = ReadSegment("table", 0), iter([True])

    def check() -> None:
        if next(meanwhile, False):
            stand.write(a_change(STAMP, "later", image_id="later"))
            assert whole.work.do(task) == 41

    slow = SegmentedAudit(
        (stand.table, stand.index), stand.clock, segments=1, bucket=whole.bucket, check=check
    )
    assert slow.work.do(task) == 41
    # The slow attempt has read 40 or 41 images; its entries do not count, and are still there.
    names = [key for key in whole.bucket.kept if key.startswith("table-0000-")]
    assert len({name.split("-")[2] for name in names}) == 2


def test_no_image_that_changes_meanwhile_is_reported() -> None:
    run = Run(400)
    before, found = run.traffic.put, list[Difference]()
    stores = run.stand.table, run.stand.index
    segmented = SegmentedAudit(stores, run.clock, 7, check=run.traffic.move)
    answer = audit(
        *(Moving(store, run.traffic) for store in stores),
        quarantined_images=list,
        clock=run.clock,
        settled=run.traffic.settled,
        on_difference=found.append,
        first_read=segmented.read,
    )
    assert answer.reason is None
    assert {one.image_id: one.kind for one in found} == run.expected(*ONLY_IN_VALUES)
    assert run.traffic.put > before + 20
