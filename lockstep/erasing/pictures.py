"""Erases the pictures of images, with all their versions, and their thumbnails."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from lockstep.stores.object_versions import ObjectVersion, ObjectVersions
from shared.picture_ids import PREFIX, id_of_key, key_after

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class Upload(msgspec.Struct, frozen=True):
    """A picture that somebody began to store in parts; the bucket has the parts."""

    key: str
    upload_id: str


class PictureSurvey(msgspec.Struct, frozen=True):
    """What the buckets hold of the pictures of some images.

    Attributes:
        pictures: of each image, all versions of its objects.
        thumbnails: the same of its thumbnails.
        uploads: of each image, what somebody began to store.
    """

    pictures: dict[str, list[ObjectVersion]]
    thumbnails: dict[str, list[ObjectVersion]]
    uploads: dict[str, list[Upload]]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing."""
        return not (self.pictures or self.thumbnails or self.uploads)

    def count(self, image_id: str) -> int:
        """How much there is of one image."""
        kinds = (self.pictures, self.thumbnails, self.uploads)
        return sum(len(kind.get(image_id, ())) for kind in kinds)


class PictureEraser:
    """Finds the objects of pictures, and erases them. Raises what boto3 raises."""

    def __init__(
        self,
        client: "S3Client",
        pictures: ObjectVersions,
        thumbnails: ObjectVersions | None,
    ) -> None:
        """Set it up.

        Args:
            client: lists and ends what somebody began to store.
            pictures: the picture bucket.
            thumbnails: the bucket of the thumbnails; None: there is none.
        """
        self._client = client
        self._pictures = pictures
        self._thumbnails = thumbnails

    def survey(self, is_wanted: Callable[[str], bool]) -> PictureSurvey:
        """List both buckets. The key of an object gives the id of its image.

        Args:
            is_wanted: whether an image with this id is erased.
        """
        found = PictureSurvey({}, {}, {})
        for one in self._pictures.listed(PREFIX):
            image_id = _image_of(one.key)
            if image_id is not None and is_wanted(image_id):
                found.pictures.setdefault(image_id, []).append(one)
        for one in () if self._thumbnails is None else self._thumbnails.listed(""):
            image_id = one.key.partition("/")[0]
            if is_wanted(image_id):
                found.thumbnails.setdefault(image_id, []).append(one)
        for upload in self._uploads():
            image_id = _image_of(upload.key)
            if image_id is not None and is_wanted(image_id):
                found.uploads.setdefault(image_id, []).append(upload)
        return found

    def erase(self, found: PictureSurvey) -> None:
        """Delete what a survey has found."""
        for uploads in found.uploads.values():
            for one in uploads:
                self._client.abort_multipart_upload(
                    Bucket=self._pictures.bucket, Key=one.key, UploadId=one.upload_id
                )
        self._pictures.delete(_all(found.pictures.values()))
        self.erase_thumbnails(found)

    def erase_thumbnails(self, found: PictureSurvey) -> None:
        """Delete only the thumbnails that a survey has found."""
        if self._thumbnails is not None:
            self._thumbnails.delete(_all(found.thumbnails.values()))

    def _uploads(self) -> Sequence[Upload]:
        pages = self._client.get_paginator("list_multipart_uploads")
        return [
            Upload(one["Key"], one["UploadId"])
            for page in pages.paginate(Bucket=self._pictures.bucket, Prefix=PREFIX)
            for one in page.get("Uploads", ())
        ]


def keys_of(image_id: str, found: PictureSurvey) -> Collection[str]:
    """The keys that the picture of an image has, or had."""
    keys = {one.key for one in found.pictures.get(image_id, ())}
    keys |= {one.key for one in found.uploads.get(image_id, ())}
    # A key that is no id gives an id of another form, which does not tell the key.
    return keys | ({PREFIX + image_id} if id_of_key(image_id) == image_id else set())


def _image_of(key: str) -> str | None:
    rest = key_after(PREFIX, key)
    return None if rest is None else id_of_key(rest)


def _all(some: Collection[list[ObjectVersion]]) -> list[ObjectVersion]:
    return [one for each in some for one in each]
