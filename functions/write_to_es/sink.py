"""The sink of the index: usually one `_bulk` request for an invocation, with version checks.

Rules: docs/internals/invariants.md.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es import bulk
from functions.write_to_es.bulk import BulkError, BulkItem, Operation
from functions.write_to_es.connect import REQUEST_SECONDS, sink_errors
from functions.write_to_es.document import document_from
from functions.write_to_es.index import foreign_settings, index_differences
from shared.change import Change, Purge, Put, Remove, describe_change, describe_content
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale, held
from shared.shortened import shortened
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
)

# One `_bulk`, then at most one `_mget`.
REQUESTS_PER_SEND = 2
# After a timeout, 64 requests that are answered in time restore the full size.
GROWTH_BYTES = bulk.MAX_REQUEST_BYTES // 64
_COMPARED = ("version", "deleted", "digest", "arrived_at", "occurred_at")


class _StoredSource(msgspec.Struct, frozen=True):
    version: int | None = None
    deleted: bool | None = None
    digest: str | None = None
    arrived_at: Any = None
    occurred_at: Any = None


class _Stored(msgspec.Struct, frozen=True):
    image_id: str = msgspec.field(name="_id")
    found: bool = False
    version: int | None = msgspec.field(name="_version", default=None)
    source: _StoredSource = msgspec.field(name="_source", default=_StoredSource())
    error: BulkError | None = None


class _MgetAnswer(msgspec.Struct, frozen=True):
    docs: list[_Stored]


class _VersionConflict(msgspec.Struct, frozen=True):
    """The version check rejected the change. Only the stored document shows why."""


class _Request(list[Change]):
    """Changes, and their operations, which are already encoded because the size was needed."""

    def __init__(self, changes: Iterable[Change], operations: Sequence[Operation]) -> None:
        super().__init__(changes)
        self.operations = operations


def _operation_for(change: Change) -> Operation:
    match change:
        case Put() | Remove():
            return bulk.write(change.image_id, change.version, document_from(change), "external")
        case Purge():
            # With the version of the tombstone: an image that was uploaded again has a higher one.
            return bulk.removal(change.image_id, change.version)


class ImageIndex:
    """The sink of the search index. A strictly higher version wins.

    The version check is OpenSearch's `version_type: external`. A deletion writes a tombstone,
    because OpenSearch forgets the version of a deleted document after a minute. Without a tombstone
    a late replay would restore the image. After a failure it may be unknown whether a change was
    written. That is harmless: a retry then returns `Duplicate`.
    """

    def __init__(
        self,
        client: OpenSearch,
        alias: str,
        *,
        longest_request: float,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """Set up the sink.

        Args:
            client: the client.
            alias: the alias of the index.
            longest_request: seconds; follows from the client's timeouts and retries.
            elapsed: seconds that never go back.
        """
        self._client = client
        self._alias = alias
        self._longest_request = longest_request
        self._elapsed = elapsed
        self._room = bulk.MAX_REQUEST_BYTES
        self._refused_by: set[str] = set()  # the indices that refused documents since `check`

    @property
    def longest_send(self) -> float:
        """The longest time of one `send` or `check`, in seconds."""
        return REQUESTS_PER_SEND * self._longest_request

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Split the changes, in order, into requests; most batches fit one.

        After a timeout, requests are smaller; with each answer in time, they grow again.
        """
        left = iter(changes)
        for operations in bulk.split(map(_operation_for, changes), lambda: self._room):
            yield _Request(islice(left, len(operations)), operations)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        """Write changes of different images; after version conflicts, also read the documents.

        Raises:
            RequestTimedOutError: the `_bulk` did not end in its time.
            RequestFailedError: it is unknown whether anything was written.
            RequestRefusedError: the whole request was refused; nothing is written.
            MisconfiguredError: no permission to write, no alias, or an index that is closed or
                write-protected.
        """
        if isinstance(changes, _Request):
            operations = changes.operations
        else:
            operations = [_operation_for(change) for change in changes]
        started = self._elapsed()
        items = self._bulk(operations, within)
        verdicts = [self._read(item, change) for item, change in zip(items, changes, strict=True)]
        left = None if within is None else within - (self._elapsed() - started)
        return self._resolve(verdicts, changes, left)

    def check(self) -> None:
        """Compare the live index with our definition.

        Raises:
            MisconfiguredError: the alias does not exist, or the index mapping, the analysis or a
                setting that makes the index refuse documents is not ours.
            RequestFailedError: the index could not be read this time, or another one has refused a
                document since the last call: the alias moved in between.
        """
        refused_by, self._refused_by = self._refused_by, set()
        try:
            with sink_errors(self._alias):
                found = self._client.indices.get(index=self._alias)
        except RequestRefusedError as error:  # the name is invalid
            raise MisconfiguredError(str(error)) from error
        if found == "":  # opensearch-py returns a truncated answer as an empty text
            raise RequestFailedError(f"index {self._alias}: an empty answer")
        if self._alias in found:
            raise MisconfiguredError(f"{self._alias} is an index, expected an alias")
        if len(found) != 1:
            indices = ", ".join(sorted(found))
            raise MisconfiguredError(f"alias {self._alias} names {indices}, expected one index")
        ((index, its),) = found.items()
        # A failed ingest pipeline answers with the name in the request: the alias.
        if others := ", ".join(sorted(refused_by - {index, self._alias})):
            raise RequestFailedError(
                f"alias {self._alias} moved from {others}, which refused a document, to {index}"
            )
        # For example, a refusal by an unknown ingest pipeline does not mean that the event is bad.
        for difference in chain(index_differences(its), foreign_settings(its)):
            raise MisconfiguredError(f"index {index} behind {self._alias}: {difference}")

    def _bulk(self, operations: Sequence[Operation], within: float | None) -> Sequence[BulkItem]:
        if within is not None:
            seconds = within - self._longest_request  # the `_mget` has at least the rest
            return bulk.send_bulk(self._client, self._alias, operations, seconds=seconds)
        try:
            items = bulk.send_bulk(self._client, self._alias, operations)
        except RequestTimedOutError:
            if len(operations) > 1:
                self._room = sum(len(one.lines) for one in operations) // 2
            raise
        self._room = min(bulk.MAX_REQUEST_BYTES, self._room + GROWTH_BYTES)
        return items

    def _read(self, item: BulkItem, change: Change) -> Outcome | _VersionConflict:
        if item.is_version_conflict:
            return _VersionConflict()
        match change:
            case Purge() if item.found_nothing:
                return Applied()
            case Put() | Remove() | Purge():
                outcome = bulk.outcome(item, self._alias)
                if isinstance(outcome, Refused):
                    self._refused_by.add(item.index)
                return outcome

    def _resolve(
        self,
        verdicts: Sequence[Outcome | _VersionConflict],
        changes: Sequence[Change],
        within: float | None,
    ) -> Sequence[Outcome]:
        """Replace each version conflict by its outcome, with one read of the stored documents."""
        unclear = [
            change
            for verdict, change in zip(verdicts, changes, strict=True)
            if isinstance(verdict, _VersionConflict)
        ]
        decided = iter(self._compared(unclear, within) if unclear else ())
        return [
            next(decided) if isinstance(verdict, _VersionConflict) else verdict
            for verdict in verdicts
        ]

    def _compared(self, changes: Sequence[Change], within: float | None) -> Sequence[Outcome]:
        try:
            stored = self._mget([change.image_id for change in changes], within)
        except (RequestFailedError, RequestRefusedError) as error:
            # The outcomes of the other changes stay valid.
            return [Failed(str(error))] * len(changes)
        return [
            _compare_with_document(change, one) for change, one in zip(changes, stored, strict=True)
        ]

    def _mget(self, image_ids: Sequence[str], within: float | None) -> Sequence[_Stored]:
        """Read documents, including those written after the last refresh.

        `within`: the seconds that it may take, if they are more than the client's timeout.

        The path names the index, since `allow_explicit_index: false` refuses an index in the body.
        The body says what to return, since the service may ignore URL parameters of a signed POST
        (docs/internals/facts.md, OpenSearch).
        """
        body = {"docs": [{"_id": image_id, "_source": _COMPARED} for image_id in image_ids]}
        params = bulk.timeout(within) if within is not None and within > REQUEST_SECONDS else {}
        with sink_errors(self._alias):
            answer = self._client.mget(body=body, index=self._alias, params=params)
        stored = bulk.converted(answer, _MgetAnswer, self._alias).docs
        if [one.image_id for one in stored] != list(image_ids):
            detail = f"index {self._alias}: {len(stored)} documents for {len(image_ids)} ids"
            raise RequestFailedError(detail)
        return stored


def _compare_with_document(change: Change, stored: _Stored) -> Outcome:
    """Compare the change with the stored document, whose version rejected it."""
    if stored.error is not None:
        return Failed(shortened(str(stored.error)))
    if not stored.found or stored.version is None or stored.version < change.version:
        return Failed(
            f"version {change.version}: another program deleted the document, and OpenSearch keeps "
            "its version for a minute (index.gc_deletes)"
        )
    source = stored.source
    holds = source.version
    its = held(holds, source.arrived_at, source.occurred_at)
    if holds is not None and holds > change.version:
        return Stale(its)
    there = describe_content(source.digest, deleted=bool(source.deleted))
    this = describe_change(change)
    if holds != change.version:
        # Another program wrote without a version, so `_version` is not the version of the content.
        # The event is quarantined, not lost. An audit finds the document.
        there = f"{there} of version {holds}, which another program moved to {stored.version}"
    if there == this:
        return Duplicate(its)
    return Conflict(f"version {change.version} is taken: stored is {there}, this is {this}", its)
