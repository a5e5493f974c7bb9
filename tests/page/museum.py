"""The museum: both stores as the sinks fill them, and the query side over HTTP in front of them."""

import threading
import uuid
from collections.abc import Sequence
from itertools import batched

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from opensearchpy import OpenSearch
from starlette.types import ASGIApp

from functions.search_images.api import Api, Stores
from functions.search_images.page_settings import PageSettings
from functions.search_images.picture_links import PictureLinks
from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.sink import ImageIndex
from lockstep.local.gateway.server import application
from lockstep.local.mapping.response import Returned
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from shared.change import Change
from shared.outcome import Applied
from tests.contract.sinks.suite import write
from tests.real_images import AT_ONCE, RealImages, real_changes

REQUEST_SECONDS = 30.0
# The pictures of the real records are there.
TATE = PageSettings(picture_hosts="www.tate.org.uk,x.example")
PATIENCE_SECONDS = 120.0  # a busy machine is slow, not broken


class Museum:
    """The 2,000 real images in a table and an index of their own."""

    def __init__(self, opensearch: str, dynamodb: str, real: RealImages) -> None:
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
        real.copy_to(name)
        table = ImageTable(clients.dynamodb, name, longest_request=REQUEST_SECONDS)
        for several in batched(real_changes(), AT_ONCE):
            assert write(table, *several) == [Applied()] * len(several)
        self._sinks = (table, ImageIndex(self._index, name, longest_request=REQUEST_SECONDS))
        live = live_alias(name)
        self.stores = Stores(clients.opensearch, live, lambda: clients.dynamodb, name)

    def put(self, *several: Change) -> None:
        """Write these into both stores; they are found at once."""
        for sink in self._sinks:
            assert write(sink, *several) == [Applied()] * len(several)
        self._index.indices.refresh(index=self._name)

    def delete_index(self) -> None:
        """Free the memory that the index takes of the engine."""
        self._index.indices.delete(index=f"{self._name}-000001")


def query_side(
    museum: Museum,
    settings: PageSettings = TATE,
    pictures: PictureLinks | None = None,
    facets: Sequence[str] = ("artist", "medium"),
) -> ASGIApp:
    """The query side of a museum over HTTP, as `lockstep up` serves it in a process."""
    log = Logger("museum", level="CRITICAL")
    api = Api(lambda: museum.stores, log, facets, lambda: settings, lambda: pictures)
    one_at_a_time = threading.Lock()  # as a Lambda sandbox works

    def invoke(event: bytes, _request_id: str) -> Returned:
        with one_at_a_time:
            answer = api.answer(msgspec.json.decode(event), LambdaContext())
        return Returned(msgspec.json.encode(answer))

    return application(invoke)
