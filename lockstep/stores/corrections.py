"""Corrections of the index that only a repair or a purge makes: overwrite and remove documents.

Both use OpenSearch's version check `external_gte`: a document with a higher version stays.
"""

from collections.abc import Iterable, Sequence
from itertools import batched

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es import bulk
from functions.write_to_es.bulk import BulkItem, Operation
from functions.write_to_es.document import document_from
from shared.change import Change
from shared.outcome import Applied, Outcome, Stale
from shared.sink import outcomes_of, patient

_AT_ONCE = 500


class Removal(msgspec.Struct, frozen=True):
    """A document to remove from the index, unless its `_version` is above `checked_version`."""

    image_id: str
    checked_version: int


class Corrections:
    """Corrects the index behind its write alias."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self._client = client
        self._alias = alias

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write these changes, also over documents of the same version.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._outcomes(
            bulk.write(one.image_id, one.version, document_from(one), "external_gte")
            for one in changes
        )

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Remove documents; a document that does not exist is `Applied` as well.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._outcomes(bulk.removal(one.image_id, one.checked_version) for one in removals)

    def _outcomes(self, operations: Iterable[Operation]) -> Sequence[Outcome]:
        return [
            outcome
            for some in batched(operations, _AT_ONCE)
            for request in bulk.split(some)
            for outcome in outcomes_of(request, patient(self._send))
        ]

    def _send(
        self, operations: Sequence[Operation], within: float | None = None
    ) -> Sequence[Outcome]:
        items = bulk.send_bulk(self._client, self._alias, operations, seconds=within)
        return [self._read(item) for item in items]

    def _read(self, item: BulkItem) -> Outcome:
        if item.is_version_conflict:
            return Stale()
        return Applied() if item.found_nothing else bulk.outcome(item, self._alias)
