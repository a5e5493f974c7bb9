"""What only a repair may do to the index: overwrite at the same version, and take a document out.

Both under OpenSearch's own guard, `external_gte`: an index that has moved on keeps what it has.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.connect import in_sink_words, shortened
from functions.write_to_es.document import document_from
from functions.write_to_es.sink import MAX_REQUEST_BYTES
from shared.change import Change
from shared.outcome import Applied, Failed, Outcome, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError

_CONFLICT, _BAD_REQUEST, _NOT_FOUND = 409, 400, 404
_FORBIDDEN = frozenset({401, 403})
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
        operations = (
            _line("index", change.image_id, change.version)
            + msgspec.json.encode(document_from(change))
            + b"\n"
            for change in changes
        )
        return self._bulk(operations)

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        """Take documents out; one that is not there is `Applied` as well.

        Raises:
            MisconfiguredError: no right to write, or no alias.
        """
        return self._bulk(_line("delete", one.image_id, one.guard) for one in removals)

    def _bulk(self, operations: Iterable[bytes]) -> Sequence[Outcome]:
        return [outcome for some in _cut(operations) for outcome in self._send(some)]

    def _send(self, operations: Sequence[bytes]) -> Sequence[Outcome]:
        try:
            with in_sink_words(self._alias):
                answer = self._client.bulk(body=b"".join(operations), index=self._alias)
        except (RequestFailedError, RequestRefusedError) as error:
            return [Failed(str(error))] * len(operations)
        items = [item for entry in answer.get("items", []) for item in entry.values()]
        if len(items) != len(operations):
            detail = f"index {self._alias}: {len(items)} answers to {len(operations)} operations"
            return [Failed(detail)] * len(operations)
        return [self._read(item) for item in items]

    def _read(self, item: Mapping[str, Any]) -> Outcome:
        status, error = item["status"], item.get("error")
        detail = shortened(f"index {self._alias}: {status}: {msgspec.json.encode(error).decode()}")
        if error is None and status in {200, 201, _NOT_FOUND}:
            return Applied()
        if status == _CONFLICT:
            return Stale()
        if status in _FORBIDDEN or status == _NOT_FOUND:
            raise MisconfiguredError(detail)
        return Refused(detail) if status == _BAD_REQUEST else Failed(detail)


def _line(verb: str, image_id: str, version: int) -> bytes:
    """What to do with whom; always encoded, so that no id can smuggle in an operation."""
    target = {
        "_id": image_id,
        "version": version,
        "version_type": "external_gte",
        "require_alias": True,
    }
    return msgspec.json.encode({verb: target}) + b"\n"


def _cut(operations: Iterable[bytes]) -> Iterable[Sequence[bytes]]:
    """As many as a request takes."""
    for some in batched(operations, _AT_ONCE, strict=False):
        request: list[bytes] = []
        size = 0
        for operation in some:
            if request and size + len(operation) > MAX_REQUEST_BYTES:
                yield request
                request, size = [], 0
            request.append(operation)
            size += len(operation)
        yield request
