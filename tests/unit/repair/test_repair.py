"""The repair, on the real sinks over stores in memory."""

from collections.abc import Sequence
from typing import Any

import pytest

from lockstep.repair.repair import (
    PATIENCE_SECONDS,
    DifferingImage,
    OverLimitError,
    PlannedAction,
    Repair,
    RepairPlan,
    check_limit,
)
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.stores.corrections import Removal
from shared.change import Change
from shared.outcome import Outcome
from shared.sink import RequestFailedError, RequestRefusedError
from tests.unit.audit.stand import STAMP, Stand, a_change, a_document, an_item

T1 = [DifferingImage("T1", "missing_in_index")]


def images(count: int, version: int = STAMP) -> list[Change]:
    return [a_change(version, f"image {n}", image_id=f"i{n:04d}") for n in range(count)]


def test_the_plan_counts_each_kind_and_writes_nothing() -> None:
    stand = Stand()
    stand.write(*images(200))
    for n in range(5):
        del stand.opensearch.documents[f"i{n:04d}"]
    stand.dynamodb.items["i0010"] = an_item(a_change(STAMP + 1, "newer", image_id="i0010"))
    journals = len(stand.dynamodb.journal), len(stand.opensearch.journal)
    plan = stand.repair.plan(stand.differing(), images=200)
    assert [(row.kind, row.action, row.images) for row in plan.planned] == [
        ("index_behind", "write_index", 1),
        ("missing_in_index", "write_index", 5),
    ]
    assert [one.image_id for one in plan.planned[1].examples] == ["i0000", "i0001", "i0002"]
    assert (plan.changes, plan.told, plan.percent) == (6, 0, 3.0)
    assert (len(stand.dynamodb.journal), len(stand.opensearch.journal)) == journals


def test_images_that_need_an_operator_do_not_count_for_the_limit() -> None:
    stand = Stand()
    stand.hold({"image_id": {"S": "T1"}}, None)
    plan = stand.repair.plan(T1, images=1)
    assert (plan.changes, plan.told) == (0, 1)
    check_limit(plan, 0)


@pytest.mark.parametrize(
    ("changes", "images", "at_most", "stops"),
    [(1, 100, 1, False), (2, 100, 1, True), (2, 100, 2, False), (0, 0, 0, False), (1, 0, 1, True)],
)
def test_the_limit_refuses_a_larger_share_and_names_the_one_that_is_needed(
    changes: int, images: int, at_most: float, *, stops: bool
) -> None:
    planned = [PlannedAction("missing_in_index", "write_index", changes, [])]
    plan = RepairPlan(planned, images, changes, 0)
    if not stops:
        check_limit(plan, at_most)
        return
    with pytest.raises(OverLimitError, match="nothing is written") as refused:
        check_limit(plan, at_most)
    check_limit(plan, float(str(refused.value).rpartition(" ")[2]))


def test_a_document_deleted_by_hand_is_waited_for_as_long_as_opensearch_remembers_it() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), StoredDocument(STAMP + 1, None, stand.at))
    began = stand.at
    done = stand.mend(T1)
    assert (done.passes, done.written, done.unfinished) == (1, {"write_index": 1}, [])
    assert 60 <= stand.at - began < PATIENCE_SECONDS
    assert stand.audit().result == "equal"


def test_a_change_that_a_store_refuses_is_reported_and_does_not_affect_others() -> None:
    stand = Stand()
    stand.write(*images(20))
    kept = stand.opensearch.documents.copy()
    stand.opensearch.documents.clear()
    stand.opensearch._refuses = lambda source: source["image_id"] == "i0007"  # noqa: SLF001 - the fake's door is its constructor, too early here
    done = stand.mend()
    assert [one.image_id for one in done.told] == ["i0007"]
    assert "mapper_parsing" in done.told[0].detail
    assert stand.opensearch.documents.keys() == kept.keys() - {"i0007"}


