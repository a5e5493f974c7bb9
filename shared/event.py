"""The event: what a record says, decoded and validated; one validator for both consumers."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MAX_EVENT_BYTES = 256 * 1024
MAX_VERSION = 2**53 - 1  # what JSON numbers carry exactly; fits OpenSearch's signed 64 bits too
MAX_TAGS = MAX_ATTRIBUTES = 64
# A description must fit an index keyword only when it is one word; a value always must.
MAX_VALUE_BYTES = 8 * 1024
MAX_DESCRIPTION_BYTES = 32 * 1024
# What the index's calendar (Java's) knows; beyond it a time would be stored and not found by date.
# The zones in use end at +14:00.
MAX_OFFSET = timedelta(hours=18)

# `$` alone also matches before a last newline in Python, and `\Z` is unknown to JSON Schema.
_END = r"$(?![\s\S])"
IMAGE_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,255}" + _END
ATTRIBUTE_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}" + _END
_OFFSET_PATTERN = r"([Zz]|[+-](0[0-9]|1[0-7]):[0-5][0-9]|[+-]18:00)" + _END

ImageId = Annotated[str, Meta(pattern=IMAGE_ID_PATTERN, description="Also the partition key.")]
Version = Annotated[int, Meta(ge=1, le=MAX_VERSION, description="Higher wins.")]
Value = Annotated[
    str,
    Meta(
        max_length=MAX_VALUE_BYTES,
        description=f"At most {MAX_VALUE_BYTES} bytes of UTF-8.",
        extra_json_schema={"x-max-bytes": MAX_VALUE_BYTES},
    ),
]
Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_VALUE_BYTES,
        description=f"At most {MAX_VALUE_BYTES} bytes of UTF-8.",
        extra_json_schema={"x-max-bytes": MAX_VALUE_BYTES},
    ),
]
Description = Annotated[
    str,
    Meta(
        max_length=MAX_DESCRIPTION_BYTES,
        description=f"At most {MAX_DESCRIPTION_BYTES} bytes of UTF-8.",
        extra_json_schema={"x-max-bytes": MAX_DESCRIPTION_BYTES},
    ),
]
Count = Annotated[int, Meta(ge=0, le=MAX_VERSION)]
Time = Annotated[
    datetime,
    Meta(
        tz=True,
        description="RFC 3339, with a zone, at most 18 hours from UTC.",
        extra_json_schema={"pattern": _OFFSET_PATTERN},
    ),
]
AttributeName = Annotated[str, Meta(pattern=ATTRIBUTE_NAME_PATTERN)]

EventType = Literal["image.uploaded", "image.updated", "image.deleted"]


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image's metadata, whole: an event carries all of it or none (state transfer)."""

    name: Name
    description: Description | UnsetType = UNSET
    url: Value | UnsetType = UNSET
    content_type: Value | UnsetType = UNSET
    size_bytes: Count | UnsetType = UNSET
    width: Count | UnsetType = UNSET
    height: Count | UnsetType = UNSET
    checksum: Value | UnsetType = UNSET
    uploaded_by: Value | UnsetType = UNSET
    taken_at: Time | UnsetType = UNSET
    tags: Annotated[tuple[Value, ...], Meta(max_length=MAX_TAGS)] | UnsetType = UNSET
    attributes: (
        Annotated[dict[AttributeName, Value], Meta(max_length=MAX_ATTRIBUTES)] | UnsetType
    ) = UNSET


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that happened to one image. `image` is there unless the image was deleted."""

    type: EventType
    image_id: ImageId
    version: Version
    occurred_at: Time
    image: Image | UnsetType = UNSET


Reason = Literal[
    "not_utf8",
    "not_json",
    "schema",
    "too_large",
    "aggregated",
    "partition_key",
    "version_ahead",
    "malformed",
    "conflict",
    "refused_by_store",
]


class InvalidEventError(Exception):
    """These bytes are no event, or no item of ours; `detail` says what is wrong and where."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


_decoder = msgspec.json.Decoder(Event)
_any_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder(order="sorted")

