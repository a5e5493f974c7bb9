"""The quarantine as an operator reads it: how much lies there, and of which images."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from shared.quarantine import PREFIX, QuarantinedRecord

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def keys(client: "S3Client", bucket: str) -> Iterator[str]:
    """The key of every record in quarantine."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX):
        for listed in page.get("Contents", []):
            yield listed["Key"]


def images(client: "S3Client", bucket: str) -> Iterator[str]:
    """The image each record in quarantine is about; what could not be decoded has its key.

    Objects that are not ours say nothing of any image.
    """
    for key in keys(client, bucket):
        body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        try:
            record = msgspec.json.decode(body, type=QuarantinedRecord)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        yield record.image_id or record.partition_key
