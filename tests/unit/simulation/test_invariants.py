"""What may follow an expired tombstone, and what counts as applied."""

from contextlib import nullcontext

import pytest

from lockstep.simulation.components import REAL
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.opensearch_cluster import StoredDocument
from lockstep.simulation.faults import Tally
from lockstep.simulation.invariants import _check_versions_rise, _may_follow, _was_applied
from lockstep.simulation.oracle import DELETED, FIRST_STAMP, Meaning
from lockstep.simulation.plan import plan
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.system import System
from lockstep.simulation.violation import ViolationError


def upload(version: int) -> Meaning:
    return Meaning("T1", version, "image.updated", "2026-11-21T08:00:00.5Z", {"name": "x"})


@pytest.mark.parametrize(
    ("version", "tombstone", "comes_after", "expected"),
    [
        (1, 2, True, True),
        (2, 2, True, True),  # the source that counts went back: the same number again
        (1, 2, False, False),  # held back since before the deletion
        (1, FIRST_STAMP + 1, True, True),
        (FIRST_STAMP, FIRST_STAMP + 1, True, False),
    ],
)
def test_what_may_follow_an_expired_tombstone(
    version: int, tombstone: int, *, comes_after: bool, expected: bool
) -> None:
    system = System(plan(1), REAL, Tally())
    deletion = Meaning("T1", tombstone, DELETED, "2026-11-21T08:00:00Z", None)
    meant = [deletion, upload(version)] if comes_after else [upload(version), deletion]
    for one in meant:
        system.ledger.note_produced(one)
        system.stream.accept("T1", one.data)
        system.time.advance(1.0)
    # A store has the time in its canonical form.
    held = StoredVersion(version, upload(version).digest), upload(version).time
    assert _may_follow(system, "T1", held, (StoredVersion(tombstone, None), None)) is expected


@pytest.mark.parametrize(
    ("version", "arrived_at", "expected"),
    [
        (5, 9_000, True),
        (4, 6_000, True),  # both in one batch: only version 5 was written
        (4, 8_000, False),
        (6, 6_000, False),
    ],
)
def test_a_lower_version_of_the_same_batch_counts_as_applied(
    version: int, arrived_at: int, *, expected: bool
) -> None:
    system = System(plan(1), REAL, Tally())
    source = {"version": 5, "arrived_at": 7_000, "occurred_at": "2026-11-21T08:00:00Z"}
    system.index.journal.append(Written("T1", 5, deleted=False, entry=StoredDocument(5, source, 0)))
    assert _was_applied(system.consumers["write_to_es"], upload(version), arrived_at) is expected


@pytest.mark.parametrize(
    ("is_purged", "is_given", "is_allowed"),
    [(True, True, True), (True, False, False), (False, True, False)],
)
def test_an_operator_may_give_the_index_a_lower_version_after_the_end_of_a_tombstone(
    *, is_purged: bool, is_given: bool, is_allowed: bool
) -> None:
    system = System(plan(1), REAL, Tally())
    lower, higher = FIRST_STAMP, FIRST_STAMP + 1
    journal = system.index.journal
    journal.append(Written("T1", higher, deleted=True))
    if is_purged:
        journal.append(Written("T1", None, deleted=True))
    journal.append(Written("T1", lower, deleted=False))
    purged = {("T1", higher)} if is_purged else set()
    system.purged["write_to_es"].update(purged)
    replaced = {("T1", lower)} if is_given else set()
    with nullcontext() if is_allowed else pytest.raises(ViolationError, match="I4"):
        _check_versions_rise(system, system.consumers["write_to_es"], replaced, ended={})
