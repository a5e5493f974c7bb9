"""The composition root of the operator's tool: a stack in, clients for its services out."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
from botocore.config import Config
from opensearchpy import OpenSearch
from opensearchpy.serializer import Deserializer

from functions.write_to_es.connect import connect
from lockstep.page.proxy import PageError, SearchApi, signed, token_in
from lockstep.stack.stack import Stack
from lockstep.stores.pages import SearchPages, decode_scan
from shared.quarantine import expecting_nothing

if TYPE_CHECKING:
    from types_boto3_cloudwatch import CloudWatchClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_kinesis import KinesisClient
    from types_boto3_s3 import S3Client

# The local engines take any credentials; the SDK insists on some.
LOCAL_CREDENTIALS = "local"

# A person waits at the other end: give up soon enough to say why.
_config = Config(
    connect_timeout=3,
    read_timeout=30,
    retries={"mode": "standard", "total_max_attempts": 3},
    s3={"addressing_style": "path"},
)


class Clients:
    """A stack's clients, each made when it is first used."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._session = (
            _local_session(stack) if stack.state else boto3.Session(region_name=stack.region)
        )

    @cached_property
    def kinesis(self) -> "KinesisClient":
        """The stream's service, without retries: the producer knows better what may go again."""
        config = _config.merge(Config(retries={"total_max_attempts": 1}))
        return self._session.client(
            "kinesis", endpoint_url=self._stack.endpoints.kinesis, config=config
        )

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """The table's service."""
        return self._dynamodb()

    @cached_property
    def scanner(self) -> "DynamoDBClient":
        """The table's service, for the scans of an audit."""
        client = self._dynamodb()
        client.meta.events.register("before-parse.dynamodb.Scan", decode_scan)
        return client

    def _dynamodb(self) -> "DynamoDBClient":
        return self._session.client(
            "dynamodb", endpoint_url=self._stack.endpoints.dynamodb, config=_config
        )

    @cached_property
    def dynamodbstreams(self) -> Any:
        """The service of the table's stream, without retries: its readers try on by themselves."""
        config = _config.merge(Config(retries={"total_max_attempts": 1}))
        return self._session.client(
            "dynamodbstreams", endpoint_url=self._stack.endpoints.dynamodb, config=config
        )

    @cached_property
    def s3(self) -> "S3Client":
        """The quarantine's service."""
        client = self._session.client("s3", endpoint_url=self._stack.endpoints.s3, config=_config)
        client.meta.events.register_last("before-call.s3", expecting_nothing)
        return client

    @cached_property
    def cloudwatch(self) -> "CloudWatchClient":
        """The metrics of a deployed stack; a local one has none."""
        return self._session.client("cloudwatch", config=_config)

    def search_api(self, token_file: Path | None) -> SearchApi:
        """The stack's search over HTTP.

        Args:
            token_file: where the token is, of a stack that takes those; else requests are signed.

        Raises:
            PageError: the stack has none, or there is nothing to sign with.
        """
        address = self._stack.endpoints.search
        if address is None:
            raise PageError("this stack has no search API: deploy it again from template.yaml")
        if token_file is not None:
            return SearchApi(address, token_in(token_file), "token")
        return SearchApi(address, signed(self._session.get_credentials(), self._stack.region))

    def messaging(self, service: Literal["sqs", "sns"], endpoint: str) -> Any:
        """SQS or SNS at this endpoint: a stack has neither of its own."""
        return self._session.client(service, endpoint_url=endpoint, config=_config)

    @cached_property
    def opensearch(self) -> OpenSearch:
        """The index's service."""
        return self._opensearch()

    @cached_property
    def searcher(self) -> OpenSearch:
        """The index's service, for the searches of an audit."""
        client = self._opensearch()
        pages = SearchPages()
        client.transport.deserializer = Deserializer({pages.mimetype: pages}, pages.mimetype)
        return client

    def _opensearch(self) -> OpenSearch:
        return connect(
            self._stack.endpoints.opensearch,
            self._stack.region,
            self._session.get_credentials(),
        )


def _local_session(stack: Stack) -> boto3.Session:
    """A session that the user's AWS profile, there or not, has no part in."""
    no_profile: Any = {"profile": (None, None, None, None)}
    return boto3.Session(
        region_name=stack.region,
        aws_access_key_id=LOCAL_CREDENTIALS,
        aws_secret_access_key=LOCAL_CREDENTIALS,
        botocore_session=botocore.session.Session(session_vars=no_profile),
    )
