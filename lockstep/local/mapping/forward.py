"""The table's changes into Kinesis, as Kinesis Data Streams for DynamoDB copies them there.

DynamoDB Local does not do it, so a mapping of the table's stream does, whose function is a put.
What it puts again after a failure comes twice, as from AWS. Started as
`python -m lockstep.local.mapping.forward`.
"""

import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.invocation import EventSource, mapping_uuid
from lockstep.local.mapping.process import Collaborators, Process
from lockstep.local.mapping.response import Errored, InvocationResult, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.stack.clients import Clients
from lockstep.stack.stack import FORWARDER, StackNotFoundError, read_local
from lockstep.stream.checkpoints import Checkpoints, CheckpointsError
from lockstep.stream.stream import StreamRecord
from lockstep.stream.table import NoTableStreamError, TableStream, latest_stream

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

# Below what PutRecords takes, in records; in bytes an invocation's payload is.
BATCH_SIZE = 100
_COPIED = ("Keys", "NewImage", "OldImage", "SizeBytes")

log = logging.getLogger("lockstep.local.mapping")
_encode = msgspec.json.Encoder().encode


def forwarded(change: bytes, table: str) -> "PutRecordsRequestEntryTypeDef":
    """What DynamoDB puts into Kinesis about a change, given as the table's stream tells it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_gettingstarted.html
    """
    said = msgspec.json.decode(change)
    images = said["dynamodb"]
    data = {
        "awsRegion": said["awsRegion"],
        "eventID": said["eventID"],
        "eventName": said["eventName"],
        "userIdentity": said.get("userIdentity"),
        "recordFormat": "application/json",
        "tableName": table,
        "dynamodb": {name: images[name] for name in _COPIED if name in images}
        # Not whole seconds, as in the table's own stream.
        | {"ApproximateCreationDateTime": images["ApproximateCreationDateTime"] * 1000},
        "eventSource": said["eventSource"],
    }
    return {"Data": _encode(data), "PartitionKey": _encode(images["Keys"]).decode()}


class Forwarder:
    """Stands where a mapping's function does, and puts what it is invoked with."""

    def __init__(self, client: "KinesisClient", stream: str, table: str) -> None:
        self._client = client
        self._stream = stream
        self._table = table

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:  # noqa: ARG002  # Invoker
        """Put the batch; if not all of it is taken, all of it comes again."""
        changes: list[msgspec.Raw] = msgspec.json.decode(event, type=_ForwardedEvent).records
        records = [forwarded(bytes(change), self._table) for change in changes]
        try:
            answer = self._client.put_records(StreamName=self._stream, Records=records)
        except (BotoCoreError, ClientError) as error:
            return Errored("PutFailed", str(error))
        # An answer that was cut off says nothing.
        failed = answer.get("FailedRecordCount", len(records))
        return Errored("PutFailed", f"{failed} not taken") if failed else Returned(b"null")

    def close(self, grace: float) -> None:
        """Nothing is kept running."""


class _ForwardedEvent(msgspec.Struct):
    records: list[msgspec.Raw] = msgspec.field(name="Records")


def _entry(record: StreamRecord, source: EventSource) -> BatchRecord:  # noqa: ARG001  # told by no place
    return BatchRecord(
        record.sequence_number, record.partition_key, record.arrived_at / 1000, record.data
    )


@click.command()
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), help="The local stack's folder."
)
def main(state: Path) -> None:
    """Copy the table's changes into the stack's stream for them until SIGTERM or SIGINT."""
    logging.basicConfig(
        stream=sys.stdout, format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING
    )
    log.setLevel(logging.INFO)
    try:
        stack = read_local(state)
        clients = Clients(stack)
        arn = latest_stream(clients.dynamodb, stack.table)
        checkpoints = Checkpoints(
            state.resolve() / "checkpoints.db",
            uuid=mapping_uuid(FORWARDER, arn),
            function=FORWARDER,
            stream_arn=arn,
        )
    except (StackNotFoundError, NoTableStreamError, CheckpointsError) as error:
        sys.exit(f"forwarder: {error}")
    world = Collaborators(
        stream=TableStream(clients.dynamodbstreams, arn),
        invoker=Forwarder(clients.kinesis, stack.changes_stream, stack.table),
        checkpoints=checkpoints,
        destination=None,
        entry=_entry,
    )
    source = EventSource(arn, "", stack.region, FORWARDER, FORWARDER)
    process = Process(Settings(batch_size=BATCH_SIZE), source, world)

    def stop(*_: Any) -> None:
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("%s: from %s to %s", FORWARDER, arn, stack.changes_stream)
    process.run()
    log.info("%s: stopped", FORWARDER)


if __name__ == "__main__":
    main()
