"""The forwarder: copies the table's changes to Kinesis, as Kinesis Data Streams for DynamoDB does.

DynamoDB Local has no such feature, so this is a mapping of the table's stream whose function puts
records. A record may be put twice after a failure, as in AWS. The forwarder is started as
`python -m lockstep.local.mapping.forward`.
"""

import logging
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.driver import Collaborators
from lockstep.local.mapping.invocation import EventSource, mapping_uuid
from lockstep.local.mapping.process import Process
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

# Below the limit of PutRecords; the payload of an invocation is below its limit in bytes.
BATCH_SIZE = 100
_COPIED = ("Keys", "NewImage", "OldImage", "SizeBytes")

log = logging.getLogger("lockstep.local.mapping")
_encode = msgspec.json.Encoder().encode


def forwarded(change: bytes, table: str) -> "PutRecordsRequestEntryTypeDef":
    """The record that DynamoDB puts into Kinesis for a change of the table's stream.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/kds_gettingstarted.html
    """
    record = msgspec.json.decode(change)
    detail = record["dynamodb"]
    data = {
        "awsRegion": record["awsRegion"],
        "eventID": str(uuid.UUID(record["eventID"])),
        "eventName": record["eventName"],
        "userIdentity": record.get("userIdentity"),
        "recordFormat": "application/json",
        "tableName": table,
        "dynamodb": {name: detail[name] for name in _COPIED if name in detail}
        # In milliseconds; the table's stream has whole seconds.
        | {"ApproximateCreationDateTime": int(detail["ApproximateCreationDateTime"]) * 1000},
        "eventSource": record["eventSource"],
    }
    return {"Data": _encode(data), "PartitionKey": _encode(detail["Keys"]).decode()}


class Forwarder:
    """The function of the mapping: puts the records that it is invoked with."""

    def __init__(self, client: "KinesisClient", stream: str, table: str) -> None:
        self._client = client
        self._stream = stream
        self._table = table

    def invoke(self, event: bytes, request_id: str) -> InvocationResult:  # noqa: ARG002  # Invoker
        """Put the batch; if any record fails, the whole batch is retried."""
        changes: list[msgspec.Raw] = msgspec.json.decode(event, type=_ForwardedEvent).records
        records = [forwarded(bytes(change), self._table) for change in changes]
        try:
            answer = self._client.put_records(StreamName=self._stream, Records=records)
        except (BotoCoreError, ClientError) as error:
            return Errored("PutFailed", str(error))
        # A truncated response has no count.
        failed = answer.get("FailedRecordCount", len(records))
        return (
            Errored("PutFailed", f"{failed} records were not put") if failed else Returned(b"null")
        )

    def close(self, grace: float) -> None:
        """Do nothing: no process runs."""


class _ForwardedEvent(msgspec.Struct):
    records: list[msgspec.Raw] = msgspec.field(name="Records")


def _entry(record: StreamRecord, source: EventSource) -> BatchRecord:  # noqa: ARG001  # needs no source
    return BatchRecord(
        record.sequence_number, record.partition_key, record.arrived_at / 1000, record.data
    )


@click.command()
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), help="The local stack's folder."
)
def main(state: Path) -> None:
    """Copy the table's changes to the stack's changes stream until SIGTERM or SIGINT."""
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
    collaborators = Collaborators(
        stream=TableStream(clients.dynamodbstreams, arn, stack.region),
        invoker=Forwarder(clients.kinesis, stack.changes_stream, stack.table),
        checkpoints=checkpoints,
        destination=None,
        entry=_entry,
    )
    source = EventSource(arn, "", stack.region, FORWARDER, FORWARDER)
    process = Process(Settings(batch_size=BATCH_SIZE), source, collaborators)

    def stop(*_: Any) -> None:
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("%s: from %s to %s", FORWARDER, arn, stack.changes_stream)
    process.run()
    log.info("%s: stopped", FORWARDER)


if __name__ == "__main__":
    main()
