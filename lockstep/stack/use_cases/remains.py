"""What of an erased image only time removes, computed from the settings of a stack."""

import datetime as dt
from collections.abc import Iterator, Mapping

from lockstep.erasing.outcomes import Remains
from lockstep.stack.clients import Clients
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
TABLE_STREAM_HOURS = 24
# https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-snapshots.html
SNAPSHOT_DAYS = 14
# Of the queue of the picture bucket, and of its dead-letter queue (template.yaml).
QUEUE_DAYS = 14
_PITR_DAYS = 35


def remains(clients: Clients, name: str | None) -> Iterator[Remains]:
    """What only time removes, and until when, if all is erased now.

    Args:
        clients: the stack's.
        name: the name of a deployed stack; None for a local one.
    """
    now = dt.datetime.fromtimestamp(int(clients.clock.now()), dt.UTC)
    stack = clients.stack
    yield _stream(clients, stack.stream, now)
    if stack.index_from == "KinesisDataStreamsForDynamoDB":
        yield _stream(clients, stack.changes_stream, now)
    if stack.index_from == "DynamoDBStreams" or stack.replica is not None or name is not None:
        yield Remains(
            f"the stream of table {stack.table}",
            now + dt.timedelta(hours=TABLE_STREAM_HOURS),
            "DynamoDB keeps changes for 24 hours, if the table has a stream",
        )
    if name is None:
        yield Remains(
            "log files in the folder of the stack",
            None,
            "they have ids, and may quote a part of a record that was refused: delete them",
        )
        yield Remains(
            "files of the engines on this machine",
            None,
            "they overwrite freed space in time; delete the folder of the stack to be sure",
        )
    else:
        yield from _deployed(clients, name, now)
    yield Remains(
        "copies that people made: exports, reports of audits, recordings, downloads",
        None,
        "delete them yourself",
    )


def _stream(clients: Clients, stream: str, now: dt.datetime) -> Remains:
    what = f"records of stream {stream}"
    try:
        seconds = KinesisStream(clients.kinesis, stream).retention()
    except StreamUnavailableError as error:
        return Remains(what, None, f"its retention is unknown: {error}")
    kept = dt.timedelta(seconds=seconds)
    return Remains(
        what, now + kept, f"the stream keeps records for {kept / dt.timedelta(1):g} days"
    )


def _deployed(clients: Clients, name: str, now: dt.datetime) -> Iterator[Remains]:
    stack = clients.stack
    (described,) = clients.cloudformation.describe_stacks(StackName=name)["Stacks"]
    said: Mapping[str, str] = {
        one["ParameterKey"]: one["ParameterValue"] for one in described.get("Parameters", ())
    }
    backups = clients.dynamodb.describe_continuous_backups(TableName=stack.table)
    recovery = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        days = recovery.get("RecoveryPeriodInDays", _PITR_DAYS)
        yield _days(
            f"point-in-time recovery of table {stack.table}",
            days,
            now,
            "a restore brings it back until then: erase it again",
        )
    if said.get("BackupSchedule"):
        yield _days("backups of the stack", said.get("BackupDays"), now, "AWS Backup deletes them")
    yield _days(
        "logs of the functions", said.get("LogRetentionDays"), now, "CloudWatch deletes them"
    )
    yield _days(
        "snapshots of the domain",
        SNAPSHOT_DAYS,
        now,
        "those that OpenSearch Service makes; delete your own yourself",
    )
    yield Remains(
        "segments of the index",
        None,
        "deleted documents stay on disk, where no request reads them, until OpenSearch merges them",
    )
    if stack.pictures is not None:
        yield _days(
            f"point-in-time recovery of table {stack.pictures.rows}",
            _PITR_DAYS,
            now,
            "its rows have hashes of ids, and events that were not put yet",
        )
        yield _days(
            "names of pictures in the queue and its dead-letter queue",
            QUEUE_DAYS,
            now,
            "SQS deletes them",
        )


def _days(what: str, days: str | int | None, now: dt.datetime, how: str) -> Remains:
    if days is None:
        return Remains(what, None, f"{how}; how long they are kept is unknown")
    return Remains(what, now + dt.timedelta(days=int(days)), how)
