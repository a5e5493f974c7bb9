"""The Lambda handler that makes events of pictures. A queue invokes it with notifications."""

import os
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import boto3
import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.clock import SYSTEM_CLOCK
from doors.log import new_logger
from doors.logged_ids import logged_ids
from doors.quarantine import disable_expect_header
from lockstep.pictures.bucket.aligner import EventStream, ImageVersions, KeyAligner
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import PictureRows, salt_of
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures.within_limits.readers import Readers
from lockstep.pictures_to_events.batch import CLIENTS, Looked, NotificationWork, SetAside
from lockstep.pictures_to_events.notifications import QueueBatch
from shared.batch import BatchResponse
from shared.picture_ids import PREFIX

logger = new_logger()

# A large picture is read in this time.
LONGEST_LOOK_SECONDS = 120
_MIB = 1024 * 1024


def settings() -> PictureSettings:
    """How pictures are read, as the environment says."""
    return PictureSettings(
        zone=ZoneInfo(os.environ["PICTURE_TIME_ZONE"]),
        gps=os.environ["PICTURE_POSITIONS"] == "yes",
        most_bytes=int(os.environ["PICTURE_CHECKSUM_MIB"]) * _MIB,
    )


@cache
def readers() -> Readers:
    """The process that reads pictures: one, because keys are looked at one after the other."""
    how = settings()
    zone = os.environ["PICTURE_TIME_ZONE"]
    return Readers(1, zone=zone, gps=how.gps, most_bytes=how.most_bytes)


@cache
def work() -> NotificationWork:
    """What brings keys in line, with the resources that the environment names."""
    session = boto3.Session()
    dynamodb = session.client("dynamodb", config=CLIENTS)
    s3 = session.client("s3", config=CLIENTS)
    disable_expect_header(s3)
    bucket, rows = os.environ["PICTURE_BUCKET"], os.environ["PICTURE_ROWS_TABLE"]
    aligner = KeyAligner(
        PictureRows(dynamodb, rows, salt_of(dynamodb, rows)),
        BucketPictures(s3, bucket, settings(), read=readers().picture, on_refused=tell_refused),
        ImageVersions(dynamodb, os.environ["TABLE_NAME"]),
        EventStream(session.client("kinesis", config=CLIENTS), os.environ["STREAM_NAME"]),
        prefix=PREFIX,
        now=SYSTEM_CLOCK.steady().now,
    )
    queue = os.environ["PICTURE_DEAD_LETTERS"]
    return NotificationWork(
        bucket=bucket,
        align=aligner.align,
        set_aside=partial(set_aside, session.client("sqs", config=CLIENTS), queue),
        tell=tell,
    )


def set_aside(client: Any, queue: str, letter: SetAside) -> None:
    """Keep a message in the queue of the dead letters, with its reason as attributes."""
    said = {"reason": letter.reason, "detail": letter.detail[:1000]}
    client.send_message(
        QueueUrl=queue,
        MessageBody=letter.message.body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in said.items()
        },
    )


def tell(looked: Looked) -> None:
    """Write a line about a key. With a key for hashes, it shows no name of a file."""
    ids = logged_ids([])
    shown = {
        "key": ids.shown(looked.key or ""),
        "messages": looked.messages,
        "detail": ids.text(looked.detail, known=False),
    }
    write = logger.warning if looked.detail else logger.info
    write(looked.outcome, extra=shown)


def tell_refused(key: str, why: str) -> None:
    """Write a line about an object that is no picture, or takes too much to read."""
    ids = logged_ids([])
    shown = {"key": ids.shown(key), "detail": ids.text(why, known=False)}
    logger.warning("refused", extra=shown)


@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Look at the keys that a batch of notifications names."""
    return work().settle(
        msgspec.convert(event, type=QueueBatch).records,
        lambda: context.get_remaining_time_in_millis() > LONGEST_LOOK_SECONDS * 1000,
    )
