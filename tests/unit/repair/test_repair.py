"""The repair, on the real sinks over stores in memory."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lockstep.commands.audit import beyond_the_limit
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
from lockstep.stores.image_state import StoredImage
from shared.change import Change
from shared.outcome import Applied, Outcome
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError, SinkError
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
    assert (plan.changes, plan.undecided, plan.percent) == (6, 0, 3.0)
    assert (len(stand.dynamodb.journal), len(stand.opensearch.journal)) == journals


def test_images_that_need_an_operator_do_not_count_for_the_limit() -> None:
    stand = Stand()
    stand.hold({"image_id": {"S": "T1"}}, None)
    plan = stand.repair.plan(T1, images=1)
    assert (plan.changes, plan.undecided) == (0, 1)
    check_limit(plan, 0)


@pytest.mark.parametrize(
    ("changes", "images", "at_most", "stops"),
    [(1, 100, 1, False), (2, 100, 1, True), (2, 100, 2, False), (0, 0, 0, False), (1, 0, 1, True)],
)
def test_the_limit_refuses_a_larger_share_and_names_the_one_that_is_needed(
    changes: int, images: int, at_most: float, *, stops: bool
) -> None:
    planned = [PlannedAction("missing_in_index", "write_index", changes, [])]
    plan = RepairPlan(planned, images, changes, ahead=0, undecided=0)
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
    assert (done.passes, done.written, done.not_repaired) == (1, {"write_index": 1}, [])
    assert 60 <= stand.at - began < PATIENCE_SECONDS
    assert stand.audit().result == "equal"


def test_many_documents_that_are_forgotten_one_after_the_other_are_all_waited_for() -> None:
    """OpenSearch forgets each a minute after its removal, so few at once can be written again."""
    stand = Stand()
    count = 90
    stand.write(*images(count))
    for n, change in enumerate(images(count)):
        removed = StoredDocument(STAMP + 1, None, stand.at + 2 * n)
        stand.opensearch.documents[change.image_id] = removed
    differing = [DifferingImage(one.image_id, "missing_in_index") for one in images(count)]
    done = stand.repair.apply(differing)
    assert (done.written, done.not_repaired) == ({"write_index": count}, [])
    assert stand.audit().result == "equal"


class Restless:
    """A reader of an index in which somebody spoils the document before each look."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        self._stand.opensearch.documents["T1"] = a_document(a_change(STAMP, "spoilt again"))
        return self._stand.index.lookup_whole(image_ids)


def test_an_image_that_somebody_spoils_again_and_again_ends_the_repair_some_time() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP, "spoilt")))
    repair = Repair(
        stand.table,
        Restless(stand),
        index_sink=stand.index_sink,
        corrections=stand.corrections,
        clock=stand.clock,
    )
    done = repair.apply(T1)
    assert [one.image_id for one in done.not_repaired] == ["T1"]


def test_a_change_that_a_store_refuses_is_reported_and_does_not_affect_others() -> None:
    stand = Stand()
    stand.write(*images(20))
    kept = stand.opensearch.documents.copy()
    stand.opensearch.documents.clear()
    stand.opensearch.refuses = lambda source: source["image_id"] == "i0007"
    done = stand.mend()
    assert [one.image_id for one in done.undecided] == ["i0007"]
    assert "mapper_parsing" in done.undecided[0].detail
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
        self._sink.check()


class OfAnotherRelease(Troubled):
    """The sink of an index whose mapping is not ours."""

    def check(self) -> None:
        raise self._error


def troubled(stand: Stand, error: BaseException, times: int) -> Repair:
    return Repair(
        stand.table,
        stand.index,
        index_sink=Troubled(stand.index_sink, error, times),
        corrections=stand.corrections,
        clock=stand.clock,
    )


def test_a_store_that_fails_for_a_while_is_tried_again() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), None)
    done = troubled(stand, RequestFailedError("503"), 3).apply(T1)
    assert (done.written, done.not_repaired) == ({"write_index": 1}, [])
    assert stand.audit().result == "equal"


def test_a_store_that_keeps_failing_leaves_its_images_unfinished_with_the_reason() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), None)
    done = troubled(stand, RequestFailedError("503"), 10**6).apply(T1)
    assert [(one.image_id, one.detail) for one in done.not_repaired] == [("T1", "503")]


def test_a_request_that_is_refused_as_a_whole_is_split() -> None:
    stand = Stand()
    stand.write(*images(20))
    stand.opensearch.documents.clear()
    done = troubled(stand, RequestRefusedError("413"), 3).apply(stand.differing())
    assert (done.written, done.undecided) == ({"write_index": 20}, [])


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


