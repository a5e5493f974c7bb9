"""What a deployment makes, made on this machine: stream, table, index and aliases, bucket."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.index import OutdatedIndexError, ensure_index

if TYPE_CHECKING:
    from lockstep.connect import Clients
    from lockstep.stack import Stack

# As in template.yaml: what is older is given up by the mappings, too.
RETENTION_HOURS = 7 * 24


def prepare(
    stack: "Stack",
    clients: "Clients",
    *,
    shards: int,
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Make what is not there yet; what is there stays as it is.

    An index of another release is told, and can be rebuilt only in a stack that runs.
    """
    with suppress(clients.kinesis.exceptions.ResourceInUseException):
        clients.kinesis.create_stream(StreamName=stack.stream, ShardCount=shards)
    clients.kinesis.get_waiter("stream_exists").wait(StreamName=stack.stream)
    with suppress(clients.kinesis.exceptions.InvalidArgumentException):  # it is longer already
        clients.kinesis.increase_stream_retention_period(
            StreamName=stack.stream, RetentionPeriodHours=RETENTION_HOURS
        )
    ensure_table(clients.dynamodb, stack.table, streams=stack.index_from == "DynamoDBStreams")
    try:
        ensure_index(clients.opensearch, stack.index)
    except OutdatedIndexError as error:
        tell(str(error))
    with suppress(
        clients.s3.exceptions.BucketAlreadyOwnedByYou, clients.s3.exceptions.BucketAlreadyExists
    ):
        clients.s3.create_bucket(Bucket=stack.bucket)
