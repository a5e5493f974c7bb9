"""Running `alignment` for a key: with the row in its table, the object, and the stream."""

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from lockstep.console.errors import UserError
from lockstep.pictures.alignment import (
    Alignment,
    LookAtObject,
    PutEvent,
    ReadImageVersion,
    ReadObject,
    ReadRow,
    Wanted,
    WriteRow,
    align,
)
from lockstep.pictures.bucket.answers import CutAnswerError, item_in
from lockstep.pictures.bucket.objects import BucketPictures
from lockstep.pictures.bucket.rows import PictureRows
from lockstep.pictures.image import GivenFields
from shared.picture_ids import id_of_key, key_after

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kinesis import KinesisClient

# Each start after the first one is due to somebody else who writes the object or the row.
MOST_STARTS = 100


class ForeignKeyError(ValueError):
    """The key is not below the prefix of the pictures."""


class RestlessKeyError(UserError):
    """The object or the row of a key changed each time while it was read."""

    def __init__(self, key: str, times: int) -> None:
        """Say so.

        Args:
            key: the whole key of the object.
            times: how often it changed.
        """
        super().__init__(key, times)
        self._key = key
        self._times = times

    def __str__(self) -> str:
        return f"{self._key} changed each of {self._times} times while it was read: try again later"


class GivenByUpload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a person gives for a picture besides its content.

    Attributes:
        uploaded_by: who uploads it.
        tags: before the picture's own keywords.
        attributes: instead of the picture's own ones with the same names.
        file_name: the name of the file, if its key does not end with it.
        zone: the zone of a time without an offset, if the upload chooses another one.
        gps: whether the upload wants the position.
    """

    uploaded_by: str | None = None
    tags: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    file_name: str | None = None
    zone: str | None = None
    gps: bool = False

    @property
    def digest(self) -> str:
        """Tells other fields from these."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()


class ImageVersions:
    """The versions of the images in the table, also of their tombstones."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, image_id: str) -> int:
        """The version of an image, strongly consistent; 0 if the table has none.

        Raises:
            CutAnswerError: the answer is cut off.
        """
        answer = self._client.get_item(
            TableName=self._table,
            Key={"image_id": {"S": image_id}},
            ProjectionExpression="version",
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        )
        item = item_in(answer, self._table)
        return 0 if item is None else int(item["version"]["N"])


class EventStream:
    """The image stream, one record at a time."""

    def __init__(self, client: "KinesisClient", stream: str) -> None:
        self._client = client
        self._stream = stream

    def put(self, image_id: str, data: bytes) -> None:
        """Put one record. Raises what boto3 raises: then it is unknown whether it is there.

        Raises:
            CutAnswerError: the answer is cut off.
        """
        answer = self._client.put_record(StreamName=self._stream, PartitionKey=image_id, Data=data)
        # botocore reads a cut answer as an empty success.
        if "SequenceNumber" not in answer:
            raise CutAnswerError(f"stream {self._stream}: an empty answer")


class KeyAligner:
    """Brings single keys in line with the bucket. Any number may work on the same key."""

    def __init__(
        self,
        rows: PictureRows,
        pictures: BucketPictures,
        versions: ImageVersions,
        stream: EventStream,
        *,
        prefix: str,
        now: Callable[[], float],
    ) -> None:
        """Set up the parts.

        Args:
            rows: the rows of all keys.
            pictures: the bucket.
            versions: the image table.
            stream: the image stream.
            prefix: keys below it are pictures; the id follows from the rest.
            now: seconds since 1970.
        """
        self._rows = rows
        self._pictures = pictures
        self._versions = versions
        self._stream = stream
        self._prefix = prefix
        self._now = now

    def align(
        self, key: str, given: GivenByUpload | None = None, *, is_shown: bool = False
    ) -> Alignment:
        """Bring the image of a key in line with the object that the key has now.

        Args:
            key: the whole key of the object.
            given: what an upload gives for it; None: what an earlier upload gave stays.
            is_shown: whether the table has the image although no row may know of it.

        Raises:
            ForeignKeyError: the key is not below the prefix.
            CountedVersionError: the source of this image counts its versions.
            CutAnswerError: an answer was cut off.
            RestlessKeyError: it did not come to an end; nothing is lost.
        """
        rest = key_after(self._prefix, key)
        if rest is None:
            raise ForeignKeyError(f"{key} is not below {self._prefix}")
        image_id = id_of_key(rest)
        digest = None if given is None else given.digest
        starts = 0
        routine = align(image_id, self._now(), digest, is_shown=is_shown)
        wanted = next(routine)
        while True:
            starts += isinstance(wanted, ReadRow)
            if starts > MOST_STARTS:
                raise RestlessKeyError(key, MOST_STARTS)
            try:
                wanted = routine.send(self._answer(wanted, key, image_id, given))
            except StopIteration as end:
                outcome: Alignment = end.value
                return outcome

    def _answer(
        self, wanted: Wanted, key: str, image_id: str, given: GivenByUpload | None
    ) -> object:
        match wanted:
            case ReadRow():
                return self._rows.read(image_id)
            case LookAtObject():
                return self._pictures.identity(key)
            case ReadImageVersion():
                return self._versions.read(image_id)
            case ReadObject(identity):
                url = self._pictures.url(key)
                fields = given_fields(key, url, identity.size_bytes, given)
                return self._pictures.read(key, identity, fields)
            case WriteRow(row, after):
                return self._rows.write(image_id, row, after, self._now())
            case PutEvent(data):
                self._stream.put(image_id, data)
                return None


def given_fields(
    key: str, url: str, size_bytes: int, given: GivenByUpload | None = None
) -> GivenFields:
    """What is known of an object besides its content.

    Args:
        key: its whole key.
        url: its address.
        size_bytes: the length of its content.
        given: what an upload gives for it.
    """
    said = given or GivenByUpload()
    return GivenFields(
        file_name=said.file_name or key.rpartition("/")[2],
        url=url,
        size_bytes=size_bytes,
        uploaded_by=said.uploaded_by,
        tags=said.tags,
        attributes=said.attributes,
    )
