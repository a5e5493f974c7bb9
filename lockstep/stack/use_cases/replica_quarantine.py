"""The quarantine of a replica: finds, shows and redrives quarantined keys."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

from lockstep.console.errors import UserError
from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.records import ForeignObjectError
from lockstep.stack.clients import (
    CONNECT_SECONDS,
    READ_SECONDS,
    S3_CONNECTIONS,
    Clients,
    ReplicaClients,
)
from lockstep.stack.replica import ReplicaStack, row_repair
from lockstep.stack.stack import REPLICA_CONSUMER
from lockstep.stores.items import TableItems
from lockstep.stores.quick_objects import QuickObjects
from lockstep.tablestore.key_states import KeyState, KeyStates
from lockstep.tablestore.quarantined_keys import (
    FoundKeys,
    KeyQuarantine,
    QuarantinedKey,
    WantedKeys,
)
from lockstep.tablestore.redrive import KeyRedrive
from lockstep.tablestore.repair import RowKey, RowRepair
from lockstep.tablestore.stored_row import Cells
from shared.outcome import Failed
from shared.pace import Pace
from shared.quarantine import QuarantinedRecord


class KeyIdError(UserError):
    """An ID does not name exactly one quarantined key."""


class ReplicaQuarantine:
    """The quarantine of one replica, and what a redrive needs of its source and its table."""

    def __init__(self, clients: Clients | ReplicaClients, replica: ReplicaStack) -> None:
        """Set up what the stack's clients can do."""
        self._clients = clients
        self._replica = replica
        self._executor = ThreadPoolExecutor(S3_CONNECTIONS)
        self._objects = QuickObjects(
            clients.s3,
            replica.bucket,
            clients.session,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
        self._quarantine = KeyQuarantine(self._objects, self._executor, REPLICA_CONSUMER)

    def find(self, wanted: WantedKeys) -> FoundKeys:
        """The keys that are quarantined now."""
        return self._quarantine.find(wanted)

    def records(self, one: QuarantinedKey) -> Sequence[QuarantinedRecord]:
        """The records of a key with their payloads, the oldest first.

        Raises:
            KeyIdError: somebody has replaced one of its objects meanwhile.
        """
        try:
            found = [*self._quarantine.held(one)]
        except ForeignObjectError as error:
            raise KeyIdError(f"{one.id}: one of its objects has changed: {error}") from error
        return sorted(found, key=lambda held: held.arrived_at)

    def states(self, keys: Sequence[QuarantinedKey]) -> Sequence[KeyState]:
        """The keys as they are now in the source and in Table Store.

        Raises:
            SinkError: Table Store cannot be read now, or its table is not right.
            StoreUnreadableError: the source cannot be read.
        """
        from functions.write_to_tablestore.connect import (  # noqa: PLC0415 - of an extra
            REQUEST_SECONDS,
            connect,
        )
        from functions.write_to_tablestore.requests import RowError, read_rows  # noqa: PLC0415

        its = self._replica.settings
        client = connect(its, self._replica.credentials, REQUEST_SECONDS)

        def read(some: Sequence[RowKey]) -> Sequence[Cells | Failed | None]:
            return [
                Failed(row.in_table(its.table)) if isinstance(row, RowError) else row
                for row in read_rows(client, its.table, some)
            ]

        source = TableItems(self._clients.dynamodb, self._replica.table)
        states = KeyStates(source, read, self._repair, its.conversion)
        return states.of([one.item_key for one in keys])

    def redrive(self, rate: float | None) -> KeyRedrive:
        """The redrive; `rate` limits the keys a second.

        Raises:
            ReadsNotYetError: the source has another stream than the consumer reads.
            MisconfiguredError: the table in Table Store is not right.
        """
        clock = self._clients.clock
        return KeyRedrive(
            self._quarantine,
            self._objects,
            self._repair,
            clock=clock,
            executor=self._executor,
            pace=None if rate is None else Pace(rate, clock),
            keys_at_once=AT_ONCE if rate is None else int(rate),
        )

    @cached_property
    def _repair(self) -> RowRepair:
        return row_repair(self._clients, self._replica)


def key_with_id(key_id: str, found: FoundKeys) -> QuarantinedKey:
    """The only key whose ID starts with this.

    Raises:
        KeyIdError: there is none, or more than one.
    """
    keys = [one for one in found.keys if one.id.startswith(key_id)]
    if len(keys) == 1:
        return keys[0]
    if keys:
        raise KeyIdError(f"{key_id}: {len(keys)} IDs start with this: add more characters")
    raise KeyIdError(
        f"{key_id}: no quarantined key has this ID: see `lockstep tablestore quarantine list`"
    )
