"""The commands of an operator of a replica in Table Store, behind the gate."""

import base64
import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from tablestore import (
    CapacityUnit,
    Condition,
    OTSClient,
    ReservedThroughput,
    Row,
    TableMeta,
    TableOptions,
)

from lockstep.local.tablestore.server import LocalTableStore
from lockstep.stack.stack import REPLICA_CONSUMER
from lockstep.tablestore.quarantined_keys import key_id
from shared.quarantine import QuarantinedRecord
from tests.builders import table_record
from tests.gate.command import WRITTEN, Command, new_images, printed, written
from tests.gate.conftest import GatedStack
from tests.gate.policies import ACCESS_KEY
from tests.gate.requests import REPLICA

# What a person has who may run a command: managed policies of template-tablestore.yaml.
REPLICA_AUDITOR, REPLICA_OPERATOR = ("AuditorPolicy",), ("AuditorPolicy", "OperatorPolicy")
MOMENT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)


def replicated(gated: GatedStack) -> None:
    """The table has images and a stream."""
    written(gated)
    gated.stage.clients.dynamodb.update_table(
        TableName=gated.stage.stack.table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )


@contextmanager
def a_replica(gated: GatedStack) -> Iterator[Any]:
    """A client of a Table Store of this run, with an empty table, and a stack that writes it."""
    clients, stack = gated.stage.clients, gated.stage.stack
    described = clients.dynamodb.describe_table(TableName=stack.table)["Table"]
    with LocalTableStore() as store:
        account = store.account
        client = OTSClient(store.address, account.key_id, account.secret, account.instance)
        meta = TableMeta("images", [("image_id", "STRING")])
        client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
        gated.recorded.outputs |= {"FunctionName": REPLICA}
        gated.recorded.replica = {
            "OTS_ID": account.key_id,
            "OTS_SECRET_ARN": ACCESS_KEY,
            "OTS_INSTANCE": account.instance,
            "OTS_ENDPOINT": store.address,
            "TABLE_NAME": "images",
            "PRIMARY_KEY": "image_id",
            "QUARANTINE_BUCKET": stack.bucket,
            "STREAM": described["LatestStreamLabel"],
        }
        yield client


def row_of(client: Any, image_id: str) -> Any:
    """The row of an image; None if there is none."""
    return client.get_row("images", [("image_id", image_id)], max_version=1)[1]


def _load(gated: GatedStack) -> str | None:
    """Load the table into a Table Store of this run."""
    with a_replica(gated) as client:
        done = printed(gated, "tablestore", "load", "--apply")
        row = row_of(client, "T0")
    return None if done["written"] == len(new_images(WRITTEN)) and row else f"{done}"


def put_tombstone(client: Any, image_id: str) -> None:
    """Put a tombstone that is past its time."""
    tombstone = [
        ("lockstep_version", f"2026-11-30T01:23:45.678/{1:040d}"),
        ("lockstep_at", 1),
        ("lockstep_deleted", True),
        ("lockstep_purge_at", 1),
    ]
    client.put_row("images", Row([("image_id", image_id)], tombstone), Condition("IGNORE"))


def _audit_replica(gated: GatedStack) -> str | None:
    """An item that Table Store cannot hold is a difference that no progress must prove."""
    dynamodb, table = gated.stage.clients.dynamodb, gated.stage.stack.table
    with a_replica(gated) as client:
        label = gated.recorded.replica["STREAM"]
        for one in new_images(WRITTEN):
            columns = [
                ("lockstep_version", f"{label}/{0:040d}"),
                ("lockstep_at", 1),
                ("lockstep_deleted", False),
            ]
            row = Row([("image_id", one.image_id)], columns)
            client.put_row("images", row, Condition("IGNORE"))
        unfit = {"image_id": {"S": "T9"}, "huge": {"N": "12345678901234567890123"}}
        dynamodb.put_item(TableName=table, Item=unfit)
        try:
            found = printed(gated, "tablestore", "audit", code=1)
        finally:
            dynamodb.delete_item(TableName=table, Key={"image_id": {"S": "T9"}})
    return None if found["differences"] == {"unconvertible": 1} else f"{found}"


def _purge_replica(gated: GatedStack) -> str | None:
    with a_replica(gated) as client:
        put_tombstone(client, "T0")
        done = printed(gated, "tablestore", "purge", "--apply")
        row = row_of(client, "T0")
    return None if done["purged"] == 1 and row is None else f"{done}"


