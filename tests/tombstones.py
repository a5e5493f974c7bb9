"""How tests keep a table's tombstones on every day on which they run."""

from typing import TYPE_CHECKING

from functions.write_to_dynamodb.table import PURGED_BY

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


def keep_tombstones(client: "DynamoDBClient", table: str) -> None:
    """Turn off the purge: tombstones of builders and samples expire on a fixed day."""
    client.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": False, "AttributeName": PURGED_BY}
    )
