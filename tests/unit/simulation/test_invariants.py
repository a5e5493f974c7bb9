"""What may follow an expired tombstone, and what counts as applied."""

import pytest

from lockstep.simulation.components import REAL
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.opensearch_cluster import StoredDocument
from lockstep.simulation.faults import Tally
from lockstep.simulation.invariants import _may_follow, _was_applied
from lockstep.simulation.oracle import DELETED, FIRST_STAMP, Meaning
from lockstep.simulation.plan import plan
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.system import System


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
