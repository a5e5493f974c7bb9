"""The change: what an event means for a store."""

import datetime as dt

import msgspec
from msgspec import UNSET

from shared.event import MAX_VERSION, Event, EventType, Image, digest
from shared.record import Record


class Put(msgspec.Struct, frozen=True):
    """The image has this content from this version on.

    `arrived_at` is in milliseconds since 1970. Shard and sequence number are provenance only.
    """

    image_id: str
    version: int
    image: Image
    digest: str
    event_type: EventType
    occurred_at: str
    arrived_at: int
    shard_id: str
    sequence_number: str


class Remove(msgspec.Struct, frozen=True):
    """The image is deleted from this version on: leave a tombstone until `expires_at`.

    `expires_at` is in seconds since 1970: the record's arrival plus the horizon. It depends on no
    clock, so that a replay writes the same tombstone.
    """

    image_id: str
    version: int
    event_type: EventType
    occurred_at: str
    arrived_at: int
    expires_at: int
    shard_id: str
    sequence_number: str


class Purge(msgspec.Struct, frozen=True):
    """The image's tombstone has expired: remove it from the store.

    The fields are the tombstone's. A store without purges keeps the tombstone, which counts as
    absence once it has expired.
    """

    image_id: str
    version: int
    event_type: EventType
    occurred_at: str
    arrived_at: int
    expires_at: int
    shard_id: str
    sequence_number: str


type StoredChange = Put | Remove
"""What an entry of a store says: an image or a tombstone."""

type Change = StoredChange | Purge
"""A closed family: mypy checks that each `match` handles all of it."""


def digest_of(change: Change) -> str | None:
    """The content's digest; a deletion has none."""
    match change:
        case Put():
            return change.digest
        case Remove() | Purge():
            return None


def expiry_of(change: Change) -> int | None:
    """When the tombstone expires, in seconds since 1970; an image does not expire."""
    match change:
        case Put():
            return None
        case Remove() | Purge():
            return change.expires_at


def describe_content(digest: str | None, *, deleted: bool) -> str:
    """An entry's content in words, the same for equal content."""
    if deleted:
        return "a tombstone"
    return "an image without digest" if digest is None else f"digest {digest}"


def describe_change(change: Change) -> str:
    """A change's content in words, as `describe_content` describes the entry that it makes."""
    digest = digest_of(change)
    return describe_content(digest, deleted=digest is None)


def flaw_in(change: Change) -> str | None:
    """What is wrong with a change that was read from a store, None if nothing is."""
    if not 1 <= change.version <= MAX_VERSION:
        return f"version {change.version} is not valid: expected 1 to {MAX_VERSION}"
    match change:
        case Put() if digest(change.image) != change.digest:
            return "its digest does not match its content"
        case Put() | Remove() | Purge():
            return None


def change_from(event: Event, record: Record, *, horizon: dt.timedelta) -> StoredChange:
    """What an event means for a store.

    Args:
        event: the event, from `record.event_in`.
        record: the record that carries it.
        horizon: how long after arrival a replay may come (docs/internals/invariants.md).
    """
    occurred_at: str = msgspec.to_builtins(event.occurred_at)
    if event.image is UNSET:
        return Remove(
            image_id=event.image_id,
            version=event.version,
            event_type=event.type,
            occurred_at=occurred_at,
            arrived_at=record.arrived_at,
            expires_at=record.arrived_at // 1000 + int(horizon.total_seconds()),
            shard_id=record.shard_id,
            sequence_number=record.sequence_number,
        )
    return Put(
        image_id=event.image_id,
        version=event.version,
        image=event.image,
        digest=digest(event.image),
        event_type=event.type,
        occurred_at=occurred_at,
        arrived_at=record.arrived_at,
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
    )
