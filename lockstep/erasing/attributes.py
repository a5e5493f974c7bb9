"""Attributes of an item of the table that somebody else wrote: no event replaces them."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import UNREADABLE
from shared.item import KEY, OUR_ATTRIBUTES

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def foreign_attributes(
    client: "DynamoDBClient", table: str, image_ids: Collection[str]
) -> Mapping[str, Sequence[str]]:
    """The attributes of these items that somebody else wrote; items without any are left out.

    Args:
        client: the client of DynamoDB.
        table: the name of the table.
        image_ids: the keys of at most `LOOKUP` items.

    Raises:
        StoreUnreadableError: the table could not be read.
    """
    wanted: Any = {
        table: {"Keys": [{KEY: {"S": one}} for one in image_ids], "ConsistentRead": True}
    }
    found: dict[str, Sequence[str]] = {}
    try:
        while wanted:
            answer = client.batch_get_item(RequestItems=wanted)
            for item in answer["Responses"].get(table, ()):
                if foreign := sorted(item.keys() - OUR_ATTRIBUTES):
                    found[str(item[KEY]["S"])] = foreign
            wanted = answer["UnprocessedKeys"]
    except UNREADABLE as error:
        raise StoreUnreadableError(f"table {table}: {error}") from error
    return found


def remove_attributes(
    client: "DynamoDBClient", table: str, image_id: str, names: Collection[str], version: int
) -> None:
    """Remove attributes from an item that still has this version. Raises what boto3 raises.

    Args:
        client: the client of DynamoDB.
        table: the name of the table.
        image_id: the key of the item.
        names: the attributes.
        version: the version of the tombstone in the item. If it has another one, nothing is
            removed.
    """
    removes = " ".join(f'REMOVE "{_quoted(name)}"' for name in names)
    try:
        client.execute_statement(
            Statement=f'UPDATE "{table}" {removes} WHERE "{KEY}"=? AND "version"=?',
            Parameters=[{"S": image_id}, {"N": str(version)}],
        )
    except client.exceptions.ConditionalCheckFailedException:
        return


def _quoted(name: str) -> str:
    return name.replace('"', '""')
