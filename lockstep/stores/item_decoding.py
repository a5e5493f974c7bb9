"""Decodes items straight from bytes to the dictionaries that the client makes of them.

The client decodes each value by its model, which takes ten times as long. The result is the same:
whoever reads it needs no change. This module leaves answers with other types to the client: also
errors, and answers that were cut off.
"""

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING, Any, TypedDict

import msgspec
from msgspec import MsgspecError, Raw, UnsetType

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class _Value(TypedDict, total=False):
    """The value of an attribute."""

    S: str
    N: str
    B: bytes
    BOOL: bool
    NULL: bool
    SS: list[str]
    NS: list[str]
    BS: list[bytes]
    L: "list[_Value]"
    M: "dict[str, _Value]"


type _Item = dict[str, _Value]


class _RestOfScan(msgspec.Struct, rename="pascal"):
    last_evaluated_key: Raw | UnsetType = msgspec.UNSET
    consumed_capacity: Raw | UnsetType = msgspec.UNSET
    count: Raw | UnsetType = msgspec.UNSET
    scanned_count: Raw | UnsetType = msgspec.UNSET


class _Scan(_RestOfScan, rename="pascal", kw_only=True):
    items: list[_Item]


class _RestOfLookup(msgspec.Struct, rename="pascal"):
    unprocessed_keys: Raw | UnsetType = msgspec.UNSET
    consumed_capacity: Raw | UnsetType = msgspec.UNSET


class _Lookup(_RestOfLookup, rename="pascal", kw_only=True):
    responses: dict[str, list[_Item]]


def decode_items(client: "DynamoDBClient") -> None:
    """Make the client decode the items of Scan and BatchGetItem by this module."""
    events = client.meta.events
    events.register("before-parse.dynamodb.Scan", _hook(_Scan, _RestOfScan, "items", "Items"))
    events.register(
        "before-parse.dynamodb.BatchGetItem",
        _hook(_Lookup, _RestOfLookup, "responses", "Responses"),
    )


def _hook(answer: type[Any], rest: type[Any], field: str, name: str) -> Callable[..., None]:
    """A hook of botocore's `before-parse`: decodes a member of an answer, leaves it the rest."""
    decoder = msgspec.json.Decoder(answer)

    def decode(
        response_dict: MutableMapping[str, Any],
        customized_response_dict: MutableMapping[str, Any],
        **_: object,
    ) -> None:
        try:
            found = decoder.decode(response_dict["body"])
        except (MsgspecError, UnicodeDecodeError, RecursionError):
            return
        customized_response_dict[name] = getattr(found, field)
        left = {one: getattr(found, one) for one in rest.__struct_fields__}
        response_dict["body"] = msgspec.json.encode(rest(**left))

    return decode
