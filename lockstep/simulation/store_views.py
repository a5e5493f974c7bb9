"""Views of the stores for the invariants: what each store holds of an image now."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec

from lockstep.simulation.fakes.dynamodb import DynamoDB, Written
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.violation import ViolationError
from lockstep.stores.entry import Entry, from_document
from shared.change import digest_of
from shared.item import MalformedItemError, change_in_item
from shared.outcome import Held, held


class StoredVersion(msgspec.Struct, frozen=True):
    """The version of an image in a store, and its digest; a tombstone has none."""

    version: int
    digest: str | None


class StoreView(Protocol):
    """Direct access to what a store holds, without its sink."""

    @property
    def journal(self) -> list[Written]:
        """Every write that took effect, in order."""
        ...

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """The stored version of the image, if any. Fast, because it does not check the entry.

        `among`: earlier `entries`, to read instead of the current ones.
        """
        ...

    def held(self, image_id: str) -> Held | None:
        """What the store holds of the image, if anything, as its sink tells it."""
        ...

    def entries(self) -> Mapping[str, Any]:
        """A copy of all entries, for a later `stored_version`."""
        ...

    def checked(self, touched: AbstractSet[str]) -> Mapping[str, StoredVersion]:
        """Check every entry completely; return the stored version of every image.

        `touched`: the images to leave out, because somebody else may have written their entries.

        Raises:
            ViolationError: no change makes this entry.
        """
        ...


class TableView:
    """The view of the table."""

    def __init__(self, client: DynamoDB) -> None:
        self._client = client
        self.journal = client.journal

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """The stored version of the image, if any."""
        item = (self._client.items if among is None else among).get(image_id)
        if item is None or "version" not in item:
            return None
        return StoredVersion(
            int(item["version"]["N"]), item["digest"]["S"] if "digest" in item else None
        )

    def held(self, image_id: str) -> Held | None:
        """What the table holds of the image, if anything."""
        item = self._client.items.get(image_id)
        if item is None or "version" not in item:
            return None
        version, arrived_at = int(item["version"]["N"]), int(item["arrived_at"]["N"])
        return held(version, arrived_at, item["occurred_at"]["S"])

    def entries(self) -> Mapping[str, Any]:
        """All items."""
        return self._client.items.copy()

    def checked(self, touched: AbstractSet[str]) -> Mapping[str, StoredVersion]:
        """The stored version of every image, decoded from its item."""
        found = {}
        for image_id, item in self._client.items.items():
            if image_id in touched:
                continue
            try:
                change = change_in_item(item)
            except MalformedItemError as error:
                raise ViolationError("I3", f"item {image_id}: {error}") from error
            found[image_id] = StoredVersion(change.version, digest_of(change))
        return found


class IndexView:
    """The view of the index."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client
        self.journal = client.journal

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """The stored version of the image, if any."""
        document = (self._client.documents if among is None else among).get(image_id)
        if document is None or document.source is None or "version" not in document.source:
            return None
        return StoredVersion(document.source["version"], document.source.get("digest"))

    def held(self, image_id: str) -> Held | None:
        """What the index holds of the image, if anything."""
        document = self._client.documents.get(image_id)
        if document is None or document.source is None or "version" not in document.source:
            return None
        source = document.source
        return held(source["version"], source["arrived_at"], source["occurred_at"])

    def entries(self) -> Mapping[str, Any]:
        """All documents."""
        return self._client.documents.copy()

    def checked(self, touched: AbstractSet[str]) -> Mapping[str, StoredVersion]:
        """The stored version of every image, read as the audit reads it."""
        found = {}
        for image_id, document in self._client.documents.items():
            if document.source is None or image_id in touched:
                continue
            entry = _entry(image_id, document.version, document.source)
            if entry.malformed or entry.checked_version != entry.version:
                said = (
                    entry.malformed or f"_version {entry.checked_version}, version {entry.version}"
                )
                raise ViolationError("I3", f"document {image_id}: {said}")
            if entry.deleted != (entry.expires_at is not None):
                raise ViolationError(
                    "I3", f"document {image_id}: a tombstone has expires_at, and an image has none"
                )
            found[image_id] = StoredVersion(entry.version, entry.digest)
        return found


def _entry(image_id: str, version: int, source: Mapping[str, Any]) -> Entry:
    return from_document({"_id": image_id, "_version": version, "_source": source})