# The first bytes of what the Kinesis Producer Library aggregates (docs/internals/facts.md).
AGGREGATED_MAGIC = b"\xf3\x89\x9a\xc2"
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def decode(data: bytes) -> Event:
    """The event in a record's data: all of it valid, or nothing.

    Raises:
        InvalidEventError: never anything else, whatever the bytes are.
    """
    if len(data) > MAX_EVENT_BYTES:
        detail = f"{len(data)} bytes, at most {MAX_EVENT_BYTES}: shorten the description"
        raise InvalidEventError("too_large", detail)
    if data.startswith(AGGREGATED_MAGIC):
        detail = "a KPL-aggregated record: turn aggregation off in the producer"
        raise InvalidEventError("aggregated", detail)
    try:
        event = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _why_not(data, error) from None
    _check_offset("$.occurred_at", event.occurred_at)
    if event.type == "image.deleted":
        if event.image is not UNSET:
            raise InvalidEventError("schema", "$.image: image.deleted carries none: leave it out")
    elif event.image is UNSET:
        raise InvalidEventError("schema", f"$.image: {event.type} needs it: send the whole image")
    else:
        if event.image.taken_at is not UNSET:
            _check_offset("$.image.taken_at", event.image.taken_at)
        if len(data) > MAX_VALUE_BYTES:  # decoding never lengthens a text
            _check_lengths(event.image)
    return event


def encode(event: Event) -> bytes:
    """The event as JSON, keys sorted, absent fields left out."""
    return _encoder.encode(event)


def digest(image: Image) -> str:
    """SHA-256, lower-case hex, of the image as JSON with sorted keys and absent fields left out."""
    return hashlib.sha256(_encoder.encode(image)).hexdigest()


def _check_offset(where: str, time: datetime) -> None:
    if time.tzinfo is not UTC and abs(time.utcoffset() or timedelta()) > MAX_OFFSET:
        detail = f"{where}: {time:%:z} is no zone's offset, 18:00 at most: write the time in UTC"
        raise InvalidEventError("schema", detail)


def _check_lengths(image: Image) -> None:
    """Lengths count in UTF-8 bytes, which neither msgspec nor JSON Schema can say."""
    for field, value in msgspec.structs.asdict(image).items():
        limit = MAX_DESCRIPTION_BYTES if field == "description" else MAX_VALUE_BYTES
        match value:
            case str():
                _check_length(f"$.image.{field}", value, limit)
            case tuple():
                for position, text in enumerate(value):
                    _check_length(f"$.image.{field}[{position}]", text, limit)
            case dict():
                for name, text in value.items():
                    _check_length(f"$.image.{field}.{name}", text, limit)
            case _:
                pass


def _check_length(where: str, text: str, limit: int) -> None:
    size = len(text.encode())
    if size > limit:
        raise InvalidEventError("schema", f"{where}: {size} bytes of UTF-8, at most {limit}")


def _why_not(data: bytes, error: Exception) -> InvalidEventError:
    """The reason for a refusal: is it text, is it JSON, or is it JSON that is no event."""
    if data.startswith(_BYTE_ORDER_MARKS):
        return InvalidEventError("not_json", "starts with a byte order mark: send UTF-8 without")
    try:
        data.decode()
    except UnicodeDecodeError as bad:
        detail = f"byte {bad.start} is not UTF-8 ({bad.reason}): encode the JSON as UTF-8"
        return InvalidEventError("not_utf8", detail)
    try:
        _any_decoder.decode(data)
    except RecursionError:
        return InvalidEventError("schema", "nested too deep: an event has three levels")
    except msgspec.ValidationError as bad:  # a number out of range, in JSON that is well formed
        return InvalidEventError("schema", str(bad))
    except msgspec.DecodeError as bad:
        if not data.strip():
            return InvalidEventError("not_json", "empty: send one JSON object a record")
        detail = f"{bad}: send one JSON object a record (lone surrogates are no text either)"
        return InvalidEventError("not_json", detail)
    return InvalidEventError("schema", str(error))
