"""The stores as the invariants see them: what each holds of an image, right now."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from lockstep.simulation.fakes.dynamodb import DynamoDB, Written
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.violation import ViolationError
from lockstep.stores.entry import Entry, from_document
from shared.change import digest_of
from shared.item import MalformedItemError, change_in_item


class StoredVersion(msgspec.Struct, frozen=True):
    """The version of an image in a store, and its content's digest; none for a tombstone."""

    version: int
    digest: str | None


class StoreView(Protocol):
    """One store from behind."""

    @property
    def journal(self) -> list[Written]:
        """Every write that took effect, in order."""
        ...

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """What is there of the image, if anything; quickly, believing what it says.

        `among`: the entries of another moment, as `entries` gave them then.
        """
        ...

    def entries(self) -> Mapping[str, Any]:
        """All that is there right now, for `held` to look at later."""
        ...

    def checked(self) -> Mapping[str, StoredVersion]:
        """All that is there, each entry looked at as a whole.

        Raises:
            ViolationError: one that no change of ours makes.
        """
        ...


class TableView:
    """The table from behind."""

    def __init__(self, client: DynamoDB) -> None:
        self._client = client
        self.journal = client.journal

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """What is there of the image."""
        item = (self._client.items if among is None else among).get(image_id)
        if item is None:
            return None
        return StoredVersion(
            int(item["version"]["N"]), item["digest"]["S"] if "digest" in item else None
        )

    def entries(self) -> Mapping[str, Any]:
        """All items."""
        return self._client.items.copy()

    def checked(self) -> Mapping[str, StoredVersion]:
        """All items, decoded as what made them."""
        found = {}
        for image_id, item in self._client.items.items():
            try:
                change = change_in_item(item)
            except MalformedItemError as error:
                raise ViolationError("I3", f"item {image_id}: {error}") from error
            found[image_id] = StoredVersion(change.version, digest_of(change))
        return found


class IndexView:
    """The index from behind."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client
        self.journal = client.journal

    def stored_version(
        self, image_id: str, among: Mapping[str, Any] | None = None
    ) -> StoredVersion | None:
        """What is there of the image."""
        document = (self._client.documents if among is None else among).get(image_id)
        if document is None or document.source is None:
            return None
        return StoredVersion(document.source["version"], document.source.get("digest"))

    def entries(self) -> Mapping[str, Any]:
        """All documents."""
        return self._client.documents.copy()

    def checked(self) -> Mapping[str, StoredVersion]:
        """All documents, looked at as the audit does."""
        found = {}
        for image_id, document in self._client.documents.items():
            if document.source is None:
                continue
            entry = _entry(image_id, document.version, document.source)
            if entry.malformed or entry.checked_version != entry.version:
                said = (
                    entry.malformed or f"_version {entry.checked_version}, version {entry.version}"
                )
                raise ViolationError("I3", f"document {image_id}: {said}")
            if entry.deleted != (entry.expires_at is not None):
                raise ViolationError("I3", f"document {image_id}: expires_at goes with a tombstone")
            found[image_id] = StoredVersion(entry.version, entry.digest)
        return found


def _entry(image_id: str, version: int, source: Mapping[str, Any]) -> Entry:
    return from_document({"_id": image_id, "_version": version, "_source": source})
