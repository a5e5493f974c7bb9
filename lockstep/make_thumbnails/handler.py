"""The Lambda handler that makes thumbnails. A queue of its own invokes it with notifications."""

import datetime as dt
import os
from functools import cache, partial
from typing import Any

import boto3
import msgspec
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.quarantine import disable_expect_header
from lockstep.make_thumbnails.keeping import ThumbnailBucket, ThumbnailKeeper
from lockstep.make_thumbnails.sandbox import draw_in_sandbox
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.reading import PictureSettings
from lockstep.pictures_to_events.batch import CLIENTS, NotificationWork
from lockstep.pictures_to_events.handler import (
    LONGEST_LOOK_SECONDS,
    logger,
    set_aside,
    tell,
)
from lockstep.pictures_to_events.notifications import QueueBatch
from shared.batch import BatchResponse

_MIB = 1024 * 1024


@cache
def work() -> NotificationWork:
    """What keeps thumbnails, with the resources that the environment names."""
    session = boto3.Session()
    s3 = session.client("s3", config=CLIENTS)
    disable_expect_header(s3)
    bucket = os.environ["PICTURE_BUCKET"]
    keeper = ThumbnailKeeper(
        BucketPictures(s3, bucket, PictureSettings(zone=dt.UTC)),
        ThumbnailBucket(s3, os.environ["THUMBNAIL_BUCKET"]),
        draw_in_sandbox,
        checksum_bytes=int(os.environ["PICTURE_CHECKSUM_MIB"]) * _MIB,
    )
    queue = os.environ["THUMBNAIL_DEAD_LETTERS"]
    return NotificationWork(
        bucket=bucket,
        align=keeper.keep,
        set_aside=partial(set_aside, session.client("sqs", config=CLIENTS), queue),
        tell=tell,
    )


@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Look at the keys that a batch of notifications names."""
    return work().settle(
        msgspec.convert(event, type=QueueBatch).records,
        lambda: context.get_remaining_time_in_millis() > LONGEST_LOOK_SECONDS * 1000,
    )
