"""The museum: both stores as the sinks fill them, and the query side over HTTP in front of them."""

import threading
import uuid
from itertools import batched

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch
from starlette.types import ASGIApp

from functions.search_images.api import Api, Stores
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from lockstep.local.gateway.server import application
from lockstep.local.mapping.response import Returned
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import read_events
from lockstep.source_files.converters import load_mapping
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from shared.change import Change, change_from
from shared.event import Event
from shared.outcome import Applied
from tests.builders import record
from tests.contract.search.museum import RECORDS
from tests.contract.sinks.suite import write

REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 120.0  # a busy machine is slow, not broken


class Museum:
    """Images in a table and an index of their own."""

    def __init__(self, opensearch: str, dynamodb: str) -> None:
        name = f"museum-{uuid.uuid4().hex[:12]}"
        endpoints = Endpoints(kinesis="", dynamodb=dynamodb, opensearch=opensearch, s3="")
        clients = Clients(
            Stack(
                endpoints=endpoints,
                stream=name,
                table=name,
                index=name,
                bucket=name,
                region=LOCAL_REGION,
                functions={},
                state="none",
            )
        )
        self._index, self._name = OpenSearch([opensearch], timeout=PATIENCE_SECONDS), name
        ensure_table(clients.dynamodb, name)
        ensure_index(self._index, name)
        self._sinks = (
            ImageTable(clients.dynamodb, name, longest_request=REQUEST_SECONDS),
            ImageIndex(self._index, name, longest_request=REQUEST_SECONDS),
        )
        self.stores = Stores(clients.opensearch, live_alias(name), clients.dynamodb, name)

    @classmethod
    def of_tate(cls, opensearch: str, dynamodb: str) -> "Museum":
        """With 2,000 real images, converted as `lockstep put` does it."""
        made = cls(opensearch, dynamodb)
        with RECORDS.open("rb") as file:
            events = [*read_events(file, Stamp(), load_mapping("tate"))]
        for several in batched(events, 500):
            made.put(*(change_from(one, record()) for one in several if isinstance(one, Event)))
        return made

    def put(self, *several: Change) -> None:
        """Write these into both stores; they are found at once."""
        for sink in self._sinks:
            assert write(sink, *several) == [Applied()] * len(several)
        self._index.indices.refresh(index=self._name)


def query_side(museum: Museum) -> ASGIApp:
    """The query side of a museum over HTTP, as `lockstep up` serves it in a process."""
    api = Api(lambda: museum.stores, Logger("museum", level="CRITICAL"))
    one_at_a_time = threading.Lock()  # as a Lambda sandbox works

    def invoke(event: bytes, _request_id: str) -> Returned:
        with one_at_a_time:
            answer = api.answer(msgspec.json.decode(event), LambdaContext())
        return Returned(msgspec.json.encode(answer))

    return application(invoke)
