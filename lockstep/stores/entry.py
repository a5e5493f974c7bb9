"""The entry: the few fields of an image that both stores have and that an audit compares."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lockstep.stores.image_state import Intact, Malformed, state_of_document, state_of_item
from lockstep.stores.routing import flaw_of, name_of_document
from shared.change import digest_of, expiry_of, flaw_in_tombstone
from shared.event import MAX_VERSION
from shared.shortened import shortened

if TYPE_CHECKING:
    from boto3.dynamodb.types import TypeDeserializer

# What a reader requests of each store, unless it reads whole entries.
FIELDS = ("image_id", "version", "deleted", "digest", "expires_at", "arrived_at")


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One image in one store.

    `expires_at` is the end of a tombstone, in seconds since 1970, and `arrived_at` the arrival of
    the record, in milliseconds. `checked_version` is what the store's version check compares: the
    version in the table, `_version` in the index. `rest` holds the other fields that must be equal
    in both stores, if whole entries are read. `malformed` says what is wrong with an entry that no
    sink of ours wrote; `version`, `deleted` and `arrived_at` are then what it claims: the version
    of the version check if it states none, and 0 for an unknown arrival.
    """

    image_id: str
    version: int = 0
    deleted: bool = False
    digest: str | None = None
    expires_at: int | None = None
    checked_version: int = msgspec.field(default=0, name="guard")
    arrived_at: int = 0
    rest: str | None = None
    malformed: str | None = None

    def expired(self, now: float) -> bool:
        """Whether this is an expired tombstone: it counts as absent."""
        return self.deleted and self.expires_at is not None and self.expires_at <= now


# Larger numbers are not valid versions or times, and do not fit the audit's own files.
Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_VERSION)]
Moment = Annotated[int, msgspec.Meta(ge=-MAX_VERSION, le=MAX_VERSION)]


class _Fields(msgspec.Struct, frozen=True):
    """The types that our sinks write. An entry with other types is malformed."""

    image_id: str
    version: Number
    deleted: bool
    digest: str | None = None
    expires_at: Number | None = None
    arrived_at: Moment = 0


@cache
def _deserializer() -> "TypeDeserializer":
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 - slow; help needs no item

    return TypeDeserializer()


def from_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item of the table, in DynamoDB's low-level form."""
    deserialize = _deserializer().deserialize
    fields = {name: _plain(deserialize(value)) for name, value in item.items()}
    return _entry(fields["image_id"], fields, checked_version=None)


def _plain(value: Any) -> Any:
    """An integral number as an integer; any other value unchanged, which is then malformed."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def from_document(hit: Mapping[str, Any]) -> Entry:
    """The entry in a search hit or in a document of an `_mget` answer."""
    fields, checked_version = hit.get("_source", {}), hit["_version"]
    routing = hit.get("_routing")
    if routing is not None:
        return malformed(name_of_document(hit), flaw_of(routing), fields, checked_version)
    return _entry(hit["_id"], fields, checked_version)


def _entry(image_id: str, fields: Mapping[str, Any], checked_version: int | None) -> Entry:
    try:
        found = msgspec.convert(fields, _Fields)
    except msgspec.ValidationError as error:
        return malformed(image_id, shortened(str(error)), fields, checked_version)
    if found.image_id != image_id:
        why = shortened(f"image_id is {found.image_id!r}")
        return malformed(image_id, why, fields, checked_version)
    return checked(
        image_id,
        found.version,
        found.deleted,
        found.digest,
        found.expires_at,
        found.version if checked_version is None else checked_version,
        found.arrived_at,
    )


def checked(  # noqa: PLR0917 - the entry's fields in their order: called for each of millions
    image_id: str,
    version: int,
    deleted: bool,  # noqa: FBT001 - the same
    digest: str | None,
    expires_at: int | None,
    checked_version: int,
    arrived_at: int,
) -> Entry:
    """An entry of these fields, whose types are right; malformed if they contradict each other."""
    why: str | None = None
    if deleted is not (digest is None):
        why = "an image needs a digest, a tombstone must have none"
    elif deleted and expires_at is not None:
        why = flaw_in_tombstone(expires_at, arrived_at)
    if why is not None:
        return Entry(
            image_id,
            version,
            deleted,
            checked_version=checked_version,
            arrived_at=arrived_at,
            malformed=why,
        )
    return Entry(image_id, version, deleted, digest, expires_at, checked_version, arrived_at)


def malformed(
    image_id: str, why: str, fields: Mapping[str, Any], checked_version: int | None
) -> Entry:
    """A malformed entry with what its fields claim, as far as they are numbers that an entry holds.

    `checked_version` is None for an item, whose version check compares `version`.
    """
    version, arrived_at = _number(fields.get("version")), _number(fields.get("arrived_at"))
    checks = _number(checked_version)
    if version is None:
        version = checks or 0
    return Entry(
        image_id,
        version,
        deleted=fields.get("deleted") is True,
        checked_version=version if checks is None else checks,
        arrived_at=arrived_at or 0,
        malformed=why,
    )


def _number(value: Any) -> int | None:
    """A whole number, cut to those that fit an entry; None if it is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return max(0, min(value, MAX_VERSION))


def from_whole_item(item: Mapping[str, Any]) -> Entry:
    """The entry in an item that was read whole; malformed if its content contradicts its digest."""
    return entry_of(item["image_id"]["S"], state_of_item(item))


def from_whole_document(hit: Mapping[str, Any]) -> Entry:
    """The entry in a document that was read whole; see `from_whole_item`."""
    return entry_of(name_of_document(hit), state_of_document(hit))


def entry_of(image_id: str, stored: Intact | Malformed) -> Entry:
    """The entry of what a store holds of an image."""
    match stored:
        case Malformed(why, checked_version=checked_version):
            return malformed(image_id, why, msgspec.structs.asdict(stored), checked_version)
        case Intact(change, checked_version):
            return Entry(
                image_id=image_id,
                version=change.version,
                deleted=digest_of(change) is None,
                digest=digest_of(change),
                expires_at=expiry_of(change),
                checked_version=checked_version,
                arrived_at=change.arrived_at,
                # Without the provenance: if an event is on the stream twice, each store keeps the
                # provenance of the record that it saw first.
                rest=f"{change.event_type} {change.occurred_at}",
            )
