"""Read the stream of a DynamoDB table, as Lambda does.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from lockstep.console.errors import UserError
from lockstep.stream.answers import answering
from lockstep.stream.pages import decoded_records, identity_in_lambda
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    ListedShard,
    Position,
    PositionLostError,
    Records,
    ShardNotFoundError,
    StreamRecord,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class NoTableStreamError(UserError):
    """The table has no stream."""


RETENTION_SECONDS = 24 * 60 * 60
GET_RECORDS_MOST = 1_000

_encode = msgspec.json.Encoder().encode


def latest_stream(client: "DynamoDBClient", table: str) -> str:
    """The ARN of the table's stream.

    Raises:
        NoTableStreamError: the table has none.
    """
    described = client.describe_table(TableName=table)["Table"]
    if "LatestStreamArn" not in described:
        raise NoTableStreamError(
            f"table {table} has no stream: run `lockstep up` with the same options again"
        )
    return described["LatestStreamArn"]


class TableStream:
    """The stream of a table, read with a boto3 client of `dynamodbstreams`.

    The client may decode records with `lockstep.stream.pages.decode_table`.
    """

    def __init__(self, client: Any, arn: str, region: str) -> None:
        """Read the stream with this ARN; `region` is the one that its records name."""
        self._client = client
        self._arn = arn
        self._region = region

    def retention(self) -> float:
        """See `Stream.retention`: it is fixed."""
        return RETENTION_SECONDS

    def shards(self) -> Sequence[ListedShard]:
        """See `Stream.shards`."""
        found: list[ListedShard] = []
        more: dict[str, str] = {}
        while True:
            with answering():
                answer = self._client.describe_stream(StreamArn=self._arn, **more)
                described = answer["StreamDescription"]
                for shard in described["Shards"]:
                    parents = frozenset(filter(None, [shard.get("ParentShardId")]))
                    number = shard["SequenceNumberRange"]["StartingSequenceNumber"]
                    found.append(ListedShard(shard["ShardId"], parents, number))
            if "LastEvaluatedShardId" not in described:
                return found
            more = {"ExclusiveStartShardId": described["LastEvaluatedShardId"]}

    def reader(self, shard_id: str, position: Position) -> "TableShardReader":
        """See `Stream.reader`."""
        return TableShardReader(self._client, self._arn, self._region, shard_id, position)


class TableShardReader:
    """Reads one shard of a table's stream; renews expired iterators."""

    def __init__(
        self, client: Any, arn: str, region: str, shard_id: str, position: Position
    ) -> None:
        self._client = client
        self._arn = arn
        self._region = region
        self._shard_id = shard_id
        self._position = position
        self._iterator: str | None = None

    def read(self, limit: int) -> Records:
        """See `ShardReader.read`. `behind` is a guess: true if the read returned records."""
        iterator = self._iterator or self._new_iterator()
        # Reset first: after an error, reading continues from the position, not from the iterator.
        self._iterator = None
        with answering():
            try:
                answer = self._client.get_records(
                    ShardIterator=iterator, Limit=min(limit, GET_RECORDS_MOST)
                )
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "ExpiredIteratorException":
                        return Records((), behind=True, ended=False)
                    case "TrimmedDataAccessException":
                        raise PositionLostError(str(error)) from error
                raise
            decoded = decoded_records(answer)
            if decoded is None:
                records = [_record(one, self._region) for one in answer["Records"]]
            else:
                records = [one.in_lambda(self._region) for one in decoded]
        if isinstance(self._position, AtTimestamp):  # which a table's stream does not support
            since = self._position.seconds * 1000
            wanted = [one for one in records if one.arrived_at >= since]
        else:
            wanted = records
        if wanted:
            self._position = AfterSequenceNumber(wanted[-1].sequence_number)
        self._iterator = answer.get("NextShardIterator")
        return Records(wanted, behind=bool(records), ended=self._iterator is None)

    def _new_iterator(self) -> str:
        where = {"ShardIteratorType": "TRIM_HORIZON"}
        if isinstance(self._position, AfterSequenceNumber):
            where = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "SequenceNumber": self._position.sequence_number,
            }
        with answering():
            try:
                answer = self._client.get_shard_iterator(
                    StreamArn=self._arn, ShardId=self._shard_id, **where
                )
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "TrimmedDataAccessException" | "ValidationException":
                        raise PositionLostError(str(error)) from error
                    case "ResourceNotFoundException":
                        raise ShardNotFoundError(str(error)) from error
                raise
            iterator: str = answer["ShardIterator"]
            return iterator


def _record(record: Mapping[str, Any], region: str) -> StreamRecord:
    """One change, with its data in Lambda's format.

    That is: whole seconds as a float, `principalId`, base64. For DynamoDB Local, also the region
    and an event ID of hexadecimal digits: its own are `ddblocal` and a UUID.
    """
    change = record["dynamodb"]
    at = int(change["ApproximateCreationDateTime"].timestamp())
    in_lambda = {
        **record,
        "eventID": record["eventID"].replace("-", ""),
        "awsRegion": region,
        "dynamodb": {**change, "ApproximateCreationDateTime": float(at)},
    }
    if "userIdentity" in record:
        in_lambda["userIdentity"] = identity_in_lambda(record["userIdentity"])
    return StreamRecord(
        sequence_number=change["SequenceNumber"],
        partition_key=_encode(change["Keys"]).decode(),
        data=_encode(in_lambda),
        arrived_at=at * 1000,
    )
