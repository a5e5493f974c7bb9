"""The objects of an S3 bucket. Reads are complete; an object is durable when a write returns."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import ObjectTypeDef

# As many as one DeleteObjects takes:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
DELETED_AT_ONCE = 1_000
# If two write a new object at the same moment, S3 refuses one of them (409): it tries again.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
CONFLICTS = 5


class Objects(Protocol):
    """A bucket, as far as quarantine and redrive need one."""

    def keys(self, prefix: str) -> Iterator[str]:
        """Every key with this prefix, in order."""
        ...

    def read(self, key: str) -> bytes | None:
        """The whole object; None if it does not exist."""
        ...

    def write(self, key: str, body: bytes) -> None:
        """Write the object, also over an existing one."""
        ...

    def write_new(self, key: str, body: bytes) -> None:
        """Write the object unless it exists: the first one stays."""
        ...

    def delete(self, key: str) -> None:
        """Delete the object; it need not exist."""
        ...

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete the objects; they need not exist. After an error, some are deleted."""
        ...


class PartObjects(Protocol):
    """Objects that can be read in part: what entries are kept in, a bucket or a folder."""

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        ...

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to but not including `end` of an object that exists."""
        ...

    def write(self, key: str, body: bytes) -> None:
        """See `Objects.write`."""
        ...

    def write_new(self, key: str, body: bytes) -> None:
        """See `Objects.write_new`."""
        ...


class TaggedObjects(Objects, Protocol):
    """A bucket whose objects can be replaced conditionally and read in part."""

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The whole object and its ETag; None if it does not exist."""
        ...

    def replace(self, key: str, body: bytes, tag: str | None) -> str | None:
        """Write the object if it still has this ETag (None: if it does not exist).

        Returns:
            The new ETag; None if the object is another one: nothing was written.
        """
        ...

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """The bytes from `start` up to but not including `end` of an object that exists."""
        ...


class BucketObjects:
    """The objects of an S3 bucket. Raises what boto3 raises."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`."""
        for listed in self._listed(prefix):
            yield listed["Key"]

    def listed(self, prefix: str) -> Iterator[tuple[str, dt.datetime]]:
        """Every key with this prefix, in order, and when S3 got its object."""
        for listed in self._listed(prefix):
            yield listed["Key"], listed["LastModified"]

    def _listed(self, prefix: str) -> Iterator["ObjectTypeDef"]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
            # botocore returns a truncated response as an empty listing.
            if "IsTruncated" not in page:
                raise UnfinishedReadError(place=f"s3://{self._bucket}/{prefix}")
            yield from page.get("Contents", [])

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        found = self._got(key)
        return None if found is None else found[0]

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """See `TaggedObjects.read_tagged`."""
        found = self._got(key)
        if found is None:
            return None
        body, answer = found
        if "ETag" not in answer:
            raise UnfinishedReadError(place=f"s3://{self._bucket}/{key}")
        return body, answer["ETag"]

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """See `TaggedObjects.read_part`."""
        found = self._got(key, Range=f"bytes={start}-{end - 1}")
        if found is None or len(found[0]) != end - start:
            raise UnfinishedReadError(place=f"s3://{self._bucket}/{key}")
        return found[0]

    def replace(self, key: str, body: bytes, tag: str | None) -> str | None:
        """See `TaggedObjects.replace`."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        for attempt in range(1, CONFLICTS + 1):
            try:
                return self._put(key, body, condition)
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "PreconditionFailed" | "NoSuchKey":
                        break
                    case "ConditionalRequestConflict" if attempt < CONFLICTS:
                        continue
                    case _:
                        raise
        # boto3 sends a request again if its answer is lost: perhaps the first one succeeded.
        there = self.read_tagged(key)
        return there[1] if there is not None and there[0] == body else None

    def _got(self, key: str, **part: Any) -> tuple[bytes, Mapping[str, Any]] | None:
        """An object, or a part of it, and the answer that brought it; None if it does not exist."""
        try:
            answer: Any = self._client.get_object(Bucket=self._bucket, Key=key, **part)
            # botocore returns a truncated response as an empty object, or as one without a length.
            if "ContentLength" in answer:
                return answer["Body"].read(), answer
        except self._client.exceptions.NoSuchKey:
            return None
        except ValueError as error:
            raise UnfinishedReadError(place=f"s3://{self._bucket}/{key}") from error
        raise UnfinishedReadError(place=f"s3://{self._bucket}/{key}")

    def write(self, key: str, body: bytes) -> None:
        """See `Objects.write`."""
        self._put(key, body, {})

    def write_new(self, key: str, body: bytes) -> None:
        """See `Objects.write_new`."""
        for attempt in range(1, CONFLICTS + 1):
            try:
                self._put(key, body, {"IfNoneMatch": "*"})
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "PreconditionFailed":
                        return
                    case "ConditionalRequestConflict" if attempt < CONFLICTS:
                        continue
                    case _:
                        raise
            return

    def delete(self, key: str) -> None:
        """See `Objects.delete`."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `Objects.delete_all`."""
        # The request is an XML document, which cannot hold each character that a key may have.
        for key in keys:
            if not key.isprintable():
                self.delete(key)
        for some in batched(filter(str.isprintable, keys), DELETED_AT_ONCE):
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in some]}
            )
            deleted = {one["Key"] for one in answer.get("Deleted", [])}
            left = next((key for key in some if key not in deleted), None)
            if left is not None:
                errors = [f"{one['Code']}: {one['Message']}" for one in answer.get("Errors", [])]
                why = errors[0] if errors else "the response was truncated"
                raise UnfinishedDeleteError(place=f"s3://{self._bucket}/{left}", why=why)

    def _put(self, key: str, body: bytes, condition: dict[str, Any]) -> str:
        """Write an object; return its ETag."""
        answer = self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentType="application/json",
            **condition,
        )
        # botocore returns a truncated response as an empty success. The caller may then delete
        # the only copy.
        if "ETag" not in answer:
            raise UnfinishedWriteError(place=f"s3://{self._bucket}/{key}")
        return answer["ETag"]


class UnfinishedReadError(BotoCoreError):
    """An object or a listing was not read completely."""

    fmt = "{place}: the response was truncated: try again"


class UnfinishedWriteError(BotoCoreError):
    """An object may not be durable. The caller must not delete what the object replaces."""

    fmt = "{place}: the response has no ETag, so the object may not exist: try again"


class UnfinishedDeleteError(BotoCoreError):
    """An object may still exist."""

    fmt = "{place}: not deleted: {why}: try again"