def _quarantine(gated: GatedStack) -> None:
    """Two records are quarantined, and two are in a failure document; one of each is unfit."""
    replicated(gated)
    stage = gated.stage
    unfit = {"image_id": {"S": "unfit"}, "n": {"N": "0.1234567890123456789"}}
    stage.clients.dynamodb.put_item(TableName=stage.stack.table, Item=unfit)
    for at, image_id in enumerate(("T0", "unfit")):
        held = a_quarantined_key(image_id, at)
        _put_object(gated, held.key, msgspec.json.encode(held))
    records = [table_record({"image_id": {"S": one}}) for one in ("T1", "unfit")]
    document = {
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:replica",
            "condition": "RecordAgeExceeded",
        },
        "timestamp": f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}",
        "DDBStreamBatchInfo": {
            "shardId": "s",
            "startSequenceNumber": "1",
            "endSequenceNumber": "2",
            "approximateArrivalOfFirstRecord": f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}",
            "approximateArrivalOfLastRecord": f"{MOMENT:%Y-%m-%dT%H:%M:%SZ}",
            "batchSize": 2,
            "streamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/x",
        },
        "payload": {"Records": records},
    }
    _put_object(gated, "aws/lambda/replica/s/document", msgspec.json.encode(document))


def a_quarantined_key(image_id: str, position: int) -> QuarantinedRecord:
    """A record of this image that the consumer of a replica has quarantined."""
    record = table_record({"image_id": {"S": image_id}}, position=position)
    return QuarantinedRecord(
        function=REPLICA_CONSUMER,
        stream="images/stream/2026-11-30T01:23:45.678",
        shard_id=record["eventID"],
        sequence_number=record["dynamodb"]["SequenceNumber"],
        partition_key=msgspec.json.encode(record["dynamodb"]["Keys"]).decode(),
        arrived_at=1,
        image_id=None,
        version=None,
        reason="refused_by_store",
        detail="refused",
        quarantined_at=MOMENT.isoformat(),
        payload=base64.b64encode(msgspec.json.encode(record)).decode(),
        holds="table_change",
    )


def _put_object(gated: GatedStack, key: str, body: bytes) -> None:
    stage = gated.stage
    stage.clients.s3.put_object(Bucket=stage.stack.bucket, Key=key, Body=body)


def _list_keys(gated: GatedStack) -> str | None:
    with a_replica(gated):
        found = printed(gated, "tablestore", "quarantine", "list")
    return None if (len(found["keys"]), found["unreadable"]) == (3, []) else f"{found}"


def _show_key(gated: GatedStack) -> str | None:
    with a_replica(gated):
        found = printed(
            gated, "tablestore", "quarantine", "show", key_id('{"image_id":{"S":"T0"}}')
        )
    return None if (found["would"], len(found["records"])) == ("repair", 1) else f"{found}"


def _would_redrive(gated: GatedStack) -> str | None:
    with a_replica(gated):
        found = printed(gated, "tablestore", "redrive", code=1)
    return None if found["would"] == {"repair": 2, "refused": 1} else f"{found}"


def _redrive_keys(gated: GatedStack) -> str | None:
    with a_replica(gated) as client:
        report = printed(gated, "tablestore", "redrive", "--apply", code=1)["report"]
        row = row_of(client, "T0")
    done = {name: report[name] for name in ("repaired", "objects", "documents", "split")}
    expected = {"repaired": 2, "objects": 1, "documents": 1, "split": 1}
    return None if done == expected and row else f"{report}"


REPLICA_COMMANDS: Sequence[Command] = (
    Command("tablestore audit", REPLICA_AUDITOR, _audit_replica, replicated, repeats=True),
    Command("tablestore load", REPLICA_AUDITOR, _load, replicated, repeats=True),
    Command("tablestore purge", REPLICA_AUDITOR, _purge_replica, replicated, repeats=True),
    Command("tablestore quarantine list", REPLICA_AUDITOR, _list_keys, _quarantine, repeats=True),
    Command("tablestore quarantine show", REPLICA_AUDITOR, _show_key, _quarantine, repeats=True),
    Command("tablestore redrive", REPLICA_AUDITOR, _would_redrive, _quarantine, repeats=True),
    Command("tablestore redrive --apply", REPLICA_OPERATOR, _redrive_keys, _quarantine),
)
