"""The oracle: what an event means, and what both stores must hold of it.

It knows docs/internals/formats.md and docs/internals/invariants.md by heart, and nothing of the
product: it imports the standard library only. It is told what an event means. It validates nothing,
and decodes nothing that the product encoded.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

DELETED = "image.deleted"
HORIZON_SECONDS = 121 * 24 * 60 * 60
# A lower version is a count.
FIRST_STAMP = 10**15
MOST_AHEAD_US = 5 * 60 * 1_000_000
# A consumer refuses a version that is further ahead of the arrival of its record.
REFUSED_AHEAD_US = 24 * 60 * 60 * 1_000_000
# The stamp of an import is over 120 days older than its arrival.
IMPORTED_US = 120 * 24 * 60 * 60 * 1_000_000

type RawItem = dict[str, dict[str, Any]]
type RawDocument = dict[str, Any]

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):?(\d\d))"
)
_MICROSECOND_DIGITS = 6
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - its text must not end with a zone
_encoder = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True)
class Meaning:
    """What an event means: an image, or without one its deletion.

    Times are as the event wrote them. The image is as JSON has it: texts, integers, lists, objects.
    """

    image_id: str
    version: int
    event_type: str
    occurred_at: str
    image: Mapping[str, Any] | None

    def __str__(self) -> str:
        """The event in a few words: an image may be long."""
        return f"{self.event_type} {self.image_id} version {self.version}"

    @cached_property
    def digest(self) -> str | None:
        """The digest of the image; None for a deletion."""
        if self.image is None:
            return None
        return hashlib.sha256(self.canonical_image).hexdigest()

    @cached_property
    def data(self) -> bytes:
        """The data of the record that the producer writes of this event."""
        head = canonical(
            {
                "image_id": self.image_id,
                "occurred_at": self.time,
                "type": self.event_type,
                "version": self.version,
            }
        )
        if self.image is None:
            return head
        # In the order of the keys, the image comes first.
        return b'{"image":' + self.canonical_image + b"," + head[1:]

    @cached_property
    def canonical_image(self) -> bytes:
        """The image in canonical JSON."""
        return canonical(self.stored_image)

    @cached_property
    def time(self) -> str:
        """`occurred_at` as a store has it."""
        return time(self.occurred_at)

    @cached_property
    def stored_image(self) -> Mapping[str, Any] | None:
        """The image as a store has it."""
        return None if self.image is None else _stored(self.image)

    @cached_property
    def _typed_image(self) -> dict[str, Any]:
        return _typed(self.stored_image)

    @cached_property
    def _fields(self) -> Mapping[str, Any]:
        """The fields of the image as the document has them."""
        fields = dict(self.stored_image or ())
        if "attributes" in fields:
            pairs = fields["attributes"].items()
            fields["attributes"] = [{"name": name, "value": value} for name, value in pairs]
        return fields


@dataclass(frozen=True)
class Holding:
    """What a store holds of an image. `arrived_at` is in milliseconds since 1970."""

    version: int
    arrived_at: int
    occurred_at: str


def time(written: str) -> str:
    """The canonical form of a time, as items, documents and digests have it."""
    match = _TIME.fullmatch(written)
    if match is None:
        raise ValueError(written)
    date, clock, fraction, sign, hours, minutes = match.groups()
    digits = (fraction or "").ljust(_MICROSECOND_DIGITS + 1, "0")
    microseconds = int(digits[:_MICROSECOND_DIGITS]) + (digits[_MICROSECOND_DIGITS] >= "5")
    exact = dt.datetime.fromisoformat(f"{date}T{clock}") + dt.timedelta(microseconds=microseconds)
    offset = "Z" if sign is None or hours == minutes == "00" else f"{sign}{hours}:{minutes}"
    return exact.isoformat() + offset


def time_of(stamp: int) -> str:
    """The time that a stamp stands for."""
    return (_EPOCH + dt.timedelta(microseconds=stamp)).isoformat() + "Z"


def moment(written: str) -> dt.datetime:
    """The moment that a canonical time stands for."""
    return dt.datetime.fromisoformat(written)


def canonical(value: object) -> bytes:
    """The canonical JSON of a value whose times are canonical."""
    return _encoder.encode(value).encode()


def digest(image: Mapping[str, Any]) -> str:
    """The digest of an image, as an event has it."""
    return stored_digest(_stored(image))


def stored_digest(image: Any) -> str:
    """The digest of an image, as a store has it: its time must be canonical."""
    return hashlib.sha256(canonical(image)).hexdigest()


def item(meaning: Meaning, *, arrived_at: int, shard_id: str, sequence_number: str) -> RawItem:
    """The item that the table holds of an event, in DynamoDB's typed form.

    Args:
        meaning: what the event means.
        arrived_at: the arrival of its record, in milliseconds since 1970.
        shard_id: the shard of its record.
        sequence_number: the sequence number of its record.
    """
    deleted = meaning.image is None
    made: RawItem = {
        "image_id": {"S": meaning.image_id},
        "version": {"N": str(meaning.version)},
        "deleted": {"BOOL": deleted},
        "event_type": {"S": meaning.event_type},
        "occurred_at": {"S": meaning.time},
        "arrived_at": {"N": str(arrived_at)},
        "shard_id": {"S": shard_id},
        "sequence_number": {"S": sequence_number},
    }
    if deleted:
        made["expires_at"] = {"N": str(end_of_tombstone(arrived_at))}
    else:
        made["digest"] = {"S": meaning.digest}
        made["image"] = meaning._typed_image  # noqa: SLF001 - computed once for all its records
    return made


def document(meaning: Meaning, *, arrived_at: int) -> RawDocument:
    """The `_source` that the index holds of an event; its `_version` is the event's version.

    Args:
        meaning: what the event means.
        arrived_at: the arrival of its record, in milliseconds since 1970.
    """
    deleted = meaning.image is None
    made: RawDocument = {
        "image_id": meaning.image_id,
        "version": meaning.version,
        "deleted": deleted,
        "event_type": meaning.event_type,
        "occurred_at": meaning.time,
        "arrived_at": arrived_at,
    }
    if deleted:
        made["expires_at"] = end_of_tombstone(arrived_at)
    else:
        made["digest"] = meaning.digest
        made.update(meaning._fields)
    return made


def meaning_in(item: Mapping[str, Mapping[str, Any]]) -> Meaning | None:
    """What an item says that somebody wrote by hand; None if it says nothing."""
    fields = {name: plain(value) for name, value in item.items()}
    match fields:
        case {
            "image_id": str(image_id),
            "version": int(version),
            "event_type": str(event_type),
            "occurred_at": str(occurred_at),
        } if _TIME.fullmatch(occurred_at):
            return Meaning(image_id, version, event_type, occurred_at, fields.get("image"))
        case _:
            return None


def same(found: Mapping[str, Any], must: Mapping[str, Any]) -> bool:
    """Whether two documents are the same JSON: in Python, `1.0`, `1` and `True` are equal."""
    return found == must and all(type(found[name]) is type(must[name]) for name in must)


def at_version(meaning: Meaning, version: int) -> Meaning:
    """The same event with another version."""
    return replace(meaning, version=version)


def too_far_ahead(version: int, arrived_at: int) -> bool:
    """Whether a consumer refuses this version in a record that arrived then, in milliseconds."""
    return version > arrived_at * 1000 + REFUSED_AHEAD_US


def as_produced(meaning: Meaning) -> Meaning:
    """What the record of the producer means: the same, but its attributes are sorted by name."""
    image = meaning.image
    if image is None or "attributes" not in image:
        return meaning
    ordered = dict(sorted(image["attributes"].items()))
    return replace(meaning, image={**image, "attributes": ordered})


def end_of_tombstone(arrived_at: int) -> int:
    """When a tombstone expires, in seconds since 1970; `arrived_at` is in milliseconds."""
    return arrived_at // 1000 + HORIZON_SECONDS


def fold(meanings: Iterable[Meaning]) -> dict[str, Meaning]:
    """The highest version of each image; of equal versions, the first."""
    highest: dict[str, Meaning] = {}
    for meaning in meanings:
        there = highest.get(meaning.image_id)
        if there is None or meaning.version > there.version:
            highest[meaning.image_id] = meaning
    return highest


def outrun(meaning: Meaning, arrived_at: int, held: Holding | None) -> bool:
    """Whether an event that is stale may be newer than what the store holds.

    Args:
        meaning: what the event means.
        arrived_at: the arrival of its record, in milliseconds since 1970.
        held: what the store holds of the image.
    """
    if held is None or meaning.version >= held.version or arrived_at <= held.arrived_at:
        return False
    is_count, held_is_count = meaning.version < FIRST_STAMP, held.version < FIRST_STAMP
    if held_is_count:
        return moment(meaning.time) > moment(held.occurred_at)
    if is_count:
        return True
    imported = arrived_at * 1000 - meaning.version > IMPORTED_US
    return not imported and held.version - held.arrived_at * 1000 > MOST_AHEAD_US


def _stored(image: Mapping[str, Any]) -> Mapping[str, Any]:
    """The image with its time in canonical form."""
    taken_at = image.get("taken_at")
    return image if taken_at is None else {**image, "taken_at": time(taken_at)}


def plain(value: Mapping[str, Any]) -> Any:
    """A value without DynamoDB's types."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return int(inner)
        case "L":
            return [plain(one) for one in inner]
        case "M":
            return {name: plain(one) for name, one in inner.items()}
        case _:
            return inner


def _typed(value: Any) -> dict[str, Any]:
    """A value in DynamoDB's typed form."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, Mapping):
        return {"M": {name: _typed(inner) for name, inner in value.items()}}
    if isinstance(value, list):
        return {"L": [_typed(inner) for inner in value]}
    return {"N": str(value)}
