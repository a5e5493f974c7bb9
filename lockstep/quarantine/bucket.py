"""The quarantine's keys, and which images have a record there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from lockstep.stores.objects import BucketObjects
from shared.quarantine import PREFIX, QuarantinedRecord

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# Where Lambda writes failure documents (docs/internals/facts.md, Event source mapping).
GIVEN_UP = "aws/lambda/"
REDRIVEN = "redriven/"


def keys(client: "S3Client", bucket: str) -> Iterator[str]:
    """The key of every record in quarantine."""
    return BucketObjects(client, bucket).keys(PREFIX)


def images(client: "S3Client", bucket: str) -> Iterator[str]:
    """The image of each quarantined record; its partition key if it could not be decoded.

    Objects that no consumer wrote are left out.
    """
    objects = BucketObjects(client, bucket)
    for key in keys(client, bucket):
        body = objects.read(key)
        if body is None:  # redriven after it was listed
            continue
        try:
            record = msgspec.json.decode(body, type=QuarantinedRecord)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        yield record.image_id or record.partition_key


def redriven_key(key: str) -> str:
    """The key to which an object moves when its records are back on the stream."""
    return REDRIVEN + key.removeprefix(PREFIX)