class Troubled:
    """A sink that raises this error, so many times or always."""

    def __init__(self, sink: Any, error: BaseException, times: int) -> None:
        self._sink = sink
        self._error = error
        self._times = times
        self.longest_send = 0.0

    def requests(self, changes: Sequence[Change]) -> Any:
        return self._sink.requests(changes)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        if self._times > 0:
            self._times -= 1
            raise self._error
        outcomes: Sequence[Outcome] = self._sink.send(changes, within)
        return outcomes

    def check(self) -> None:
        raise NotImplementedError


def troubled(stand: Stand, error: BaseException, times: int) -> Repair:
    return Repair(
        stand.table,
        stand.index,
        table_sink=stand.table_sink,
        index_sink=Troubled(stand.index_sink, error, times),
        corrections=stand.corrections,
        clock=stand.clock,
    )


def test_a_store_that_fails_for_a_while_is_tried_again() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), None)
    done = troubled(stand, RequestFailedError("503"), 3).apply(T1)
    assert (done.written, done.unfinished) == ({"write_index": 1}, [])
    assert stand.audit().result == "equal"


def test_a_store_that_keeps_failing_leaves_its_images_unfinished_with_the_reason() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), None)
    done = troubled(stand, RequestFailedError("503"), 10**6).apply(T1)
    assert [(one.image_id, one.detail) for one in done.unfinished] == [("T1", "503")]


def test_a_change_that_the_table_refuses_is_not_republished_to_the_index() -> None:
    stand = Stand()
    moved = a_document(a_change(STAMP), STAMP + 1)
    stand.hold(an_item(a_change(STAMP)), moved)
    repair = Repair(
        stand.table,
        stand.index,
        table_sink=Troubled(stand.table_sink, RequestFailedError("503"), 10**6),
        index_sink=stand.index_sink,
        corrections=stand.corrections,
        clock=stand.clock,
    )
    done = repair.apply(T1)
    assert [one.detail for one in done.unfinished] == ["503"]
    assert stand.opensearch.documents["T1"] == moved


def test_a_request_that_is_refused_as_a_whole_is_split() -> None:
    stand = Stand()
    stand.write(*images(20))
    stand.opensearch.documents.clear()
    done = troubled(stand, RequestRefusedError("413"), 3).apply(stand.differing())
    assert (done.written, done.told) == ({"write_index": 20}, [])


def test_an_event_that_arrives_between_decision_and_correction_stays() -> None:
    """OpenSearch checks the version of a correction, so a newer document stays."""
    stand = Stand()
    stand.hold(an_item(a_change(STAMP, "table")), a_document(a_change(STAMP, "index")))
    newer = a_change(STAMP + 1, "newer")
    stand.index_sink.send([newer])
    (overwritten,) = stand.corrections.overwrite([a_change(STAMP, "table")])
    (removed,) = stand.corrections.remove([Removal("T1", STAMP)])
    assert [type(one).__name__ for one in (overwritten, removed)] == ["Stale", "Stale"]
    assert stand.opensearch.documents["T1"].source == a_document(newer).source


def test_an_image_that_is_equal_by_now_is_not_written() -> None:
    stand = Stand()
    stand.write(a_change(STAMP))
    journal = len(stand.opensearch.journal)
    done = stand.mend(T1)
    assert (done.passes, done.written) == (0, {})
    assert len(stand.opensearch.journal) == journal


def test_a_crash_between_the_two_writes_of_a_republish_is_repaired_by_the_next_repair() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP), STAMP + 1))
    with pytest.raises(KeyboardInterrupt):
        troubled(stand, KeyboardInterrupt(), 1).apply(T1)
    assert stand.dynamodb.items["T1"]["version"] == {"N": str(STAMP + 2)}
    assert stand.audit().differences == {"index_behind": 1}
    assert stand.mend().written == {"write_index": 1}
    assert stand.audit().result == "equal"