def test_a_crash_after_the_removal_of_a_moved_document_is_repaired_by_the_next_repair() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP), STAMP + 1))
    with pytest.raises(KeyboardInterrupt):
        troubled(stand, KeyboardInterrupt(), 1).apply(T1)
    assert stand.audit().differences == {"missing_in_index": 1}
    assert stand.mend().written == {"write_index": 1}
    assert stand.audit().result == "equal"


@pytest.mark.parametrize("error", [MisconfiguredError("the mapping"), RequestFailedError("503")])
def test_a_moved_document_stays_in_an_index_that_may_refuse_it_later(error: SinkError) -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP), STAMP + 1))
    repair = Repair(
        stand.table,
        stand.index,
        index_sink=OfAnotherRelease(stand.index_sink, error, 0),
        corrections=stand.corrections,
        clock=stand.clock,
    )
    with suppress(MisconfiguredError):
        assert [one.detail for one in repair.apply(T1).not_repaired] == ["503"]
    assert stand.opensearch.documents["T1"].version == STAMP + 1
    assert stand.opensearch.documents["T1"].source is not None


def test_a_plan_counts_the_versions_that_have_moved_for_the_limit_names_the_rebuild() -> None:
    stand = Stand()
    stand.write(*images(10))
    for n in range(4):
        moved = a_document(a_change(STAMP, f"image {n}", image_id=f"i{n:04d}"), STAMP + 1)
        stand.opensearch.documents[f"i{n:04d}"] = moved
    del stand.opensearch.documents["i0009"]
    plan = stand.repair.plan(stand.differing(), images=10)
    assert (plan.changes, plan.moved) == (5, 4)
    instead = beyond_the_limit(plan, "prod", Path(".lockstep"))
    with pytest.raises(OverLimitError) as refused:
        check_limit(plan, 1, instead)
    words = "4 have a moved _version: `lockstep rebuild --stack prod` sets it without hiding images"
    assert f"nothing is written. {words}. To write them, add --at-most 50" in str(refused.value)


def test_a_table_restored_from_an_old_copy_loses_nothing_and_brings_nothing_back() -> None:
    """Restored to 20 days ago: of what came since, only the index knows."""
    stand = Stand()
    before = [a_change(STAMP, f"image {n}", image_id=f"i{n}") for n in range(30)]
    stand.write(*before)
    restored = stand.dynamodb.items.copy()
    since = [
        *(a_change(STAMP + 9, f"changed {n}", image_id=f"i{n}") for n in range(3)),
        *(a_change(STAMP + 9, None, image_id=f"i{n}") for n in range(3, 6)),
        *(a_change(STAMP + 9, f"new {n}", image_id=f"new{n}") for n in range(9)),
    ]
    stand.write(*since)
    documents = stand.opensearch.documents.copy()
    stand.dynamodb.items = restored.copy()
    found, _ = stand.audited()
    assert found.differences == {"missing_in_table": 9, "table_behind": 6}
    assert found.ahead == {"image": 12, "removal": 3}
    done = stand.mend()
    assert (done.written, done.ahead, done.undecided) == ({}, 15, [])
    assert (stand.dynamodb.items, stand.opensearch.documents) == (restored, documents)
    assert stand.audit().exit_code == 1


def test_a_table_that_was_emptied_and_refilled_while_it_feeds_the_index_keeps_every_image() -> None:
    """The consumer of the table's stream writes a tombstone one version above each REMOVE."""
    stand = Stand()
    kept = [a_change(STAMP, f"image {n}", image_id=f"i{n}") for n in range(10)]
    stand.write(*kept)
    items = stand.dynamodb.items.copy()
    for change in kept:
        stand.index_sink.send([a_change(STAMP + 1, None, image_id=change.image_id)])
    found, _ = stand.audited()
    assert (found.differences, found.ahead) == ({"table_behind": 10}, {"removal": 10})
    assert stand.mend().written == {}
    assert stand.dynamodb.items == items


def test_a_version_that_was_moved_by_hours_is_mended_and_the_next_event_is_not_stale() -> None:
    stand = Stand()
    was = a_change(STAMP, "image")
    hours_ahead = STAMP + 13 * 3_600_000_000
    stand.hold(an_item(was), a_document(was, hours_ahead))
    assert stand.mend().written == {"forget": 1, "write_index": 1}
    assert stand.audit().result == "equal"
    following = a_change(STAMP + 60_000_000, "the next")
    assert stand.table_sink.send([following]) == [Applied()]
    assert stand.index_sink.send([following]) == [Applied()]
