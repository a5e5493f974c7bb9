"""What a store holds of an image, whole: a change that can be written again, or why there is none.

The audit's entries say whether two stores differ; here is what it takes to mend them.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from functions.write_to_es.document import MalformedDocumentError
from functions.write_to_es.document import change_in as change_in_document
from shared.change import Change, expiry_of, flaw_in
from shared.item import KEY, MalformedItemError
from shared.item import change_in as change_in_item


class Nothing(msgspec.Struct, frozen=True):
    """No entry of that image."""


class Sound(msgspec.Struct, frozen=True):
    """An entry as our sinks write it; only `guard`, which the store compares, may have moved."""

    change: Change
    guard: int

    @property
    def version(self) -> int:
        """The version that it says it is."""
        return self.change.version

    def expired(self, now: float) -> bool:
        """Whether it is a tombstone past its time: one that counts as absence."""
        expiry = expiry_of(self.change)
        return expiry is not None and expiry <= now


class Unsound(msgspec.Struct, frozen=True):
    """An entry that no sink of ours wrote, or whose content is not what its digest says.

    `version` is the one that it says it is, None when that is no version. A write gets past the
    store's guard above `guard`; None: with no version at all.
    """

    why: str
    version: int | None
    guard: int | None


type Held = Nothing | Sound | Unsound


def held_in_item(item: Mapping[str, Any]) -> Sound | Unsound:
    """What the table holds, from an item as DynamoDB's low-level API spells it."""
    version, guard = _version_of(item.get("version"))
    try:
        change = change_in_item(item)
    except MalformedItemError as error:
        return Unsound(str(error), version, guard)
    return _sound(change, item[KEY]["S"], change.version)


def held_in_document(hit: Mapping[str, Any]) -> Sound | Unsound:
    """What the index holds, from a document as a search hit or an `_mget` answer spells it."""
    source, guard = hit.get("_source", {}), hit["_version"]
    try:
        change = change_in_document(source)
    except MalformedDocumentError as error:
        version = source.get("version")
        is_one = isinstance(version, int) and not isinstance(version, bool)
        return Unsound(str(error), version if is_one else None, guard)
    return _sound(change, hit["_id"], guard)


def _sound(change: Change, image_id: str, guard: int) -> Sound | Unsound:
    why = flaw_in(change)
    if change.image_id != image_id:
        why = f"image_id is {change.image_id!r}"
    return Sound(change, guard) if why is None else Unsound(why, change.version, guard)


def _version_of(value: Mapping[str, Any] | None) -> tuple[int | None, int | None]:
    """Version and guard of an item: the table's guard compares whatever number is there."""
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
