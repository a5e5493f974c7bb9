"""Keep the bucket of thumbnails in line with the bucket of pictures, one key at a time.

For a key, the bucket of thumbnails has what belongs to the object that is there now, and nothing
else of its image: two thumbnails, or two empty objects with the reason why there are none.

Any number of processes may work on the same key, with notifications in any order. After its last
write, each looks again, and starts anew if the object is another one. So the last look of all is
at what the bucket then has.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Final, Literal

import msgspec

from lockstep.make_thumbnails.outcome import Drawn, NotDrawn
from lockstep.pictures.bucket.aligner import ForeignKeyError, RestlessKeyError
from lockstep.pictures.kept import kept
from lockstep.pictures.notes import NotAPictureError
from shared.picture_ids import PREFIX, id_of_key, key_after
from shared.thumbnails import REASON, SIDES, thumbnail_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from lockstep.pictures.alignment import ObjectIdentity
    from lockstep.pictures.bucket.objects import BucketPictures

# A longer picture has no thumbnail: it would not fit into the temporary storage of the function.
LONGEST_BYTES: Final = 384 * 1024 * 1024
_TOO_LONG: Final = f"a file of more than {LONGEST_BYTES >> 20} MiB"
# Links work for 15 minutes, so a browser needs a picture for no longer.
_CACHED: Final = "private, max-age=900"
_TRIES: Final = 5

type Thumbnailing = Literal["drawn", "not drawn", "removed", "unchanged"]


class ThumbnailBucket:
    """The bucket of thumbnails. Raises what boto3 raises."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keys_of(self, image_id: str) -> set[str]:
        """The keys of all objects of an image."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"{image_id}/"
        )
        return {one["Key"] for page in pages for one in page.get("Contents", ())}

    def put(self, key: str, content: bytes, reason: str | None) -> None:
        """Store a thumbnail, or the reason why there is none."""
        self._client.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentType="image/webp",
            CacheControl=_CACHED,
            Metadata={} if reason is None else {REASON: reason},
        )

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._client.delete_object(Bucket=self._bucket, Key=key)


class _Content(msgspec.Struct, frozen=True):
    """What an object has: its checksum, and its content if it is not too long."""

    checksum: str
    file: IO[bytes] | None


class ThumbnailKeeper:
    """Brings the thumbnails of single keys in line with the picture bucket."""

    def __init__(
        self,
        pictures: "BucketPictures",
        thumbnails: ThumbnailBucket,
        draw: Callable[[IO[bytes]], Drawn | NotDrawn],
        *,
        checksum_bytes: int,
    ) -> None:
        """Set up the parts.

        Args:
            pictures: the bucket of pictures.
            thumbnails: the bucket of thumbnails.
            draw: draws a picture from a file.
            checksum_bytes: the image of a longer picture has no checksum, and so no thumbnails.
        """
        self._pictures = pictures
        self._thumbnails = thumbnails
        self._draw = draw
        self._checksum_bytes = checksum_bytes

    def keep(self, key: str) -> Thumbnailing:
        """Bring the thumbnails of a key in line with the object that it has now.

        Args:
            key: the whole key of the picture.

        Raises:
            ForeignKeyError: the key is not below the prefix of pictures.
            RestlessKeyError: the object changed during each of several tries.
            DrawingStoppedError: see `draw_in_sandbox`.
        """
        rest = key_after(PREFIX, key)
        if rest is None:
            raise ForeignKeyError(f"{key} is not below {PREFIX}")
        image_id = id_of_key(rest)
        for _ in range(_TRIES):
            identity = self._pictures.identity(key)
            outcome = self._match(key, image_id, identity)
            if outcome is not None and self._pictures.identity(key) == identity:
                return outcome
        raise RestlessKeyError(key, _TRIES)

    def _match(
        self, key: str, image_id: str, identity: "ObjectIdentity | None"
    ) -> Thumbnailing | None:
        """Make the thumbnails those of this object; None if it is not there any more."""
        with self._content(key, identity) as content:
            if content == "changed":
                return None
            there = self._thumbnails.keys_of(image_id)
            wanted: dict[str, int] = {}
            outcome: Thumbnailing = "unchanged"
            if isinstance(content, _Content):
                wanted = _keys(image_id, content.checksum)
                if not wanted.keys() <= there:
                    outcome = self._make(wanted, content.file)
            left_over = there - wanted.keys()
            for one in sorted(left_over):
                self._thumbnails.remove(one)
            return "removed" if left_over and not wanted else outcome

    def _make(self, wanted: dict[str, int], file: IO[bytes] | None) -> Thumbnailing:
        found = NotDrawn(_TOO_LONG) if file is None else self._draw(file)
        for key, side in wanted.items():
            if isinstance(found, Drawn):
                self._thumbnails.put(key, found.by_side[side], None)
            else:
                self._thumbnails.put(key, b"", _ascii(found.reason))
        return "drawn" if isinstance(found, Drawn) else "not drawn"

    @contextmanager
    def _content(
        self, key: str, identity: "ObjectIdentity | None"
    ) -> Iterator[_Content | Literal["changed", "nothing"]]:
        """The content of exactly this object; `nothing` if no thumbnail belongs to it."""
        if identity is None or identity.size_bytes > self._checksum_bytes:
            yield "nothing"
            return
        with ExitStack() as opened:
            pieces = opened.enter_context(self._pictures.content(key, identity))
            if pieces is None:
                yield "changed"
                return
            try:
                found = opened.enter_context(
                    kept(pieces, keep_bytes=LONGEST_BYTES, most_bytes=None)
                )
            except NotAPictureError:
                yield "nothing"
                return
            yield _Content(str(found.checksum), found.file if found.whole else None)


def _keys(image_id: str, checksum: str) -> dict[str, int]:
    """The keys of both thumbnails, the large one first, with their sides."""
    keys = {thumbnail_key(image_id, checksum, side): side for side in reversed(SIDES)}
    return {key: side for key, side in keys.items() if key is not None}


def _ascii(reason: str) -> str:
    """The reason as the metadata of S3 can have it."""
    return " ".join(reason.encode("ascii", "replace").decode().split())
