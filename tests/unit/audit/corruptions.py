"""What somebody may change in one image without the sinks, and what an audit must call it.

Each gets the change that both stores hold, and spoils one of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lockstep.audit.ahead import AheadKind
from lockstep.audit.compare import DifferenceKind
from lockstep.simulation.fakes.opensearch import StoredDocument
from shared.change import Change
from tests.unit.audit.stand import OLD, Stand, a_change, a_document, an_item, lying

type Corruption = Callable[[Stand, Change], None]


def _put_item(stand: Stand, change: Change, *but: str) -> None:
    item = an_item(change)
    stand.dynamodb.items[change.image_id] = {
        name: value for name, value in item.items() if name not in but
    }


def _put_document(
    stand: Stand, change: Change, checked_version: int | None = None, **fields: Any
) -> None:
    stand.opensearch.documents[change.image_id] = a_document(change, checked_version, **fields)


def _other(was: Change, ahead: int = 0, content: str | None = "other") -> Change:
    return a_change(was.version + ahead, content, image_id=was.image_id)


def document_deleted(stand: Stand, was: Change) -> None:
    stand.opensearch.documents[was.image_id] = StoredDocument(was.version + 1, None, stand.at)


def document_forgotten(stand: Stand, was: Change) -> None:
    del stand.opensearch.documents[was.image_id]


def item_deleted(stand: Stand, was: Change) -> None:
    del stand.dynamodb.items[was.image_id]


def old_leftover(stand: Stand, was: Change) -> None:
    item_deleted(stand, was)
    left = a_change(was.version + 1, "left over", arrived=OLD, image_id=was.image_id)
    _put_document(stand, left)


def newer_in_table(stand: Stand, was: Change) -> None:
    _put_item(stand, _other(was, 9, "newer"))


def removed_in_table(stand: Stand, was: Change) -> None:
    _put_item(stand, _other(was, 9, None))


def newer_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, _other(was, 9, "newer"))


def removed_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, _other(was, 9, None))


def other_in_table(stand: Stand, was: Change) -> None:
    _put_item(stand, _other(was))


def other_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, _other(was))


def tombstone_in_table(stand: Stand, was: Change) -> None:
    _put_item(stand, _other(was, content=None))


def tombstone_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, _other(was, content=None))


def item_without_digest(stand: Stand, was: Change) -> None:
    _put_item(stand, was, "digest")


def item_without_version(stand: Stand, was: Change) -> None:
    _put_item(stand, was, "version")


def document_without_digest(stand: Stand, was: Change) -> None:
    _put_document(stand, was, digest=None)


def document_of_another_image(stand: Stand, was: Change) -> None:
    _put_document(stand, was, image_id="somebody-else")


def version_moved(stand: Stand, was: Change) -> None:
    _put_document(stand, was, checked_version=was.version + 1)


def tag_changed_in_table(stand: Stand, was: Change) -> None:
    _put_item(stand, lying(was))


def name_changed_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, was, name="by hand")


def time_changed_in_index(stand: Stand, was: Change) -> None:
    _put_document(stand, was, occurred_at="2001-01-01T00:00:00Z")


# The last three only the values show.
CORRUPTIONS: Mapping[Corruption, DifferenceKind] = {
    document_deleted: "missing_in_index",
    document_forgotten: "missing_in_index",
    item_deleted: "missing_in_table",
    old_leftover: "missing_in_table",
    newer_in_table: "index_behind",
    removed_in_table: "index_behind",
    newer_in_index: "table_behind",
    removed_in_index: "table_behind",
    other_in_table: "conflict",
    other_in_index: "conflict",
    tombstone_in_table: "deleted_in_one",
    tombstone_in_index: "deleted_in_one",
    item_without_digest: "malformed",
    item_without_version: "malformed",
    document_without_digest: "malformed",
    document_of_another_image: "malformed",
    version_moved: "index_version_moved",
    tag_changed_in_table: "malformed",
    name_changed_in_index: "malformed",
    time_changed_in_index: "conflict",
}
ONLY_IN_VALUES = (tag_changed_in_table, name_changed_in_index, time_changed_in_index)
# What the index is then ahead with, so that a plain repair leaves it.
AHEAD: Mapping[Corruption, AheadKind] = {
    item_deleted: "image",
    old_leftover: "outlived",
    newer_in_index: "image",
    removed_in_index: "removal",
    item_without_digest: "malformed",
    item_without_version: "malformed",
    tag_changed_in_table: "malformed",
}
