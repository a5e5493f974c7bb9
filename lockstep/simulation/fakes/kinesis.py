"""A fake of boto3's Kinesis client, with one stream that can be resharded."""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from botocore.exceptions import ParamValidationError

from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.protocol import kinesis_requests
from lockstep.local.kinesis.wire import JSON
from lockstep.simulation.fakes.boto3_requests import answer_of
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
    PartFailure,
)
from lockstep.stream import sequence
from lockstep.stream.shards import (
    HashRange,
    Merge,
    Split,
    hash_key,
    parts,
    shard_id,
    uniform,
    union,
)

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
MAX_RECORDS = 500
MAX_KEY_CHARACTERS = 256
MAX_RECORD_BYTES = 1024 * 1024
MAX_REQUEST_BYTES = 10 * 1024 * 1024
# As in template.yaml.
RETENTION_SECONDS = 7 * 24 * 60 * 60.0
_ACCOUNT = "000000000000"
PASSING_CODES = ("ProvisionedThroughputExceededException", "InternalFailure")


class AcceptedRecord(msgspec.Struct, frozen=True):
    """A record on the stream; `arrived_at` is in seconds since 1970."""

    shard_id: str
    sequence_number: str
    partition_key: str
    arrived_at: float
    data: bytes
    stream: str = ""

    @property
    def arrived_ms(self) -> int:
        """The arrival in milliseconds since 1970."""
        return round(self.arrived_at * 1000)

    @property
    def position(self) -> str:
        """Stream, shard and sequence number, as in the key of a quarantine object."""
        return f"{self.stream}/{self.shard_id}/{self.sequence_number}"

    @property
    def stream_arn(self) -> str:
        """The ARN of its stream."""
        return f"arn:aws:kinesis:us-east-1:{_ACCOUNT}:stream/{self.stream}"

    def as_lambda_record(self) -> dict[str, Any]:
        """One entry of `Records` in a Kinesis event."""
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": self.partition_key,
                "sequenceNumber": self.sequence_number,
                "data": base64.b64encode(self.data).decode(),
                "approximateArrivalTimestamp": self.arrived_at,
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{self.shard_id}:{self.sequence_number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::000000000000:role/lockstep",
            "awsRegion": "us-east-1",
            "eventSourceARN": self.stream_arn,
        }


class StreamShard:
    """A shard, with its records in order. A split or a merge closes it."""

    def __init__(
        self, stream: str, number: int, hashes: HashRange, created: int, parents: Sequence[str]
    ) -> None:
        self.shard_id = shard_id(number)
        self.hashes = hashes
        self.parents = frozenset(parents)
        self.records: list[AcceptedRecord] = []
        self.closed = False
        self.trimmed = 0  # the number of records removed after the retention
        self.created = created
        self.stream = stream
        self.starting_number = str(sequence.at(sequence.prefix(created, number), 0, created))
        self._prefix = sequence.prefix(created, number)

    def append(self, partition_key: str, data: bytes, now: float) -> AcceptedRecord:
        """Append a record, and return it."""
        number = str(sequence.at(self._prefix, len(self.records) + 1, int(now)))
        record = AcceptedRecord(
            self.shard_id, number, partition_key, round(now, 3), data, self.stream
        )
        self.records.append(record)
        return record

    @staticmethod
    def position_of(sequence_number: str) -> int:
        """How many records of the shard there are up to this one."""
        return sequence.position(sequence_number)


