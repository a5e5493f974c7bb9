"""Loads: an operator copies the source while it changes, and is killed or broken off."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

import msgspec

from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.tablestore import Columns
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.replica import oracle
from lockstep.simulation.replica.components import REPLICA
from lockstep.simulation.replica.source import TABLE, KnownChange, key_text
from lockstep.simulation.replica.source_client import SourceClient
from lockstep.simulation.replica.system import ReplicaSystem
from lockstep.simulation.violation import ViolationError
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.segments import TableSegments
from lockstep.tablestore.load import LoadParts, ReadsNotYetError, StreamReader
from lockstep.tablestore.progress import LoadProgress
from shared.clock import Clock
from shared.sink import MisconfiguredError, RequestFailedError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

AT = oracle.GUARD[1]
MOST_ATTEMPTS = 3
MOST_REQUESTS = 8
LONGEST_BREAK_SECONDS = 600.0
MEANWHILE_SHARE, KILL_SHARE = 0.6, 0.3
_BROKEN_OFF = (StoreUnreadableError, RequestFailedError, MisconfiguredError)


class Loads:
    """The loads of one history. `count`: how many there were."""

    def __init__(
        self,
        system: ReplicaSystem,
        *,
        meanwhile: Callable[[], None],
        reader: Callable[[], StreamReader],
    ) -> None:
        """Load into this system.

        Args:
            system: the system.
            meanwhile: changes the source, and lets the consumer work.
            reader: the event source mapping of the consumer.
        """
        self.count = 0
        self._system = system
        self._meanwhile = meanwhile
        self._reader = reader
        self._read: dict[tuple[bytes, str], list[KnownChange]] = {}  # by row and version

    def load(self, *, must: bool = False) -> bool:
        """Load the whole source, or give up after some attempts; `must`: nothing may fail.

        Returns whether it has ended.

        Raises:
            ViolationError: the load says that it has ended, and an item has no row.
        """
        system = self._system
        conditions, chance = system.conditions, system.conditions.chance
        read: list[KnownChange] = []
        saved: list[LoadProgress] = []
        segments = chance.randint(1, 3)
        load = system.components.load(self._parts(segments, read, saved.append), applies=True)
        saved.append(load.beginning(segments))
        self.count += 1
        for attempt in range(MOST_ATTEMPTS):
            conditions.tally["load resumed"] += attempt > 0
            if conditions.fault_rate and chance.random() < KILL_SHARE:
                conditions.kill_in = chance.randint(1, MOST_REQUESTS)
            is_read = self._is_read
            try:
                load.run(saved[-1])
            except ReadsNotYetError:
                if is_read or must:
                    raise
                return False
            except CrashedError:
                conditions.tally["load killed"] += 1
            except _BROKEN_OFF:
                if must:
                    raise
            else:
                if not is_read:
                    raise ViolationError("I1", "a load began before the consumer read the stream")
                conditions.tally["loaded"] += 1
                self._check(read)
                return True
            finally:
                conditions.kill_in = None
            system.time.advance(chance.random() * LONGEST_BREAK_SECONDS)
        return False

    def wrote(self, key: bytes, row: Columns) -> bool:
        """Whether a load may have written this row: an item that it has read, at that time."""
        version, at = row.get(oracle.GUARD[0]), row.get(AT)
        if not isinstance(version, str) or not isinstance(at, int):
            return False
        for read in self._read.get((key, version), ()):
            expected = self._system.row_of(msgspec.structs.replace(read, at=at))
            if expected is not None and read.at <= at and oracle.same(row, expected):
                return True
        return False

    @property
    def _is_read(self) -> bool:
        reader = self._reader()
        return (reader.state, reader.last_result) == ("Enabled", "OK")

    def _parts(
        self, segments: int, read: list[KnownChange], save: Callable[[LoadProgress], None]
    ) -> LoadParts:
        system = self._system
        chance, source = system.conditions.chance, system.source
        reader = TableSegments(
            cast("DynamoDBClient", SourceClient(system, lambda found: self._note(found, read))),
            TABLE,
            segments,
            page_size=chance.choice((1, 2, None)),
        )
        return LoadParts(
            source=reader,
            keys=[name for name, _ in system.source_table.key],
            stream=source.stream.stream,
            target=f"local/{REPLICA}",
            conversion=system.conversion,
            label=oracle.version(source.label, 0).partition("/")[0],
            sink=system.new_sink(),
            reader=self._reader,
            clock=Clock(
                now=lambda: system.time.now,
                elapsed=lambda: system.time.now,
                sleep=system.time.advance,
                chance=system.conditions.draw,
            ),
            rows_at_once=chance.choice((1, 2, 200)),
            on_step=save,
        )

    def _note(self, found: Sequence[tuple[Item, Item | None]], read: list[KnownChange]) -> None:
        """Note what was read; then the source may change before it is written."""
        system = self._system
        conditions = system.conditions
        version = oracle.version(system.source.label, 0)
        for keys, item in found:
            told = KnownChange(key_text(keys), keys, item, version, round(system.time.now * 1000))
            read.append(told)
            key = system.key_of(told.key, keys)
            if key is not None:
                noted = self._read.setdefault((system.store.key_bytes(key), version), [])
                noted.append(told)
        if conditions.chance.random() < MEANWHILE_SHARE:
            conditions.tally["changes during a load"] += 1
            conditions.interleave(self._meanwhile)

    def _check(self, read: list[KnownChange]) -> None:
        """Each item has a row as it was read last, or no row can hold it, or it was removed since.

        After an interruption, a page is read again, and its items may have changed.
        """
        system = self._system
        for one in {each.key: each for each in read}.values():
            key = system.key_of(one.key, one.keys)
            if key is None or not system.can_be_written(one):
                continue
            row = system.store.row(key)
            if row is None and system.deletions == "row" and self._was_removed(one):
                continue
            if row is None or row.get(oracle.GUARD[0], "") < one.version:
                raise ViolationError("I1", f"a load has ended, and {one} has the row {row}")

    def _was_removed(self, read: KnownChange) -> bool:
        """Whether the item was removed since it was read; it may be there again."""
        changes = self._system.source.of_key(read.key)
        return any(one.item is None and one.version > read.version for one in changes)
