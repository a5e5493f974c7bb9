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

from doors.opensearch import signing_credentials
from functions.write_to_es.connect import AccessDeniedError, connect, sink_errors
from functions.write_to_es.engine import VersionDeniedError, check_engine
from functions.write_to_es.index import Created, ensure_index
from functions.write_to_es.roles import ensure_roles
from shared.shortened import shortened
from shared.sink import RequestFailedError

logger = Logger()

# The DNS name of a new domain may not exist yet, and new policies and roles take a while.
PAUSE_SECONDS = 5
# An attempt begins only while this much time is left: it makes a few requests, and CloudFormation
# must still get its answer.
ATTEMPT_SECONDS = 90
# CloudFormation accepts an answer of at most this size.
MOST_BYTES = 4096
LONGEST_REASON, SHORTEST_REASON = 1000, 100
LONGEST_TRACEBACK = 10_000
_EMPTY = (
    "it is empty, and its consumer goes on where it was: run `lockstep rebuild --apply`, which "
    "fills it from the table"
)
# Of the answer's request: CloudFormation waits for it.
_RETRIES = urllib3.Retry(
    total=5, backoff_factor=0.5, status_forcelist=(500, 502, 503, 504), allowed_methods={"PUT"}
)


def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle a request of CloudFormation. Always answer: otherwise it waits an hour.

    Protocol: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html
    """
    try:
        status = "SUCCESS"
        reason = _done(event["RequestType"], event["ResourceProperties"], context)
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
    # The URL is signed for a request without a content type.
    urllib3.request(
        "PUT",
        event["ResponseURL"],
        body=_answer(event, status, reason),
        headers={"Content-Type": ""},
        timeout=5,
        retries=_RETRIES,
    )


def _answer(event: Mapping[str, Any], status: str, reason: str) -> bytes:
    """The answer to a request of CloudFormation, with as much of the reason as it accepts."""
    answer = {
        "Status": status,
        "Reason": reason,
        # Constant: if it changed, CloudFormation would delete the old resource.
        "PhysicalResourceId": event.get("PhysicalResourceId", event["LogicalResourceId"]),
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    body = msgspec.json.encode(answer)
    if len(body) <= MOST_BYTES or len(reason) <= SHORTEST_REASON:
        return body
    return _answer(event, status, shortened(reason, max(SHORTEST_REASON, len(reason) // 2)))


def _done(request_type: str, properties: Mapping[str, Any], context: LambdaContext) -> str:
    """Do what CloudFormation asks; return a message that says what was done.

    Tries again while there is time, if the index does not answer or does not accept the caller.
    """
    if request_type == "Delete":
        return "the index is kept: a deployment never deletes data"
    session = boto3.Session()
    client = connect(
        os.environ["OPENSEARCH_ENDPOINT"],
        session.region_name,
        signing_credentials(session, os.environ["OPENSEARCH_SIGNING"]),
    )
    while True:
        try:
            done = _ensured(client, request_type, properties)
        except (RequestFailedError, AccessDeniedError, VersionDeniedError) as error:
            left = context.get_remaining_time_in_millis() / 1000 - PAUSE_SECONDS
            if left < ATTEMPT_SECONDS:
                raise
            logger.info("the index does not answer yet", extra={"cause": str(error)})
            time.sleep(PAUSE_SECONDS)
        else:
            return done


def _ensured(client: OpenSearch, request_type: str, properties: Mapping[str, Any]) -> str:
    """Create or complete the index. `Roles`, if set, has the members of each role.

    An engine that Lockstep cannot use gets no index, so the deployment fails.
    """
    alias = os.environ["INDEX_ALIAS"]
    with sink_errors(alias):
        check_engine(client.transport)
    ensured = ensure_index(client, alias, properties.get("RefreshInterval"))
    done = [str(ensured)]
    if isinstance(ensured, Created) and request_type == "Update":
        done.append(_EMPTY)
    if "Roles" in properties:
        done.append(f"roles: {', '.join(ensure_roles(client, alias, properties['Roles']))}")
    return "; ".join(done)
