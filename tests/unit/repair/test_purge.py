"""The purge: which tombstones it removes, and that it removes no others."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from lockstep.repair.decide import Agree
from lockstep.repair.purge import Purged, purge, verdict
from lockstep.stores.image_state import Absent, state_of_document, state_of_item
from shared.change import Change
from tests.unit.audit.stand import NOW, OLD, STAMP, YOUNG, Stand, a_change, a_document, an_item
from tests.unit.repair.test_decide import PAIRS


def gone(version: int = 5, *, at: float = OLD) -> Change:
    return a_change(STAMP + version, None, arrived=at)


@pytest.mark.parametrize(
    ("index", "table", "expected"),
    [
        (gone(), None, "purge"),
        (gone(), gone(), "purge"),
        (gone(), gone(6), "purge"),
        (gone(), gone(4), "purge"),
        (gone(at=YOUNG), None, "not_over"),
        (a_change(STAMP, arrived=OLD), None, "not_over"),
        (gone(), gone(at=YOUNG), "tombstone_in_table"),
        (gone(), gone(4, at=YOUNG), "removal_missing_in_table"),
        (gone(), a_change(STAMP + 4), "removal_missing_in_table"),
        (gone(), a_change(STAMP + 5), "removal_missing_in_table"),
        (gone(), a_change(STAMP + 6), "newer_in_table"),
        (gone(), gone(6, at=YOUNG), "newer_in_table"),
    ],
)
def test_a_tombstone_is_purged_if_it_is_expired_and_the_table_does_not_need_it(
    index: Change, table: Change | None, expected: str
) -> None:
    document = a_document(index)
    hit = {"_id": "T1", "_version": document.version, "_source": document.source}
    held = Absent() if table is None else state_of_item(an_item(table))
    assert verdict(state_of_document(hit), held, now=NOW) == expected


def test_a_tombstone_stays_if_it_is_malformed_in_either_store() -> None:
    document = a_document(gone(), name="a tombstone with a name")
    broken = state_of_document({"_id": "T1", "_version": 5, "_source": document.source})
    assert verdict(broken, Absent(), now=NOW) == "malformed"
    whole = a_document(gone())
    sound = state_of_document({"_id": "T1", "_version": whole.version, "_source": whole.source})
    assert verdict(sound, state_of_item({"image_id": {"S": "T1"}}), now=NOW) == "malformed"


def test_a_purge_removes_nothing_that_the_index_is_ahead_with() -> None:
    """Every pair that two stores may hold: only where they are equal, a tombstone is purged."""
    purged = 0
    for item, document in PAIRS:
        stand = Stand()
        stand.hold(item, document)
        table, index = stand.held()
        if not isinstance(index, Absent) and verdict(index, table, now=NOW) == "purge":
            assert stand.decision() == Agree(), (item, document)
            purged += 1
    assert purged


class Meanwhile:
    """An index in which images come back while it is searched."""

    def __init__(self, stand: Stand, *back: Change) -> None:
        self._stand = stand
        self._back = back

    def search(
        self, fields: Sequence[str], query: Mapping[str, Any]
    ) -> Iterator[Mapping[str, Any]]:
        yield from list(self._stand.index.search(fields, query))
        self._stand.index_sink.send(self._back)


def purged(stand: Stand, *back: Change, apply: bool = True) -> Purged:
    return purge(
        Meanwhile(stand, *back) if back else stand.index,
        stand.table,
        stand.corrections,
        now=NOW,
        apply=apply,
    )


def test_purging_leaves_both_stores_equal_and_nothing_to_purge() -> None:
    stand = Stand()
    many = [a_change(STAMP, None, arrived=OLD, image_id=f"i{n}") for n in range(250)]
    stand.index_sink.send(many)
    shown = purged(stand, apply=False)
    assert (shown.expired, shown.removable, shown.purged) == (250, 250, 0)
    assert len(stand.opensearch.documents) == 250
    done = purged(stand)
    assert (done.removable, done.purged, done.changed_meanwhile, done.failed) == (250, 250, 0, 0)
    assert stand.audit().result == "equal"
    assert purged(stand).expired == 0


def test_an_image_that_comes_back_during_the_purge_stays() -> None:
    stand = Stand()
    stand.index_sink.send([gone(5)])
    back = a_change(STAMP + 6, "back")
    done = purged(stand, back)
    assert (done.removable, done.purged, done.changed_meanwhile) == (1, 0, 1)
    assert stand.opensearch.documents["T1"].source == a_document(back).source
