"""The changes of the table in one history: who reads them, and what each means for the index.

Each change goes to the table's own stream, and to the Kinesis stream of copies while there is one:
late, out of order, some twice. What a change means follows from the items that the fake table had,
by the pages on formats and on the source of the index; nothing that is on a stream is decoded.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lockstep.simulation import oracle
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import CHANGES_STREAM, TABLE
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.table_stream import FakeTableStream, ItemChange
from lockstep.simulation.faults import Tally
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.operators.comparison import said_by_item
from lockstep.simulation.store_views import StoredVersion

LABEL = f"{TABLE}/stream/2026-11-21T07:00:00.000"
# DynamoDB says no longest time; a copy that comes after later ones of its item is out of order.
LONGEST_COPY_SECONDS = 3_600.0
LATE_SHARE, TWICE_SHARE = 0.5, 0.25
PURGE_TWICE_SHARE = 0.7
# The first shard numbers of the streams of copies, so that all sequence numbers are different.
_FIRST_SHARD = 1_000

_MALFORMED = Poison("malformed")


class Indexed(msgspec.Struct, frozen=True):
    """What a change means for the index: this document, or without one a purge."""

    image_id: str
    version: int
    document: oracle.RawDocument | None

    @property
    def digest(self) -> str | None:
        """The digest of its image; None for a tombstone and for a purge."""
        return None if self.document is None else self.document.get("digest")


class TableChanges:
    """The changes of one table, and the streams that carry them.

    `own` is the table's stream. `copies` is the Kinesis stream of copies, None if there is none.
    `told` has the change in each record of both, by sequence number.
    """

    def __init__(
        self,
        table: DynamoDB,
        time: VirtualTime,
        draw: Callable[[], float],
        tally: Tally,
        *,
        purged: set[tuple[str, int]],
        may_return: set[tuple[str, int]],
    ) -> None:
        """Observe this table.

        Args:
            table: the table.
            time: the time.
            draw: gives random numbers from 0 to 1.
            tally: counts faults.
            purged: gets the expired tombstones that are purged from the index: image and version.
            may_return: gets what may come after the end of the tombstone above it: of an item that
                is removed by hand, the table forgets the version.
        """
        self.own = FakeTableStream(LABEL, now=lambda: time.now)
        self.copies: Kinesis | None = None
        self.told: dict[str, ItemChange] = {}
        self.records: list[AcceptedRecord] = []
        self.purged: dict[str, int] = {}
        """The highest version of each image whose tombstone the time to live has removed."""
        self.removed: set[tuple[str, int]] = set()
        """What was removed by hand: image id and version."""
        self._table, self._time, self._draw = table, time, draw
        self._tally, self._purged, self._may_return = tally, purged, may_return
        self.may_miss = False
        """Whether the index may have missed changes, until a repair."""
        self.has_operators = False
        """Whether operators rebuild the index, or somebody changes it by hand."""
        self.copied = False  # whether there ever was a stream of copies
        self._streams = 0
        self._changes = 0
        self.foreign: set[str] = set()
        """The images whose items no consumer has written."""
        self._next_is_ours = True
        self._latest: dict[str, Item | None] = {}  # the items that were told last
        self._copied: dict[str, int] = {}  # by image id, the latest change that was copied
        self._meanings: dict[str, Indexed | Poison] = {}
        table.observer = self

    def put_by_hand(self, image_id: str, item: Item, *, is_ours: bool) -> None:
        """Write an item, as another program; `is_ours`: a consumer could have written it."""
        self._next_is_ours = is_ours
        self._table.put_by_hand(image_id, item)
        self._next_is_ours = True

    def observe(
        self, image_id: str, old: Item | None, new: Item | None, *, by_time_to_live: bool
    ) -> None:
        """See `Observer.observe`. What a consumer has written is ours again."""
        old_is_ours = self._is_ours(image_id, old)
        self._latest[image_id] = new
        if self._next_is_ours:
            self.foreign.discard(image_id)
        else:
            self.foreign.add(image_id)
        if new is None and old is not None and old_is_ours:
            version = int(old["version"]["N"])
            if by_time_to_live:
                self.purged[image_id] = max(version, self.purged.get(image_id, 0))
                self._purged.add((image_id, version))
                self._tally["purge in the table's stream"] += 1
            else:
                self.removed.add((image_id, version))
                if (image_id, version) in self._may_return:
                    # So may its tombstone in the index, if the index missed what was removed.
                    self._may_return.add((image_id, version + 1))
                self._may_return.add((image_id, version))
        change = ItemChange(
            number=self._changes,
            image_id=image_id,
            old=old,
            new=new,
            at=self._time.now,
            by_time_to_live=by_time_to_live,
            old_is_ours=old_is_ours,
            new_is_ours=self._next_is_ours,
        )
        self._changes += 1
        self._note(self.own.tell(change), change)
        if self.copies is not None:
            self._copy_late_and_twice(change, self.copies)

    def is_in(self, meaning: Indexed, held: StoredVersion | None) -> bool:
        """Whether an index that holds this needs the change no more: it is there, or it is over."""
        if held is None:
            return meaning.document is None or self.is_over(meaning.image_id, meaning.version)
        if held.version != meaning.version:
            return held.version > meaning.version
        if meaning.document is None:
            # It may stay, because it is over: if it was copied late, if a rebuild carried it, or if
            # somebody moved its `_version`.
            return self.copied or self.has_operators
        return held.digest == meaning.digest

    def came_after(self, record: AcceptedRecord, held: StoredVersion) -> bool:
        """Whether the table took this after the change in the record, as a lower version may be.

        Or somebody removed it by hand: of that, the index holds a tombstone of the next version.
        """
        change = self.told[record.sequence_number]
        return any(
            one.image_id == change.image_id
            and one.number > change.number
            and _version_told(one) == held.version
            for one in self.told.values()
        )

    def ended(self) -> Mapping[str, int]:
        """The highest version of each image whose tombstone was purged, from either store.

        Each of them may come again: a change is told twice, or somebody removes the same item once
        more.
        """
        highest: dict[str, int] = {}
        for image_id, version in self._purged:
            highest[image_id] = max(version, highest.get(image_id, 0))
        return highest

    def highest(self, image_id: str) -> int:
        """The highest version of this image that was ever in the table; 0 if none was."""
        items = [one.new for one in self.told.values() if one.image_id == image_id]
        said = [one for item in items if (one := said_by_item(item, whole=True)) is not None]
        return max((one.version for one in said if not one.is_malformed), default=0)

    def is_purged(self, record: AcceptedRecord) -> bool:
        """Whether this is a tombstone that the time to live has removed from the table since."""
        meaning = self.meaning(record)
        return isinstance(meaning, Indexed) and self.is_over(meaning.image_id, meaning.version)

    def is_over(self, image_id: str, version: int) -> bool:
        """Whether the time to live has removed the image's tombstone of this or a later version."""
        return version <= self.purged.get(image_id, -1)

    def _is_ours(self, image_id: str, item: Item | None) -> bool:
        """Whether a consumer could have written this item; a restore may have put it there."""
        if item is None or item is self._latest.get(image_id):
            return image_id not in self.foreign
        said = said_by_item(item, whole=True)
        return said is None or not said.is_malformed

    def copy_into_a_new_stream(self, shards: int) -> Kinesis:
        """Begin to copy the changes into a new Kinesis stream, which is empty."""
        self._streams += 1
        self.copied = True
        self.copies = Kinesis(
            CHANGES_STREAM,
            shards=shards,
            first_shard=_FIRST_SHARD * self._streams,
            now=lambda: self._time.now,
        )
        return self.copies

    def meaning(self, record: AcceptedRecord) -> Indexed | Poison | None:
        """What a record means for the index; None if it holds no change of the table."""
        change = self.told.get(record.sequence_number)
        if change is None:
            return None
        found = self._meanings.get(record.sequence_number)
        if found is None:
            found = meaning_of(change, round(record.arrived_at * 1000))
            self._meanings[record.sequence_number] = found
        return found

    def _copy_late_and_twice(self, change: ItemChange, into: Kinesis) -> None:
        self._copy_soon(change, into, delayed=self._draw() < LATE_SHARE)
        # A purge that is told again may come after what was uploaded meanwhile.
        if self._draw() < (PURGE_TWICE_SHARE if change.by_time_to_live else TWICE_SHARE):
            self._tally["change of the table copied twice"] += 1
            self._copy_soon(change, into, delayed=True)

    def _copy_soon(self, change: ItemChange, into: Kinesis, *, delayed: bool) -> None:
        if delayed:
            seconds = self._draw() ** 4 * LONGEST_COPY_SECONDS
            self._time.later(seconds, lambda: self._copy(change, into))
        else:
            self._copy(change, into)

    def _copy(self, change: ItemChange, into: Kinesis) -> None:
        latest = self._copied.get(change.image_id, -1)
        self._tally["change of the table out of order"] += change.number < latest
        self._copied[change.image_id] = max(latest, change.number)
        self._note(into.accept(*change.copy_of(TABLE)), change)

    def _note(self, record: AcceptedRecord, change: ItemChange) -> None:
        self.told[record.sequence_number] = change
        self.records.append(record)


