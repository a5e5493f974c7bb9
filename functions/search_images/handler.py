"""The Lambda handler of the search API and page."""

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session
from aws_lambda_powertools.utilities.typing import LambdaContext
from urllib3 import Timeout

from doors import opensearch
from doors.log import new_logger
from functions.search_images.api import Api, Stores
from functions.search_images.search import SECONDS

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from functions.search_images.page_settings import PageSettings
    from functions.search_images.picture_links import PictureLinks

logger = new_logger()

# A person waits for the answer, so the timeouts are short.
CONNECT_SECONDS, READ_SECONDS = 1, SECONDS + 1


@cache
def stores() -> Stores:
    """The clients of the index and the table that the environment names."""
    session = botocore.session.get_session()
    region = session.get_config_variable("region")
    signing = os.environ["OPENSEARCH_SIGNING"]
    index = opensearch.client(
        os.environ["OPENSEARCH_ENDPOINT"],
        region,
        opensearch.signing_credentials(session.get_credentials, region, signing),
        timeout=Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
    )
    return Stores(index, os.environ["LIVE_ALIAS"], cache(_dynamodb), os.environ["TABLE_NAME"])


def _dynamodb() -> "DynamoDBClient":
    import boto3  # noqa: PLC0415 - slow, and only a request for a whole record needs it
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 2},
    )
    return boto3.client("dynamodb", config=config)


def page_settings() -> "PageSettings":
    """What the environment says about the page."""
    from functions.search_images.page_settings import settings_in  # noqa: PLC0415

    return settings_in(os.environ, logger.error)


def picture_links() -> "PictureLinks | None":
    """What makes links to the pictures of the stack; None if it has none."""
    if not os.getenv("PICTURE_BUCKET"):
        return None
    # Only the page needs it, and only in a stack with pictures.
    from functions.search_images.picture_links import links_in  # noqa: PLC0415

    return links_in(os.environ, botocore.session.get_session())


facets = [name for name in os.getenv("SEARCH_FACETS", "").split(",") if name]
api = Api(stores, logger, facets, page_settings, picture_links)


@logger.inject_lambda_context
def handle(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    return api.answer(event, context)
