"""Whether the stores of a stack answer."""

from collections.abc import Mapping

from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy.exceptions import OpenSearchException, TransportError

from functions.write_to_es.aliases import read_aliased
from lockstep.console.failures import cause_of
from lockstep.stack.clients import Clients
from lockstep.stack.status import StoreHealth

_SERVER_ERROR = 500
# A person waits for the status.
_SECONDS = 5


def store_health(clients: Clients) -> Mapping[str, StoreHealth]:
    """The health of the table and of the index."""
    return {"table": table_health(clients), "index": index_health(clients)}


def table_health(clients: Clients) -> StoreHealth:
    """Whether DynamoDB answers about the table. An answer that refuses the request is one, too."""
    stack = clients.stack
    address = stack.endpoints.dynamodb or f"DynamoDB in {stack.region}"
    try:
        clients.dynamodb.describe_table(TableName=stack.table)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= _SERVER_ERROR:
            return StoreHealth(address, answers=False, why=cause_of(error))
    except BotoCoreError as error:
        return StoreHealth(address, answers=False, why=cause_of(error))
    return StoreHealth(address, answers=True)


def index_health(clients: Clients) -> StoreHealth:
    """Whether OpenSearch answers about the index and, of a local stack, the colour of its cluster.

    People do not have the right to ask a domain for its colour: an alarm watches it.
    """
    stack, client = clients.stack, clients.opensearch
    address = stack.endpoints.opensearch
    try:
        if stack.state is None:
            read_aliased(client, stack.index)
            return StoreHealth(address, answers=True)
        found = client.cluster.health(params={"request_timeout": _SECONDS})
    except TransportError as error:
        if isinstance(error.status_code, int) and error.status_code < _SERVER_ERROR:
            return StoreHealth(address, answers=True)
        return StoreHealth(address, answers=False, why=cause_of(error))
    except OpenSearchException as error:
        return StoreHealth(address, answers=False, why=cause_of(error))
    return StoreHealth(address, answers=True, cluster=found["status"])