def _version_told(change: ItemChange) -> int | None:
    """The version that a change gives the index; None of a purge, or of a malformed item."""
    if change.new is not None or change.by_time_to_live:
        said = said_by_item(change.new, whole=False)
        return None if said is None else said.version
    said = said_by_item(change.old, whole=False)
    return None if said is None else said.version + 1


def meaning_of(change: ItemChange, arrived_at: int) -> Indexed | Poison:
    """What a change means for the index.

    Args:
        change: the change.
        arrived_at: the arrival of its record, in milliseconds since 1970.
    """
    if change.new is not None:
        if not change.new_is_ours:
            return _MALFORMED
        document = document_of(change.new)
        return Indexed(change.image_id, document["version"], document)
    if change.old is None or not change.old_is_ours:
        return _MALFORMED
    version = int(change.old["version"]["N"])
    if change.by_time_to_live:
        return Indexed(change.image_id, version, None)
    return Indexed(change.image_id, version + 1, removal(change.image_id, version + 1, arrived_at))


def removal(image_id: str, version: int, arrived_at: int) -> oracle.RawDocument:
    """The tombstone of an item that was removed by hand: there was no event."""
    at = dt.datetime.fromtimestamp(arrived_at / 1000, dt.UTC)
    meant = oracle.Meaning(image_id, version, oracle.DELETED, at.isoformat(), None)
    return oracle.document(meant, arrived_at=arrived_at)


def document_of(item: Mapping[str, Any]) -> oracle.RawDocument:
    """The document of an item that a consumer wrote, by the page on formats."""
    deleted = item["deleted"]["BOOL"]
    document: oracle.RawDocument = {
        "image_id": item["image_id"]["S"],
        "version": int(item["version"]["N"]),
        "deleted": deleted,
        "event_type": item["event_type"]["S"],
        "occurred_at": item["occurred_at"]["S"],
        "arrived_at": int(item["arrived_at"]["N"]),
    }
    if deleted:
        return {**document, "expires_at": int(item["expires_at"]["N"])}
    image = oracle.plain(item["image"])
    if "attributes" in image:
        pairs = image["attributes"].items()
        image["attributes"] = [{"name": name, "value": value} for name, value in pairs]
    return {**document, "digest": item["digest"]["S"], **image}
