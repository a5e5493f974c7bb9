"""A replica in Table Store: its settings, its source, and the load of it.

It is that of a stack of `template-tablestore.yaml`, or that of the local stack.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.conversion import OtherKeyError
from functions.write_to_tablestore.secret import stored_secret
from functions.write_to_tablestore.settings import (
    Credentials,
    ReplicaSettings,
    credentials_in,
    settings_in,
)
from lockstep.stack.clients import Clients, ReplicaClients
from lockstep.stack.local_losses import feeding
from lockstep.stack.local_replica import LOCAL_TABLESTORE, replica_environment
from lockstep.stack.stack import (
    REPLICA_CONSUMER,
    Stack,
    StackNotFoundError,
    stack_outputs,
)
from lockstep.stores.items import TableItems
from lockstep.stores.segments import TableSegments
from lockstep.stores.table import TableReader
from lockstep.stream.checkpoints import read_mappings
from lockstep.stream.table import latest_stream
from lockstep.tablestore.load import (
    ROWS_AT_ONCE,
    Load,
    LoadParts,
    ReadsNotYetError,
    RefusedItem,
    StreamReader,
)
from lockstep.tablestore.progress import LoadProgress
from lockstep.tablestore.repair import RowRepair
from shared.pace import ITEMS_PER_PACED_PAGE, Pace
from shared.sink import MisconfiguredError

if TYPE_CHECKING:
    from lockstep.tablestore.rows import ReplicaRows


class ReplicaStack(msgspec.Struct, frozen=True):
    """What a stack, deployed or local, says of its replica.

    `table` is the name of the source, `label` that of its stream, which the consumer reads.
    `bucket` has the consumer's quarantine.
    `function` is the name of the deployed consumer; empty for a local stack.
    """

    settings: ReplicaSettings
    credentials: Credentials
    table: str
    label: str
    bucket: str
    reader: StreamReader
    function: str = ""

    @property
    def version_label(self) -> str:
        """The label of the versions that the consumer writes, normalized."""
        return self.settings.label or guard.normalized_label(self.label)


def read_replica(clients: ReplicaClients, name: str) -> ReplicaStack:
    """What the stack of this name says of its replica.

    Raises:
        StackNotFoundError: there is no such stack, or it is another one.
        MisconfiguredError: a setting of its function is wrong, or the secret cannot be read.
    """
    outputs = stack_outputs(clients.cloudformation, name, clients.region)
    if "FunctionName" not in outputs:
        raise StackNotFoundError(
            f"stack {name!r} has no output 'FunctionName': give the stack of "
            "template-tablestore.yaml"
        )
    function = outputs["FunctionName"]
    found = clients.lambda_.get_function_configuration(FunctionName=function)
    variables = found.get("Environment", {}).get("Variables", {})
    pages = clients.lambda_.get_paginator("list_event_source_mappings").paginate(
        FunctionName=function
    )
    mappings = [
        one
        for page in pages
        for one in page["EventSourceMappings"]
        if ":dynamodb:" in one.get("EventSourceArn", "")
    ]
    if not mappings:
        raise ReadsNotYetError(
            f"function {function} reads no stream of a table: deploy template-tablestore.yaml again"
        )
    # If there are several, one that reads is enough.
    mapping = min(mappings, key=lambda one: one["State"] != "Enabled")
    _, _, source = mapping["EventSourceArn"].partition(":table/")
    table, _, label = source.split("/")
    secret = stored_secret(variables.get("OTS_SECRET_ARN"), clients.session.client)
    return ReplicaStack(
        settings=settings_in(variables),
        credentials=credentials_in(variables, secret),
        table=table,
        label=label,
        bucket=variables.get("QUARANTINE_BUCKET", ""),
        reader=StreamReader(mapping["State"], mapping.get("LastProcessingResult", "")),
        function=function,
    )


def read_local_replica(clients: Clients, state: Path) -> ReplicaStack:
    """The replica of the local stack on this folder.

    Raises:
        StackNotFoundError: the stack has none.
        NoTableStreamError: its table has no stream.
        CheckpointsError: the checkpoints of the stack cannot be read.
    """
    stack = clients.stack
    if stack.replica is None:
        raise StackNotFoundError(
            "the local stack has no replica: start it with `lockstep up --replicate-to tablestore`"
        )
    table, _, label = (
        latest_stream(clients.dynamodb, stack.table).partition(":table/")[2].split("/")
    )
    return ReplicaStack(
        settings=settings_in(replica_environment(stack, stack.replica)),
        credentials=Credentials(LOCAL_TABLESTORE, LOCAL_TABLESTORE),
        table=table,
        label=label,
        bucket=stack.replica.bucket,
        reader=StreamReader("Enabled", _local_result(stack, state)),
    )


def _local_result(stack: Stack, state: Path) -> str:
    mapping = feeding(read_mappings(state / "checkpoints.db"), stack).get(REPLICA_CONSUMER)
    return "OK" if mapping and mapping.checkpoints else "No records processed"


def key_types_of(clients: Clients | ReplicaClients, replica: ReplicaStack) -> Mapping[str, str]:
    """The type of each attribute of the source's key: S, N or B.

    Raises:
        ReadsNotYetError: the source has another stream than the consumer reads.
        MisconfiguredError: the settings of the consumer name another key.
        StoreUnreadableError: the source cannot be read.
    """
    source: Any = TableReader(clients.dynamodb, replica.table).description()
    if source.get("LatestStreamLabel") != replica.label or not source.get(
        "StreamSpecification", {}
    ).get("StreamEnabled"):
        raise ReadsNotYetError(
            f"table {replica.table} does not write to the stream {replica.label}, which the "
            "consumer reads: deploy the consumer with the table's present stream"
        )
    keys = [one["AttributeName"] for one in source["KeySchema"]]
    try:
        replica.settings.conversion.need_keys(keys)
    except OtherKeyError as error:
        raise MisconfiguredError(str(error)) from None
    types = {one["AttributeName"]: one["AttributeType"] for one in source["AttributeDefinitions"]}
    return {name: types[name] for name in keys}


def replica_rows(replica: ReplicaStack) -> "ReplicaRows":
    """The rows of a replica, whose table is checked.

    Raises:
        MisconfiguredError: the table in Table Store is not right.
    """
    from functions.write_to_tablestore.connect import (  # noqa: PLC0415 - of an extra
        REQUEST_SECONDS,
        connect,
    )
    from functions.write_to_tablestore.sink import ReplicaTable  # noqa: PLC0415
    from lockstep.tablestore.rows import ReplicaRows  # noqa: PLC0415

    its = replica.settings
    connected = partial(connect, its, replica.credentials)
    client, key_columns = connected(REQUEST_SECONDS), its.conversion.key_columns
    rows = ReplicaRows(
        ReplicaTable(client, its.table, key_columns, longest_request=REQUEST_SECONDS),
        client,
        its.table,
        key_columns,
        longest_request=REQUEST_SECONDS,
        deletions=its.deletions,
        patient=connected,
    )
    rows.check()
    return rows


def row_repair(
    clients: Clients | ReplicaClients, replica: ReplicaStack, pace: Pace | None = None
) -> RowRepair:
    """The repair of single keys of a replica, whose table is checked.

    Args:
        clients: the clients of the stack.
        replica: what the stack says.
        pace: limits the read units of the source.

    Raises:
        ReadsNotYetError: the source has another stream than the consumer reads.
        MisconfiguredError: the table in Table Store is not right.
    """
    return RowRepair(
        TableItems(clients.dynamodb, replica.table, pace),
        replica_rows(replica),
        conversion=replica.settings.conversion,
        key_types=key_types_of(clients, replica),
        label=replica.version_label,
        clock=clients.clock,
    )


def replica_load(
    clients: Clients | ReplicaClients,
    replica: ReplicaStack,
    *,
    begun: LoadProgress | None,
    segments: int,
    rate: float | None,
    write_rate: float | None,
    applies: bool,
    on_refused: Callable[[RefusedItem], None],
    on_step: Callable[[LoadProgress], None],
) -> tuple[Load, LoadProgress]:
    """The load of a replica, and where it begins.

    Args:
        clients: the clients of the stack.
        replica: what the stack says.
        begun: how far an earlier run came; it decides about the number of segments.
        segments: the number of segments of a load that begins.
        rate: at most so many read units of the source a second.
        write_rate: at most so many rows a second.
        applies: whether rows are written.
        on_refused: see `LoadParts`.
        on_step: see `LoadParts`.

    Raises:
        ReadsNotYetError: the table has another stream than the consumer reads.
    """
    from functions.write_to_tablestore.connect import (  # noqa: PLC0415 - of an extra
        REQUEST_SECONDS,
        connect,
    )
    from functions.write_to_tablestore.sink import ReplicaTable  # noqa: PLC0415

    settings = replica.settings
    keys = key_types_of(clients, replica)
    connected = partial(connect, settings, replica.credentials)
    count = len(begun.segments) if begun else segments
    load = Load(
        LoadParts(
            source=TableSegments(
                clients.dynamodb,
                replica.table,
                count,
                None if rate is None else ITEMS_PER_PACED_PAGE,
            ),
            keys=[*keys],
            stream=f"{replica.table}/stream/{replica.label}",
            target=f"{settings.instance}/{settings.table}",
            conversion=settings.conversion,
            label=replica.version_label,
            sink=ReplicaTable(
                connected(REQUEST_SECONDS),
                settings.table,
                settings.conversion.key_columns,
                longest_request=REQUEST_SECONDS,
                patient=connected,
            ),
            reader=lambda: replica.reader,
            clock=clients.clock,
            reads=None if rate is None else Pace(rate, clients.clock),
            writes=None if write_rate is None else Pace(write_rate, clients.clock),
            rows_at_once=ROWS_AT_ONCE if write_rate is None else min(ROWS_AT_ONCE, int(write_rate)),
            on_refused=on_refused,
            on_step=on_step,
        ),
        applies=applies,
    )
    return load, begun or load.beginning(segments)
