"""The pictures in a bucket: which object a key has now, and what its content says."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from lockstep.pictures.alignment import ObjectIdentity, Unreadable
from lockstep.pictures.image import GivenFields, image_of
from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.reading import Picture, PictureSettings, read_picture
from shared.event import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef, HeadObjectOutputTypeDef

_CHUNK_BYTES = 1024 * 1024
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED)


type ReadContent = Callable[[Iterable[bytes], int], Picture]
"""Reads a picture from its content in pieces, and its length. Raises NotAPictureError."""


class BucketPictures:
    """The pictures of one bucket. Raises what boto3 raises."""

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        settings: PictureSettings,
        *,
        read: ReadContent | None = None,
        on_refused: Callable[[str, str], object] = lambda _key, _why: None,
    ) -> None:
        """Set it up.

        Args:
            client: the client; it may retry.
            bucket: the picture bucket.
            settings: how a picture is read.
            read: reads it elsewhere, with these settings; None: in this process.
            on_refused: is told the key of what is no picture, and why.
        """
        self._client = client
        self._bucket = bucket
        self._read = read or partial(_read_here, settings)
        self._on_refused = on_refused

    def url(self, key: str) -> str:
        """The address of an object, as an event has it."""
        return f"s3://{self._bucket}/{key}"

    def identity(self, key: str) -> ObjectIdentity | None:
        """The object that the key has now; None if it has none, but only of a bucket that is there.

        The answer about an object is the same if the whole bucket is missing. It must not read as
        "each picture is deleted".
        """
        head = self._head(key)
        return None if head is None else identity_of(head)

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        """What S3 says of the object that the key has now, with its checksum."""
        try:
            return self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                self._client.head_bucket(Bucket=self._bucket)
                return None
            raise

    def checksum(self, key: str) -> str | None:
        """The SHA-256 of what the key has now, as events have it, from one read; None: nothing."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _status(error) in _GONE:
                return None
            raise
        digest = hashlib.sha256()
        with closing(answer["Body"]) as body:
            for piece in body.iter_chunks(_CHUNK_BYTES):
                digest.update(piece)
        return f"sha256:{digest.hexdigest()}"

    def read(self, key: str, identity: ObjectIdentity, given: GivenFields) -> Image | Unreadable:
        """The image of exactly this object, from one read of its content.

        Raises:
            GivenTooMuchError: what is given does not fit into an event.
        """
        with self.content(key, identity) as pieces:
            if pieces is None:
                return "changed"
            try:
                picture = self._read(pieces, identity.size_bytes)
            except NotAPictureError as refused:
                self._on_refused(key, str(refused))
                return "no picture"
        return image_of(picture, given).image

    @contextmanager
    def content(self, key: str, identity: ObjectIdentity) -> "Iterator[Iterable[bytes] | None]":
        """The content of exactly this object, in pieces; None if the key has another one now."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=identity.etag)
        except ClientError as error:
            if _status(error) not in _GONE:
                raise
            yield None
            return
        with closing(answer["Body"]) as body:
            pieces = cast("Iterable[bytes]", body.iter_chunks(_CHUNK_BYTES))
            yield pieces if identity_of(answer) == identity else None


def _read_here(settings: PictureSettings, pieces: Iterable[bytes], _: int) -> Picture:
    return read_picture(pieces, settings)


def identity_of(answer: "HeadObjectOutputTypeDef | GetObjectOutputTypeDef") -> ObjectIdentity:
    """Which object an answer of S3 is about."""
    modified = int(answer["LastModified"].timestamp())
    return ObjectIdentity(answer["ETag"], modified, answer["ContentLength"])


def _status(error: ClientError) -> int | None:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
