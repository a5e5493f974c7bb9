"""Invocations: records as Lambda passes them to a function, and the ARNs around them.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import uuid
from collections.abc import Mapping

import msgspec

from lockstep.local.mapping.batch import BatchRecord
from lockstep.stream.lambda_record import lambda_record
from lockstep.stream.stream import StreamRecord

ACCOUNT = "000000000000"
# The namespace of mapping UUIDs, so that a mapping finds its checkpoints after a restart.
_MAPPINGS = uuid.UUID("6f6b7f0e-3f5e-4d43-9d5b-0d5f5f3a2c11")


class Function(msgspec.Struct, frozen=True):
    """A Lambda function, as the template describes it.

    `name` is the FUNCTION in `functions.FUNCTION.handler.handle`; `deployed_name` is its name in
    Lambda. `timeout` is in seconds, `memory` in MB. `reserved_concurrency`: the maximum number of
    concurrent invocations, None for no limit.
    """

    name: str
    deployed_name: str
    handler: str
    role_arn: str
    timeout: int
    memory: int
    environment: Mapping[str, str]
    reserved_concurrency: int | None = None


class EventSource(msgspec.Struct, frozen=True):
    """The shard that records come from, and the function that they go to."""

    stream_arn: str
    shard_id: str
    region: str
    function_arn: str
    role_arn: str


_encode = msgspec.json.Encoder().encode


def entry(record: StreamRecord, source: EventSource) -> BatchRecord:
    """A Kinesis record for the function: encoded once, however often it is delivered."""
    seen = lambda_record(
        record,
        shard_id=source.shard_id,
        stream_arn=source.stream_arn,
        region=source.region,
        role_arn=source.role_arn,
    )
    return BatchRecord(
        record.sequence_number,
        record.partition_key,
        record.arrived_at / 1000,
        _encode(seen),
        record.data,
    )


def table_entry(record: StreamRecord, source: EventSource) -> BatchRecord:
    """A record of a table's stream for the function."""
    # The data is a JSON object that is never empty: append the missing member.
    seen = record.data[:-1] + b',"eventSourceARN":' + _encode(source.stream_arn) + b"}"
    return BatchRecord(
        record.sequence_number, record.partition_key, record.arrived_at / 1000, seen, record.data
    )


def function_arn(name: str, region: str) -> str:
    """A local function's ARN."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"


def stream_arn(name: str, region: str) -> str:
    """A local stream's ARN."""
    return f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/{name}"


def table_stream_arn(arn: str, region: str) -> str:
    """The ARN of a table's stream as AWS has it: that of DynamoDB Local names another region."""
    prefix = arn.split(":", 3)[:3]
    return ":".join([*prefix, region, ACCOUNT, arn.split(":", 5)[5]])


def mapping_uuid(function: str, stream: str) -> str:
    """The mapping's UUID: always the same for this function and stream ARN."""
    return str(uuid.uuid5(_MAPPINGS, f"{function} {stream}"))
