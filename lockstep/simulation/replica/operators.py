"""Operators: repairs of keys, redrives and purges, while others work, killed and broken off."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from tablestore import Condition, Row

from functions.write_to_tablestore.connect import REQUEST_SECONDS
from functions.write_to_tablestore.purge import PurgedTombstones
from lockstep.simulation.components import BUCKET
from lockstep.simulation.fakes.network import PERFECT
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.tablestore import Columns, RowWritten
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.in_line import InLine
from lockstep.simulation.replica import oracle
from lockstep.simulation.replica.components import REPLICA
from lockstep.simulation.replica.source import TABLE, KnownChange, key_text
from lockstep.simulation.replica.source_client import SourceClient
from lockstep.simulation.replica.system import FUNCTION, VERSION, ReplicaSystem, sent
from lockstep.simulation.violation import ViolationError
from lockstep.stores.items import TableItems
from lockstep.stores.objects import BucketObjects
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.writing import settled
from lockstep.tablestore.quarantined_keys import KeyQuarantine, WantedKeys
from lockstep.tablestore.redrive import KeyRedriveReport
from lockstep.tablestore.repair import RowRepair
from shared.clock import Clock
from shared.outcome import Refused
from shared.sink import SinkError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

AT, DELETED, PURGE_AT = oracle.GUARD[1:]
MOST_ATTEMPTS = 3
MOST_REQUESTS = 6
MEANWHILE_SHARE, KILL_SHARE, HARM_SHARE, HARM_BETWEEN_SHARE = 0.6, 0.2, 0.6, 0.3
LATER_LABEL = "2099-01-01T00:00:00.000"
_BROKEN_OFF = (SinkError, StoreUnreadableError, BotoCoreError, ClientError)


class ReplicaOperators:
    """The operators of one history of a replica."""

    def __init__(self, system: ReplicaSystem, *, meanwhile: Callable[[], None]) -> None:
        """Work on this system; `meanwhile` changes the source, and lets the consumer work."""
        self._system = system
        self._meanwhile = meanwhile
        self._read: dict[str, list[KnownChange]] = {}  # by key, what repairs have read
        self.harmed: set[int] = set()
        """The positions in the journal of the writes by hand."""

    @property
    def has_repaired(self) -> bool:
        """Whether there was a repair. Without tombstones, it may bring a row back."""
        return bool(self._read)

    def harm(self) -> None:
        """Somebody changes a row by hand: columns, its version, or the whole row."""
        system, chance = self._system, self._system.conditions.chance
        keys = chance.choice(system.keys)
        row_key = system.key_of(key_text(keys), keys)
        if row_key is None:
            return
        system.touched.add(key_text(keys))
        row = dict(system.store.row(row_key) or {})
        client = system.store.client(PERFECT)
        before = system.store.writes
        if chance.random() < 0.2:  # noqa: PLR2004 - rarely
            client.delete_row(REPLICA, Row(sent(row_key)), Condition("IGNORE"))
        else:
            columns = sent(_harmed(row, chance).items())
            client.put_row(REPLICA, Row(sent(row_key), columns), Condition("IGNORE"))
        self.harmed.update(range(before, system.store.writes))
        system.conditions.tally["row harmed by hand"] += 1

    def repair(self, keys: Sequence[Item], *, must: bool = False) -> bool:
        """Repair the rows of these keys; `must`: nothing may fail. Returns whether it has ended.

        Raises:
            ViolationError: a row is said to be equal, and could not be.
        """

        def run() -> None:
            repair = self._repair()
            repair.check()
            for key, outcome in settled(keys, repair, self._clock):
                refused = not self._can_be_repaired(key)
                if isinstance(outcome, Refused) != refused and must:
                    raise ViolationError("I1", f"the repair of {key} ends with {outcome}")

        return self._attempts("repaired", run, must=must)

    def redrive(self, *, must: bool = False) -> bool:
        """Repair all keys that are set aside; returns whether it has ended."""
        system = self._system
        reports: list[KeyRedriveReport] = []

        def run() -> None:
            objects = BucketObjects(cast("S3Client", system.bucket), BUCKET)
            aside = KeyQuarantine(objects, InLine(), FUNCTION)
            found = aside.find(WantedKeys())
            if must and found.unreadable:
                raise ViolationError("I1", f"what is set aside is unreadable: {found.unreadable}")
            redrive = system.components.redrive(
                aside, objects, self._repair(), clock=self._clock, executor=InLine()
            )
            reports.append(redrive.run(found.keys))

        done = self._attempts("redriven", run, must=must)
        if done and must:
            kept = {one.key for one in reports[-1].kept}
            if any(self._is_repairable_text(one) for one in kept):
                raise ViolationError("I1", f"a redrive keeps {kept}")
        return done

    def purge(self) -> None:
        """Purge the tombstones that have expired."""
        system = self._system

        def run() -> None:
            system.purges_since = min(system.purges_since, system.time.now)
            tombstones = system.components.tombstones(
                system.client, REPLICA, system.conversion.key_columns
            )
            purge = system.components.purge(
                _Interrupted(tombstones, self._write_meanwhile),
                self._clock,
                applies=True,
                rows_at_once=system.conditions.chance.choice((1, 200)),
            )
            done: PurgedTombstones = purge.run()
            system.conditions.tally["tombstone purged"] += done.purged

        self._attempts("replica purged", run)

    def wrote(self, write: RowWritten) -> bool:
        """Whether a repair may have written this: what it has read, under the same version.

        Where there was no version that a record can replace, the lowest one is right, too.
        """
        after, system = write.after, self._system
        if after is None:
            before = write.before or {}
            expired = before.get(DELETED) is True and before[PURGE_AT] <= system.time.now
            return (expired and system.purges_since <= system.time.now) or (
                system.deletions == "row" and self._read_as_removed(write.key)
            )
        version, at = after.get(VERSION), after.get(AT)
        before_version = None if write.before is None else write.before.get(VERSION)
        lowest = {oracle.version(label, 0) for label in system.source.labels}
        if version != before_version and version not in lowest:
            return False
        if not isinstance(version, str) or not isinstance(at, int):
            return False
        return any(
            self._is_of(read, after, version, at)
            for reads in self._read.values()
            for read in reads
            if self._row_key(read) == write.key
        )

    def _is_of(self, read: KnownChange, after: Columns, version: str, at: int) -> bool:
        system = self._system
        if read.item is None:
            ends = after.get(PURGE_AT)
            earliest, latest = read.at // 1000 - 1, system.time.now + 1
            return (
                after.keys() == set(oracle.GUARD)
                and after[DELETED] is True
                and isinstance(ends, int)
                and earliest - REQUEST_SECONDS * 20 <= ends - oracle.HORIZON_SECONDS <= latest
            )
        expected = system.row_of(msgspec.structs.replace(read, version=version, at=at))
        return expected is not None and oracle.same(after, expected)

    def _read_as_removed(self, key: bytes) -> bool:
        return any(
            read.item is None and self._row_key(read) == key
            for reads in self._read.values()
            for read in reads
        )

    def _row_key(self, read: KnownChange) -> bytes | None:
        key = self._system.key_of(read.key, read.keys)
        return None if key is None else self._system.store.key_bytes(key)

    def _can_be_repaired(self, keys: Mapping[str, Any]) -> bool:
        system = self._system
        key = key_text(keys)
        now = KnownChange(key, dict(keys), system.source.items.get(key), "", 0)
        return system.can_be_written(now)

    def _is_repairable_text(self, text: str) -> bool:
        """Whether the key in this JSON can be repaired."""
        for keys in self._system.keys:
            if msgspec.json.encode(keys, order="sorted").decode() == text:
                return self._can_be_repaired(keys)
        return False

    def _repair(self) -> RowRepair:
        system = self._system
        return system.components.repair(
            TableItems(cast("DynamoDBClient", SourceClient(system, self._note)), TABLE),
            system.components.rows(system.client, system.conversion, system.deletions),
            conversion=system.conversion,
            key_types=dict(system.source_table.key),
            label=oracle.version(system.source.label, 0).partition("/")[0],
            clock=self._clock,
        )

    def _note(self, found: Sequence[tuple[Item, Item | None]]) -> None:
        at = round(self._system.time.now * 1000)
        for keys, item in found:
            key = key_text(keys)
            self._read.setdefault(key, []).append(KnownChange(key, dict(keys), item, "", at))
        self._others_work()

    def _others_work(self) -> None:
        conditions = self._system.conditions
        if conditions.fault_rate and conditions.chance.random() < MEANWHILE_SHARE:
            conditions.tally["changes during a repair"] += 1
            conditions.interleave(self._meanwhile)

    def _write_meanwhile(self) -> None:
        """The consumer writes, or somebody else does, between a page and its deletions."""
        if self._system.conditions.draw() < HARM_BETWEEN_SHARE:
            self.harm()
        self._others_work()

    def _attempts(self, what: Any, run: Callable[[], None], *, must: bool = False) -> bool:
        system = self._system
        conditions, chance = system.conditions, system.conditions.chance
        for _ in range(MOST_ATTEMPTS):
            if conditions.fault_rate and chance.random() < KILL_SHARE:
                conditions.kill_in = chance.randint(1, MOST_REQUESTS)
            try:
                run()
            except CrashedError:
                conditions.tally["operator killed"] += 1
            except _BROKEN_OFF:
                if must:
                    raise
            else:
                conditions.tally[what] += 1
                return True
            finally:
                conditions.kill_in = None
            system.time.advance(chance.random() * 60.0)
        return False

    @property
    def _clock(self) -> Clock:
        time = self._system.time
        return Clock(
            now=lambda: time.now,
            elapsed=lambda: time.now,
            sleep=time.advance,
            chance=self._system.conditions.draw,
        )


class _Interrupted:
    """Tombstones; others work between reading and deleting them."""

    def __init__(self, tombstones: Any, meanwhile: Callable[[], None]) -> None:
        self._tombstones = tombstones
        self._meanwhile = meanwhile

    def page(self, position: str | None, now: int, most: int | None) -> Any:
        """See `Tombstones.page`."""
        page = self._tombstones.page(position, now, most)
        self._meanwhile()
        return page

    def delete(self, tombstones: Sequence[Any]) -> Any:
        """See `Tombstones.delete`."""
        return self._tombstones.delete(tombstones)


def _harmed(row: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    match chance.randrange(5):
        case 0:
            return {**row, "harm": chance.randrange(100)}
        case 1:
            return {name: cell for name, cell in row.items() if name != VERSION}
        case 2:
            return {**row, VERSION: "no version"}
        case 3:
            return {**row, VERSION: f"{LATER_LABEL}/{0:040d}"}
        case _:
            return {"harm": chance.randrange(100)}
