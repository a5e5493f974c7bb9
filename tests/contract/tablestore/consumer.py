"""The consumer of a replica as a process: it reads a table's stream from its oldest record.

    python -m tests.contract.tablestore.consumer DYNAMODB ARN TABLESTORE

It prints a line after each batch, and `idle` after each round without records. Kill it at any time.
"""

import sys
import time
from typing import Any

import boto3
import msgspec

from functions.write_to_tablestore.changes import changes_by
from functions.write_to_tablestore.connect import connect
from functions.write_to_tablestore.deliver_rows import deliver_rows
from functions.write_to_tablestore.settings import Credentials, settings_in
from functions.write_to_tablestore.sink import ReplicaTable
from lockstep.local.mapping.invocation import EventSource, table_entry
from lockstep.stream.stream import TrimHorizon
from lockstep.stream.table import TableStream
from tests.builders import clock
from tests.contract.tablestore.source import BY_BOTH
from tests.unit.write_to_tablestore.replica import Shelf

BATCH = 100
SETTINGS = {
    "OTS_INSTANCE": "local",
    "TABLE_NAME": "orders",
    "PRIMARY_KEY": "part,sort",
}


def main(dynamodb: str, arn: str, tablestore: str) -> None:
    settings = settings_in(SETTINGS | {"OTS_ENDPOINT": tablestore})
    client = connect(settings, Credentials("local", "local"), 30)
    sink = ReplicaTable(client, "orders", BY_BOTH.key_columns, longest_request=0.01)
    streams: Any = boto3.client(
        "dynamodbstreams",
        endpoint_url=dynamodb,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    stream, shelf = TableStream(streams, arn, "us-east-1"), Shelf()
    readers: dict[str, Any] = {}
    while True:
        found = False
        for shard in stream.shards():
            source = EventSource(arn, shard.shard_id, "us-east-1", "", "")
            reader = readers.setdefault(
                shard.shard_id, stream.reader(shard.shard_id, TrimHorizon())
            )
            records = reader.read(BATCH).records
            found = found or bool(records)
            batch = [msgspec.json.decode(table_entry(one, source).json) for one in records]
            delivery = deliver_rows(
                batch,
                to=sink,
                quarantine=shelf,
                function="write_to_tablestore",
                clock=clock(now=time.time),
                remaining=lambda: 900.0,
                change_in=changes_by(BY_BOTH, None),
            )
            assert delivery.checkpoint is None, delivery
            sys.stdout.write(f"delivered {len(batch)}\n")
            sys.stdout.flush()
        if not found:
            sys.stdout.write("idle\n")
            sys.stdout.flush()
            time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
