"""Create the resources of a local stack.

They are streams, table, index and aliases, buckets, the replica, and what pictures need.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_dynamodb.table_settings import TableSettings, WantedSettings
from functions.write_to_es.index import (
    Created,
    OutdatedIndexError,
    WrongAliasesError,
    ensure_index,
)
from lockstep.local.replica import ensure_replica
from lockstep.pictures.bucket import rows

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

    from lockstep.stack.clients import Clients
    from lockstep.stack.stack import Stack

# As in template.yaml. The mappings discard older records, too.
RETENTION_HOURS = 7 * 24


def prepare(
    stack: "Stack",
    clients: "Clients",
    *,
    shards: int,
    makes_table: bool = True,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Create missing resources; leave existing ones unchanged.

    Unless `makes_table`, the table must exist and be prepared, as for a deployment with TableName.
    `tell` gets a message if the index was created by another release or has another number of
    shards, or if an alias is wrong; to rebuild it, the stack must run.

    Raises:
        MisconfiguredError: the table does not exist, has another key, or is not prepared.
    """
    _ensure_stream(clients.kinesis, stack.stream, shards)
    if stack.index_from == "KinesisDataStreamsForDynamoDB":
        _ensure_stream(clients.kinesis, stack.changes_stream, shards)
    if makes_table:
        streams = stack.index_from != "Kinesis" or stack.replica is not None
        ensure_table(clients.dynamodb, stack.table, streams=streams)
    else:
        TableSettings(clients.dynamodb, stack.table, WantedSettings(stack=None)).check()
    try:
        done = ensure_index(clients.opensearch, stack.index, stack.index_settings)
    except (OutdatedIndexError, WrongAliasesError) as error:
        tell(str(error))
    else:
        if not isinstance(done, Created) and done.other_shards is not None:
            tell(str(done))
    for bucket in _buckets(stack):
        with suppress(
            clients.s3.exceptions.BucketAlreadyOwnedByYou, clients.s3.exceptions.BucketAlreadyExists
        ):
            clients.s3.create_bucket(Bucket=bucket)
    if stack.pictures is not None:
        ensure_table(clients.dynamodb, stack.pictures.rows, key=rows.KEY)
    ensure_replica(stack)


def _buckets(stack: "Stack") -> list[str]:
    buckets = [stack.bucket]
    if stack.replica is not None:
        buckets.append(stack.replica.bucket)
    if stack.pictures is not None:
        buckets += filter(None, [stack.pictures.bucket, stack.pictures.thumbnails])
    return buckets


def _ensure_stream(client: "KinesisClient", name: str, shards: int) -> None:
    with suppress(client.exceptions.ResourceInUseException):
        client.create_stream(StreamName=name, ShardCount=shards)
    client.get_waiter("stream_exists").wait(StreamName=name)
    with suppress(client.exceptions.InvalidArgumentException):  # it is already longer
        client.increase_stream_retention_period(
            StreamName=name, RetentionPeriodHours=RETENTION_HOURS
        )
