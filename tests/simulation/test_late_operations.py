"""Late operations: redrives and purges obey the invariants."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, cast, override

import msgspec
import pytest
from opensearchpy import OpenSearch

from lockstep.simulation.components import INDEX
from lockstep.simulation.fakes import opensearch as fakes
from lockstep.simulation.fakes.network import CutOffError, PartFailure
from lockstep.simulation.history import History
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.purges import Expiry
from lockstep.simulation.operators.tools import Tools
from lockstep.simulation.plan import HistoryPlan, Step, plan
from lockstep.simulation.uploader import CountingUploader
from lockstep.simulation.violation import ViolationError
from lockstep.stores.corrections import Corrections, Removal
from shared.outcome import Failed


def test_a_purge_whose_answer_is_cut_off_fails() -> None:
    class Scissors:
        def send[T](self, apply: Callable[[], T]) -> T:
            raise CutOffError(apply(), 0.3)

        def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
            return {}

    index = cast("OpenSearch", fakes.OpenSearch(INDEX, connection=Scissors()))
    (outcome,) = Corrections(index, INDEX).remove([Removal("T0", 1)])
    assert isinstance(outcome, Failed)


def quiet(*kinds: Any, seed: int = 0) -> HistoryPlan:
    """A plan of these steps, without faults."""
    steps = tuple(Step(kind, seed + at) for at, kind in enumerate(kinds))
    return msgspec.structs.replace(plan(0), fault_rate=0.0, second_mapping=None, steps=steps)


def test_a_quarantined_record_is_redriven_and_applied_once_its_cause_is_over() -> None:
    applied = 0
    for seed in range(100):
        history = History(quiet("put", "days pass", "redrive", seed=seed))
        history.run()
        tally = history.system.conditions.tally
        keys = history.system.bucket.objects
        redriven = {key for key in keys if key.startswith("redriven/write_to_")}
        settled = tally["corrected days later"] + tally["chosen days later"]
        expected = tally["redriven days later"] + settled
        assert bool(redriven) == bool(expected) or (redriven and tally["redrive killed"])
        applied += expected
    assert applied


def test_expired_tombstones_are_purged_from_both_stores_and_the_image_may_return() -> None:
    purged = came_back = 0
    for seed in range(150):
        history = History(quiet("put", "put", "days pass", "wait", "put", seed=seed * 10))
        history.run()
        for function, consumer in history.system.consumers.items():
            gone = {image_id for image_id, _ in history.system.purged[function]}
            purged += len(gone)
            came_back += sum(
                consumer.store.stored_version(image_id) is not None for image_id in gone
            )
    assert purged
    assert 0 < came_back < purged


class OneCount(CountingUploader):
    """A source that gives every event the same count."""

    @override
    def _version(self, _: str) -> int:
        return 9_999_999


def test_after_the_end_of_a_tombstone_the_same_count_may_delete_the_image_again() -> None:
    history = History(quiet())
    system = history.system
    source = OneCount(system, lambda: 0.0)
    for _ in range(2):
        system.time.advance(130 * 86_400.0)
        for _ in range(20):  # some expired tombstones stay
            Expiry(system).purge()
            system.time.settle()
        source.put([("C0", "image.deleted")])
        history.drain("write_to_dynamodb")
        history.drain("write_to_es")
    assert [one.version for one in system.table.journal] == [9_999_999] * 2
    history.finish()


def test_a_count_that_deletes_again_after_a_stamp_is_told_from_its_first_event() -> None:
    """Its first event arrived before the deletion with a stamp, whose tombstone has ended."""
    history = History(quiet())
    system = history.system
    counts = OneCount(system, lambda: 0.0)
    stamps = history.uploaders[0]
    for source in (counts, stamps, counts):
        source.put([("C0", "image.deleted")])
        history.drain("write_to_dynamodb")
        history.drain("write_to_es")
        if source is stamps:
            system.time.advance(130 * 86_400.0)
            for _ in range(20):  # some expired tombstones stay
                Expiry(system).purge()
                system.time.settle()
    first, stamped, last = (one.version for one in system.table.journal)
    assert (first, last) == (9_999_999, 9_999_999)
    assert stamped is not None
    assert stamped > 10**15
    history.finish()


def with_a_document() -> History:
    """A history without faults, in which both stores have one image."""
    history = History(msgspec.structs.replace(quiet(), operators=True, index_from=None))
    history.uploaders[0].put([("T0", "image.uploaded")])
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    return history


def remove_late(history: History, tools: Tools) -> None:
    """A request of an answer of an operator, which is applied when the answer has ended."""
    system = history.system
    with system.connections["index"].around_late():
        tools.corrections.remove([Removal("T0", system.index.documents["T0"].version)])
    assert system.index.documents["T0"].source is None


def test_what_an_answer_removes_late_begins_again_and_ends_as_the_guide_says() -> None:
    history = with_a_document()
    remove_late(history, Tools(history.system))
    history.finish()
    assert history.system.index.documents["T0"].source


@pytest.mark.parametrize("late", [True, False])
def test_only_the_late_request_of_an_answer_may_remove_a_document_during_another_command(
    *, late: bool
) -> None:
    history = with_a_document()
    tools = Tools(history.system)
    promised = nullcontext() if late else pytest.raises(ViolationError, match="O2: document T0")
    with promised, Promises(tools).kept("O2"):
        if late:
            remove_late(history, tools)
        else:
            tools.corrections.remove([Removal("T0", history.system.index.documents["T0"].version)])
