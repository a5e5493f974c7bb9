"""The Lambda handler of the search API and page."""

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from urllib3 import Timeout

from doors import opensearch
from doors.log import new_logger
from functions.search_images.api import Api, Stores
from functions.search_images.search import SECONDS

logger = new_logger()

# A person waits for the answer, so the timeouts are short.
CONNECT_SECONDS, READ_SECONDS = 1, SECONDS + 1


@cache
def stores() -> Stores:
    """The clients of the index and the table that the environment names."""
    session = boto3.Session()
    timeout = Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    index = opensearch.client(
        os.environ["OPENSEARCH_ENDPOINT"],
        session.region_name,
        opensearch.signing_credentials(session, os.environ["OPENSEARCH_SIGNING"]),
        timeout=timeout,
    )
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    dynamodb = session.client("dynamodb", config=config)
    return Stores(index, os.environ["LIVE_ALIAS"], dynamodb, os.environ["TABLE_NAME"])


api = Api(stores, logger)


@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return api.answer(event, context)
