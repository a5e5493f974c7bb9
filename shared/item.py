"""The item: how the table stores a change, and reading it back (docs/internals/formats.md)."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.change import Change, Put, Remove, Stored, digest_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

type AttributeValue = AttributeValueTypeDef
type Item = dict[str, AttributeValue]

# What the table's stream must tell of a change: with less, some changes and removals are unknown.
STREAM_VIEW: Final = "NEW_AND_OLD_IMAGES"
# The key stands apart: an update must not set it.
KEY = "image_id"
_BOTH = (
    "version",
    "deleted",
    "event_type",
    "occurred_at",
    "arrived_at",
    "shard_id",
    "sequence_number",
)
_ONLY_IMAGE = ("digest", "image")
_ONLY_TOMBSTONE = ("expires_at",)
IMAGE_ATTRIBUTES = (*_BOTH, *_ONLY_IMAGE)
TOMBSTONE_ATTRIBUTES = (*_BOTH, *_ONLY_TOMBSTONE)
# DynamoDB's type of each: what a key of the table or of one of its indexes has to be.
ATTRIBUTE_TYPES: "Mapping[str, str]" = {
    KEY: "S",
    "version": "N",
    "deleted": "BOOL",
    "event_type": "S",
    "occurred_at": "S",
    "arrived_at": "N",
    "shard_id": "S",
    "sequence_number": "S",
    "digest": "S",
    "image": "M",
    "expires_at": "N",
}
OUR_ATTRIBUTES = frozenset(ATTRIBUTE_TYPES)


class MalformedItemError(Exception):
    """An item that we did not write, or that was changed behind our back; says what is wrong."""


def item_from(change: Change) -> Item:
    """The item that this change makes, in DynamoDB's typed form.

    An image has `KEY` and `IMAGE_ATTRIBUTES`, a tombstone `KEY` and `TOMBSTONE_ATTRIBUTES`.
    """
    plain = msgspec.to_builtins(change)
    plain["deleted"] = digest_of(change) is None
    return {name: _typed(value) for name, value in plain.items()}


def change_in(item: "Mapping[str, AttributeValue]") -> Stored:
    """The change that made this item; attributes of others beside ours do not matter.

    Raises:
        MalformedItemError: no change of ours makes such an item.
    """
    deleted = item.get("deleted") == {"BOOL": True}
    expected = {KEY, *(TOMBSTONE_ATTRIBUTES if deleted else IMAGE_ATTRIBUTES)}
    found = OUR_ATTRIBUTES & item.keys()
    if found != expected:
        kind = "a tombstone" if deleted else "an image"
        raise MalformedItemError(
            f"{kind}, with {_listed(found - expected)} too much and "
            f"{_listed(expected - found)} missing"
        )
    try:
        plain = {name: _plain(item[name]) for name in expected}
        if plain["deleted"] is not deleted:
            raise MalformedItemError(f"$.deleted: neither true nor false, {item['deleted']}")
        return msgspec.convert(plain, Remove) if deleted else msgspec.convert(plain, Put)
    except (msgspec.ValidationError, ValueError) as error:
        raise MalformedItemError(str(error)) from error


def _typed(value: Any) -> "AttributeValue":
    """Exact for what a change is made of, at a third of the cost of boto3's TypeSerializer."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):  # before int, which it is too
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, dict):
        return {"M": {name: _typed(inner) for name, inner in value.items()}}
    return {"L": [_typed(inner) for inner in value]}


def _plain(value: "AttributeValue") -> Any:
    match value:
        case {"S": text} | {"BOOL": text}:
            return text
        case {"N": number}:
            return int(number)
        case {"L": values}:
            return [_plain(inner) for inner in values]
        case {"M": attributes}:
            return {name: _plain(inner) for name, inner in attributes.items()}
        case _:
            raise MalformedItemError(f"no change of ours holds the type {', '.join(value)}")


def _listed(names: "Collection[str]") -> str:
    return ", ".join(sorted(names)) or "nothing"
