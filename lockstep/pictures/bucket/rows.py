"""The rows of `alignment`, in a DynamoDB table of their own.

The key of a row is a salted hash of the image's id, because an id may be the name of a file, and
such a name may tell of a person. The salt is an item of the same table, so that a copy or a backup
of the table always has the salt of its rows. A row without an object and without an event to put
has an `expires_at`, the table's time to live.
"""

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from botocore.exceptions import ClientError

from lockstep.pictures.alignment import ObjectIdentity, PictureRow
from lockstep.pictures.bucket.answers import item_in
from shared.horizon import HORIZON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        PutItemInputTypeDef,
        UniversalAttributeValueTypeDef,
    )

KEY: Final = "key"
PURGED_BY: Final = "expires_at"
# The key of the item with the salt. The keys of rows are 64 hex digits.
SALT: Final = "salt"
_SALT_BYTES = 32


class _StoredRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of a row that no condition needs, as JSON."""

    version: int
    object: ObjectIdentity | None
    shown: bool
    given: str | None


class PictureRows:
    """The rows of a table. Raises what boto3 raises: then it is unknown what is written."""

    def __init__(self, client: "DynamoDBClient", table: str, salt: bytes) -> None:
        """Set up the table.

        Args:
            client: the client; it may retry.
            table: its name. Its partition key is `key`, a string.
            salt: the key of the hash, by `salt_of`. With another one, all rows are lost.
        """
        self._client = client
        self._table = table
        self._salt = salt

    def read(self, image_id: str) -> PictureRow | None:
        """The row of an image, strongly consistent; None if there is none.

        Raises:
            CutAnswerError: the answer is cut off.
        """
        answer = self._client.get_item(
            TableName=self._table,
            Key={KEY: {"S": self._key(image_id)}},
            ConsistentRead=True,
            ReturnConsumedCapacity="TOTAL",
        )
        item = item_in(answer, self._table)
        return None if item is None else _row_in(item)

    def write(self, image_id: str, row: PictureRow, after: int, now: float) -> bool:
        """Write the row if the stored one has the counter `after`; 0: if there is none.

        After a timeout, the client may have written it and then be refused by its own row: the
        answer is then false, and who reads again finds it.

        Args:
            image_id: the image.
            row: what to write.
            after: the counter of the row that was read.
            now: seconds since 1970.
        """
        request: PutItemInputTypeDef = {
            "TableName": self._table,
            "Item": _item_of(row, now) | {KEY: {"S": self._key(image_id)}},
            "ConditionExpression": "attribute_not_exists(#counter)",
            "ExpressionAttributeNames": {"#counter": "counter"},
        }
        if after:
            request["ConditionExpression"] = "#counter = :after"
            request["ExpressionAttributeValues"] = {":after": {"N": str(after)}}
        try:
            self._client.put_item(**request)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                return False
            raise
        return True

    def _key(self, image_id: str) -> str:
        return hmac.new(self._salt, image_id.encode(), hashlib.sha256).hexdigest()


def _item_of(row: PictureRow, now: float) -> "dict[str, UniversalAttributeValueTypeDef]":
    stored = _StoredRow(row.version, row.object, row.shown, row.given)
    item: dict[str, UniversalAttributeValueTypeDef] = {
        "counter": {"N": str(row.counter)},
        "row": {"S": msgspec.json.encode(stored).decode()},
        "written_at": {"N": str(int(now))},
    }
    if row.event is not None:
        item["event"] = {"B": row.event}
    elif row.object is None:
        item[PURGED_BY] = {"N": str(int(now + HORIZON.total_seconds()))}
    return item


def _row_in(item: "Mapping[str, AttributeValueTypeDef]") -> PictureRow:
    stored = msgspec.json.decode(item["row"]["S"], type=_StoredRow)
    event = item.get("event", {}).get("B")
    return PictureRow(
        counter=int(item["counter"]["N"]),
        version=stored.version,
        object=stored.object,
        shown=stored.shown,
        given=stored.given,
        event=None if event is None else bytes(event),
    )


def salt_of(client: "DynamoDBClient", table: str) -> bytes:
    """The salt of the table; who asks first makes it. It never changes.

    Raises what boto3 raises.

    Raises:
        CutAnswerError: the answer is cut off.
    """
    made = secrets.token_bytes(_SALT_BYTES)
    while True:
        if found := known_salt(client, table):
            return found
        with suppress(client.exceptions.ConditionalCheckFailedException):
            client.put_item(
                TableName=table,
                Item={KEY: {"S": SALT}, SALT: {"B": made}},
                ConditionExpression="attribute_not_exists(#key)",
                ExpressionAttributeNames={"#key": KEY},
            )


def known_salt(client: "DynamoDBClient", table: str) -> bytes | None:
    """The salt of the table; None if nobody has made it: then the table has no row.

    Raises what boto3 raises.

    Raises:
        CutAnswerError: the answer is cut off.
    """
    answer = client.get_item(
        TableName=table,
        Key={KEY: {"S": SALT}},
        ConsistentRead=True,
        ReturnConsumedCapacity="TOTAL",
    )
    item = item_in(answer, table)
    return None if item is None else bytes(item[SALT]["B"])
