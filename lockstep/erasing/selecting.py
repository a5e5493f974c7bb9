"""Which images have an attribute with a value: read completely, in both stores."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opensearchpy import OpenSearch

from functions.search_images.fields import ATTRIBUTE_NAME, ATTRIBUTES
from lockstep.stores.index import IndexReader
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.table import UNREADABLE
from shared.item import KEY

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def in_table(client: "DynamoDBClient", table: str, name: str, value: str) -> Iterator[str]:
    """The ids of the images in the table, which is read completely and consistently.

    Raises:
        StoreUnreadableError: the table could not be read.
    """
    names = {"#image": "image", "#all": "attributes", "#one": name, "#key": KEY}
    try:
        for page in client.get_paginator("scan").paginate(
            TableName=table,
            ConsistentRead=True,
            FilterExpression="#image.#all.#one = :value",
            ProjectionExpression="#key",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={":value": {"S": value}},
        ):
            yield from (item[KEY]["S"] for item in page["Items"])
    except UNREADABLE as error:
        raise StoreUnreadableError(f"table {table}: {error}") from error


def in_index(client: OpenSearch, alias: str, name: str, value: str) -> Iterator[str]:
    """The ids of the documents in the index: also of those that the table does not have.

    Raises:
        StoreUnreadableError: the index could not be read.
    """
    # By the name alone: the index compares values without regard to how letters are composed.
    query: Any = {"nested": {"path": ATTRIBUTES, "query": {"term": {ATTRIBUTE_NAME: name}}}}
    for hit in IndexReader(client, alias).search([ATTRIBUTES], {"query": query}):
        pairs = hit.get("_source", {}).get(ATTRIBUTES, ())
        if {"name": name, "value": value} in pairs:
            yield hit["_id"]
