"""The replica of a local stack: a table in a Table Store on this machine, and its consumer."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from lockstep.local.mapping.intrinsics import LATEST
from lockstep.local.mapping.invocation import ACCOUNT
from lockstep.local.mapping.template import FunctionMapping
from lockstep.stack.local_replica import LOCAL_TABLESTORE
from lockstep.stack.stack import Stack
from shared.item import KEY

# The name of the service, and of its file.
TABLESTORE = "tablestore"


def tablestore_module(state: Path, port: int, host: str) -> Sequence[str]:
    """The module of the Table Store with its arguments. Its file is in the state folder."""
    database = str(state / f"{TABLESTORE}.db")
    words = ["--database", database, "--host", host, "--port", str(port)]
    return [f"lockstep.local.{TABLESTORE}", *words]


def replica_parameters(stack: Stack) -> Mapping[str, str]:
    """The parameters of template-tablestore.yaml; empty if the stack has no replica."""
    if stack.replica is None:
        return {}
    return {
        "SourceStreamArn": (
            f"arn:aws:dynamodb:{stack.region}:{ACCOUNT}:table/{stack.table}/stream/{LATEST}"
        ),
        "OtsInstance": LOCAL_TABLESTORE,
        "OtsEndpoint": stack.endpoints.tablestore or "",
        "OtsId": LOCAL_TABLESTORE,
        "OtsSecretArn": "",
        "TableName": stack.replica.table,
        "PrimaryKey": KEY,
    }


def with_local_secret(found: FunctionMapping) -> FunctionMapping:
    """The function with the AccessKey secret in its environment; there is no Secrets Manager."""
    environment = {**found.function.environment, "OTS_SECRET": LOCAL_TABLESTORE}
    function = msgspec.structs.replace(found.function, environment=environment)
    return msgspec.structs.replace(found, function=function)


def ensure_replica(stack: Stack) -> None:
    """Create the table of the replica, with the key of the images, unless it exists.

    Does nothing if the stack has no replica. An existing table is not changed; the consumer checks
    its key.
    """
    if stack.replica is None:
        return
    # It would warn that it has no native codec, which nobody needs here.
    logging.getLogger("tablestore").setLevel(logging.ERROR)
    # Slow, and of an extra: only with a replica.
    from tablestore import (  # noqa: PLC0415
        CapacityUnit,
        OTSClient,
        ReservedThroughput,
        TableMeta,
        TableOptions,
    )

    account = [LOCAL_TABLESTORE] * 3
    client = OTSClient(stack.endpoints.tablestore, *account, enable_native=False)
    if stack.replica.table not in client.list_table():
        meta = TableMeta(stack.replica.table, [(KEY, "STRING")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
