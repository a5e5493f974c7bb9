"""Views of the stores for the invariants: the raw entries that each store holds now."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

import msgspec

from lockstep.simulation.fakes.dynamodb import DynamoDB, Written
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.oracle import Holding


class StoredVersion(msgspec.Struct, frozen=True):
    """The version of an image in a store, and its digest; a tombstone has none."""

    version: int
    digest: str | None


def held_by(written: Written) -> tuple[StoredVersion, str | None]:
    """What a write left in the store, and when that occurred; None if it is not known."""
    version, entry = written.version or 0, written.entry
    if entry is None:
        return StoredVersion(version, None), None
    if isinstance(entry, dict):
        values = {name: typed.get("S") for name, typed in entry.items()}
    else:
        values = entry.source
    return StoredVersion(version, values.get("digest")), values.get("occurred_at")


def holding_in(entry: Any) -> Holding | None:
    """What an item or a document holds of its image, if anything, to find out what is outrun."""
    if entry is None:
        return None
    if isinstance(entry, dict):
        values = {name: next(iter(typed.values())) for name, typed in entry.items()}
    else:
        values = entry.source or {}
    if not {"version", "arrived_at", "occurred_at"} <= values.keys():
        return None
    return Holding(int(values["version"]), int(values["arrived_at"]), values["occurred_at"])


class StoreView(Protocol):
    """Direct access to what a store holds, without its sink."""

    @property
    def journal(self) -> list[Written]:
        """Every write that took effect, in order."""
        ...

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """The stored version of the image, if any.

        `among`: earlier `entries`, to read instead of the current ones.
        """
        ...

    def holding(self, image_id: str) -> Holding | None:
        """What the store holds of the image, if anything, to find out what is outrun."""
        ...

    def entries(self) -> Mapping[str, Any]:
        """A copy of all entries, for a later `stored_version`."""
        ...

    def versions(self, touched: AbstractSet[str] = frozenset()) -> Mapping[str, StoredVersion]:
        """The stored version of every image, without those that were `touched`."""
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

    def holding(self, image_id: str) -> Holding | None:
        """What the table holds of the image, if anything."""
        return holding_in(self._client.items.get(image_id))

    def entries(self) -> Mapping[str, Any]:
        """All items."""
        return self._client.items.copy()

    def versions(self, touched: AbstractSet[str] = frozenset()) -> Mapping[str, StoredVersion]:
        """The stored version of every image."""
        return {
            image_id: held
            for image_id in self._client.items
            if image_id not in touched and (held := self.stored_version(image_id)) is not None
        }


class IndexView:
    """The view of the index."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client
        self.journal = client.journal

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """The stored version of the image, if any."""
        document = self._client.held(image_id) if among is None else among.get(image_id)
        if document is None or document.source is None or "version" not in document.source:
            return None
        return StoredVersion(document.source["version"], document.source.get("digest"))

    def holding(self, image_id: str) -> Holding | None:
        """What the index holds of the image, if anything."""
        return holding_in(self._client.held(image_id))

    def entries(self) -> Mapping[str, Any]:
        """All documents."""
        return self._client.held_documents()

    def versions(self, touched: AbstractSet[str] = frozenset()) -> Mapping[str, StoredVersion]:
        """The stored version of every image."""
        return {
            image_id: held
            for image_id in self._client.documents
            if image_id not in touched and (held := self.stored_version(image_id)) is not None
        }