class Kinesis:
    """A client and its stream.

    `accepted` has every record, in order of arrival. The stream keeps each for `retention` seconds.
    `first_shard` is the number of its first shard: with different numbers, no sequence number
    occurs in two streams.
    """

    def __init__(
        self,
        stream: str,
        *,
        shards: int = 1,
        first_shard: int = 0,
        connection: Connection = PERFECT,
        now: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.shards: dict[str, StreamShard] = {}
        self.accepted: list[AcceptedRecord] = []
        self.retention = RETENTION_SECONDS
        self._trimmed_before = 0.0
        self.stream = stream
        self._connection = connection
        self._now = now
        self._first_shard = first_shard
        for hashes in uniform(shards):
            self._open(hashes, ())

    @property
    def open_shards(self) -> list[StreamShard]:
        """The shards that accept records, in the order of their hash keys."""
        still = [one for one in self.shards.values() if not one.closed]
        return sorted(still, key=lambda one: one.hashes.start)

    def put_records(self, **request: Any) -> dict[str, Any]:
        """Put records. Each one succeeds or fails separately."""
        records: Sequence[Mapping[str, Any]] = request["Records"]
        _check_lengths(records)
        failures = self._connection.part_failures(len(records), PASSING_CODES)
        return answer_of(
            self._connection,
            "kinesis",
            "PutRecords",
            lambda: self._put(request["StreamName"], records, failures),
        )

    def split(self, shard: StreamShard, at: int) -> None:
        """Replace the shard by two; the second begins at this hash key."""
        shard.closed = True
        for hashes in parts(Split(shard.hashes, at)):
            self._open(hashes, (shard.shard_id,))

    def merge(self, left: StreamShard, right: StreamShard) -> None:
        """Replace two adjacent shards by one."""
        hashes = union(Merge(left.hashes, right.hashes))
        left.closed = right.closed = True
        self._open(hashes, (left.shard_id, right.shard_id))

    def trim(self, before: float) -> None:
        """Remove the records that arrived before this time."""
        self._trimmed_before = max(self._trimmed_before, before)
        for shard in self.shards.values():
            records = shard.records
            while shard.trimmed < len(records) and records[shard.trimmed].arrived_at < before:
                shard.trimmed += 1

    @property
    def since(self) -> float:
        """The stream holds what arrived since then, in seconds since 1970."""
        return max(self._trimmed_before, self._now() - self.retention)

    def trim_expired(self) -> None:
        """Remove the records that are older than the retention."""
        self.trim(self._now() - self.retention)

    def _open(self, hashes: HashRange, parents: Sequence[str]) -> None:
        # A child is created a second later, so its sequence numbers are above its parents'.
        created = max([int(self._now()), *(self.shards[one].created + 1 for one in parents)])
        number = self._first_shard + len(self.shards)
        shard = StreamShard(self.stream, number, hashes, created, parents)
        self.shards[shard.shard_id] = shard

    def _put(
        self, stream: str, records: Sequence[Mapping[str, Any]], failures: Mapping[int, PartFailure]
    ) -> dict[str, Any]:
        _check_model(stream, records)
        if stream != self.stream:
            message = f"Stream {stream} under account {_ACCOUNT} not found."
            raise AnswerError(400, f"ResourceNotFoundException: {message}")
        _check_sizes(records)
        entries: list[dict[str, str]] = []
        for at, record in enumerate(records):
            fault = failures.get(at)
            if fault is None or fault.applied:
                accepted = self.accept(record["PartitionKey"], record["Data"])
            if fault is None:
                entries.append(
                    {"SequenceNumber": accepted.sequence_number, "ShardId": accepted.shard_id}
                )
            else:
                entries.append({"ErrorCode": fault.code, "ErrorMessage": "simulated error"})
        return {"FailedRecordCount": len(failures), "Records": entries}

    def accept(self, partition_key: str, data: bytes) -> AcceptedRecord:
        """Put one record into the shard of its key."""
        key = int.from_bytes(hash_key(partition_key))
        for shard in self.shards.values():
            if not shard.closed and shard.hashes.start <= key <= shard.hashes.end:
                record = shard.append(partition_key, data, self._now())
                self.accepted.append(record)
                return record
        raise RuntimeError(f"no open shard for {partition_key}")


def _check_lengths(records: Sequence[Mapping[str, Any]]) -> None:
    """Raise the error that boto3 raises instead of sending an empty value."""
    places = [] if records else ["Records"]
    places += [
        f"Records[{at}].PartitionKey" for at, one in enumerate(records) if not one["PartitionKey"]
    ]
    if places:
        wrong = "value: 0, valid min length: 1"
        said = [f"Invalid length for parameter {one}, {wrong}" for one in places]
        raise ParamValidationError(report="\n".join(said))


def _check_model(stream: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what the service model forbids, with the messages of the local endpoint. Slow."""
    keys = (one["PartitionKey"] for one in records)
    if len(records) <= MAX_RECORDS and all(len(key) <= MAX_KEY_CHARACTERS for key in keys):
        return
    body = msgspec.json.encode({"StreamName": stream, "Records": records})
    try:
        kinesis_requests(JSON).decode("PutRecords", body)
    except KinesisError as error:
        raise AnswerError(400, f"{error.name}: {error}") from error


def _check_sizes(records: Sequence[Mapping[str, Any]]) -> None:
    """Refuse too large records and requests. The size of a record includes its key."""
    sizes = [len(one["Data"]) + len(one["PartitionKey"].encode()) for one in records]
    for size in sizes:
        if size > MAX_RECORD_BYTES:
            raise _invalid(
                f"a record of {size} bytes (data and partition key) is over this stream's maximum"
                f" of {MAX_RECORD_BYTES // 1024} KiB"
            )
    if (total := sum(sizes)) > MAX_REQUEST_BYTES:
        raise _invalid(
            f"Records size exceeds 10 MB limit: {total} bytes of data and partition keys"
        )


def _invalid(message: str) -> AnswerError:
    return AnswerError(400, f"InvalidArgumentException: {message}")
