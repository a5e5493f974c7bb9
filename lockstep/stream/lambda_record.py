"""A record of a Kinesis stream in the form in which Lambda passes it to a function.

https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
"""

import msgspec

from lockstep.stream.stream import StreamRecord


class _Kinesis(msgspec.Struct, rename="camel", gc=False):
    kinesis_schema_version: str
    partition_key: str
    sequence_number: str
    data: bytes  # msgspec writes base64
    approximate_arrival_timestamp: float


class LambdaRecord(
    msgspec.Struct,
    gc=False,
    rename={
        "event_source": "eventSource",
        "event_version": "eventVersion",
        "event_id": "eventID",
        "event_name": "eventName",
        "invoke_identity_arn": "invokeIdentityArn",
        "aws_region": "awsRegion",
        "event_source_arn": "eventSourceARN",
    },
):
    """One entry of `Records` in a Kinesis event; msgspec writes it as Lambda does."""

    kinesis: _Kinesis
    event_source: str
    event_version: str
    event_id: str
    event_name: str
    invoke_identity_arn: str
    aws_region: str
    event_source_arn: str


def lambda_record(
    record: StreamRecord, *, shard_id: str, stream_arn: str, region: str, role_arn: str
) -> LambdaRecord:
    """The record as an event source mapping with this role passes it to its function."""
    return LambdaRecord(
        kinesis=_Kinesis(
            "1.0",
            record.partition_key,
            record.sequence_number,
            record.data,
            record.arrived_at / 1000,
        ),
        event_source="aws:kinesis",
        event_version="1.0",
        event_id=f"{shard_id}:{record.sequence_number}",
        event_name="aws:kinesis:record",
        invoke_identity_arn=role_arn,
        aws_region=region,
        event_source_arn=stream_arn,
    )
