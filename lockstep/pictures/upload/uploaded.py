"""The pictures of a bucket, one of which was uploaded from a file that was read already."""

from typing import TYPE_CHECKING

from lockstep.pictures.bucket.objects import BucketPictures, identity_of
from lockstep.pictures.bucket.transfer import StoredFile, is_stored
from lockstep.pictures.image import GivenFields, image_of

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from lockstep.pictures.alignment import ObjectIdentity, Unreadable
    from lockstep.pictures.reading import Picture, PictureSettings
    from shared.event import Image


class UploadedPictures(BucketPictures):
    """`BucketPictures` for the key of one file.

    The object is not read again, if S3 says that it has the content of the file. Otherwise somebody
    has overwritten it, and it is read as any other.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        settings: "PictureSettings",
        source: StoredFile,
        picture: "Picture",
    ) -> None:
        """Set it up.

        Args:
            client: the client; it may retry.
            bucket: the picture bucket.
            settings: how another object is read.
            source: the file.
            picture: what it says of itself.
        """
        super().__init__(client, bucket, settings)
        self._source = source
        self._picture = picture
        self._of_file: ObjectIdentity | None = None

    def identity(self, key: str) -> "ObjectIdentity | None":
        """The object that the key has now; None if it has none."""
        head = self._head(key)
        if head is None:
            return None
        found = identity_of(head)
        if is_stored(head, self._source):
            self._of_file = found
        return found

    def read(
        self, key: str, identity: "ObjectIdentity", given: GivenFields
    ) -> "Image | Unreadable":
        """The image of exactly this object; of the file without another read."""
        if identity == self._of_file:
            return image_of(self._picture, given).image
        return super().read(key, identity, given)
