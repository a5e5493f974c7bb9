"""All that a store holds of an image: a change that can be written again, or why there is none.

An audit compares entries (`lockstep.stores.entry`); a repair or a rebuild needs the whole content.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from functions.write_to_es.document import MalformedDocumentError, change_in_document
from lockstep.stores.routing import flaw_of
from shared.change import Change, digest_of, expiry_of, flaw_in
from shared.item import KEY, MalformedItemError, change_in_item
from shared.shortened import shortened


class Absent(msgspec.Struct, frozen=True):
    """The store has nothing of the image."""


class Intact(msgspec.Struct, frozen=True):
    """An entry as our sinks write it.

    `checked_version` is what the store's version check compares. It differs from `version` only if
    somebody else wrote the entry.
    """

    change: Change
    checked_version: int

    @property
    def version(self) -> int:
        """The version that the entry states."""
        return self.change.version

    def expired(self, now: float) -> bool:
        """Whether this is an expired tombstone: it counts as absent."""
        expiry = expiry_of(self.change)
        return expiry is not None and expiry <= now


class Malformed(msgspec.Struct, frozen=True):
    """An entry that no sink of ours wrote, or whose content does not match its digest.

    `version` is what the entry states; None if that is not a version. A write with a version above
    `checked_version` passes the store's version check; None: no write passes. `deleted` and
    `arrived_at` (milliseconds since 1970; 0 if unknown) are what the entry claims.
    """

    why: str
    version: int | None
    checked_version: int | None
    deleted: bool = False
    arrived_at: int = 0


type StoredImage = Intact | Malformed
type ImageState = Absent | StoredImage


def state_of_item(item: Mapping[str, Any]) -> StoredImage:
    """What the table holds, from an item in DynamoDB's low-level form."""
    try:
        change = change_in_item(item)
    except MalformedItemError as error:
        version, checked_version = _version_of(item.get("version"))
        return Malformed(
            str(error),
            version,
            checked_version,
            deleted=item.get("deleted") == {"BOOL": True},
            arrived_at=_version_of(item.get("arrived_at"))[0] or 0,
        )
    return _checked(change, item[KEY]["S"], change.version)


def state_of_document(hit: Mapping[str, Any]) -> StoredImage:
    """What the index holds, from a search hit or a document of an `_mget` answer."""
    routing = hit.get("_routing")
    if routing is not None:
        return _malformed_document(hit, flaw_of(routing))
    try:
        change = change_in_document(hit.get("_source", {}))
    except MalformedDocumentError as error:
        return _malformed_document(hit, str(error))
    return _checked(change, hit["_id"], hit["_version"])


def _malformed_document(hit: Mapping[str, Any], why: str) -> Malformed:
    source = hit.get("_source", {})
    return Malformed(
        why,
        _whole_number(source.get("version")),
        hit["_version"],
        deleted=source.get("deleted") is True,
        arrived_at=_whole_number(source.get("arrived_at")) or 0,
    )


def _checked(change: Change, image_id: str, checked_version: int) -> StoredImage:
    why = flaw_in(change)
    if change.image_id != image_id:
        why = shortened(f"image_id is {change.image_id!r}")
    return (
        Intact(change, checked_version)
        if why is None
        else Malformed(
            why,
            change.version,
            checked_version,
            deleted=digest_of(change) is None,
            arrived_at=change.arrived_at,
        )
    )


def _whole_number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _version_of(value: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """The version of an item, and the number that the version check compares; None: no number."""
    match value:
        case None:
            return None, 0
        case {"N": number}:
            try:
                found = Decimal(number)
            except InvalidOperation:
                return None, None
            whole = int(found)
            return (whole if whole == found else None), max(whole, 0)
        case _:
            return None, None
