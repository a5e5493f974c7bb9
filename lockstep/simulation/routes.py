"""The routes of the index: which stream its consumer reads, and how an operator changes that.

docs/guides/index-from.md has the three values of `IndexFrom` and the steps of a change. Somebody
else writes the table, too: only then the routes differ.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lockstep.simulation import oracle
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.table_stream import TableStreamShard
from lockstep.simulation.faults import Fault
from lockstep.simulation.index_repair import repair_index
from lockstep.simulation.plan import Route
from lockstep.simulation.poller import Polled, Poller
from lockstep.simulation.system import Function, System
from lockstep.simulation.table_changes import TableChanges

INDEX: Function = "write_to_es"
# In template.yaml: a table's own stream keeps a change for 24 hours, its mapping retries for 20.
OLDEST_CHANGE_SECONDS = 72_000
HOUR = 3_600.0
_CHANGED: Mapping[Route, Fault] = {
    "Kinesis": "source changed to Kinesis",
    "DynamoDBStreams": "source changed to DynamoDBStreams",
    "KinesisDataStreamsForDynamoDB": "source changed to KinesisDataStreamsForDynamoDB",
}
# How long the old mapping may deliver beside the new one.
LONGEST_OVERLAP_SECONDS = 600.0
ROUTES: tuple[Route, ...] = ("Kinesis", "DynamoDBStreams", "KinesisDataStreamsForDynamoDB")
# Images of another program: no event names them.
FOREIGN_IMAGES = 2
_MORE: Item = {"note": {"S": "n"}, "sizes": {"NS": ["1", "-2.5"]}, "thumbnail": {"B": b"\x00\xff"}}


class ReadStream(msgspec.Struct, frozen=True):
    """What an event source mapping reads, and how old a record may be for it, in seconds."""

    stream: Polled
    oldest_seconds: int | None = None

    def oldest_age(self, limit: int | None) -> int | None:
        """The age at which its mapping discards a record, if it has this limit besides."""
        ages = [one for one in (limit, self.oldest_seconds) if one is not None]
        return min(ages, default=None)


class Routes:
    """The mappings of the index's consumer in a history whose route is not always `Kinesis`."""

    def __init__(
        self,
        system: System,
        route: Route,
        *,
        shards: int,
        mappings: int,
        operators: bool,
        poller: Callable[[Function, ReadStream], Poller],
        pollers: list[Poller],
    ) -> None:
        """Begin with this route.

        Args:
            system: the system.
            route: the value of `IndexFrom`.
            shards: the shards of a stream of copies.
            mappings: how many mappings of the index's consumer there are.
            operators: whether there are steps of operators.
            poller: makes a mapping.
            pollers: all mappings of the history; those of the index are kept in it.
        """
        self.route = route
        self._system, self._time = system, system.time
        self._shards, self._mappings = shards, mappings
        self._poller, self._pollers = poller, pollers
        self.changes = TableChanges(
            system.table,
            system.time,
            system.conditions.draw,
            system.conditions.tally,
            purged=system.purged["write_to_es"],
            may_return=system.may_return,
        )
        # Whether the index has ever got events of the image stream; a replay writes them, too.
        self.read_events = self.changes.has_operators = operators
        self.changes.own.needed = self._needed
        system.changes = self.changes
        self.all_ever: list[Poller] = []
        """The mappings of the index that there were, also the deleted ones."""
        self._open()

    def change(self, *, waited: bool) -> None:
        """Deploy with another `IndexFrom`; `waited`: after both consumers have caught up.

        CloudFormation updates the function, creates the new mapping, and deletes the old one some
        time later.
        """
        chance, tally = self._system.conditions.chance, self._system.conditions.tally
        self.changes.may_miss = self.changes.may_miss or not waited
        self.route = chance.choice([one for one in ROUTES if one != self.route])
        tally[_CHANGED[self.route]] += 1
        old = [one for one in self._pollers if one.function == INDEX]
        before = [dict(one.checkpoints) for one in old]

        def close() -> None:
            tally["old and new source at once"] += before != [one.checkpoints for one in old]
            self._close(old)

        self._open()
        self._time.later(chance.random() ** 2 * LONGEST_OVERLAP_SECONDS, close)

    def remove_by_hand(self) -> None:
        """Delete an item of the table behind our back."""
        items = sorted(self._system.table.items)
        if not items:
            return
        image_id = self._system.conditions.chance.choice(items)
        self._touch(image_id)
        self._note_unseen()
        self._system.table.remove_by_hand(image_id)
        self._system.conditions.tally["item removed by hand"] += 1

    def repair(self) -> None:
        """Audit and repair the index: after a change of the source, the guide says so."""
        if self.changes.may_miss:
            self._system.accept_all()  # also what the old source would have put into quarantine
        if self.changes.may_miss and repair_index(self._system):
            self._system.conditions.tally["index repaired after a change of its source"] += 1
        self.changes.may_miss = False

    def put_by_hand(self, version: int) -> None:
        """Put an item as another program: as ours, malformed, or a tombstone that soon ends."""
        self._note_unseen()
        chance, tally = self._system.conditions.chance, self._system.conditions.tally
        image_id = f"F{chance.randrange(FOREIGN_IMAGES)}"
        image = {"name": f"{image_id} at {version}", "attributes": {"b": "1", "a": "2"}}
        kind = chance.randrange(6)
        if kind in {1, 2}:
            self._put_tombstone_that_soon_ends(version)
            return
        self._touch(image_id)
        if kind == 0:
            item: dict[str, Any] = {**self._item(image_id, version, image), **_MORE}
            tally["item of another program"] += 1
            self.changes.put_by_hand(image_id, item, is_ours=True)
            return
        if kind == 3:  # noqa: PLR2004 - one of the kinds
            item = {"image_id": {"S": image_id}, **_MORE}
        elif kind == 4:  # noqa: PLR2004
            item = self._item(image_id, version, image)
            item["image"] = {"M": {"name": {"S": "not what the digest says"}}}
        else:
            item = self._item(image_id, version, None)
            item["expires_at"] = {"N": str(int(self._time.now) + 60)}
            self._purge_later(image_id, 60.0)
        tally["malformed item by hand"] += 1
        self.changes.put_by_hand(image_id, item, is_ours=False)

    def stop_index_for_a_day(self) -> None:
        """The index is down so long that its mapping discards changes of the table's stream."""
        chance = self._system.conditions.chance
        hours = 19.0 + 4 * chance.random()
        self._system.connections["index"].down_until = self._time.now + (hours + 1) * HOUR
        for poller in [one for one in self._pollers if one.function == INDEX]:
            poller.run(invocations=1, seconds=60.0)
        self._time.advance(hours * HOUR)
        for poller in [one for one in self._pollers if one.function == INDEX]:
            poller.run(invocations=2, seconds=60.0)
        self._system.conditions.tally["index down for a day"] += 1

    def _item(
        self, image_id: str, version: int, image: Mapping[str, Any] | None
    ) -> dict[str, dict[str, Any]]:
        meaning = oracle.Meaning(
            image_id,
            version,
            oracle.DELETED if image is None else "image.updated",
            oracle.time("2026-11-21T08:00:00.5+01:00"),
            image,
        )
        arrived_at = round(self._time.now * 1000)
        return oracle.item(meaning, arrived_at=arrived_at, shard_id="by hand", sequence_number="1")

    def _put_tombstone_that_soon_ends(self, version: int) -> None:
        """As an answer of an operator does, who gives the table an old tombstone of the index.

        The image has no other changes before: they could come again after the purge. Somebody may
        upload it again afterwards.
        """
        image_id, draw = f"E{version}", self._system.conditions.draw
        self._touch(image_id)
        seconds = draw() ** 4 * HOUR
        ends = int(self._time.now + seconds)
        item = self._item(image_id, version, None)
        item["arrived_at"] = {"N": str((ends - oracle.HORIZON_SECONDS) * 1000)}
        item["expires_at"] = {"N": str(ends)}
        self._system.conditions.tally["tombstone that soon ends"] += 1
        self.changes.put_by_hand(image_id, item, is_ours=True)
        purged_in = self._purge_later(image_id, seconds)
        if draw() < 0.5:  # noqa: PLR2004 - a coin
            self._time.later(
                purged_in + draw() ** 4 * HOUR, lambda: self._upload(image_id, version)
            )

    def _upload(self, image_id: str, version: int) -> None:
        """Upload an image again: also with a lower version, if its changes are told in order."""
        self._note_unseen()
        # Not the next version: a removal by hand has that. An answer may have raised the version.
        again = max(version, self.changes.highest(image_id)) + 2
        if image_id not in self._system.table.items and self.changes.copies is None:
            again = version - 1
            self._system.may_return.add((image_id, again))
        item = self._item(image_id, again, {"name": "uploaded again"})
        self.changes.put_by_hand(image_id, item, is_ours=True)

    def _purge_later(self, image_id: str, seconds: float) -> float:
        """Let the time to live remove the item, some time after so many seconds; return when."""
        later = seconds + self._system.conditions.draw() ** 4 * HOUR + 1.0

        def purge() -> None:
            self._system.table.purge(image_id, self._time.now)

        self._time.later(later, purge)
        return later

    def _note_unseen(self) -> None:
        """While the index reads the image stream, it does not see what somebody else writes."""
        self.changes.may_miss = self.changes.may_miss or self.route == "Kinesis"

    def _touch(self, image_id: str) -> None:
        system, now = self._system, len(self._system.table.journal)
        system.touched["write_to_dynamodb"][image_id] = now
        system.first_touched["write_to_dynamodb"].setdefault(image_id, now)

    def _open(self) -> None:
        """Create the mappings of the present route, and what they need."""
        changes = self.changes
        tally = self._system.conditions.tally
        match self.route:
            case "Kinesis":
                self.read_events = True
                changes.copies = None
                self._system.stream.trim(self._time.now - self._system.stream.retention)
                source = ReadStream(self._system.stream)
            case "DynamoDBStreams":
                changes.copies = None
                changes.own.trim(self._time.now - changes.own.retention)
                tally["index from DynamoDBStreams"] += 1
                source = ReadStream(changes.own, OLDEST_CHANGE_SECONDS)
            case "KinesisDataStreamsForDynamoDB":
                tally["index from KinesisDataStreamsForDynamoDB"] += 1
                source = ReadStream(changes.copy_into_a_new_stream(self._shards))
        new = [self._poller(INDEX, source) for _ in range(self._mappings)]
        self._pollers += new
        self.all_ever += new

    def _close(self, old: list[Poller]) -> None:
        for poller in old:
            poller.stop()
            if poller in self._pollers:
                self._pollers.remove(poller)

    def _needed(self, shard: TableStreamShard) -> int:
        """Up to where a shard of the table's stream was read: a mapping reads all in time."""
        read = [one.checkpoints.get(shard.shard_id, 0) for one in self._pollers if one.reads(shard)]
        return min(read, default=len(shard.records))
