"""The Lambda handler of the custom resource that creates the index on deployment."""

import os
import time
from collections.abc import Mapping
from traceback import format_exception
from typing import Any

import boto3
import msgspec
import urllib3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch

from functions.write_to_es.connect import connect, sink_errors
from functions.write_to_es.engine import check_engine
from functions.write_to_es.index import ensure_index
from functions.write_to_es.roles import ensure_roles
from shared.shortened import shortened
from shared.sink import RequestFailedError

logger = Logger()

# The DNS name of a new domain may not exist yet.
ATTEMPTS = 6
PAUSE_SECONDS = 5
# CloudFormation accepts an answer of at most 4 KiB.
LONGEST_REASON = 1000
LONGEST_TRACEBACK = 10_000


def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle a request of CloudFormation. Always answer: otherwise it waits an hour.

    Protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
    """
    try:
        status, reason = "SUCCESS", _done(event["RequestType"], event["ResourceProperties"])
    except Exception as error:  # noqa: BLE001 - CloudFormation is told of every one
        traceback = "".join(format_exception(error))
        logger.error(  # noqa: TRY400 - `exception` writes the traceback whole
            "the index could not be brought up to date",
            extra={"traceback": shortened(traceback, LONGEST_TRACEBACK)},
        )
        status = "FAILED"
        reason = f"{type(error).__name__}: {error} (log: {context.log_group_name})"
    reason = shortened(reason, LONGEST_REASON)
    logger.info(reason)
    answer = {
        "Status": status,
        "Reason": reason,
        # Constant: if it changed, CloudFormation would delete the old resource.
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    # The URL is signed for a request without a content type.
    urllib3.request(
        "PUT",
        event["ResponseURL"],
        body=msgspec.json.encode(answer),
        headers={"Content-Type": ""},
        timeout=10,
    )


def _done(request_type: str, properties: Mapping[str, Any]) -> str:
    """Do what CloudFormation asks; return a message that says what was done."""
    if request_type == "Delete":
        return "the index is kept: a deployment never deletes data"
    session = boto3.Session()
    client = connect(
        os.environ["OPENSEARCH_ENDPOINT"], session.region_name, session.get_credentials()
    )
    for _ in range(ATTEMPTS - 1):
        try:
            return _ensured(client, properties)
        except RequestFailedError as error:
            logger.info("the index does not answer yet", extra={"cause": str(error)})
            time.sleep(PAUSE_SECONDS)
    return _ensured(client, properties)


def _ensured(client: OpenSearch, properties: Mapping[str, Any]) -> str:
    """Create or complete the index. `Roles`, if set, has the members of each role.

    An engine that Lockstep cannot use gets no index, so the deployment fails.
    """
    alias = os.environ["INDEX_ALIAS"]
    with sink_errors(alias):
        check_engine(client.transport)
    index = str(ensure_index(client, alias, properties.get("RefreshInterval")))
    if "Roles" not in properties:
        return index
    return f"{index}; roles: {', '.join(ensure_roles(client, alias, properties['Roles']))}"
