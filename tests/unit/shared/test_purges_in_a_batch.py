"""A purge, and the lower versions that the table took after it, in one batch of table changes.

OpenSearch remembers the version of a removal for a minute, also if there was nothing to remove.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, override

import pytest

from shared.change import Change, Purge, Put
from shared.outcome import Applied, Failed, Outcome, Stale, held
from tests.builders import change, table_record
from tests.memory_sink import MemorySink
from tests.unit.shared.test_deliver import Box, table_changes

type Record = dict[str, Any]


class Index(MemorySink):
    """A purge removes what has its version or a lower one, and the version is remembered."""

    def __init__(self, *stored: Change) -> None:
        super().__init__(longest_send=5.0)
        self.stored.update({one.image_id: one for one in stored})
        self.remembered: dict[str, int] = {}

    def let_a_minute_pass(self) -> None:
        self.remembered.clear()

    @override
    def write(self, change: Change) -> Outcome:
        known = self.remembered.get(change.image_id, 0)
        stored = self.stored.get(change.image_id)
        if not isinstance(change, Purge):
            if stored is None and change.version <= known:
                return Failed("another program deleted the document")
            return super().write(change)
        if stored is not None and stored.version > change.version:
            return Stale(held(stored.version, stored.arrived_at, stored.occurred_at))
        if stored is None and change.version < known:
            return Failed("another program deleted the document")
        self.stored.pop(change.image_id, None)
        self.remembered[change.image_id] = change.version
        return Applied()


def deletion(version: int) -> Change:
    return change("a", version, "image.deleted")


def put(version: int, position: int) -> Record:
    return table_record(change("a", version), position=position)


def purge(version: int, position: int) -> Record:
    return table_record(None, deletion(version), position=position, by_time_to_live=True)


def settle(records: Sequence[Record], index: Index, box: Box) -> int:
    """Deliver again from the checkpoint on, each time a minute later; how often, at most 20 times.

    A batch without an end is delivered until the stream loses it.
    """
    numbers = [one["dynamodb"]["SequenceNumber"] for one in records]
    for deliveries in range(1, 20):
        delivery = table_changes(list(records), index, box)
        if delivery.checkpoint is None:
            return deliveries
        records = records[numbers.index(delivery.checkpoint) :]
        numbers = numbers[-len(records) :]
        index.let_a_minute_pass()
    return 20


@pytest.mark.parametrize(
    "records",
    [
        [purge(3, 1), put(2, 2)],
        [put(2, 1), purge(3, 2), put(2, 3)],
        [put(2, 1), purge(3, 2), put(2, 3), purge(3, 4)],
        [put(1, 1), purge(4, 2), purge(2, 3), put(1, 4)],
    ],
    ids=["in order", "copied", "both copied", "two purges"],
)
@pytest.mark.parametrize("stored", [[deletion(3)], []], ids=["tombstone", "nothing"])
def test_what_the_table_took_after_a_purge_is_written_when_the_removal_is_forgotten(
    records: list[Record], stored: list[Change]
) -> None:
    index = Index(*stored)
    assert settle(records, index, box := Box()) <= 3
    assert index.versions == {"a": min(map(_version, records))}
    assert box.kept == {}


def _version(record: Mapping[str, Any]) -> int:
    images = record["dynamodb"]
    return int((images.get("NewImage") or images["OldImage"])["version"]["N"])


def test_what_came_back_after_a_purge_and_was_removed_by_hand_stays_away() -> None:
    removed = table_record(None, change("a", 2), position=4)
    records = [table_record(deletion(3), position=1), purge(3, 2), put(2, 3), removed]
    assert settle(records, index := Index(), Box()) < 4
    assert images(index) == {}


def test_a_purge_takes_a_lower_version_with_it_that_the_index_has_and_the_table_does_not() -> None:
    index = Index(change("a", 3))
    assert settle([purge(4, 1), put(2, 2)], index, Box()) == 2
    assert index.versions == {"a": 2}


def test_another_content_of_the_version_that_came_back_is_removed_by_the_purge() -> None:
    other = change("a", 2, image={"name": "other"})
    index = Index(other)
    assert settle([purge(4, 1), put(2, 2)], index, box := Box()) == 2
    assert index.stored["a"] != other
    assert box.kept == {}


def test_a_newer_version_in_the_index_settles_all_with_one_request() -> None:
    index = Index(change("a", 9))
    assert settle([put(5, 1), purge(7, 2), put(3, 3)], index, Box()) == 1
    assert len(index.sent) == 1
    assert index.versions == {"a": 9}


def test_a_tombstone_that_is_told_after_its_purge_is_not_written() -> None:
    index = Index()
    assert settle([purge(3, 1), table_record(deletion(3), position=2)], index, Box()) == 1
    assert [[type(one) for one in request] for request in index.sent] == [[Purge]]


def test_what_was_removed_by_hand_is_in_conflict_with_another_content_of_its_version() -> None:
    removed = table_record(None, change("a", 2), position=4)
    index, box = Index(change("a", 3)), Box()
    assert settle([table_record(deletion(3)), purge(3, 2), put(2, 3), removed], index, box) == 1
    assert {reason for _, reason in box.reasons} == {"conflict"}


def history(chance: random.Random) -> list[Record]:
    """What a table tells of one image: a purge may be followed by any version but its own.

    At the end, somebody may remove the image by hand.
    """
    records: list[Record] = []
    tombstone, version = False, 0
    by_hand = chance.random() < 0.5
    purged: set[int] = set()
    for position in range(1, chance.randint(2, 8)):
        if tombstone and chance.random() < 0.5:
            records.append(purge(version, position))
            purged.add(version)
            tombstone, version = False, 0
            continue
        version = chance.choice([one for one in range(version + 1, 100) if one not in purged][:4])
        tombstone = chance.random() < 0.5
        one = deletion(version) if tombstone else change("a", version)
        records.append(table_record(one, position=position))
    if by_hand and version and not tombstone:
        records.append(table_record(None, change("a", version), position=9))
    return records


def images(index: Index) -> dict[str, int]:
    return {key: one.version for key, one in index.stored.items() if isinstance(one, Put)}


def ends_with(records: Sequence[Record]) -> dict[str, int]:
    """The images that the index must have: those of the table."""
    last = records[-1]["dynamodb"].get("NewImage")
    return {"a": _version(records[-1])} if last and not last["deleted"]["BOOL"] else {}


@pytest.mark.parametrize("seed", range(200))
def test_in_any_history_each_batch_is_settled_and_the_index_follows_the_table(seed: int) -> None:
    chance = random.Random(seed)
    records = history(chance)
    index, box = Index(), Box()
    cut = chance.randrange(len(records))
    if records[:cut]:
        settle(records[:cut], index, box)
        index.let_a_minute_pass()
    assert settle(records[cut:], index, box) < 10
    assert images(index) == ends_with(records)
    # Delivered once more, as a whole: Lambda may do so.
    index.let_a_minute_pass()
    assert settle(records, index, box) < 10
    assert images(index) == ends_with(records)


@pytest.mark.parametrize("seed", range(400))
def test_a_batch_in_any_order_with_copies_is_settled_whatever_the_index_holds(seed: int) -> None:
    chance = random.Random(seed)
    told = history(chance)
    told += chance.sample(told, chance.randint(0, len(told)))
    others = [change("a", chance.randint(1, 9), image={"name": f"{at}"}) for at in range(3)]
    told += [table_record(one) for one in others[: chance.randint(0, 3)]]
    chance.shuffle(told)
    numbered = [
        one | {"dynamodb": one["dynamodb"] | {"SequenceNumber": f"{at:021d}"}}
        for at, one in enumerate(told, 1)
    ]
    stored = chance.choice([[], [deletion(5)], [deletion(9)], [change("a", 4)], others[:1]])
    assert settle(numbered, Index(*stored), Box()) < 10
