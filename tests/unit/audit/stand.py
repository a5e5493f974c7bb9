"""Fakes of both stores, with the real sinks, readers and repair on them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import msgspec
import opensearchpy

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.document import document_from
from functions.write_to_es.sink import ImageIndex
from lockstep.audit.audit import Audit, audit
from lockstep.audit.recheck import Difference
from lockstep.repair.decide import Decision, decide
from lockstep.repair.repair import DifferingImage, Repair, differing_image
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.opensearch import OpenSearch, StoredDocument
from lockstep.stores.corrections import Corrections
from lockstep.stores.image_state import Absent, ImageState
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader
from shared.change import Change, Put, change_from
from shared.event import digest
from shared.item import item_from
from tests.builders import clock, decoded, image, image_event, record

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

NOW = 1_795_248_000.0
STAMP = 1_795_000_000_000_000  # microseconds, some days before NOW
YOUNG, OLD = NOW - 86_400, NOW - 130 * 86_400


def a_change(
    version: int, content: str | None = "a", *, arrived: float = YOUNG, image_id: str = "T1"
) -> Change:
    """An image with that content, or a deletion; `arrived` in seconds since 1970."""
    kind = "image.deleted" if content is None else "image.updated"
    fields = {} if content is None else {"image": image(content)}
    event = image_event(image_id, version, kind, **fields)
    return change_from(decoded(event), record(event, arrived_at=int(arrived * 1000)))


def an_item(change: Change) -> dict[str, Any]:
    return dict(item_from(change))


def a_document(change: Change, checked_version: int | None = None, **fields: Any) -> StoredDocument:
    """A document of the index; `fields` replace its own, and None removes a field."""
    source = msgspec.to_builtins(document_from(change)) | fields
    source = {name: value for name, value in source.items() if value is not None}
    return StoredDocument(
        change.version if checked_version is None else checked_version, source, 0.0
    )


def lying(change: Change) -> Change:
    """The same change with content that does not match its digest."""
    if not isinstance(change, Put):
        return change
    other = msgspec.structs.replace(change.image, description="changed by hand")
    assert digest(other) != change.digest
    return msgspec.structs.replace(change, image=other)


class Stand:
    """One stack in memory; its clock moves only when somebody waits."""

    def __init__(self) -> None:
        self.at = NOW
        self.quarantined: list[tuple[str, str]] = []
        self.dynamodb = DynamoDB("images")
        self.opensearch = OpenSearch("images", now=lambda: self.at)
        client = cast("DynamoDBClient", self.dynamodb)
        search = cast("opensearchpy.OpenSearch", self.opensearch)
        self.table = TableReader(client, "images")
        self.index = IndexReader(search, "images")
        self.whole_stores = (
            TableReader(client, "images", whole=True),
            IndexReader(search, "images", whole=True),
        )
        self.table_sink = ImageTable(client, "images", longest_request=0)
        self.index_sink = ImageIndex(search, "images", longest_request=0)
        self.clock = clock(now=lambda: self.at, elapsed=lambda: self.at, sleep=self.pass_time)
        self.corrections = Corrections(search, "images")
        self.repair = Repair(
            self.table,
            self.index,
            index_sink=self.index_sink,
            corrections=self.corrections,
            clock=self.clock,
        )

    def hold(self, item: Mapping[str, Any] | None, document: StoredDocument | None) -> None:
        """Set what both stores hold of T1."""
        for there, image_id in ((self.dynamodb.items, "T1"), (self.opensearch.documents, "T1")):
            cast("dict[str, Any]", there).pop(image_id, None)
        if item is not None:
            self.dynamodb.items["T1"] = item
        if document is not None:
            self.opensearch.documents["T1"] = document

    def write(self, *changes: Change) -> None:
        """Write to both stores, as the handlers do."""
        for sink in (self.table_sink, self.index_sink):
            for request in sink.requests(changes):
                sink.send(request)

    def audit(self, *, values: bool = True) -> Audit:
        return self.audited(values=values)[0]

    def audited(self, *, values: bool = True) -> tuple[Audit, list[Difference]]:
        found: list[Difference] = []
        table, index = self.whole_stores if values else (self.table, self.index)
        answer = audit(
            table,
            index,
            quarantined_images=lambda: self.quarantined,
            clock=self.clock,
            on_difference=found.append,
        )
        return answer, found

    def differing(self) -> list[DifferingImage]:
        return [differing_image(one) for one in self.audited()[1]]

    def held(self) -> tuple[ImageState, ImageState]:
        return (
            self.table.lookup_whole(["T1"]).get("T1", Absent()),
            self.index.lookup_whole(["T1"]).get("T1", Absent()),
        )

    def decision(self) -> Decision:
        table, index = self.held()
        return decide(table, index, now=self.at)

    def mend(self, differing: Iterable[DifferingImage] | None = None) -> Any:
        return self.repair.apply(self.differing() if differing is None else differing)

    def pass_time(self, seconds: float) -> None:
        self.at += seconds
