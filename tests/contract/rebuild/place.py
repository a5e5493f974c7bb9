"""A place for rebuilds: a table and an index of its own, on the real engines."""

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from opensearchpy import OpenSearch, Transport

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_dynamodb.table import ensure_table
from functions.write_to_es.document import document_from
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from functions.write_to_es.sink import ImageIndex
from lockstep.audit.audit import Audit, audit
from lockstep.rebuild.indices import Indices
from lockstep.rebuild.parts import RebuildOptions, RebuildParts
from lockstep.rebuild.rebuild import Rebuild, Rebuilt
from lockstep.rebuild.worker import RebuildWorker, this_worker
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.change import Change, change_from
from shared.clock import Clock
from shared.outcome import Applied
from shared.sink import Sink
from tests.builders import clock, decoded, image, image_event, record

_DAY = 86_400.0


def a_change(
    image_id: str, version: int, name: str | None = "a", *, arrived: float | None = None
) -> Change:
    """An image with that name, or a deletion; `arrived` in seconds since 1970."""
    kind = "image.deleted" if name is None else "image.updated"
    fields = {} if name is None else {"image": image(name)}
    at = time.time() if arrived is None else arrived
    event = image_event(image_id, version, kind, **fields)
    return change_from(decoded(event), record(event, arrived_at=int(at * 1000)))


class CrashError(BaseException):
    """The rebuild ends here, as if it had been killed: our code cannot catch it."""


class Place:
    """A table and an index; the test writes as the consumers would."""

    def __init__(self, alias: str, dynamodb: Any, client: OpenSearch) -> None:
        self.alias = alias
        self.dynamodb = dynamodb
        self.client = client
        self.table = ImageTable(self.dynamodb, self.alias, longest_request=0)
        self.index = ImageIndex(self.client, self.alias, longest_request=0)
        self.old, self.new = f"{self.alias}-000001", f"{self.alias}-000002"
        self.quarantined: list[tuple[str, str]] = []

    def write(self, *changes: Change, to: Sequence[Sink] = ()) -> None:
        """Write as the consumers do, to both stores by default."""
        for sink in to or (self.table, self.index):
            for request in sink.requests(changes):
                assert set(sink.send(request)) == {Applied()}

    def into(self, index: str, change: Change) -> None:
        """Write a document as a bulk request does that began before the aliases were switched."""
        self.client.index(
            index=index,
            id=change.image_id,
            body=msgspec.to_builtins(document_from(change)),
            params={"version": str(change.version), "version_type": "external"},
        )

    def parts(
        self,
        *,
        client: OpenSearch | None = None,
        settled: Callable[[], float] = lambda: math.inf,
        sleep: Callable[[float], None] = lambda _: None,
        worker: RebuildWorker | None = None,
        settings: IndexSettings = IndexSettings(),  # noqa: B008 - frozen
        days_later: float = 0.0,
    ) -> RebuildParts:
        client = self.client if client is None else client
        waited = 0.0

        def slept(seconds: float) -> None:
            nonlocal waited
            waited += seconds
            sleep(seconds)

        later = days_later * _DAY
        here = clock(
            now=lambda: time.time() + later, elapsed=lambda: time.monotonic() + waited, sleep=slept
        )
        indices = Indices(client, self.alias, settings)
        return RebuildParts(
            indices=indices,
            items=TableReader(self.dynamodb, self.alias),
            table=TableReader(self.dynamodb, self.alias),
            index=lambda name: IndexReader(client, name),
            sink=ImageIndex(client, indices.building, longest_request=0),
            audit=lambda _: self.audit(here),
            settled=settled,
            clock=here,
            worker=this_worker() if worker is None else worker,
        )

    def rebuild(self, **options: Any) -> Rebuilt:
        return self.run(self.parts(), **options)

    def run(self, parts: RebuildParts, **options: Any) -> Rebuilt:
        usual = RebuildOptions(at_most=0.0, settle=10.0, patience=10.0)
        chosen = msgspec.structs.replace(usual, **options)
        return Rebuild(parts).run(chosen, lambda _step, _count, _total: None)

    def audit(self, at: Clock) -> Audit:
        return audit(
            TableReader(self.dynamodb, self.alias, whole=True),
            IndexReader(self.client, self.alias, whole=True),
            quarantined_images=lambda: self.quarantined,
            clock=at,
        )

    def behind(self, alias: str) -> Mapping[str, Any]:
        """The indices behind an alias, each with the alias's definition."""
        found = self.client.indices.get_alias(name=alias)
        return {index: its["aliases"][alias] for index, its in found.items()}

    def shown(self) -> int:
        """The number of images that readers find now."""
        self.client.indices.refresh(index=f"{self.alias}-live")
        count: int = self.client.count(index=f"{self.alias}-live")["count"]
        return count

    def versions(self, index: str) -> dict[str, int]:
        """The versions in an index, tombstones included."""
        return {one.image_id: one.version for one in IndexReader(self.client, index).scan()}

    def reading(self, read: list[str]) -> OpenSearch:
        """A client that notes the ids of the documents that its searches return, in their order."""
        raise NotImplementedError

    def mortal(self, changes: int) -> OpenSearch:
        """A client that dies when so many of its requests have changed something.

        To die anywhere else is to die after the last of those.
        """
        raise NotImplementedError


class RealPlace(Place):
    """A place on the real engines."""

    def __init__(self, dynamodb: str, opensearch: str, s3: str) -> None:
        alias = f"rebuild-{uuid.uuid4().hex[:12]}"
        endpoints = Endpoints(None, dynamodb, opensearch, s3)
        self.stack = Stack(endpoints, alias, alias, alias, alias, LOCAL_REGION, {}, "none")
        self.clients = Clients(self.stack)
        self._url = opensearch
        client = OpenSearch([opensearch], timeout=120, max_retries=0)
        super().__init__(alias, self.clients.dynamodb, client)
        ensure_table(self.dynamodb, self.alias)
        ensure_index(self.client, self.alias)

    def reading(self, read: list[str]) -> OpenSearch:
        return OpenSearch(
            [self._url], timeout=120, max_retries=0, transport_class=ReadingTransport, read=read
        )

    def mortal(self, changes: int) -> OpenSearch:
        return OpenSearch(
            [self._url],
            timeout=120,
            max_retries=0,
            transport_class=MortalTransport,
            changes=changes,
        )


class ReadingTransport(Transport):
    """Notes the ids of the documents that searches returned, in their order."""

    def __init__(self, *args: Any, read: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read = read

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        answer = super().perform_request(method, url, *args, **kwargs)
        if "search" in url:
            for one in answer.get("responses", [answer]):
                self._read += [hit["_id"] for hit in one.get("hits", {}).get("hits", [])]
        return answer


class MortalTransport(Transport):
    """See `Place.mortal`."""

    def __init__(self, *args: Any, changes: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._left = changes

    def perform_request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        answer = super().perform_request(method, url, *args, **kwargs)
        self._left -= method in {"PUT", "DELETE"} or url.endswith(("/_bulk", "/_aliases"))
        if self._left == 0:
            raise CrashError
        return answer
