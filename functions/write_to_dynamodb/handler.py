"""The Lambda handler that writes the image stream to the system of record."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import botocore
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from doors.encoding import encode_once
from doors.signing import sign_at_once
from doors.stream import consume
from functions.write_to_dynamodb.sink import ImageTable
from shared.batch import BatchResponse

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Short timeouts and no retries: `deliver` retries, and needs time after a slow answer.
CONNECT_SECONDS, READ_SECONDS = 1, 4

# botocore would build its own text twice for each request.
USER_AGENT = f"Lockstep Boto3/{boto3.__version__} Botocore/{botocore.__version__}"


@cache
def table() -> ImageTable:
    """The sink of the table that the environment names."""
    seconds = CONNECT_SECONDS + READ_SECONDS
    return ImageTable(
        _client(seconds), os.environ["TABLE_NAME"], longest_request=seconds, patient=_client
    )


def _client(seconds: float) -> "DynamoDBClient":
    """A client whose requests take at most so many seconds."""
    config = Config(
        user_agent=USER_AGENT,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=seconds - CONNECT_SECONDS,
        retries={"total_max_attempts": 1},
        parameter_validation=False,
    )
    client = boto3.client("dynamodb", config=config)
    encode_once(client, "BatchExecuteStatement")
    sign_at_once(client, "BatchExecuteStatement")
    return client


def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Write one batch of the image stream to the table."""
    return consume(event, context, sink=table, function="write_to_dynamodb")
