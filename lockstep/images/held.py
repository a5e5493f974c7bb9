"""What both stores hold of one image, side by side, and where they differ."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, SupportsBytes, cast

import msgspec

from functions.write_to_es.document import Head
from lockstep.audit.compare import DifferenceKind, difference
from lockstep.images.events import ShownEvent
from lockstep.stores.entry import entry_of
from lockstep.stores.image_state import (
    Intact,
    Malformed,
    StoredImage,
    state_of_document,
    state_of_item,
)
from lockstep.trace.held import StoreHolds, held_of
from shared.change import Change, Purge, Put, Remove

HeldState = Literal["image", "tombstone", "expired_tombstone", "malformed"]

# They may differ although the stores are equal: of two records of one event, each store keeps the
# one that it saw first.
OWN_FIELDS = frozenset({"arrived_at", "expires_at", "shard_id", "sequence_number"})


class HeldImage(StoreHolds, frozen=True, kw_only=True, omit_defaults=True):
    """All that one store holds of an image.

    `checked_version` is what the store's version check compares. `image` is the content; of a
    malformed entry it is what can be read of it. An expired tombstone counts as absent.
    """

    state: HeldState
    checked_version: int | None = None
    event_type: str | None = None
    image: Mapping[str, Any] | None = None


class SideBySide(msgspec.Struct, frozen=True):
    """An image in both stores.

    `difference` is the kind of difference that `audit --values` names; None if both are equal.
    `differs` names the fields that differ, as `fields_of` does.
    """

    table: HeldImage | None
    index: HeldImage | None
    difference: DifferenceKind | None
    differs: Sequence[str]


def side_by_side(
    item: Mapping[str, Any] | None, document: Mapping[str, Any] | None, *, now: float
) -> SideBySide:
    """Compare what the stores hold of one image.

    Args:
        item: the item of the table, in DynamoDB's low-level form; None if there is none.
        document: the document of the index, as `_mget` returns it; None if there is none.
        now: in seconds since 1970.
    """
    in_table = None if item is None else state_of_item(item)
    in_index = None if document is None else state_of_document(document)
    kind = difference(
        None if item is None or in_table is None else entry_of(item["image_id"]["S"], in_table),
        None if document is None or in_index is None else entry_of(document["_id"], in_index),
        now=now,
    )
    table = None if item is None else held_in_item(item, now=now)
    index = None if document is None else held_in_document(document, now=now)
    return SideBySide(table, index, kind, [] if kind is None else _differing(table, index))


def held_in_item(item: Mapping[str, Any], *, now: float) -> HeldImage:
    """All that the table holds of an image, from an item in DynamoDB's low-level form."""
    return _held(state_of_item(item), lambda: _readable_item(item), now)


def held_in_document(document: Mapping[str, Any], *, now: float) -> HeldImage:
    """All that the index holds of an image, from a document of an `_mget` answer."""
    return _held(state_of_document(document), lambda: _readable_document(document), now)


def fields_of(held: HeldImage | ShownEvent | None) -> dict[str, Any]:
    """The fields by name, in one flat form for stores and events. Absent fields are left out."""
    if held is None:
        return {}
    plain = {name: value for name in _ORDER if (value := getattr(held, name, None)) is not None}
    if isinstance(held, HeldImage) and held.checked_version != held.version:
        plain["checked_version"] = held.checked_version
    image = {**(held.image or {})}
    attributes = image.pop("attributes", {})
    if not isinstance(attributes, Mapping):
        return plain | image | {"attributes": attributes}
    return plain | image | {f"attributes.{name}": one for name, one in attributes.items()}


_ORDER = (
    "state",
    "malformed",
    "version",
    "event_type",
    "occurred_at",
    "arrived_at",
    "expires_at",
    "digest",
    "shard_id",
    "sequence_number",
)


type _Readable = tuple[Mapping[str, str], Mapping[str, Any]]
"""What can be read of a malformed entry: its texts, and its image."""


def _held(stored: StoredImage, readable: Callable[[], _Readable], now: float) -> HeldImage:
    known = msgspec.structs.asdict(held_of(stored))
    match stored:
        case Malformed(checked_version=checked_version):
            texts, content = readable()
            return HeldImage(
                **{**known, **texts},
                state="malformed",
                checked_version=checked_version,
                image=content,
            )
        case Intact(change, checked_version):
            state, image = _content(change, expired=stored.expired(now))
            return HeldImage(
                **known,
                state=state,
                checked_version=checked_version,
                event_type=change.event_type,
                image=image,
            )


def _content(change: Change, *, expired: bool) -> tuple[HeldState, Mapping[str, Any] | None]:
    match change:
        case Put():
            # Lists, as a malformed entry has them.
            return "image", msgspec.json.decode(msgspec.json.encode(change.image))
        case Remove() | Purge():
            return ("expired_tombstone" if expired else "tombstone"), None


def _differing(table: HeldImage | None, index: HeldImage | None) -> list[str]:
    """The fields that differ; `state` alone if one of the stores counts as having nothing."""
    there = [one for one in (table, index) if one is not None and one.state != "expired_tombstone"]
    if len(there) < 2:  # noqa: PLR2004 - the stores
        return ["state"]
    ours, theirs = fields_of(table), fields_of(index)
    names = dict.fromkeys([*ours, *theirs])
    return [name for name in names if name not in OWN_FIELDS and ours.get(name) != theirs.get(name)]


# What is shown of a malformed entry, if it is a text.
_TEXTS = ("event_type", "occurred_at", "digest")


def _readable_item(item: Mapping[str, Any]) -> _Readable:
    """What can be read of a malformed item."""
    from boto3.dynamodb.types import TypeDeserializer  # noqa: PLC0415 - slow; help needs no item

    deserialize = TypeDeserializer().deserialize
    plain = {name: _plain(deserialize(item[name])) for name in (*_TEXTS, "image") if name in item}
    image = plain.get("image", {})
    return _texts(plain), image if isinstance(image, dict) else {"image": image}


def _plain(value: Any) -> Any:
    """A value as JSON has it: numbers of DynamoDB are decimals, and its sets have no order."""
    from boto3.dynamodb.types import Binary  # noqa: PLC0415 - as above

    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case set():
            return sorted(map(_plain, value), key=repr)
        case Binary():
            return bytes(cast("SupportsBytes", value))
        case Decimal() if value == value.to_integral_value():
            return int(value)
        case _:
            return value


def _readable_document(document: Mapping[str, Any]) -> _Readable:
    """What can be read of a malformed document."""
    source = document.get("_source", {})
    image = {name: value for name, value in source.items() if name not in Head.__struct_fields__}
    pairs = image.get("attributes")
    if isinstance(pairs, list) and all(map(_is_pair, pairs)):
        image["attributes"] = {str(one["name"]): one["value"] for one in pairs}
    return _texts(source), image


def _texts(plain: Mapping[str, Any]) -> Mapping[str, str]:
    return {name: one for name in _TEXTS if isinstance(one := plain.get(name), str)}


def _is_pair(value: object) -> bool:
    return isinstance(value, dict) and {"name", "value"} <= value.keys()
