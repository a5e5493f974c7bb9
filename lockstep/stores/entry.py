"""The entry: what one store says of one image, in the few words that both stores can say."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from boto3.dynamodb.types import TypeDeserializer

from lockstep.stores.held import Sound, Unsound, held_in_document, held_in_item
from shared.change import digest_of, expiry_of
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
Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]
Moment = Annotated[int, msgspec.Meta(ge=-MAX_VERSION, le=MAX_VERSION)]


class _Fields(msgspec.Struct, frozen=True):
    """What our sinks write: anything else is malformed."""

    image_id: str
    version: Number
    deleted: bool
    digest: str | None = None
    expires_at: Number | None = None
    arrived_at: Moment = 0


_deserializer = TypeDeserializer()


def from_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item of the table, as DynamoDB's low-level API spells it."""
    fields = {name: _plain(_deserializer.deserialize(value)) for name, value in item.items()}
    return _entry(fields["image_id"], fields, guard=None)


def _plain(value: Any) -> Any:
    """A number as the integer it is; whatever is no integer stays what it is, and malformed."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def from_document(hit: Mapping[str, Any]) -> Entry:
    """The entry in a document of the index, as a search hit or an `_mget` answer spells it."""
    return _entry(hit["_id"], hit.get("_source", {}), guard=hit["_version"])


def _entry(image_id: str, fields: Mapping[str, Any], guard: int | None) -> Entry:
    try:
        found = msgspec.convert(fields, _Fields)
    except msgspec.ValidationError as error:
        return Entry(image_id, malformed=str(error))
    if found.image_id != image_id:
        return Entry(image_id, malformed=f"image_id is {found.image_id!r}")
    return checked(
        image_id,
        found.version,
        found.deleted,
        found.digest,
        found.expires_at,
        found.version if guard is None else guard,
        found.arrived_at,
    )


def checked(  # noqa: PLR0917 - the entry's own fields, in their order: called for each of millions
    image_id: str,
    version: int,
    deleted: bool,  # noqa: FBT001 - the same
    digest: str | None,
    expires_at: int | None,
    guard: int,
    arrived_at: int,
) -> Entry:
    """An entry of these fields, each of which is as it may be, if together they are, too."""
    if deleted is not (digest is None):
        return Entry(image_id, malformed="a digest goes with an image, none with a tombstone")
    return Entry(image_id, version, deleted, digest, expires_at, guard, arrived_at)


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
                deleted=digest_of(change) is None,
                digest=digest_of(change),
                expires_at=expiry_of(change),
                guard=guard,
                arrived_at=change.arrived_at,
                rest=f"{change.event_type} {change.occurred_at}",
            )
