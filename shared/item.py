"""The item: converts a change to an item of the table and back (docs/internals/formats.md)."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from shared.change import Change, Purge, Put, Remove, StoredChange
from shared.event import Image, check_names
from shared.shortened import BriefError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

type AttributeValue = AttributeValueTypeDef
type Item = dict[str, AttributeValue]

# The view that the table's stream must have. Other views do not contain every change.
STREAM_VIEW: Final = "NEW_AND_OLD_IMAGES"
# The lists below do not contain the key, because an update must not set it.
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
# The DynamoDB type of each attribute. A key of the table or of its indexes must have the same type.
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


class MalformedItemError(BriefError):
    """No change makes such an item, so another program wrote it; says what is wrong."""


def item_from(change: Change) -> Item:
    """The item of this change, in DynamoDB's typed form.

    An image has `KEY` and `IMAGE_ATTRIBUTES`, a tombstone `KEY` and `TOMBSTONE_ATTRIBUTES`.
    """
    match change:
        case Put():
            return {
                KEY: {"S": change.image_id},
                "version": {"N": str(change.version)},
                "image": {"M": _typed_image(change.image)},
                "digest": {"S": change.digest},
                "event_type": {"S": change.event_type},
                "occurred_at": {"S": change.occurred_at},
                "arrived_at": {"N": str(change.arrived_at)},
                "shard_id": {"S": change.shard_id},
                "sequence_number": {"S": change.sequence_number},
                "deleted": {"BOOL": False},
            }
        case Remove() | Purge():
            return {
                KEY: {"S": change.image_id},
                "version": {"N": str(change.version)},
                "event_type": {"S": change.event_type},
                "occurred_at": {"S": change.occurred_at},
                "arrived_at": {"N": str(change.arrived_at)},
                "expires_at": {"N": str(change.expires_at)},
                "shard_id": {"S": change.shard_id},
                "sequence_number": {"S": change.sequence_number},
                "deleted": {"BOOL": True},
            }


def change_in_item(item: "Mapping[str, AttributeValue]") -> StoredChange:
    """The change that made this item. Attributes that are not in `OUR_ATTRIBUTES` are ignored.

    Raises:
        MalformedItemError: no change makes such an item.
    """
    deleted = item.get("deleted") == {"BOOL": True}
    expected = {KEY, *(TOMBSTONE_ATTRIBUTES if deleted else IMAGE_ATTRIBUTES)}
    found = OUR_ATTRIBUTES & item.keys()
    if found != expected:
        kind = "a tombstone" if deleted else "an image"
        flaws = (("unexpected", found - expected), ("missing", expected - found))
        listed = "; ".join(f"{word} {', '.join(sorted(names))}" for word, names in flaws if names)
        raise MalformedItemError(f"{kind}: {listed}")
    try:
        plain = {name: _plain(item[name]) for name in expected}
        if plain["deleted"] is not deleted:
            raise MalformedItemError(f"$.deleted: expected BOOL, got {item['deleted']}")
        if deleted:
            return msgspec.convert(plain, Remove)
        put = msgspec.convert(plain, Put)
        check_names(put.image)
    except (msgspec.ValidationError, ValueError) as error:
        raise MalformedItemError(str(error)) from error
    return put


def _typed_image(image: Image) -> Item:
    """Like boto3's TypeSerializer, at a fraction of the cost, for the values that an image has."""
    typed: Item = {}
    plain: dict[str, Any] = msgspec.to_builtins(image)
    for name, value in plain.items():
        match value:
            case str():
                typed[name] = {"S": value}
            case int():
                typed[name] = {"N": str(value)}
            case dict():
                typed[name] = {"M": {key: {"S": text} for key, text in value.items()}}
            case _:
                typed[name] = {"L": [{"S": text} for text in value]}
    return typed


def _plain(value: "Mapping[str, Any]") -> Any:
    # `match` takes three times as long for an item, which has about thirty values.
    if "S" in value:
        return value["S"]
    if "BOOL" in value:
        return value["BOOL"]
    if "N" in value:
        return int(value["N"])
    if "L" in value:
        return [_plain(inner) for inner in value["L"]]
    if "M" in value:
        return {name: _plain(inner) for name, inner in value["M"].items()}
    raise MalformedItemError(f"unexpected type {', '.join(value)}")
