"""The pictures of a stack: what brings keys of its bucket in line."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.console.errors import UserError
from lockstep.console.failures import message_of
from lockstep.pictures.alignment import Alignment, ObjectIdentity
from lockstep.pictures.bucket.aligner import EventStream, ImageVersions, KeyAligner
from lockstep.pictures.bucket.objects import BucketPictures, ReadContent
from lockstep.pictures.bucket.rows import PictureRows, salt_of
from lockstep.pictures.within_limits.readers import ReadingStoppedError
from shared.picture_ids import PREFIX, key_after

if TYPE_CHECKING:
    from lockstep.pictures.reading import PictureSettings
    from lockstep.stack.clients import Clients
    from lockstep.stack.stack import PictureStores

# As many pictures as `lockstep upload` sends at the same time.
_AT_ONCE: Final = 8
_PAGE: Final = 100


class AlignedKey(msgspec.Struct, frozen=True):
    """What became of one key: it is in line, or `failure` says why not."""

    key: str
    outcome: Alignment | None = None
    failure: str | None = None


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


def bucket_pictures(
    clients: "Clients",
    settings: "PictureSettings",
    *,
    read: ReadContent | None = None,
    on_refused: Callable[[str, str], object] = lambda _key, _why: None,
) -> BucketPictures:
    """The pictures in the stack's bucket; for the arguments, see `BucketPictures`.

    Raises:
        NoPictureBucketError: it has no picture bucket.
    """
    bucket = picture_stores(clients).bucket
    return BucketPictures(clients.s3, bucket, settings, read=read, on_refused=on_refused)


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


def pictures_below(clients: "Clients", prefix: str) -> Iterator[tuple[str, ObjectIdentity]]:
    """Each key of a picture that begins with a prefix, with its identity as HEAD says it.

    Raises:
        NoPictureBucketError: the stack has no picture bucket.
    """
    pages = clients.s3.get_paginator("list_objects_v2").paginate(
        Bucket=picture_stores(clients).bucket, Prefix=prefix
    )
    for page in pages:
        for one in page.get("Contents", []):
            if key_after(PREFIX, one["Key"]) is not None:
                modified = int(one["LastModified"].timestamp())
                yield one["Key"], ObjectIdentity(one["ETag"], modified, one["Size"])


def each_key(align: Callable[[str], Alignment], keys: Iterable[str]) -> Iterator[AlignedKey]:
    """Bring keys in line, several at the same time, and say what became of each, in their order.

    Args:
        align: brings one key in line; called in threads.
        keys: the keys.
    """

    def aligned(key: str) -> AlignedKey:
        try:
            return AlignedKey(key, align(key))
        except (UserError, ClientError, BotoCoreError, ReadingStoppedError) as error:
            return AlignedKey(key, failure=message_of(error))

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for page in batched(keys, _PAGE):
            yield from threads.map(aligned, page)
