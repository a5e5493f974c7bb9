"""Storing a file as an object of the picture bucket: checked, and resumed after an interruption.

A large file is sent in parts. S3 checks the SHA-256 of each, and keeps one checksum that follows
from all of them. So a file is compared with an object by the digests of its parts, without reading
the object.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

import msgspec
from botocore.exceptions import ClientError

from lockstep.console.errors import UserError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import (
        CompletedPartTypeDef,
        HeadObjectOutputTypeDef,
        PartTypeDef,
    )

# Of all parts but the last: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
MIN_PART_BYTES: Final = 5 * 1024 * 1024
# Larger files are sent in parts of this size.
PART_BYTES: Final = 16 * 1024 * 1024


# What a key has: no object, the content of a file, or another content.
Stored = Literal["nothing", "this", "another"]


class ChangedWhileReadError(UserError):
    """The file changed while it was stored, so nothing is stored."""


class PartDigest(msgspec.Struct, frozen=True):
    """The digests of one part: S3 keeps SHA-256; others keep MD5 as its ETag."""

    sha256: bytes
    md5: bytes


class Parts:
    """The digests of a content's parts, from its pieces as they come."""

    def __init__(self, part_bytes: int = PART_BYTES) -> None:
        self.part_bytes = part_bytes
        self.size_bytes = 0
        self._done: list[PartDigest] = []
        self._begin()

    def _begin(self) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)

    def read(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The same pieces, which are counted on their way."""
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                now = rest[: self.part_bytes - self.size_bytes % self.part_bytes]
                self._sha256.update(now)
                self._md5.update(now)
                self.size_bytes += len(now)
                if self.size_bytes % self.part_bytes == 0:
                    self._end()
                rest = rest[len(now) :]
            yield piece

    def _end(self) -> None:
        self._done.append(PartDigest(self._sha256.digest(), self._md5.digest()))
        self._begin()

    @property
    def digests(self) -> Sequence[PartDigest]:
        """Those of all parts; an empty content has one."""
        if self.size_bytes % self.part_bytes or not self._done:
            return [*self._done, PartDigest(self._sha256.digest(), self._md5.digest())]
        return [*self._done]


class StoredFile(msgspec.Struct, frozen=True):
    """A file that was read once.

    Attributes:
        path: where it is.
        content_type: by its content.
        size_bytes: the length of its content.
        part_bytes: the size of its parts; the last one may be shorter.
        parts: their digests. A single part is sent as a whole.
    """

    path: Path
    content_type: str
    size_bytes: int
    part_bytes: int
    parts: Sequence[PartDigest]

    @property
    def checksum(self) -> str:
        """The checksum that S3 keeps of it, SHA-256 in base64; of several parts, of their digests.

        S3 appends `-` and the number of parts:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
        """
        if len(self.parts) == 1:
            return _base64(self.parts[0].sha256)
        return _base64(hashlib.sha256(b"".join(part.sha256 for part in self.parts)).digest())

    @property
    def etag(self) -> str:
        """The ETag of a store without such checksums."""
        if len(self.parts) == 1:
            return self.parts[0].md5.hex()
        joined = b"".join(part.md5 for part in self.parts)
        return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(self.parts)}"


def is_stored(head: "HeadObjectOutputTypeDef", source: StoredFile) -> bool:
    """Whether an object has the content of this file.

    Args:
        head: what S3 says of an object that `Transfer.store` has stored, with its checksum.
        source: the file.
    """
    if head["ContentLength"] != source.size_bytes:
        return False
    if checksum := head.get("ChecksumSHA256"):
        return checksum.partition("-")[0] == source.checksum
    return head["ETag"].strip('"') == source.etag


class Transfer:
    """Stores files in one bucket. Raises what boto3 raises."""

    def __init__(
        self, client: "S3Client", bucket: str, progress: Callable[[int], object] = lambda _: None
    ) -> None:
        """Set it up.

        Args:
            client: the client; it may retry.
            bucket: the bucket.
            progress: is told the bytes that are stored, also of parts that were there before. What
                it raises ends `store`, which can go on later.
        """
        self._client = client
        self._bucket = bucket
        self._progress = progress

    def compare(self, key: str, source: StoredFile) -> Stored:
        """What the key has, compared with this file: the same content only if `store` stored it."""
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.NOT_FOUND:
                return "nothing"
            raise
        return "this" if is_stored(head, source) else "another"

    def store(self, key: str, source: StoredFile) -> None:
        """Store the file. What an interrupted `store` of the same file has sent is not sent again.

        Raises:
            ChangedWhileReadError: the content is no longer that of `source`.
        """
        with source.path.open("rb") as file:
            if len(source.parts) == 1:
                self._store_whole(key, source, file.read(source.part_bytes + 1))
            else:
                self._store_parts(key, source, file)

    def _store_whole(self, key: str, source: StoredFile, body: bytes) -> None:
        digest = hashlib.sha256(body).digest()
        if digest != source.parts[0].sha256:
            raise _changed(source)
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=body,
            ContentType=source.content_type,
            ChecksumSHA256=_base64(digest),
        )
        self._progress(len(body))

    def _store_parts(self, key: str, source: StoredFile, file: BinaryIO) -> None:
        upload, there = self._begun(key, source)
        sent: list[CompletedPartTypeDef] = []
        for number, wanted in enumerate(source.parts, start=1):
            data = file.read(source.part_bytes)
            if hashlib.sha256(data).digest() != wanted.sha256:
                raise _changed(source)
            etag = _etag_of(there.get(number), wanted)
            if etag is None:
                etag = self._client.upload_part(
                    Bucket=self._bucket,
                    Key=key,
                    UploadId=upload,
                    PartNumber=number,
                    Body=data,
                    ChecksumSHA256=_base64(wanted.sha256),
                )["ETag"]
            sent.append(
                {"PartNumber": number, "ETag": etag, "ChecksumSHA256": _base64(wanted.sha256)}
            )
            self._progress(len(data))
        if file.read(1):
            raise _changed(source)
        self._client.complete_multipart_upload(
            Bucket=self._bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": sent}
        )

    def _begun(self, key: str, source: StoredFile) -> "tuple[str, Mapping[int, PartTypeDef]]":
        """The last upload of this key that did not end, and its parts; or a new one."""
        listed = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=key)
        begun = [one for one in listed.get("Uploads", []) if one["Key"] == key]
        for one in sorted(begun, key=lambda one: one["Initiated"], reverse=True):
            with suppress(self._client.exceptions.NoSuchUpload):  # another upload has ended it
                pages = self._client.get_paginator("list_parts").paginate(
                    Bucket=self._bucket, Key=key, UploadId=one["UploadId"]
                )
                parts = [part for page in pages for part in page.get("Parts", [])]
                return one["UploadId"], {part["PartNumber"]: part for part in parts}
        made = self._client.create_multipart_upload(
            Bucket=self._bucket,
            Key=key,
            ContentType=source.content_type,
            ChecksumAlgorithm="SHA256",
        )
        return made["UploadId"], {}


def _etag_of(part: "PartTypeDef | None", wanted: PartDigest) -> str | None:
    """The ETag of a part that has this content; None if it must be sent."""
    if part is None:
        return None
    if "ChecksumSHA256" in part:
        same = part["ChecksumSHA256"] == _base64(wanted.sha256)
    else:
        same = part["ETag"].strip('"') == wanted.md5.hex()
    return part["ETag"] if same else None


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _changed(source: StoredFile) -> ChangedWhileReadError:
    return ChangedWhileReadError(f"{source.path}: it changed while it was stored: upload it again")
