"""Harm by hand: somebody changes entries of a store past our sinks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.oracle import stored_digest

HORIZON_SECONDS = 121 * 86_400
# OpenSearch counts on by one; a second and an hour of stamps.
VERSIONS_MOVED = (1, 3, 1_000_000, 3_600_000_000)
# Not each change fits each entry.
MOST_TRIES = 4
# A foreign version: within the versions that one producer may stamp next, or far below.
FOREIGN_STEPS: Sequence[int] = (-1_000, -1, 1, 1_000)

type _Item = Mapping[str, Any]
type _Source = Mapping[str, Any]


class Harm:
    """Changes entries by hand."""

    def __init__(self, tools: Tools, promises: Promises, around: Surroundings) -> None:
        """Change the stores of this system."""
        self._system = tools.system
        self._around = around
        self._promises = promises
        self._in_table: Sequence[Callable[[str, _Item], _Item | None]] = (
            self._no_item,
            self._item_with_other_content,
            self._item_of_another_version,
            self._item_without_digest,
            self._item_that_contradicts_its_digest,
            self._item_without_version,
            self._item_that_ends_early,
            self._item_with_a_foreign_attribute,
            self._item_deleted_or_not,
        )
        # Other content under the same version: only a repair can decide then.
        self._alike: Sequence[Callable[[str, _Item], _Item | None]] = (
            self._item_with_other_content,
            self._item_deleted_or_not,
        )
        self._in_index: Sequence[Callable[[str, StoredDocument], StoredDocument | None]] = (
            self._no_document,
            self._document_with_other_content,
            self._document_of_another_version,
            self._document_whose_version_moved,
            self._document_whose_version_moved,
            self._document_without_digest,
            self._document_that_contradicts_its_digest,
            self._document_without_version,
            self._document_that_ends_early,
        )

    def step(self) -> None:
        """Change one to three entries; half of their images are then uploaded again."""
        for image_id in self.some():
            if self._system.conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
                self._around.put(image_id)

    def some(self) -> list[str]:
        """Change one to three entries, and return their images."""
        times = self._system.conditions.chance.choice((1, 1, 2, 3))
        changed = [self.once() for _ in range(times)]
        return [image_id for image_id in changed if image_id is not None]

    def once(self) -> str | None:
        """Change one entry of one store, and return its image; None if no change was possible."""
        for _ in range(MOST_TRIES):
            chance = self._system.conditions.chance
            in_table = chance.random() < 0.5  # noqa: PLR2004 - a coin
            image_id = self._change_item(self._in_table) if in_table else self._change_document()
            if image_id is not None:
                self._note(image_id)
                return image_id
        return None

    def ahead(self) -> None:
        """Remove an item, so that the index is ahead with its document, if there is any."""
        image_id = self._change_item((self._no_item,))
        if image_id is not None:
            self._note(image_id)

    def alike(self) -> None:
        """Give an item other content under the same version, if there is any."""
        image_id = self._change_item(self._alike)
        if image_id is not None:
            self._note(image_id)

    def _note(self, image_id: str) -> None:
        self._system.conditions.hidden_effects += 1
        self._promises.touch(image_id)

    def _change_item(self, ways: Sequence[Callable[[str, _Item], _Item | None]]) -> str | None:
        """Change an item; return its image, or None if the change drawn does not fit it."""
        items, chance = self._system.table.items, self._system.conditions.chance
        if not items:
            return None
        image_id = chance.choice(sorted(items))
        changed = chance.choice(ways)(image_id, items[image_id])
        if changed is items[image_id]:
            return None
        if changed is None:
            self._system.table.remove_by_hand(image_id)
        else:
            self._system.put_by_hand(image_id, dict(changed))
        self._system.conditions.tally["item harmed by hand"] += 1
        return image_id

    def _change_document(self) -> str | None:
        """Change a document; return its image, or None if the change drawn does not fit it."""
        system, chance = self._system, self._system.conditions.chance
        documents = system.index.documents
        ids = sorted(one for one, document in documents.items() if document.source)
        if not ids:
            return None
        image_id = chance.choice(ids)
        document = documents[image_id]
        changed = chance.choice(self._in_index)(image_id, document)
        if changed is document:
            return None
        kept = document if changed is None else changed
        moved = changed is not None and changed.source is document.source
        system.conditions.tally[
            "version of a document moved by hand" if moved else "document harmed by hand"
        ] += 1
        source = None if changed is None else kept.source
        system.index.nodes.live.keep(image_id, kept.version, source, system.time.now)
        if changed is None:  # so long ago that OpenSearch knows nothing of it
            del documents[image_id]
        return image_id

    # The changes of an item. The same item: this change is none here.

    @staticmethod
    def _no_item(_: str, __: _Item) -> None:
        return None

    def _item_with_other_content(self, image_id: str, item: _Item) -> _Item:
        if not _is_image(item):
            return item
        name = f"{image_id} by hand {self._system.time.now}"
        return {
            **item,
            "image": {"M": {"name": {"S": name}}},
            "digest": {"S": stored_digest({"name": name})},
        }

    def _item_of_another_version(self, image_id: str, item: _Item) -> _Item:
        if not _has_number(item):
            return item
        version = int(item["version"]["N"]) + self._foreign_step()
        return self._item_with_other_content(
            image_id, {**item, "version": {"N": str(max(1, version))}}
        )

    @staticmethod
    def _item_without_digest(_: str, item: _Item) -> _Item:
        return _without(item, "digest")

    @staticmethod
    def _item_that_contradicts_its_digest(_: str, item: _Item) -> _Item:
        return {**item, "digest": {"S": "0" * 64}} if "digest" in item else item

    @staticmethod
    def _item_without_version(_: str, item: _Item) -> _Item:
        return _without(item, "version")

    def _item_that_ends_early(self, _: str, item: _Item) -> _Item:
        if "expires_at" not in item:
            return item
        return {**item, "expires_at": {"N": str(self._early(int(item["expires_at"]["N"])))}}

    @staticmethod
    def _item_with_a_foreign_attribute(_: str, item: _Item) -> _Item:
        return {**item, "foreign": {"S": "theirs"}}

    @staticmethod
    def _item_deleted_or_not(_: str, item: _Item) -> _Item:
        if not _is_image(item) or "arrived_at" not in item:
            return item
        end = int(item["arrived_at"]["N"]) // 1000 + HORIZON_SECONDS
        bare = _without(_without(item, "digest"), "image")
        return {
            **bare,
            "deleted": {"BOOL": True},
            "event_type": {"S": "image.deleted"},
            "expires_at": {"N": str(end)},
        }

    # The changes of a document.

    def _no_document(self, _: str, document: StoredDocument) -> StoredDocument | None:
        """Removed, as long ago that OpenSearch knows nothing of it, or just now."""
        if self._system.conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
            return None
        return StoredDocument(document.version + 1, None, self._system.time.now)

    def _document_with_other_content(
        self, image_id: str, document: StoredDocument
    ) -> StoredDocument:
        source = _source(document)
        if source.get("deleted") is not False or "digest" not in source:
            return document
        name = f"{image_id} by hand {self._system.time.now}"
        head = {one: source[one] for one in _HEAD if one in source}
        other = {**head, "name": name, "digest": stored_digest({"name": name})}
        return msgspec.structs.replace(document, source=other)

    def _document_of_another_version(
        self, image_id: str, document: StoredDocument
    ) -> StoredDocument:
        source = _source(document)
        if "version" not in source:
            return document
        version = max(1, source["version"] + self._foreign_step())
        other = msgspec.structs.replace(
            document, version=version, source={**source, "version": version}
        )
        return self._document_with_other_content(image_id, other)

    def _document_whose_version_moved(self, _: str, document: StoredDocument) -> StoredDocument:
        """Written without a version, or with one of a clock that is ahead."""
        more = self._system.conditions.chance.choice(VERSIONS_MOVED)
        return msgspec.structs.replace(document, version=document.version + more)

    @staticmethod
    def _document_without_digest(_: str, document: StoredDocument) -> StoredDocument:
        return _document_without(document, "digest")

    @staticmethod
    def _document_that_contradicts_its_digest(_: str, document: StoredDocument) -> StoredDocument:
        source = _source(document)
        if "digest" not in source:
            return document
        return msgspec.structs.replace(document, source={**source, "digest": "0" * 64})

    @staticmethod
    def _document_without_version(_: str, document: StoredDocument) -> StoredDocument:
        return _document_without(document, "version")

    def _document_that_ends_early(self, _: str, document: StoredDocument) -> StoredDocument:
        source = _source(document)
        if "expires_at" not in source:
            return document
        other = {**source, "expires_at": self._early(source["expires_at"])}
        return msgspec.structs.replace(document, source=other)

    def _foreign_step(self) -> int:
        return self._system.conditions.chance.choice(FOREIGN_STEPS)

    def _early(self, end: int) -> int:
        """An end of a tombstone that is too early: by a second, or over already."""
        over = int(self._system.time.now) - 1
        return self._system.conditions.chance.choice((end - 1, min(end - 1, over)))


_HEAD = ("image_id", "version", "deleted", "event_type", "occurred_at", "arrived_at")


def _is_image(item: _Item) -> bool:
    return item.get("deleted") == {"BOOL": False} and "digest" in item and "image" in item


def _has_number(item: _Item) -> bool:
    return "version" in item


def _without(item: _Item, name: str) -> _Item:
    return {one: value for one, value in item.items() if one != name} if name in item else item


def _source(document: StoredDocument) -> _Source:
    return document.source or {}


def _document_without(document: StoredDocument, name: str) -> StoredDocument:
    source = _source(document)
    if name not in source:
        return document
    return msgspec.structs.replace(document, source=_without(source, name))
