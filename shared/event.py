"""The event: its types, and the validator that both consumers use."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.shortened import shortened

MAX_EVENT_BYTES = 256 * 1024
MAX_VERSION = 2**53 - 1  # the largest integer that every JSON parser reads exactly
MAX_IMAGE_ID = 256  # characters
MAX_TAGS = MAX_ATTRIBUTES = 64
# The limit of a keyword in the index. Of a description, each single word must fit.
MAX_VALUE_BYTES = 8 * 1024
MAX_DESCRIPTION_BYTES = 32 * 1024
# The limit of Java, and so of the index: a time with a larger offset would be stored, but a search
# by date would not find it. Real time zones end at +14:00.
MAX_OFFSET = timedelta(hours=18)

# In Python, `$` also matches before a final newline. JSON Schema has no `\Z`.
_END = r"$(?![\s\S])"
IMAGE_ID_PATTERN = rf"^[A-Za-z0-9][A-Za-z0-9._:-]{{0,{MAX_IMAGE_ID - 1}}}" + _END
ATTRIBUTE_NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]{0,63}" + _END
# The times that the decoder accepts: more than RFC 3339 has (`+0100`, a space for the `T`), and no
# leap second. It rounds to microseconds; the last one of the year 9999 cannot be rounded up.
_DAY = (
    r"(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    r"|02-(0[1-9]|1[0-9]|2[0-8]))"
    r"|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
)
TIME_PATTERN = (
    rf"^(?!9999-12-31[Tt ]23:59:59\.999999[5-9]){_DAY}"
    r"[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"([Zz]|[+-](0[0-9]|1[0-7]):?[0-5][0-9]|[+-]18:?00)"
) + _END

ImageId = Annotated[str, Meta(pattern=IMAGE_ID_PATTERN, description="Also the partition key.")]
# `decode` checks the patterns of an event. msgspec would call Python for each name of an attribute.
_ImageIdOfEvent = Annotated[
    str,
    Meta(description="Also the partition key.", extra_json_schema={"pattern": IMAGE_ID_PATTERN}),
]
Version = Annotated[int, Meta(ge=1, le=MAX_VERSION, description="The highest version wins.")]
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
        extra_json_schema={"pattern": TIME_PATTERN, "examples": ["2026-11-21T08:00:00Z"]},
    ),
]
_NameOfAttribute = Annotated[str, Meta(extra_json_schema={"pattern": ATTRIBUTE_NAME_PATTERN})]

EventType = Literal["image.uploaded", "image.updated", "image.deleted"]


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The metadata of an image. An event carries the whole image or none (state transfer)."""

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
        Annotated[dict[_NameOfAttribute, Value], Meta(max_length=MAX_ATTRIBUTES)] | UnsetType
    ) = UNSET


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What happened to one image. `image` is absent only in `image.deleted`."""

    type: EventType
    image_id: _ImageIdOfEvent
    version: Version
    occurred_at: Time
    image: Image | UnsetType = UNSET


# Operators filter by these codes, and objects in quarantine keep them: never rename one.
# docs/guides/quarantine.md explains each.
Reason = Literal[
    "not_utf8",
    "utf_16",
    "not_json",
    "base64",
    "compressed",
    "schema",
    "null",
    "number_as_text",
    "decimal_point",
    "id_too_long",
    "id_characters",
    "too_large",
    "aggregated",
    "partition_key",
    "version_ahead",
    "malformed",
    "conflict",
    "outrun",
    "refused_by_store",
]


class InvalidEventError(Exception):
    """A record does not contain a valid event or item; `detail` says what is wrong, and where.

    `detail` is short, whatever the record contains.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason: Reason = reason
        self.detail = shortened(detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


_decoder = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(order="sorted")

# The first bytes of an aggregated record of the Kinesis Producer Library
# (docs/internals/facts.md).
AGGREGATED_MAGIC = b"\xf3\x89\x9a\xc2"


def decode(data: bytes) -> Event:
    """Decode and validate a record's data.

    Raises:
        InvalidEventError: the data is not a valid event. No other exception is raised.
    """
    if len(data) > MAX_EVENT_BYTES:
        raise _why_refused(data, None)
    try:
        event = _decoder.decode(data)
        if _is_image_id(event.image_id) is None:
            raise _no_match(IMAGE_ID_PATTERN, "`$.image_id`")
        check_names(event.image)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _why_refused(data, error) from None
    if event.occurred_at.tzinfo is not UTC:
        _check_offset("$.occurred_at", event.occurred_at)
    if event.type == "image.deleted":
        if event.image is not UNSET:
            raise InvalidEventError("schema", "$.image: not allowed in image.deleted: remove it")
    elif event.image is UNSET:
        raise InvalidEventError("schema", f"$.image: missing in {event.type}: send the whole image")
    else:
        if event.image.taken_at is not UNSET and event.image.taken_at.tzinfo is not UTC:
            _check_offset("$.image.taken_at", event.image.taken_at)
        if len(data) > MAX_VALUE_BYTES:  # a decoded text is never longer than its JSON
            _check_lengths(event.image)
    return event


def encode(event: Event) -> bytes:
    """The event as JSON, with sorted keys and without absent fields."""
    return _encoder.encode(event)


def digest(image: Image) -> str:
    """The SHA-256 (lower-case hex) of the image as JSON with sorted keys and no absent fields."""
    return hashlib.sha256(_encoder.encode(image)).hexdigest()


# Names of attributes that were checked: most images have the same ones.
_known_names: set[str] = set()
_MOST_KNOWN = 1024
_is_image_id = re.compile(IMAGE_ID_PATTERN).match
_is_attribute_name = re.compile(ATTRIBUTE_NAME_PATTERN).match


def check_names(image: Image | UnsetType) -> None:
    """Check the names of the attributes, which the type does not.

    Raises:
        msgspec.ValidationError: one of them does not have the form of a name.
    """
    if image is UNSET:
        return
    attributes = image.attributes
    if attributes is UNSET or _known_names.issuperset(attributes):
        return
    for name in attributes:
        if _is_attribute_name(name) is None:
            raise _no_match(ATTRIBUTE_NAME_PATTERN, "`key` in `$.image.attributes`")
    if len(_known_names) > _MOST_KNOWN:
        _known_names.clear()
    _known_names.update(attributes)


def _no_match(pattern: str, where: str) -> msgspec.ValidationError:
    """What msgspec raises for a text that does not match a pattern."""
    return msgspec.ValidationError(f"Expected `str` matching regex {pattern!r} - at {where}")


def _check_offset(where: str, time: datetime) -> None:
    if abs(time.utcoffset() or timedelta()) > MAX_OFFSET:
        detail = f"{where}: the offset {time:%:z} is more than 18:00: write the time in UTC"
        raise InvalidEventError("schema", detail)


def _check_lengths(image: Image) -> None:
    """Check limits in UTF-8 bytes, which neither msgspec nor JSON Schema can express."""
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
    if len(text.encode()) > limit:
        raise too_long(where, text, limit)


def too_long(where: str, text: str, limit: int) -> InvalidEventError:
    """The refusal of a text of more than `limit` bytes of UTF-8."""
    detail = f"{where}: {len(text.encode())} bytes of UTF-8, at most {limit}: shorten it"
    return InvalidEventError("schema", detail)


def _why_refused(data: bytes, error: Exception | None) -> InvalidEventError:
    from shared.refusal import why_refused  # noqa: PLC0415 - imports this module; rarely needed

    return why_refused(data, error)
