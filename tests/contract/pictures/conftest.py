"""A bucket with pictures, their rows, the image table and the stream, on the real engines."""

import datetime as dt
import io
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.config import Config
from msgspec.json import decode
from PIL import Image as Pixels

from functions.write_to_dynamodb.table import ensure_table
from lockstep.pictures.bucket.aligner import EventStream, ImageVersions, KeyAligner
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import KEY, PictureRows
from lockstep.pictures.reading import PictureSettings
from shared.event import Event
from shared.picture_ids import PREFIX

NOW = 1_800_000_000.0


def picture(colour: str = "red", title: str | None = None) -> bytes:
    """A small JPEG; its title is that of a Windows program."""
    exif = Pixels.Exif()
    if title:
        exif[0x9C9B] = (title + "\0").encode("utf-16-le")
    out = io.BytesIO()
    Pixels.new("RGB", (8, 6), colour).save(out, "JPEG", exif=exif)
    return out.getvalue()


class Place:
    """One bucket and everything that follows from it; a clock that a test sets."""

    def __init__(self, dynamodb: Any, s3: Any, kinesis: Any, name: str) -> None:
        self.dynamodb, self.s3, self.kinesis, self.name = dynamodb, s3, kinesis, name
        self.rows, self.images = f"{name}-rows", f"{name}-images"
        self.now = NOW

    def aligner(self, **instead: Any) -> KeyAligner:
        """What brings keys in line, with other clients if a test gives some."""
        settings = PictureSettings(zone=dt.UTC)
        dynamodb = instead.get("dynamodb", self.dynamodb)
        return KeyAligner(
            PictureRows(dynamodb, self.rows, b"salt"),
            BucketPictures(self.s3, self.name, settings),
            ImageVersions(dynamodb, self.images),
            EventStream(instead.get("kinesis", self.kinesis), self.name),
            prefix=PREFIX,
            now=lambda: self.now,
        )

    def upload(self, key: str, body: bytes) -> None:
        """Store an object below the prefix."""
        self.s3.put_object(Bucket=self.name, Key=PREFIX + key, Body=body)

    def remove(self, key: str) -> None:
        """Delete an object below the prefix."""
        self.s3.delete_object(Bucket=self.name, Key=PREFIX + key)

    def stored_rows(self) -> list[Mapping[str, Any]]:
        """The items of the table of rows."""
        items: list[Mapping[str, Any]] = self.dynamodb.scan(TableName=self.rows)["Items"]
        return items

    def events(self) -> list[Event]:
        """All events on the stream."""
        shard = self.kinesis.list_shards(StreamName=self.name)["Shards"][0]["ShardId"]
        iterator = self.kinesis.get_shard_iterator(
            StreamName=self.name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = self.kinesis.get_records(ShardIterator=iterator)["Records"]
        events = [decode(record["Data"], type=Event) for record in records]
        assert [event.image_id for event in events] == [one["PartitionKey"] for one in records]
        return events


def _client(service: str, endpoint: str) -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


@pytest.fixture
def place(dynamodb_endpoint: str, s3_endpoint: str, kinesis_endpoint: str) -> Iterator[Place]:
    name = f"pictures-{uuid.uuid4().hex[:12]}"
    found = Place(
        _client("dynamodb", dynamodb_endpoint),
        _client("s3", s3_endpoint),
        _client("kinesis", kinesis_endpoint),
        name,
    )
    found.s3.create_bucket(Bucket=name)
    found.kinesis.create_stream(StreamName=name, ShardCount=1)
    found.kinesis.get_waiter("stream_exists").wait(StreamName=name)
    ensure_table(found.dynamodb, found.rows, key=KEY)
    ensure_table(found.dynamodb, found.images)
    yield found
    for table in (found.rows, found.images):
        found.dynamodb.delete_table(TableName=table)
    found.kinesis.delete_stream(StreamName=name)
