"""Creates a table of the local stack, with the same definition as in template.yaml."""

from contextlib import suppress
from typing import TYPE_CHECKING

from shared.item import KEY, STREAM_VIEW

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PURGED_BY = "expires_at"


def ensure_table(
    client: "DynamoDBClient", name: str, *, key: str = KEY, streams: bool = False
) -> None:
    """Create a table with this key unless it exists, and turn on the purge of expired items.

    An existing table with another key is not changed; `ImageTable.check` reports it. With `streams`
    the table gets a stream of its changes, unless it has one.
    """
    with suppress(client.exceptions.ResourceInUseException):
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    client.get_waiter("table_exists").wait(
        TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    purge = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if purge.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        client.update_time_to_live(
            TableName=name,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": PURGED_BY},
        )
    there = client.describe_table(TableName=name)["Table"].get("StreamSpecification", {})
    if streams and not there.get("StreamEnabled"):
        client.update_table(
            TableName=name,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": STREAM_VIEW},
        )
