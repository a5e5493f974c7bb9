"""Decodes answers to GetRecords straight from bytes to the records of a stream.

The clients decode each value to a dictionary, which takes ten times as long. This module decodes
the expected types only. It leaves all other answers to the clients: also errors, and answers that
were cut off.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, MsgspecError, UnsetType

from lockstep.stream.stream import StreamRecord

# Seconds since 1970, up to the end of the year 9999: the times that the clients can decode.
_Seconds = Annotated[float, msgspec.Meta(ge=0, lt=253_402_300_800)]
# The key of an answer's decoded records.
_DECODED = "DecodedRecords"

_encode = msgspec.json.Encoder().encode


class _Record(msgspec.Struct, rename="pascal", gc=False):
    """A record of a Kinesis stream."""

    sequence_number: str
    partition_key: str
    data: bytes
    approximate_arrival_timestamp: _Seconds


class _AttributeValue(msgspec.Struct, gc=False):
    """The value of an attribute, with exactly one of these members."""

    S: str | UnsetType = UNSET
    N: str | UnsetType = UNSET
    B: bytes | UnsetType = UNSET
    BOOL: bool | UnsetType = UNSET
    NULL: bool | UnsetType = UNSET
    SS: list[str] | UnsetType = UNSET
    NS: list[str] | UnsetType = UNSET
    BS: list[bytes] | UnsetType = UNSET
    L: "list[_AttributeValue] | UnsetType" = UNSET
    M: "dict[str, _AttributeValue] | UnsetType" = UNSET


class _ChangedItem(msgspec.Struct, rename="pascal", gc=False):
    """An item before and after a change."""

    approximate_creation_date_time: _Seconds
    keys: dict[str, _AttributeValue]
    sequence_number: str
    new_image: dict[str, _AttributeValue] | UnsetType = UNSET
    old_image: dict[str, _AttributeValue] | UnsetType = UNSET
    size_bytes: int | UnsetType = UNSET
    stream_view_type: str | UnsetType = UNSET


class TableRecord(
    msgspec.Struct,
    gc=False,
    rename={
        "event_id": "eventID",
        "event_name": "eventName",
        "event_version": "eventVersion",
        "event_source": "eventSource",
        "aws_region": "awsRegion",
        "user_identity": "userIdentity",
    },
):
    """A record of a table's stream."""

    event_id: str
    dynamodb: _ChangedItem
    event_name: str | UnsetType = UNSET
    event_version: str | UnsetType = UNSET
    event_source: str | UnsetType = UNSET
    aws_region: str | UnsetType = UNSET
    user_identity: dict[str, str] | UnsetType = UNSET

    def in_lambda(self, region: str) -> StreamRecord:
        """The record, with its data in Lambda's format; see `lockstep.stream.table`.

        Raises:
            KeyError: `userIdentity` has not all of its members.
        """
        change = self.dynamodb
        at = int(change.approximate_creation_date_time)
        change.approximate_creation_date_time = float(at)
        self.event_id = self.event_id.replace("-", "")
        self.aws_region = region
        if self.user_identity is not UNSET:
            self.user_identity = identity_in_lambda(self.user_identity)
        return StreamRecord(
            change.sequence_number, _encode(change.keys).decode(), _encode(self), at * 1000
        )


def identity_in_lambda(identity: Mapping[str, str]) -> dict[str, str]:
    """`userIdentity` as Lambda spells it.

    Raises:
        KeyError: a member is missing.
    """
    return {"type": identity["Type"], "principalId": identity["PrincipalId"]}


class _StreamPage[R](msgspec.Struct, rename="pascal"):
    records: list[R]
    next_shard_iterator: str | UnsetType = UNSET
    millis_behind_latest: int | UnsetType = UNSET


class _RestOfPage(msgspec.Struct, rename="pascal"):
    next_shard_iterator: str | UnsetType
    millis_behind_latest: int | UnsetType


_kinesis_pages = msgspec.json.Decoder(_StreamPage[_Record])
_table_pages = msgspec.json.Decoder(_StreamPage[TableRecord])


def decode_kinesis(
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """Hook for botocore's `before-parse.kinesis.GetRecords`: adds the records, decoded."""
    page = _page_of(_kinesis_pages, response_dict)
    if page is not None:
        customized_response_dict[_DECODED] = [
            StreamRecord(
                one.sequence_number,
                one.partition_key,
                one.data,
                round(one.approximate_arrival_timestamp * 1000),
            )
            for one in page.records
        ]


def decode_table(
    response_dict: MutableMapping[str, Any],
    customized_response_dict: MutableMapping[str, Any],
    **_: object,
) -> None:
    """Hook for `before-parse.dynamodb-streams.GetRecords`: adds the records, decoded."""
    page = _page_of(_table_pages, response_dict)
    if page is not None:
        customized_response_dict[_DECODED] = page.records


def decoded_records(answer: Mapping[str, Any]) -> Sequence[Any] | None:
    """The records that a hook decoded: `StreamRecord` or `TableRecord`; None: the client did it."""
    return answer.get(_DECODED)


def _page_of[R](
    pages: msgspec.json.Decoder[_StreamPage[R]], response: MutableMapping[str, Any]
) -> _StreamPage[R] | None:
    """The page in a response, of which the rest is left; None if it has other types."""
    try:
        page = pages.decode(response["body"])
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    response["body"] = _encode(_RestOfPage(page.next_shard_iterator, page.millis_behind_latest))
    return page
