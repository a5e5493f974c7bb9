"""The pictures of a stack: what brings keys of its bucket in line."""

from typing import TYPE_CHECKING

from lockstep.console.errors import UserError
from lockstep.pictures.bucket.aligner import EventStream, ImageVersions, KeyAligner
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import PictureRows, salt_of
from shared.picture_ids import PREFIX

if TYPE_CHECKING:
    from lockstep.pictures.reading import PictureSettings
    from lockstep.stack.clients import Clients
    from lockstep.stack.stack import PictureStores


class NoPictureBucketError(UserError):
    """The stack has no picture bucket."""


def picture_stores(clients: "Clients") -> "PictureStores":
    """The names of the stack's picture bucket and of what belongs to it.

    Raises:
        NoPictureBucketError: it has none.
    """
    if clients.stack.pictures is None:
        if clients.stack.state is not None:
            raise NoPictureBucketError(
                "this local stack has no picture bucket: restart it with this release"
            )
        raise NoPictureBucketError(
            "this stack has no picture bucket: deploy it with the parameter Pictures=yes"
        )
    return clients.stack.pictures


def picture_rows(clients: "Clients") -> PictureRows:
    """The rows of the stack's pictures.

    Raises:
        NoPictureBucketError: it has no picture bucket.
    """
    table = picture_stores(clients).rows
    return PictureRows(clients.dynamodb, table, salt_of(clients.dynamodb, table))


def bucket_pictures(clients: "Clients", settings: "PictureSettings") -> BucketPictures:
    """The pictures in the stack's bucket.

    Raises:
        NoPictureBucketError: it has no picture bucket.
    """
    return BucketPictures(clients.s3, picture_stores(clients).bucket, settings)


def key_aligner(clients: "Clients", pictures: BucketPictures, rows: PictureRows) -> KeyAligner:
    """What brings the images of single keys in line with the stack's picture bucket."""
    return KeyAligner(
        rows,
        pictures,
        ImageVersions(clients.dynamodb, clients.stack.table),
        EventStream(clients.putting_one, clients.stack.stream),
        prefix=PREFIX,
        now=clients.clock.now,
    )
