"""A record as Lambda hands it over."""

import base64

import msgspec

from lockstep.local.mapping import invocation
from lockstep.local.mapping.batch import payload
from lockstep.local.mapping.invocation import EventSource, mapping_uuid
from lockstep.stream.stream import StreamRecord
from shared.record import from_lambda
from tests.builders import ARRIVED_AT, SHARD_ID, STREAM_ARN, kinesis_record

PLACE = EventSource(
    stream_arn=STREAM_ARN,
    shard_id=SHARD_ID,
    region="us-east-1",
    function_arn="arn:aws:lambda:us-east-1:000000000000:function:probe",
    role_arn="arn:aws:iam::000000000000:role/lockstep",
)


def test_the_function_sees_what_lambda_would_show_it() -> None:
    expected = kinesis_record()
    record = StreamRecord(
        sequence_number=expected["kinesis"]["sequenceNumber"],
        partition_key=expected["kinesis"]["partitionKey"],
        data=base64.b64decode(expected["kinesis"]["data"]),
        arrived_at=ARRIVED_AT,
    )

    entry = invocation.entry(record, PLACE)

    assert msgspec.json.decode(payload([entry])) == {"Records": [expected]}
    assert list(msgspec.json.decode(entry.json)["kinesis"]) == list(expected["kinesis"])


def test_any_bytes_arrive_as_they_were_put() -> None:
    data = bytes(range(256))
    entry = invocation.entry(StreamRecord("1", "ключ", data, ARRIVED_AT), PLACE)

    seen = from_lambda(msgspec.json.decode(entry.json))

    assert seen.data == data
    assert seen.partition_key == "ключ"
    assert seen.arrived_at == ARRIVED_AT


def test_a_mapping_keeps_its_uuid_and_shares_it_with_no_other() -> None:
    uuid = mapping_uuid("write_to_es", STREAM_ARN)

    assert uuid == mapping_uuid("write_to_es", STREAM_ARN)
    assert uuid != mapping_uuid("write_to_dynamodb", STREAM_ARN)
    assert uuid != mapping_uuid("write_to_es", STREAM_ARN + "-2")
