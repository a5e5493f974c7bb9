"""The Lambda handler of the custom resource that creates the index on deployment."""

import os
from collections.abc import Mapping
from typing import Any

import botocore.session
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch

from doors.log import new_logger
from doors.on_deployment import answer, retried
from doors.opensearch import signing_credentials
from functions.write_to_es.connect import AccessDeniedError, connect, sink_errors
from functions.write_to_es.engine import VersionDeniedError, check_engine
from functions.write_to_es.index import Created, ensure_index
from functions.write_to_es.roles import ensure_roles
from functions.write_to_es.settings import IndexSettings
from shared.sink import RequestFailedError

logger = new_logger()

# The DNS name of a new domain may not exist yet, and new policies and roles take a while.
_MAY_PASS = (RequestFailedError, AccessDeniedError, VersionDeniedError)
# An attempt makes a few requests, and CloudFormation must still get its answer.
ATTEMPT_SECONDS = 90
_EMPTY = (
    "it is empty, and its consumer goes on where it was: run `lockstep rebuild --apply`, which "
    "fills it from the table"
)


def handle(event: dict[str, Any], context: LambdaContext) -> None:
    """Handle a request of CloudFormation."""
    answer(
        event,
        context,
        lambda: _done(event["RequestType"], event["ResourceProperties"], context),
        logger,
    )


def _done(request_type: str, properties: Mapping[str, Any], context: LambdaContext) -> str:
    """Do what CloudFormation asks; return a message that says what was done.

    Tries again while there is time, if the index does not answer or does not accept the caller.
    """
    if request_type == "Delete":
        return "the index is kept: a deployment never deletes data"
    session = botocore.session.get_session()
    region = session.get_config_variable("region")
    signing = os.environ["OPENSEARCH_SIGNING"]
    client = connect(
        os.environ["OPENSEARCH_ENDPOINT"],
        region,
        signing_credentials(session.get_credentials, region, signing),
    )
    return retried(
        lambda: _ensured(client, request_type, properties),
        may_pass=lambda error: isinstance(error, _MAY_PASS),
        context=context,
        attempt_seconds=ATTEMPT_SECONDS,
        logger=logger,
    )


def _settings(properties: Mapping[str, Any]) -> IndexSettings:
    """What the stack chooses for its index. CloudFormation makes a text of each number."""
    shards = properties.get("Shards")
    return IndexSettings(
        None if shards is None else int(shards),
        properties.get("Replicas"),
        properties.get("RefreshInterval"),
    )


def _ensured(client: OpenSearch, request_type: str, properties: Mapping[str, Any]) -> str:
    """Create or complete the index. `Roles`, if set, has the members of each role.

    An engine that Lockstep cannot use gets no index, so the deployment fails.
    """
    alias = os.environ["INDEX_ALIAS"]
    with sink_errors(alias):
        check_engine(client.transport)
    ensured = ensure_index(client, alias, _settings(properties))
    done = [str(ensured)]
    if isinstance(ensured, Created) and request_type == "Update":
        done.append(_EMPTY)
    if "Roles" in properties:
        done.append(f"roles: {', '.join(ensure_roles(client, alias, properties['Roles']))}")
    return "; ".join(done)
