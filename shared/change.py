"""The change: what an event means for a store."""

import msgspec
from msgspec import UNSET

from shared.event import MAX_VERSION, Event, EventType, Image, digest
from shared.horizon import HORIZON, end_of_tombstone
from shared.record import Record


class Put(msgspec.Struct, frozen=True):
    """Store this content of the image, with this version.

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
    """Delete the image, and leave a tombstone with this version until `expires_at`.

    `expires_at` is in seconds since 1970: the arrival of the record plus the horizon. It does not
    depend on a clock, so a replay writes the same tombstone.
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

    The fields are those of the tombstone. A store that does not purge keeps the tombstone.
    Everything treats an expired tombstone as absent.
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
"""A change that a store can hold: an image or a tombstone."""

type Change = StoredChange | Purge
"""A closed family: mypy checks that each `match` handles every member."""


def digest_of(change: Change) -> str | None:
    """The digest of the image; None for a deletion."""
    match change:
        case Put():
            return change.digest
        case Remove() | Purge():
            return None


def expiry_of(change: Change) -> int | None:
    """When the tombstone expires, in seconds since 1970; None for an image."""
    match change:
        case Put():
            return None
        case Remove() | Purge():
            return change.expires_at


def describe_content(digest: str | None, *, deleted: bool) -> str:
    """Describe the content of an entry in words; equal contents get equal words."""
    if deleted:
        return "a tombstone"
    return "an image without digest" if digest is None else f"digest {digest}"


def describe_change(change: Change) -> str:
    """Describe the content of a change, as `describe_content` describes the entry that it makes."""
    digest = digest_of(change)
    return describe_content(digest, deleted=digest is None)


def flaw_in(change: Change) -> str | None:
    """Say what is wrong with a change that was read from a store; None if it is correct."""
    if not 1 <= change.version <= MAX_VERSION:
        return f"version {change.version} is not valid: expected 1 to {MAX_VERSION}"
    match change:
        case Put() if digest(change.image) != change.digest:
            return "its digest does not match its content"
        case Remove() | Purge():
            return flaw_in_tombstone(change.expires_at, change.arrived_at)
        case Put():
            return None


def flaw_in_tombstone(expires_at: int, arrived_at: int) -> str | None:
    """Say what is wrong with the end of a tombstone; None if it is kept for the whole horizon.

    Args:
        expires_at: its end, in seconds since 1970.
        arrived_at: the arrival of its record, in milliseconds since 1970.
    """
    end = end_of_tombstone(arrived_at)
    if expires_at >= end:
        return None
    return (
        f"its expires_at is {expires_at}, but a tombstone must be kept until {end}, "
        f"{HORIZON.days} days after its arrival"
    )


def change_from(event: Event, record: Record) -> StoredChange:
    """The change that an event means for a store.

    Args:
        event: the event, as `record.event_in` returns it.
        record: the record that contains the event.
    """
    occurred_at: str = msgspec.to_builtins(event.occurred_at)
    if event.image is UNSET:
        return Remove(
            image_id=event.image_id,
            version=event.version,
            event_type=event.type,
            occurred_at=occurred_at,
            arrived_at=record.arrived_at,
            expires_at=end_of_tombstone(record.arrived_at),
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
