"""The components that a history of a replica runs: the real ones, or wrong ones (seeded bugs)."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from tablestore import OTSClient

from doors.quarantine import BucketQuarantine
from functions.write_to_tablestore.changes import changes_by
from functions.write_to_tablestore.connect import REQUEST_SECONDS
from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.deliver_rows import deliver_rows
from functions.write_to_tablestore.purge import TombstonePurge, TombstonesOfTable
from functions.write_to_tablestore.rows import RowChange
from functions.write_to_tablestore.settings import Deletions, ReplicaSettings, settings_in
from functions.write_to_tablestore.sink import ReplicaTable
from functions.write_to_tablestore.tombstones import Tombstones
from lockstep.local.mapping.core import Shard
from lockstep.local.mapping.failure import BucketDestination, Destination
from lockstep.simulation.components import bucket_quarantine
from lockstep.stream.order import startable
from lockstep.tablestore.load import Load
from lockstep.tablestore.redrive import KeyRedrive
from lockstep.tablestore.repair import GuardedRows, RowRepair
from lockstep.tablestore.rows import ReplicaRows
from shared.batch import Delivery
from shared.record import Record
from shared.sink import SinkOf

REPLICA = "any_table"


def replica_table(client: OTSClient, conversion: Conversion, deletions: Deletions) -> ReplicaTable:
    """The sink, as in the handler."""
    return ReplicaTable(
        client,
        REPLICA,
        conversion.key_columns,
        longest_request=REQUEST_SECONDS,
        deletions=deletions,
        patient=lambda _: client,
    )


def replica_rows(client: OTSClient, conversion: Conversion, deletions: Deletions) -> GuardedRows:
    """The rows of a repair, as in the composition root."""
    return ReplicaRows(
        replica_table(client, conversion, deletions),
        client,
        REPLICA,
        conversion.key_columns,
        longest_request=REQUEST_SECONDS,
        deletions=deletions,
        patient=lambda _: client,
    )


class ReplicaComponents(msgspec.Struct, frozen=True):
    """The replaceable components of a history of a replica; by default the real ones."""

    sink: Callable[[OTSClient, Conversion, Deletions], SinkOf[RowChange]] = replica_table
    changes_by: Callable[[Conversion, str | None], Callable[[Record], RowChange]] = changes_by
    settings_in: Callable[[Mapping[str, str]], ReplicaSettings] = settings_in
    deliver: Callable[..., Delivery] = deliver_rows
    quarantine: Callable[[Callable[..., Mapping[str, Any]]], BucketQuarantine] = bucket_quarantine
    shard: Callable[..., Shard] = Shard
    startable: Callable[..., list[str]] = startable
    destination: Callable[..., Destination] = BucketDestination
    load: Callable[..., Load] = Load
    rows: Callable[[OTSClient, Conversion, Deletions], GuardedRows] = replica_rows
    repair: Callable[..., RowRepair] = RowRepair
    redrive: Callable[..., KeyRedrive] = KeyRedrive
    tombstones: Callable[..., TombstonesOfTable] = Tombstones
    purge: Callable[..., TombstonePurge] = TombstonePurge


REAL = ReplicaComponents()
