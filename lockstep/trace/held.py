"""What a store holds of an image now, for a person or a program to read."""

import datetime as dt

import msgspec

from functions.write_to_es.document import FROM_A_DOCUMENT
from lockstep.stores.image_state import Intact, Malformed, StoredImage
from shared.change import digest_of, expiry_of
from shared.rfc3339 import rfc3339

_UNKNOWN = "unknown"


class StoreHolds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one store holds. Times are in RFC 3339, UTC.

    `arrived_at` is the arrival of the record that was written; of the table, `shard_id` and
    `sequence_number` are its provenance. `expires_at` is the end of a tombstone. `malformed` says
    what is wrong with an entry that no sink of ours wrote; the other fields are then what it
    claims, if anything.
    """

    version: int | None
    deleted: bool
    arrived_at: str
    digest: str | None = None
    occurred_at: str | None = None
    expires_at: str | None = None
    shard_id: str | None = None
    sequence_number: str | None = None
    malformed: str | None = None


def held_of(stored: StoredImage) -> StoreHolds:
    """What a store holds, from its whole entry."""
    match stored:
        case Malformed(why, version=version, deleted=deleted, arrived_at=arrived_at):
            known_at = _moment(arrived_at / 1000) if arrived_at else _UNKNOWN
            return StoreHolds(version, deleted, known_at, malformed=why)
        case Intact(change):
            expiry = expiry_of(change)
            # The index does not store the provenance.
            known = change.shard_id != FROM_A_DOCUMENT
            return StoreHolds(
                change.version,
                digest_of(change) is None,
                _moment(change.arrived_at / 1000),
                digest=digest_of(change),
                occurred_at=change.occurred_at,
                expires_at=None if expiry is None else _moment(expiry),
                shard_id=change.shard_id if known else None,
                sequence_number=change.sequence_number if known else None,
            )


def _moment(seconds: float) -> str:
    try:
        return rfc3339(dt.datetime.fromtimestamp(seconds, dt.UTC), "milliseconds")
    except (ValueError, OverflowError, OSError):  # a malformed entry may claim any time
        return _UNKNOWN
