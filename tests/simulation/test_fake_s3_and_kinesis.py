"""The fakes of S3 and Kinesis obey the rules that the system relies on."""

from typing import TYPE_CHECKING, cast

import pytest

from doors.quarantine import BucketQuarantine
from lockstep import quarantine
from lockstep.producing.producer import Producer, Stamp
from lockstep.simulation.fakes.kinesis import Kinesis
from lockstep.simulation.fakes.kinesis_reads import KinesisReads
from lockstep.simulation.fakes.s3 import S3
from lockstep.stores.objects import BucketObjects
from lockstep.stream.kinesis import KinesisStream, StreamSummary
from lockstep.stream.stream import (
    AfterSequenceNumber,
    AtTimestamp,
    Position,
    ShardNotFoundError,
    TrimHorizon,
)
from shared.event import decode
from shared.quarantine import quarantined
from tests.builders import decoded, image_event, record

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient
    from types_boto3_s3 import S3Client


def test_the_first_reason_of_a_quarantined_record_stays() -> None:
    bucket = S3("b")
    keep = BucketQuarantine(bucket.put_object, "b", longest_put=1.0)
    for reason in ("first", "second"):
        keep.put(
            quarantined(
                record(),
                function="write_to_es",
                change=None,
                reason="schema",
                detail=reason,
                at="now",
            )
        )
    ((key, body),) = bucket.objects.items()
    assert b'"first"' in body
    client = cast("S3Client", bucket)
    assert list(quarantine.keys(client, "b")) == [key]
    objects = BucketObjects(client, "b")
    assert list(quarantine.images(objects, "")) == [("write_to_es", "T02680")]


@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b'{"x":' + b"[" * 200_000])
def test_objects_of_others_name_no_image(body: bytes) -> None:
    bucket = S3("b")
    for key in ("quarantine/write_to_es/x", "aws/lambda/x"):
        bucket.put_object(Bucket="b", Key=key, Body=body)
    assert list(quarantine.images(BucketObjects(cast("S3Client", bucket), "b"), "")) == []


def test_the_real_producer_puts_onto_the_fake_stream() -> None:
    stream = Kinesis("lockstep-images", shards=4)
    events = [
        decoded(image_event(f"T{number % 7}", version))
        for version, number in enumerate(range(50), start=1)
    ]
    report = Producer(stream, "lockstep-images").put(events)
    assert report.put == 50
    arrived = [decode(one.data) for one in stream.accepted]
    by_image = {f"T{n}": [one for one in events if one.image_id == f"T{n}"] for n in range(7)}
    for image_id, expected in by_image.items():
        assert [one for one in arrived if one.image_id == image_id] == expected


def test_sequence_numbers_rise_in_a_shard_and_from_parent_to_child() -> None:
    clock = Stamp(lambda: 1_795_248_000.0)
    stream = Kinesis("s", shards=2, now=lambda: clock() / 1_000_000)

    def put() -> None:
        records = [{"PartitionKey": f"T{n}", "Data": b"x"} for n in range(20)]
        stream.put_records(StreamName="s", Records=records)

    put()
    left, right = stream.open_shards
    stream.split(left, left.hashes.start + 1000)
    put()
    stream.merge(*stream.open_shards[1:])
    put()
    assert [one.closed for one in (left, right)] == [True, True]
    for shard in stream.shards.values():
        numbers = [int(one.sequence_number) for one in shard.records]
        assert numbers == sorted(set(numbers))
        for parent in shard.parents:
            above = [int(one.sequence_number) for one in stream.shards[parent].records]
            assert max(above, default=0) < min(numbers, default=1 << 200)
    assert sum(len(one.records) for one in stream.shards.values()) == len(stream.accepted) == 60


def test_the_real_reader_reads_the_fake_stream_from_each_position() -> None:
    now = 1_000_000.0
    stream = Kinesis("s", now=lambda: now)
    stream.retention = 100.0
    for number in range(5):
        stream.accept("T1", b"%d" % number)
        now += 40.0
    stream.split(stream.open_shards[0], 1 << 127)
    client = cast("KinesisClient", KinesisReads(stream, "arn", created_at=7.0))
    real = KinesisStream(client, "s")
    assert real.summary() == StreamSummary("arn", 7.0, 0.0)
    shard_id, *children = [one.shard_id for one in real.shards()]
    assert len(children) == 2

    def read(position: Position) -> list[bytes]:
        found = real.reader(shard_id, position).read(10)
        assert found.ended
        return [one.data for one in found.records]

    # The first ones are older than the retention.
    assert read(TrimHorizon()) == [b"3", b"4"]
    assert read(AtTimestamp(now - 50)) == [b"4"]
    assert read(AfterSequenceNumber(stream.accepted[3].sequence_number)) == [b"4"]
    now += 100.0
    assert [one.shard_id for one in real.shards()] == children
    with pytest.raises(ShardNotFoundError):
        read(TrimHorizon())
