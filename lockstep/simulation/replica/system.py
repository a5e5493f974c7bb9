"""The simulated system of a replica: the source, the consumer and its table, in virtual time."""

import json
import math
import random
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

import msgspec
from tablestore import Condition, Row

from functions.write_to_tablestore.rows import RowChange
from lockstep.local.tablestore.signatures import Account
from lockstep.quarantine.bucket import redriven_key
from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.components import BUCKET
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.network import PERFECT
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.fakes.tablestore import Columns, TableStore
from lockstep.simulation.faults import AnyFault, Tally
from lockstep.simulation.faulty_network import Conditions, FaultyConnection, StoreName
from lockstep.simulation.plan import seeded_random
from lockstep.simulation.replica import items, oracle
from lockstep.simulation.replica.components import REPLICA, ReplicaComponents
from lockstep.simulation.replica.plan import ReplicaPlan
from lockstep.simulation.replica.source import KnownChange, SourceTable, key_text
from lockstep.simulation.system import Discards
from shared.quarantine import PREFIX
from shared.sink import SinkOf

FUNCTION: Literal["write_to_tablestore"] = "write_to_tablestore"
STORES: tuple[StoreName, ...] = ("replica", "quarantine", "table")
VERSION = oracle.GUARD[0]
# Few, so that they change often.
_FEWEST_KEYS, _MOST_KEYS = 2, 6
_FOREIGN_SHARE = 0.2

type Key = tuple[tuple[str, Any], ...]


class ReplicaSnapshot(msgspec.Struct, frozen=True):
    """What the table and the bucket held at one time."""

    rows: Mapping[bytes, Columns]
    objects: AbstractSet[str]


