"""Changes the stores without the sinks; says what an audit must call each change."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.document import document_from
from functions.write_to_es.sink import ImageIndex
from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.stack.clients import Clients
from lockstep.stores.corrections import Corrections
from shared.change import Change, change_from
from shared.event import Event, encode
from shared.horizon import HORIZON
from shared.item import item_from
from shared.outcome import Applied
from shared.sink import Sink
from tests.builders import decoded, image, image_event, record
from tests.contract.redrive.conftest import Stage

DAY = 86_400


def a_change(
    image_id: str,
    version: int,
    content: str | None,
    *,
    age: float = DAY,
) -> Change:
    """The event of an image with that content, or of a deletion, that arrived so long ago."""
    kind = "image.deleted" if content is None else "image.updated"
    fields = {} if content is None else {"image": image(content, tags=["a"], width=1)}
    event = decoded(image_event(image_id, version, kind, **fields))
    return arrived(event, age=age)


def arrived(event: Event, *, age: float) -> Change:
    """The change of an event that arrived so many seconds ago."""
    arrived_at = int((time.time() - age) * 1000)
    return change_from(
        event,
        record(encode(event), arrived_at=arrived_at, partition_key=event.image_id),
    )


def over_since_yesterday(image_id: str, version: int) -> Change:
    """An expired tombstone."""
    return a_change(image_id, version, None, age=HORIZON.total_seconds() + DAY)


def stamp(ago: float = 0) -> int:
    return int((time.time() - ago) * 1_000_000)


class Hand:
    """Somebody who changes the stores without the sinks."""

    def __init__(self, stage: Stage) -> None:
        self.table = stage.stack.table
        self.index = stage.stack.index
        self.clients = Clients(stage.stack)
        self.dynamodb: Any = self.clients.dynamodb
        self.opensearch = self.clients.opensearch
        self.table_sink = ImageTable(self.clients.dynamodb, self.table, longest_request=0)
        self.index_sink = ImageIndex(self.opensearch, self.index, longest_request=0)
        self.corrections = Corrections(self.opensearch, self.index)

    def write(self, sink: Sink, *changes: Change) -> None:
        for request in sink.requests(changes):
            assert set(sink.send(request)) == {Applied()}

    def write_both(self, *changes: Change) -> None:
        self.write(self.table_sink, *changes)
        self.write(self.index_sink, *changes)

    def refresh_every(self, interval: str | None) -> None:
        """Set the refresh interval: a long one makes many writes cheap; None: the default."""
        body = {"index": {"refresh_interval": interval}}
        self.opensearch.indices.put_settings(index=self.index, body=body)

    def overwrite(self, change: Change, **fields: Any) -> None:
        """A document with its own version; `fields` replace its own, and None removes a field."""
        source = msgspec.to_builtins(document_from(change)) | fields
        self.opensearch.index(
            index=self.index,
            id=change.image_id,
            body={name: value for name, value in source.items() if value is not None},
            params={"version": str(change.version), "version_type": "external_gte"},
        )

    def update_item(self, image_id: str, expression: str, **more: Any) -> None:
        key = {"image_id": {"S": image_id}}
        self.dynamodb.update_item(
            TableName=self.table, Key=key, UpdateExpression=expression, **more
        )

    # The corruptions: each gets an image that both stores hold alike.

    def delete_document(self, was: Change) -> None:
        self.opensearch.delete(index=self.index, id=was.image_id)

    def delete_item(self, was: Change) -> None:
        self.dynamodb.delete_item(TableName=self.table, Key={"image_id": {"S": was.image_id}})

    def newer_in_table(self, was: Change) -> None:
        self.write(self.table_sink, a_change(was.image_id, was.version + 9, "newer"))

    def removed_in_table(self, was: Change) -> None:
        self.write(self.table_sink, a_change(was.image_id, was.version + 9, None))

    def newer_in_index(self, was: Change) -> None:
        self.write(self.index_sink, a_change(was.image_id, was.version + 9, "newer"))

    def removed_in_index(self, was: Change) -> None:
        self.write(self.index_sink, a_change(was.image_id, was.version + 9, None))

    def other_in_index(self, was: Change) -> None:
        self.overwrite(a_change(was.image_id, was.version, "other"))

    def other_in_table(self, was: Change) -> None:
        item = item_from(a_change(was.image_id, was.version, "other"))
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def tombstone_in_index(self, was: Change) -> None:
        self.overwrite(a_change(was.image_id, was.version, None))

    def tombstone_in_table(self, was: Change) -> None:
        item = item_from(a_change(was.image_id, was.version, None))
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def document_without_digest(self, was: Change) -> None:
        self.overwrite(was, digest=None)

    def document_of_another_image(self, was: Change) -> None:
        self.overwrite(was, image_id="somebody-else")

    def item_without_digest(self, was: Change) -> None:
        self.update_item(was.image_id, "REMOVE digest")

    def item_without_version(self, was: Change) -> None:
        self.update_item(was.image_id, "REMOVE version")

    def version_moved(self, was: Change) -> None:
        self.opensearch.update(
            index=self.index,
            id=was.image_id,
            body={"doc": {"version": was.version}, "detect_noop": False},
        )

    def old_leftover(self, was: Change) -> None:
        old = a_change(was.image_id, was.version + 1, "left over", age=3_000 * DAY)
        self.write(self.index_sink, old)
        self.delete_item(was)

    # What only the values show.

    def name_changed_in_index(self, was: Change) -> None:
        self.overwrite(was, name="by hand")

    def name_changed_in_table(self, was: Change) -> None:
        self.update_item(
            was.image_id,
            "SET image.#name = :name",
            ExpressionAttributeNames={"#name": "name"},
            ExpressionAttributeValues={":name": {"S": "by hand"}},
        )

    def time_changed_in_index(self, was: Change) -> None:
        self.overwrite(was, occurred_at="2001-01-01T00:00:00Z")


type Corruption = Callable[[Hand, Change], None]

KINDS: dict[DifferenceKind, Sequence[Corruption]] = {
    "missing_in_index": [Hand.delete_document],
    "missing_in_table": [Hand.delete_item, Hand.old_leftover],
    "index_behind": [Hand.newer_in_table, Hand.removed_in_table],
    "table_behind": [Hand.newer_in_index, Hand.removed_in_index],
    "conflict": [Hand.other_in_index, Hand.other_in_table, Hand.time_changed_in_index],
    "deleted_in_one": [Hand.tombstone_in_index, Hand.tombstone_in_table],
    "malformed": [
        Hand.document_without_digest,
        Hand.document_of_another_image,
        Hand.item_without_digest,
        Hand.item_without_version,
        Hand.name_changed_in_index,
        Hand.name_changed_in_table,
    ],
    "index_version_moved": [Hand.version_moved],
}
CORRUPTIONS = [(kind, spoil) for kind, spoils in KINDS.items() for spoil in spoils]
# What the index is then ahead with, so that a plain repair leaves it.
AHEAD: dict[Corruption, AheadKind] = {
    Hand.delete_item: "image",
    Hand.old_leftover: "outlived",
    Hand.newer_in_index: "image",
    Hand.removed_in_index: "removal",
    Hand.item_without_digest: "malformed",
    Hand.item_without_version: "malformed",
    Hand.name_changed_in_table: "malformed",
}
