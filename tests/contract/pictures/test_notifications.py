"""Notifications of a real bucket, late and several times, and the handler of the function."""

import datetime as dt
import io
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws
from msgspec import UNSET
from msgspec.json import decode

from functions.write_to_dynamodb.table import ensure_table
from lockstep.pictures.bucket import rows
from lockstep.pictures.bucket.aligner import EventStream, ImageVersions, KeyAligner
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import PictureRows, salt_of
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.within_limits.readers import Readers, ReadingLimits
from lockstep.pictures_to_events import handler
from lockstep.pictures_to_events.batch import NotificationWork
from lockstep.pictures_to_events.local import listed, troubled
from lockstep.pictures_to_events.local_queue import LocalQueue
from lockstep.pictures_to_events.notifications import notification
from shared.event import Event, Image
from shared.picture_ids import PREFIX, id_of_key
from shared.sink import MisconfiguredError
from tests.contract.pictures.conftest import NOW, Place, picture
from tests.gate.invocation import Invocation

NAMES = ("a.jpg", "b.jpg", "2024/été.jpg", "c")


def shown(events: list[Event]) -> Mapping[str, str]:
    """The checksum of each image that is not deleted: the highest version wins."""
    newest: dict[str, Event] = {}
    for event in events:
        if event.image_id not in newest or event.version > newest[event.image_id].version:
            newest[event.image_id] = event
    return {
        image_id: str(event.image.checksum)
        for image_id, event in newest.items()
        if isinstance(event.image, Image)
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_stream_ends_as_the_bucket_whatever_the_order_of_the_notifications(
    place: Place, tmp_path: Path, seed: int
) -> None:
    chance, now, bodies = Random(seed), 1000.0, dict[str, bytes]()
    queue = LocalQueue(tmp_path / "queue.db", place.name, troubled(chance))
    aligner = place.aligner()
    work = NotificationWork(
        bucket=place.name,
        align=aligner.align,
        set_aside=lambda letter: pytest.fail(str(letter)),
        tell=lambda _: None,
    )
    colours = iter(f"#{number:06x}" for number in range(999))

    def settle() -> None:
        if messages := queue.receive(now, now + 60):
            assert work.settle(messages) == {"batchItemFailures": []}
            queue.delete(messages)

    for _ in range(25):
        now += chance.uniform(0.0, 8.0)
        name = chance.choice(NAMES)
        if name in bodies and chance.random() < 0.4:
            place.remove(name)
            del bodies[name]
        else:
            bodies[name] = picture(next(colours))
            place.upload(name, bodies[name])
        queue.note(listed(place.s3, place.name), now)
        settle()
    while queue.waiting():
        now += 1.0
        settle()
    queue.close()
    heads = {
        id_of_key(name): place.s3.get_object(Bucket=place.name, Key=PREFIX + name)["Body"].read()
        for name in bodies
    }
    assert heads == {id_of_key(name): body for name, body in bodies.items()}
    assert shown(place.events()) == {
        image_id: f"sha256:{sha256(body).hexdigest()}" for image_id, body in heads.items()
    }


class Aws:
    """The resources of the template, in moto, whose S3 has versions."""

    def __init__(self) -> None:
        self.s3: Any = boto3.client("s3")
        self.kinesis: Any = boto3.client("kinesis")
        self.dynamodb: Any = boto3.client("dynamodb")
        self.sqs: Any = boto3.client("sqs")
        self.s3.create_bucket(Bucket="pictures")
        self.s3.put_bucket_versioning(
            Bucket="pictures", VersioningConfiguration={"Status": "Enabled"}
        )
        self.kinesis.create_stream(StreamName="images", ShardCount=1)
        ensure_table(self.dynamodb, "rows", key=rows.KEY)
        ensure_table(self.dynamodb, "images")
        self.letters = self.sqs.create_queue(QueueName="letters")["QueueUrl"]

    def handle(self, *keys: str, bucket: str = "pictures") -> list[str]:
        """Invoke the handler as Lambda does; the messages that come again."""
        records = [
            {
                "messageId": f"m{number}",
                "receiptHandle": "handle",
                "body": notification(bucket, PREFIX + key, "Object Created"),
                "attributes": {"ApproximateReceiveCount": "1"},
                "eventSource": "aws:sqs",
            }
            for number, key in enumerate(keys)
        ]
        answer = handler.handle({"Records": records}, Invocation(300))
        return [one["itemIdentifier"] for one in answer["batchItemFailures"]]

    def events(self) -> list[Event]:
        """All events on the stream."""
        (shard,) = self.kinesis.list_shards(StreamName="images")["Shards"]
        iterator = self.kinesis.get_shard_iterator(
            StreamName="images", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        return [decode(record["Data"], type=Event) for record in records]


VARIABLES = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "PICTURE_BUCKET": "pictures",
    "PICTURE_ROWS_TABLE": "rows",
    "PICTURE_CHECKSUM_MIB": "1",
    "PICTURE_TIME_ZONE": "Europe/Berlin",
    "PICTURE_POSITIONS": "no",
    "STREAM_NAME": "images",
    "TABLE_NAME": "images",
}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        found = Aws()
        monkeypatch.setenv("PICTURE_DEAD_LETTERS", found.letters)
        handler.work.cache_clear()
        handler.readers.cache_clear()
        yield found
        handler.readers().close()
        handler.work.cache_clear()
        handler.readers.cache_clear()


def put(aws: Aws, key: str, body: bytes) -> str:
    version = aws.s3.put_object(Bucket="pictures", Key=PREFIX + key, Body=body)["VersionId"]
    return str(version)


def test_a_deletion_is_a_marker_and_without_it_the_old_picture_is_there_again(aws: Aws) -> None:
    first, second = picture("red"), picture("blue")
    put(aws, "a.jpg", first)
    assert aws.handle("a.jpg", "a.jpg") == []
    put(aws, "a.jpg", second)
    assert aws.handle("a.jpg") == []
    marker = aws.s3.delete_object(Bucket="pictures", Key=PREFIX + "a.jpg")["VersionId"]
    assert aws.handle("a.jpg") == []
    aws.s3.delete_object(Bucket="pictures", Key=PREFIX + "a.jpg", VersionId=marker)
    assert aws.handle("a.jpg") == []
    events = aws.events()
    assert [event.type for event in events] == [
        "image.uploaded",
        "image.updated",
        "image.deleted",
        "image.uploaded",
    ]
    sums = [f"sha256:{sha256(body).hexdigest()}" for body in (first, second, second)]
    images = [event.image for event in events if isinstance(event.image, Image)]
    assert [image.checksum for image in images] == sums
    assert events[2].image is UNSET
    assert [event.version for event in events] == sorted({event.version for event in events})


def test_the_end_of_an_old_version_is_no_event(aws: Aws) -> None:
    old = put(aws, "a.jpg", picture("red"))
    put(aws, "a.jpg", picture("blue"))
    assert aws.handle("a.jpg") == []
    aws.s3.delete_object(Bucket="pictures", Key=PREFIX + "a.jpg", VersionId=old)
    assert aws.handle("a.jpg") == []
    assert [event.type for event in aws.events()] == ["image.uploaded"]


def test_a_picture_above_the_size_has_no_checksum_and_is_an_image(aws: Aws) -> None:
    put(aws, "big.jpg", picture() + b"\0" * 1024 * 1024)
    put(aws, "small.jpg", picture())
    assert aws.handle("big.jpg", "small.jpg") == []
    images = {event.image_id: event.image for event in aws.events()}
    big, small = images["big.jpg"], images["small.jpg"]
    assert isinstance(big, Image)
    assert isinstance(small, Image)
    assert (big.checksum, big.size_bytes) == (UNSET, len(picture()) + 1024 * 1024)
    assert small.checksum is not UNSET


def test_an_image_with_counted_versions_is_set_aside_with_that_reason(aws: Aws) -> None:
    aws.dynamodb.put_item(
        TableName="images", Item={"image_id": {"S": "a.jpg"}, "version": {"N": "12"}}
    )
    put(aws, "a.jpg", picture())
    put(aws, "b.jpg", picture())
    assert aws.handle("a.jpg", "b.jpg") == []
    (letter,) = aws.sqs.receive_message(QueueUrl=aws.letters, MessageAttributeNames=["All"])[
        "Messages"
    ]
    said = {name: its["StringValue"] for name, its in letter["MessageAttributes"].items()}
    assert said["reason"] == "counted version"
    assert "has version 12" in said["detail"]
    assert msgspec.json.decode(letter["Body"])["detail"]["object"] == {"key": f"{PREFIX}a.jpg"}
    assert [event.image_id for event in aws.events()] == ["b.jpg"]


def test_a_missing_stream_stops_the_batch_and_the_next_one_puts_the_same_event(aws: Aws) -> None:
    put(aws, "a.jpg", picture())
    aws.kinesis.delete_stream(StreamName="images")
    with pytest.raises(MisconfiguredError, match="images"):
        aws.handle("a.jpg")
    aws.kinesis.create_stream(StreamName="images", ShardCount=1)
    (row,) = [one for one in aws.dynamodb.scan(TableName="rows")["Items"] if "event" in one]
    assert aws.handle("a.jpg") == []
    (event,) = aws.events()
    assert decode(bytes(row["event"]["B"]), type=Event) == event


def test_a_notification_of_another_bucket_stops_the_batch(aws: Aws) -> None:
    with pytest.raises(MisconfiguredError, match="PICTURE_BUCKET"):
        aws.handle("a.jpg", bucket="quarantine")


@contextmanager
def log_lines() -> Iterator[io.StringIO]:
    """What the function writes meanwhile."""
    lines = io.StringIO()
    stream = logging.StreamHandler(lines)
    stream.setFormatter(handler.logger.registered_formatter)
    written_to = logging.getLogger(handler.logger.name)
    written_to.addHandler(stream)
    yield lines
    written_to.removeHandler(stream)


def test_a_hostile_picture_is_a_line_and_no_event_and_never_comes_again(aws: Aws) -> None:
    hostile = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    put(aws, "good.jpg", picture())
    put(aws, "bad.svg", hostile)
    put(aws, "long.txt", b"no picture" * 500_000)
    with log_lines() as lines:
        assert aws.handle("bad.svg", "long.txt", "good.jpg") == []
    assert [event.image_id for event in aws.events()] == ["good.jpg"]
    refused = [
        (said["key"], said["detail"])
        for said in map(msgspec.json.decode, lines.getvalue().splitlines())
        if said["message"] == "refused"
    ]
    assert [key for key, _ in refused] == [f"{PREFIX}bad.svg", f"{PREFIX}long.txt"]
    assert "script" in refused[0][1]
    assert "no picture that is read here" in refused[1][1]
    assert "Messages" not in aws.sqs.receive_message(QueueUrl=aws.letters)


def test_a_picture_that_takes_too_much_to_read_is_no_picture_and_deletes_its_image(
    aws: Aws,
) -> None:
    put(aws, "a.jpg", picture())
    assert aws.handle("a.jpg") == []
    put(aws, "a.jpg", picture() + bytes(100_000_000))
    refused: list[str] = []
    limits = ReadingLimits(seconds=0.02, bytes_a_second=1e15)
    with Readers(1, zone="UTC", gps=False, limits=limits) as readers:
        aligner = KeyAligner(
            PictureRows(aws.dynamodb, "rows", salt_of(aws.dynamodb, "rows")),
            BucketPictures(
                aws.s3,
                "pictures",
                PictureSettings(zone=dt.UTC),
                read=readers.picture,
                on_refused=lambda key, why: refused.append(f"{key}: {why}"),
            ),
            ImageVersions(aws.dynamodb, "images"),
            EventStream(aws.kinesis, "images"),
            prefix=PREFIX,
            now=lambda: NOW,
        )
        assert aligner.align(f"{PREFIX}a.jpg") == "deleted"
        assert aligner.align(f"{PREFIX}a.jpg") == "no picture"
    assert refused == [f"{PREFIX}a.jpg: reading it takes more than 0 s of processor time"]
    assert [event.type for event in aws.events()] == ["image.uploaded", "image.deleted"]


def test_a_log_line_names_no_file_if_ids_are_hashed(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_HASH_KEY", "key")
    aws.dynamodb.put_item(
        TableName="images", Item={"image_id": {"S": "mother.jpg"}, "version": {"N": "12"}}
    )
    put(aws, "mother.jpg", picture())
    put(aws, "mother.txt", b"no picture of mother")
    with log_lines() as lines:
        aws.handle("mother.jpg", "mother.txt")
    written = lines.getvalue()
    assert "set aside" in written
    assert "refused" in written
    assert "mother" not in written