class ReplicaSystem:
    """Everything that a history of a replica acts on."""

    def __init__(self, planned: ReplicaPlan, components: ReplicaComponents, tally: Tally) -> None:
        """Set the system up as the plan says. `tally` counts the faults hit."""
        chance = seeded_random(planned.seed)
        self.planned = planned
        self.components = components
        self.time = VirtualTime()
        self.conditions = Conditions(self.time, tally, chance)
        self.connections = {store: FaultyConnection(store, self.conditions) for store in STORES}
        self.source_table = items.any_table(chance)
        self.settings = items.any_settings(chance, self.source_table)
        self.keys = items.any_keys(
            chance, self.source_table, chance.randint(_FEWEST_KEYS, _MOST_KEYS)
        )
        self.source = SourceTable(self.time)
        self.environment = _environment(self.settings, planned)
        configured = components.settings_in(self.environment)
        self.conversion, self.deletions = configured.conversion, configured.deletions
        self.store = TableStore(
            configured,
            self.source_table.target_key(self.settings),
            refuses=lambda columns: items.REFUSED in columns,
            condemns=lambda columns: items.CONDEMNED in columns,
        )
        self.store.on_refused = self._count_refusal
        self.bucket = S3(BUCKET, connection=self.connections["quarantine"])
        self.quarantine = components.quarantine(self.bucket.put_object)
        self.client = self.store.client(self.connections["replica"])
        self.sink = self.new_sink()
        self.discards = {FUNCTION: Discards()}
        self.foreign: dict[bytes, Columns] = {}
        """The rows without a version that were there before, by the bytes of their keys."""
        self.lost: set[str] = set()
        """The versions of the records that nobody reads: their stream was disabled before."""
        self.touched: set[str] = set()
        """The keys of the rows that somebody has changed by hand."""
        self.purges_since = math.inf
        """When the first purge began."""
        self.came_late = False
        """Whether records were delivered after later ones of their keys."""
        self._keys: dict[str, Key | None] = {}
        self._put_foreign_rows(chance)

    def close(self) -> None:
        """Free the memory."""
        self.store.close()

    def new_sink(self) -> SinkOf[RowChange]:
        """The sink of a new process."""
        return self.components.sink(self.client, self.conversion, self.deletions)

    def restart(self) -> None:
        """The process ended: the next invocation gets a new sink."""
        self.sink = self.new_sink()

    def key_of(self, key: str, keys: Item) -> Key | None:
        """The key of the row of an item; None if no row can have it."""
        if key not in self._keys:
            try:
                self._keys[key] = oracle.key_of(keys, self.settings)
            except oracle.NoRowError:
                self._keys[key] = None
        return self._keys[key]

    def row_of(self, told: KnownChange) -> oracle.Row | None:
        """The row that a change leaves, by the oracle; None if no row can hold it."""
        if told.item is None:
            return oracle.tombstone(version=told.version, at=told.at)
        try:
            return oracle.living(told.item, self.settings, version=told.version, at=told.at)
        except oracle.NoRowError:
            return None

    def can_be_written(self, told: KnownChange) -> bool:
        """Whether a row can hold this change, and Table Store takes it."""
        if self.key_of(told.key, told.keys) is None:
            return False
        row = self.row_of(told)
        return row is not None and not {items.REFUSED, items.CONDEMNED} & row.keys()

    def snapshot(self) -> ReplicaSnapshot:
        """What is durable now, for a later `is_durable`."""
        return ReplicaSnapshot(self.store.rows(), self.bucket.objects.keys() | ())

    def is_durable(self, record: AcceptedRecord, then: ReplicaSnapshot | None = None) -> bool:
        """Whether this record is stored, superseded, quarantined or discarded.

        What no row can hold is never superseded. `then`: at that time instead of now.
        """
        if record.sequence_number in self.discards[FUNCTION].confirmed:
            return True
        objects = self.bucket.objects.keys() if then is None else then.objects
        if {quarantine_key(record), redriven_key(quarantine_key(record))} & objects:
            return True
        told = self.source.meaning(record)
        if told.key in self.touched:
            return True
        key = self.key_of(told.key, told.keys)
        if key is None or self.row_of(told) is None:
            return False
        row = self.store.row(key) if then is None else then.rows.get(self.store.key_bytes(key))
        if row is not None and row.get(VERSION, "") >= told.version:
            return True
        if row is None and self.is_over(told):
            return True
        # Without a tombstone, nothing tells a row that was removed from one that came back.
        return self.deletions == "row" and any(
            one.item is None and one.version >= told.version for one in self.source.of_key(told.key)
        )

    def is_over(self, told: KnownChange) -> bool:
        """Whether a purge may have deleted a tombstone of this change or a later one."""
        return (
            any(
                one.item is None
                and one.version >= told.version
                and one.at // 1000 + oracle.HORIZON_SECONDS <= self.time.now
                for one in self.source.of_key(told.key)
            )
            and self.purges_since < math.inf
        )

    def _count_refusal(self, *, whole: bool) -> None:
        fault: AnyFault = (
            "request refused because of one row" if whole else "row refused by the replica"
        )
        self.conditions.tally[fault] += 1

    def _put_foreign_rows(self, chance: random.Random) -> None:
        """Put rows without a version, as somebody's earlier copy."""
        client = self.store.client(PERFECT)
        for keys in self.keys:
            key = self.key_of(key_text(keys), keys)
            if key is None or chance.random() >= _FOREIGN_SHARE:
                continue
            columns = {"old_column": chance.randrange(100), "price": "none"}
            row = Row(sent(key), list(columns.items()))
            client.put_row(REPLICA, row, Condition("IGNORE"))
            self.foreign[self.store.key_bytes(key)] = columns
            self.conditions.tally["row that was there before"] += 1


def quarantine_key(record: AcceptedRecord) -> str:
    """The key of a quarantined record (docs/internals/formats.md)."""
    return f"{PREFIX}{FUNCTION}/{record.position}.json"


def sent(columns: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """The columns for the SDK, which sends only a bytearray as a Binary."""
    return [
        (name, bytearray(value) if isinstance(value, bytes) else value) for name, value in columns
    ]


def _environment(settings: oracle.RowSettings, planned: ReplicaPlan) -> Mapping[str, str]:
    """The environment of the function, as the guide has it."""
    account = Account()
    return {
        "OTS_INSTANCE": account.instance,
        "OTS_ENDPOINT": "https://tablestore.invalid",
        "TABLE_NAME": REPLICA,
        "PRIMARY_KEY": ",".join(settings.primary_key),
        "UNFIT_NUMBERS": settings.unfit,
        "NULLS": settings.nulls,
        "COLUMN_TYPES": json.dumps(settings.types),
        "COLUMN_NAMES": json.dumps(settings.names),
        "DELETIONS": planned.deletions,
    }
