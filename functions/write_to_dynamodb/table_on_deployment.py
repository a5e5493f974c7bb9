"""The Lambda handler of the custom resource that refuses a given table without its settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import ClientError

from doors.log import new_logger
from doors.on_deployment import answer, retried
from functions.write_to_dynamodb.table_settings import (
    TableSettings,
    UnpreparedTableError,
    WantedSettings,
)
from shared.sink import RequestFailedError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

logger = new_logger()

# An attempt makes a few requests, and CloudFormation must still get its answer.
ATTEMPT_SECONDS = 40


def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle a request of CloudFormation."""
    properties = event["ResourceProperties"]
    answer(
        event,
        context,
        lambda: _done(event["RequestType"], properties, context),
        logger,
        {"TableName": properties["TableName"], "StreamArn": properties["TableStreamArn"]},
    )


def _done(request_type: str, properties: Mapping[str, Any], context: LambdaContext) -> str:
    """Do what CloudFormation asks; return a message that says what was done.

    Tries again while there is time, if DynamoDB does not answer or does not accept the caller.
    """
    if request_type == "Delete":
        return "the table is kept: a deployment never deletes data"
    client = boto3.client("dynamodb")
    return retried(
        lambda: accept(client, properties),
        may_pass=_may_pass,
        context=context,
        attempt_seconds=ATTEMPT_SECONDS,
        logger=logger,
    )


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed soon: new policies take a while."""
    if isinstance(error, RequestFailedError):
        return True
    causes = (error, error.__cause__)
    codes = [one.response["Error"]["Code"] for one in causes if isinstance(one, ClientError)]
    return "AccessDeniedException" in codes


def accept(client: "DynamoDBClient", properties: Mapping[str, Any]) -> str:
    """Check a table that the deployment did not make; return what was found.

    Only the Kinesis destination is set here: the deployment may have just made that stream, so
    nobody could have set it before.

    Args:
        client: a client of DynamoDB.
        properties: `TableName`, `TableStreamArn` and `StackName`; with `IndexFrom` a Kinesis
            stream, its ARN as `ChangesStreamArn`.

    Raises:
        UnpreparedTableError: the table lacks a setting, or has another stream.
        MisconfiguredError: the table does not exist, or has another key.
    """
    table, stack = properties["TableName"], properties["StackName"]
    settings = TableSettings(
        client, table, WantedSettings(stack, properties.get("ChangesStreamArn"))
    )
    lacking = settings.check()
    stream = settings.stream_arn()
    if stream != properties["TableStreamArn"]:
        raise UnpreparedTableError(
            f"TableStreamArn is not the stream of table {table}: set TableStreamArn={stream}"
        )
    for one in lacking:
        settings.set(one)
    return f"table {table} is prepared"
