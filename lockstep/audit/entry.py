"""The entry: what one store says of one image, in the few words that both stores can say."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from boto3.dynamodb.types import TypeDeserializer

from lockstep.audit.held import Sound, Unsound, held_in_document, held_in_item
from shared.change import Remove, digest_of
from shared.event import MAX_VERSION

# What a reader must ask each store for, unless it reads all.
FIELDS = ("image_id", "version", "deleted", "digest", "expires_at", "arrived_at")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One image in one store.

    `expires_at` is a tombstone's end, in seconds since 1970, `arrived_at` when the record came, in
    milliseconds. `guard` is the version that the store's own guard compares: the same in the
    table, `_version` in the index. `rest` is what else both stores must say alike, where whole
    entries are read. `malformed` says what is wrong with an entry that our sinks never wrote; then
    the rest may be missing.
    """

    image_id: str
    version: int = 0
    deleted: bool = False
    digest: str | None = None
    expires_at: int | None = None
    guard: int = 0
    arrived_at: int = 0
    rest: str | None = None
    malformed: str | None = None

    def expired(self, now: float) -> bool:
        """Whether this is a tombstone past its time: one that counts as absence."""
        return self.deleted and self.expires_at is not None and self.expires_at <= now


# Beyond this no version is ours, nor does it fit the audit's own records.
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]


class _Fields(msgspec.Struct, frozen=True):
    """What our sinks write: anything else is malformed."""

    image_id: str
    version: _Number
    deleted: bool
    digest: str | None = None
    expires_at: _Number | None = None
    arrived_at: Annotated[int, msgspec.Meta(ge=-MAX_VERSION, le=MAX_VERSION)] = 0


_deserializer = TypeDeserializer()


def from_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item of the table, as DynamoDB's low-level API spells it."""
    try:
        return _usual_item(item)
    except (KeyError, ValueError, AttributeError, _UnusualError):
        pass
    fields = {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}
    return _entry(fields["image_id"], fields, guard=None)


def _usual_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item as our sinks write it; a tenth of the price of reading any item."""
    version, deleted = int(item["version"]["N"]), item["deleted"]["BOOL"]
    digest = item["digest"]["S"] if "digest" in item else None
    expires_at = int(item["expires_at"]["N"]) if "expires_at" in item else None
    arrived_at = int(item["arrived_at"]["N"])
    _insist_on_usual(version, deleted, digest, expires_at, arrived_at)
    return Entry(item["image_id"]["S"], version, deleted, digest, expires_at, version, arrived_at)


class _UnusualError(Exception):
    """Not what our sinks write, or not for certain: to be looked at more closely."""


def _insist_on_usual(
    version: Any, deleted: Any, digest: Any, expires_at: Any, arrived_at: Any
) -> None:
    is_usual = (
        type(version) is int
        and 0 <= version <= MAX_VERSION
        and (deleted is (digest is None))
        and (digest is None or type(digest) is str)
        and (expires_at is None or (type(expires_at) is int and 0 <= expires_at <= MAX_VERSION))
        and type(arrived_at) is int
        and -MAX_VERSION <= arrived_at <= MAX_VERSION
    )
    if not is_usual:
        raise _UnusualError


def _plain(value: Any) -> Any:
    """A number as the integer it is; whatever is no integer stays what it is, and malformed."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def from_document(hit: Mapping[str, Any]) -> Entry:
    """The entry in a document of the index, as a search hit or an `_mget` answer spells it."""
    image_id, guard, source = hit["_id"], hit["_version"], hit.get("_source", {})
    try:
        version, deleted = source["version"], source["deleted"]
        digest, expires_at = source.get("digest"), source.get("expires_at")
        arrived_at = source["arrived_at"]
        _insist_on_usual(version, deleted, digest, expires_at, arrived_at)
        if source["image_id"] == image_id:
            return Entry(image_id, version, deleted, digest, expires_at, guard, arrived_at)
    except (KeyError, _UnusualError):
        pass
    return _entry(image_id, source, guard=guard)


def _entry(image_id: str, fields: Mapping[str, Any], guard: int | None) -> Entry:
    try:
        found = msgspec.convert(fields, _Fields)
    except msgspec.ValidationError as error:
        return Entry(image_id, malformed=str(error))
    if found.image_id != image_id:
        return Entry(image_id, malformed=f"image_id is {found.image_id!r}")
    if found.deleted != (found.digest is None):
        return Entry(image_id, malformed="a digest goes with an image, none with a tombstone")
    return Entry(
        image_id=image_id,
        version=found.version,
        deleted=found.deleted,
        digest=found.digest,
        expires_at=found.expires_at,
        guard=found.version if guard is None else guard,
        arrived_at=found.arrived_at,
    )


def from_whole_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item that was read with all its values, which must be what it says."""
    return _from_held(item["image_id"]["S"], held_in_item(item))


def from_whole_document(hit: Mapping[str, Any]) -> Entry:
    """The entry in a document that was read with all its values, which must be what it says."""
    return _from_held(hit["_id"], held_in_document(hit))


def _from_held(image_id: str, held: Sound | Unsound) -> Entry:
    match held:
        case Unsound(why):
            return Entry(image_id, malformed=why)
        case Sound(change, guard):
            return Entry(
                image_id=image_id,
                version=change.version,
                deleted=isinstance(change, Remove),
                digest=digest_of(change),
                expires_at=change.expires_at if isinstance(change, Remove) else None,
                guard=guard,
                arrived_at=change.arrived_at,
                rest=f"{change.event_type} {change.occurred_at}",
            )
