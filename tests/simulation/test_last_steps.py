"""The last steps: interrupted imports, two purges, redrives from the stream, old indices."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from lockstep.producing.backfill import Point
from lockstep.simulation.components import REAL
from lockstep.simulation.faults import Tally
from lockstep.simulation.history import History
from lockstep.simulation.operators.imports import Imports
from lockstep.simulation.operators.old_index import OldIndices
from lockstep.simulation.oracle import Meaning, item
from lockstep.simulation.plan import StepKind, plan
from lockstep.simulation.run import broken_by
from lockstep.simulation.violation import ViolationError
from tests.simulation.test_operators import quiet
from tests.simulation.wrong_components import WRONG
from tests.unit.audit.stand import STAMP

LAST: tuple[StepKind, ...] = ("interrupted import", "two purges", "redrive pointers")
FILES = {
    "a": [{"image": {"name": "one"}}, {"image": {"name": "two"}}],
    "b": [{"image": {"name": "three"}}, {"image": {"name": "four"}}],
}


def tally_of(*kinds: StepKind, seeds: int) -> Tally:
    tally = Tally()
    for seed in range(seeds):
        History(quiet(*kinds, seed=100 * seed), REAL, tally).run()
    return tally


def test_one_of_twenty_histories_ends_with_one_of_these_steps() -> None:
    kinds = Counter(step.kind for seed in range(1, 3_000) for step in plan(seed).steps[-1:])
    for kind in LAST:
        assert 30 < kinds[kind] < 80
    assert not any(step.kind in LAST for seed in range(1, 3_000) for step in plan(seed).steps[:-1])


def test_one_of_a_hundred_histories_ends_with_an_old_index() -> None:
    ends = [plan(seed).steps[-1].kind for seed in range(1, 3_000)]
    assert 15 < ends.count("old index") < 45


def test_one_of_a_hundred_histories_ends_with_discarded_records() -> None:
    ends = [plan(seed).steps[-1].kind for seed in range(1, 3_000)]
    assert 30 < ends.count("give up records") < 80


def test_operators_discard_records_at_once_and_a_replay_does_not_bring_them_back() -> None:
    tally = tally_of("put", "poll", "give up records", seeds=40)
    assert tally["discarded by an operator"] > 60
    assert tally["discard killed"] > 10
    assert tally["two discards at once"] > 5


def test_another_consumer_may_quarantine_later_what_an_operator_discarded() -> None:
    """The table took it once; a replay finds a later version there (seed 7,344,244)."""
    kinds: tuple[StepKind, ...] = ("put", "audit", "answer", "put", "give up records")
    for seed in (23, 66, 150):
        planned = msgspec.structs.replace(quiet(*kinds, seed=100 * seed), other_skew=310.0)
        assert broken_by(planned) is None


def test_a_rebuild_begins_again_when_its_index_is_old_and_brings_nothing_back() -> None:
    tally = tally_of("put", "poll", "old index", seeds=20)
    assert tally["rebuilt months after an index was created"] == 20
    assert tally["rebuild killed"] > 5
    assert tally["rebuilt"] > 25


def test_a_rebuild_may_give_the_index_what_somebody_put_into_the_table_by_hand() -> None:
    """Also below a tombstone whose end has come in the index (seed 8,840,781)."""
    history = History(quiet("rebuild"))
    system = history.system
    by_hand = Meaning("H0", STAMP, "image.updated", "2026-11-21T07:00:00Z", {"name": "by hand"})
    raw = item(by_hand, arrived_at=round(system.time.now * 1000), shard_id="", sequence_number="1")
    system.put_by_hand("H0", raw)
    history.play()
    held = system.consumers["write_to_dynamodb"].store.stored_version("H0")
    assert ("H0", held) in system.given_index


def test_no_purge_is_due_any_more_when_an_old_index_is_rebuilt() -> None:
    """It would have the version of a tombstone that the new index does not have."""

    class Rebuilding:
        due = -1

        def rebuild(self) -> None:
            self.due = len(history.system.time._due)  # noqa: SLF001 - of the history itself

        leave_unfinished = rebuild

    purged = 0
    for seed in range(20):
        history = History(quiet("put", "put", "poll", seed=seed))
        history.play()
        rebuilding: Any = Rebuilding()
        OldIndices(history.system, rebuilding, history._surroundings()).step()  # noqa: SLF001 - the same
        assert rebuilding.due == 0
        purged += len(history.system.purged["write_to_es"])
    assert purged > 5


def test_an_import_is_killed_and_resumed_until_it_has_put_all_images() -> None:
    tally = tally_of("put", "poll", "interrupted import", seeds=20)
    assert tally["import killed"] > 15
    assert tally["import resumed"] > 10


def test_what_is_imported_may_follow_the_end_of_a_tombstone() -> None:
    """The table still keeps the expired tombstone, the index does not (seed 8,899,165)."""
    history = History(quiet("interrupted import", "import"))
    history.play()
    system = history.system
    imported = {
        (one.image_id, one.version)
        for one in map(system.interpret, system.stream.accepted)
        if isinstance(one, Meaning) and one.image and one.image["name"].startswith("imported")
    }
    assert len(imported) > 2
    assert imported == system.may_return


def test_two_operators_purge_at_once_and_each_tombstone_goes() -> None:
    tally = tally_of("put", "poll", "two purges", seeds=40)
    assert tally["two purges at once"] > 5
    assert tally["purged by an operator"] > 10


def test_a_redrive_reads_what_a_document_names_from_the_stream_and_says_what_is_gone() -> None:
    tally = tally_of("put", "poll", "redrive pointers", seeds=20)
    assert tally["redriven from the stream"] > 20
    assert tally["pointed at records that are gone"] > 5
    assert tally["redrive killed"] > 2
    assert tally["two redrives at once"]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("import: the progress is saved before the images are put", LAST[0], "did not put"),
        ("import: an import that is resumed begins again", LAST[0], "again"),
        ("import: an import that is resumed leaves out a file", LAST[0], "did not put"),
        ("purge: what another purge has removed counts as failed", LAST[1], "failed=1"),
        ("pointers: the last record of a batch is left out", LAST[2], "the redrive found"),
        ("pointers: the first records of a batch are left out", LAST[2], "the redrive found"),
        ("pointers: what is gone is not named", LAST[2], "are gone: the redrive says []"),
        ("pointers: records are not in the bucket before they go back", LAST[2], "a redrive left"),
        ("pointers: a record that went back is found again", LAST[2], "a redrive left"),
        ("pointers: a record that went back goes back again", LAST[2], "puts events again"),
        ("rebuild: an index of any age is read", "old index", "a rebuild brought back"),
        ("give up: the last reason replaces the first", "give up records", "the first reasons of"),
        ("give up: one of two objects stays in quarantine", "give up records", "a discard left"),
    ],
)
def test_a_seeded_bug_of_these_steps_is_seen_by_them(name: str, kind: StepKind, said: str) -> None:
    plans = [quiet("put", "poll", kind, seed=100 * seed) for seed in range(100)]
    assert any(said in (broken_by(one, WRONG[name]) or "") for one in plans)


@pytest.mark.parametrize(
    ("after", "given", "is_seen"),
    [
        (None, ["one"], False),
        (Point("a", 1), ["two", "three"], False),
        (Point("a", 1), ["one"], True),
        (Point("b", 1), ["four"], False),
        (Point("b", 1), ["two"], True),
        (Point("b", 1), ["three"], True),
    ],
)
def test_what_was_put_before_the_point_to_resume_from_must_not_be_put_again(
    after: Point | None,
    given: list[str],
    is_seen: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    found = ""
    try:
        Imports._check_resumed(FILES, after, given)  # noqa: SLF001 - as its step does
    except ViolationError as error:
        found = str(error)
    assert is_seen == ("again" in found)
