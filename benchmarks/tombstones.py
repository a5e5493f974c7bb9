"""Measure the bytes that a deletion leaves in each store until its tombstone is purged.

    python -m benchmarks.tombstones [DELETIONS]

The consumers' sinks write the tombstones to DynamoDB Local and to OpenSearch. Image ids are random,
with 36 characters; versions are stamps.
"""

import random
import sys
import time
import uuid
from collections.abc import Iterator
from itertools import batched

import boto3
from opensearchpy import OpenSearch

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from shared.change import Change, change_from
from shared.event import Event
from shared.outcome import Applied
from shared.record import Record
from shared.sink import Sink
from shared.stamps import stamp_at, time_of
from tools.engines import engines_for_tests

DELETIONS = 100_000
NAME = "tombstones"


def tombstones(count: int) -> Iterator[Change]:
    """The changes of this many deletions, one a millisecond."""
    chance, now = random.Random(1), time.time()
    for number in range(count):
        at = now + number / 1000
        image_id = str(uuid.UUID(int=chance.getrandbits(128)))
        version = stamp_at(at)
        record = Record(
            stream="lockstep-images",
            shard_id="shardId-000000000000",
            sequence_number=f"4966{number:052}",
            partition_key=image_id,
            arrived_at=int(at * 1000),
            data=b"",
        )
        yield change_from(Event("image.deleted", image_id, version, time_of(version)), record)


def write(sink: Sink, count: int) -> None:
    """Write the tombstones.

    Raises:
        RuntimeError: a tombstone was not written.
    """
    for some in batched(tombstones(count), 1000):
        for request in sink.requests(some):
            outcomes = sink.send(request)
            if any(outcome != Applied() for outcome in outcomes):
                raise RuntimeError(str(outcomes))


def main() -> None:
    """Write the tombstones to both stores, and print the bytes of one."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DELETIONS
    with engines_for_tests() as endpoint:
        dynamodb = boto3.client(
            "dynamodb",
            "us-east-1",
            endpoint_url=endpoint("dynamodb"),
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - DynamoDB Local accepts any
        )
        ensure_table(dynamodb, NAME, streams=False)
        write(ImageTable(dynamodb, NAME, longest_request=10), count)
        table = dynamodb.describe_table(TableName=NAME)["Table"]["TableSizeBytes"]
        print(f"table: {table / count:.0f} bytes a deletion")
        opensearch = OpenSearch([endpoint("opensearch")], timeout=120, max_retries=0)
        ensure_index(opensearch, NAME)
        write(ImageIndex(opensearch, NAME, longest_request=10), count)
        opensearch.indices.forcemerge(index=NAME, params={"max_num_segments": "1"})
        opensearch.indices.refresh(index=NAME)
        opensearch.indices.flush(index=NAME)
        time.sleep(10)  # OpenSearch removes the merged segments a moment later
        stats = opensearch.indices.stats(index=NAME, metric="store")
        index = stats["_all"]["primaries"]["store"]["size_in_bytes"]
        print(f"index: {index / count:.0f} bytes a deletion, in one segment")


if __name__ == "__main__":
    main()
