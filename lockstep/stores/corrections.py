"""What only a repair may do to the index: overwrite at the same version, and take a document out.

Both under OpenSearch's own guard, `external_gte`: an index that has moved on keeps what it has.
"""

from collections.abc import Iterable, Sequence
from itertools import batched

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es import bulk
from functions.write_to_es.bulk import BulkItem, Operation
from functions.write_to_es.document import document_from
from shared.change import Change
from shared.outcome import Applied, Failed, Outcome, Stale
from shared.sink import RequestFailedError, RequestRefusedError

_AT_ONCE = 500


class Removal(msgspec.Struct, frozen=True):
    """A document that is to leave the index, unless its `_version` is above `guard` by then."""

    image_id: str
    guard: int


class Corrections:
    """The index behind its writing alias, corrected."""

    def __init__(self, client: OpenSearch, alias: str) -> None:
        self._client = client
        self._alias = alias

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write these changes also where the index holds the same version.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._done(
            bulk.write(one.image_id, one.version, document_from(one), "external_gte")
            for one in changes
        )

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Take documents out; one that is not there is `Applied` as well.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._done(bulk.removal(one.image_id, one.guard) for one in removals)

    def _done(self, operations: Iterable[Operation]) -> Sequence[Outcome]:
        return [
            outcome
            for some in batched(operations, _AT_ONCE, strict=False)
            for request in bulk.split(some)
            for outcome in self._send(request)
        ]

    def _send(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        try:
            items = bulk.send_bulk(self._client, self._alias, operations)
        except (RequestFailedError, RequestRefusedError) as error:
            return [Failed(str(error))] * len(operations)
        return [self._read(item) for item in items]

    def _read(self, item: BulkItem) -> Outcome:
        if item.is_version_conflict:
            return Stale()
        return Applied() if item.found_nothing else bulk.outcome(item, self._alias)
