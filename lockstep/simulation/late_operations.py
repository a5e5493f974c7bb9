"""Purges of expired tombstones, days after the deletions."""

from contextlib import suppress
from functools import partial
from typing import cast

import opensearchpy

from lockstep.simulation.system import System
from shared.sink import SinkError

LONGEST_PURGE_SECONDS = 7_200.0
# The share of expired tombstones that stay. DynamoDB may take days, and purging is optional.
STAYING_SHARE = 0.2


class LateOperations:
    """The purges of the stores and of operators, long after an event arrived."""

    def __init__(self, system: System) -> None:
        """Operate on this system."""
        self._system = system
        self._conditions, self._time = system.conditions, system.time

    def purge(self) -> None:
        """Purge expired tombstones, now or within the hour, also during an invocation.

        DynamoDB purges by time to live only. The purge of the index deletes a tombstone only if no
        newer version is stored.
        """
        for image_id, item in self._system.table.items.items():
            if "expires_at" in item and int(item["expires_at"]["N"]) < self._time.now:
                self._soon(partial(self._purge_item, image_id))
        for image_id, document in self._system.index.documents.items():
            if (document.source or {}).get("expires_at", self._time.now) < self._time.now:
                self._soon(partial(self._purge_document, image_id, document.version))
        self._time.advance(0.0)

    def _soon(self, purge: partial[None]) -> None:
        chance = self._conditions.chance
        if chance.random() < STAYING_SHARE:
            return
        delay = max(0.0, chance.random() - 0.5) * LONGEST_PURGE_SECONDS
        self._time.later(delay, purge)

    def _purge_item(self, image_id: str) -> None:
        held = self._system.consumers["write_to_dynamodb"].store.stored_version(image_id)
        if not self._system.table.purge(image_id, self._time.now) or held is None:
            return
        self._conditions.hidden_effects += 1
        if held.digest is None:
            self._system.purged["write_to_dynamodb"].add((image_id, held.version))
            self._conditions.tally["expired tombstone purged from the table"] += 1

    def _purge_document(self, image_id: str, version: int) -> None:
        system = self._system
        system.purged["write_to_es"].add((image_id, version))

        def purge() -> None:
            # After an error the tombstone stays for the next purge.
            with suppress(SinkError, opensearchpy.OpenSearchException):
                system.components.purge(
                    cast("opensearchpy.OpenSearch", system.index), image_id, version
                )

        self._conditions.interleave(purge)
        if system.consumers["write_to_es"].store.stored_version(image_id) is None:
            self._conditions.tally["expired tombstone purged from the index"] += 1
