"""The readers of a stack's two stores, and their clients that decode pages fast."""

import datetime as dt
from typing import TYPE_CHECKING

from opensearchpy import OpenSearch
from opensearchpy.serializer import Deserializer

from doors.clock import SYSTEM_CLOCK
from lockstep.stack.clients import Clients
from lockstep.stores.index import IndexReader
from lockstep.stores.pages import SearchPages, decode_scan
from lockstep.stores.table import TableReader
from shared.pace import Pace

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# No limit for the duration of a request: a command waits; only an invocation has a deadline.
NO_LIMIT = 0.0


def table_reader(clients: Clients) -> TableReader:
    """The reader of single images of the table. For scans, see `scanner`."""
    return TableReader(clients.dynamodb, clients.stack.table)


def index_reader(clients: Clients) -> IndexReader:
    """The reader of single documents of the index. For reading all, see `searcher`."""
    return IndexReader(clients.opensearch, clients.stack.index)


def scanner(clients: Clients) -> "DynamoDBClient":
    """A client of the table whose scans are decoded by `decode_scan`."""
    client = clients.new_dynamodb()
    client.meta.events.register("before-parse.dynamodb.Scan", decode_scan)
    return client


def searcher(clients: Clients) -> OpenSearch:
    """A client of the index whose answers are decoded by `SearchPages`."""
    pages = SearchPages()
    return clients.new_opensearch(Deserializer({pages.mimetype: pages}, pages.mimetype))


def stores_of(
    clients: Clients,
    *,
    values: bool,
    pace: Pace | None,
    since: dt.datetime | None = None,
) -> tuple[TableReader, IndexReader]:
    """The readers of an audit: of every field, or of version, digest and deletion only."""
    stack = clients.stack
    return (
        TableReader(
            clients.dynamodb,
            stack.table,
            scanner=scanner(clients),
            whole=values,
            since=since,
            pace=pace,
        ),
        IndexReader(
            clients.opensearch,
            stack.index,
            searcher=searcher(clients),
            whole=values,
            since=since,
        ),
    )


def pace(rate: float | None) -> Pace | None:
    """A limit of the table's read units a second; None: no limit."""
    return None if rate is None else Pace(rate, SYSTEM_CLOCK)
