"""The versions of the objects of a bucket, and deleting them: what a deletion of a key leaves.

In a versioned bucket, deleting a key only adds a delete marker, and each earlier version can still
be read: https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarker.html
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import batched
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from lockstep.stores.objects import (
    DELETED_AT_ONCE,
    UnfinishedDeleteError,
    UnfinishedReadError,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class ObjectVersion(msgspec.Struct, frozen=True):
    """One version of an object, or a delete marker.

    Attributes:
        key: the key of the object.
        version: its id; None if the server keeps no versions.
        is_latest: whether a plain read of the key finds it.
        is_marker: whether it is a delete marker, which has no content.
        written: when the bucket got it.
    """

    key: str
    version: str | None
    is_latest: bool
    is_marker: bool
    written: dt.datetime


class ObjectVersions:
    """The versions of the objects of one bucket. Raises what boto3 raises.

    If the server keeps no versions, each object has one.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self.bucket = bucket
        self._client = client
        self._has_versions = True

    def listed(self, prefix: str) -> Iterator[ObjectVersion]:
        """All versions and delete markers below a prefix: those of a key together."""
        if self._has_versions:
            try:
                yield from self._versions(prefix)
            except ClientError as error:
                # The S3 server of a local stack.
                if error.response["Error"]["Code"] != "NotImplemented":
                    raise
                self._has_versions = False
        if not self._has_versions:
            yield from self._objects(prefix)

    def _objects(self, prefix: str) -> Iterator[ObjectVersion]:
        for page in self._pages("list_objects_v2", prefix):
            for one in page.get("Contents", ()):
                yield ObjectVersion(
                    one["Key"], None, is_latest=True, is_marker=False, written=one["LastModified"]
                )

    def read(self, one: ObjectVersion) -> bytes | None:
        """The content of a version; None if it does not exist any more.

        Raises:
            UnfinishedReadError: the answer was cut off.
        """
        part: Any = {} if one.version is None else {"VersionId": one.version}
        try:
            answer: Any = self._client.get_object(Bucket=self.bucket, Key=one.key, **part)
            if "ContentLength" in answer:
                body: bytes = answer["Body"].read()
                return body
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "NoSuchVersion"}:
                return None
            raise
        raise UnfinishedReadError(place=f"s3://{self.bucket}/{one.key}")

    def hide(self, key: str) -> None:
        """Delete the key, so that no earlier version is read in its place."""
        self._client.delete_object(Bucket=self.bucket, Key=key)

    def delete(self, versions: Iterable[ObjectVersion]) -> None:
        """Delete these versions and markers for good; they need not exist.

        Raises:
            UnfinishedDeleteError: one may still exist.
        """
        for some in batched(versions, DELETED_AT_ONCE):
            # The request is an XML document, which cannot hold each character of a key.
            plain = [one for one in some if one.key.isprintable()]
            for one in some:
                if not one.key.isprintable():
                    self._client.delete_object(Bucket=self.bucket, **_named(one))
            if plain:
                self._delete_many(plain)

    def _delete_many(self, some: list[ObjectVersion]) -> None:
        answer = self._client.delete_objects(
            Bucket=self.bucket, Delete={"Objects": [_named(one) for one in some]}
        )
        deleted = {(one["Key"], one.get("VersionId")) for one in answer.get("Deleted", [])}
        keys = {key for key, _ in deleted}
        for one in some:
            if (one.key, one.version) in deleted or (one.version is None and one.key in keys):
                continue
            errors = [f"{each['Code']}: {each['Message']}" for each in answer.get("Errors", [])]
            why = errors[0] if errors else "the response was truncated"
            raise UnfinishedDeleteError(place=f"s3://{self.bucket}/{one.key}", why=why)

    def _versions(self, prefix: str) -> Iterator[ObjectVersion]:
        for page in self._pages("list_object_versions", prefix):
            found = [
                ObjectVersion(
                    one["Key"],
                    one["VersionId"],
                    is_latest=one["IsLatest"],
                    is_marker=kind == "DeleteMarkers",
                    written=one["LastModified"],
                )
                for kind in ("Versions", "DeleteMarkers")
                for one in page.get(kind, ())
            ]
            yield from sorted(found, key=lambda one: one.key)

    def _pages(self, operation: Any, prefix: str) -> Iterator[Any]:
        pages = self._client.get_paginator(operation)
        for page in pages.paginate(Bucket=self.bucket, Prefix=prefix):
            # botocore returns a truncated response as an empty listing.
            if "IsTruncated" not in page:
                raise UnfinishedReadError(place=f"s3://{self.bucket}/{prefix}")
            yield page


def _named(one: ObjectVersion) -> Any:
    """How a request names a version."""
    return {"Key": one.key} | ({} if one.version is None else {"VersionId": one.version})
