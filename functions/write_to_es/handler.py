"""The Lambda handler that writes the image stream, or the table's changes, to the index."""

import os
from functools import cache
from typing import Any

import botocore.session
from aws_lambda_powertools.utilities.typing import LambdaContext

from doors.opensearch import signing_credentials
from doors.stream import consume
from functions.write_to_es.connect import REQUEST_SECONDS, connect
from functions.write_to_es.sink import ImageIndex
from functions.write_to_es.table_changes import envelope_of
from shared.batch import BatchResponse


@cache
def index() -> ImageIndex:
    """The sink of the index, with the alias that the environment names."""
    session = botocore.session.get_session()
    region = session.get_config_variable("region")
    signing = os.environ["OPENSEARCH_SIGNING"]
    client = connect(
        os.environ["OPENSEARCH_ENDPOINT"],
        region,
        signing_credentials(session.get_credentials, region, signing),
    )
    return ImageIndex(client, os.environ["INDEX_ALIAS"], longest_request=REQUEST_SECONDS)


def handle(event: dict[str, Any], context: LambdaContext) -> BatchResponse:
    """Write one batch of the image stream, or of the table's changes, to the index."""
    envelope = envelope_of(event["Records"], os.environ.get("TABLE_CHANGES_STREAM"))
    return consume(event, context, sink=index, function="write_to_es", envelope=envelope)
