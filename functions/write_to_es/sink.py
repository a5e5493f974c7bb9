"""The index as a sink: one `_bulk` an invocation, version checks (docs/internals/invariants.md)."""

from collections.abc import Iterable, Sequence
from itertools import chain, islice

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es import bulk
from functions.write_to_es.bulk import Error, Item, Operation
from functions.write_to_es.connect import in_sink_words, shortened
from functions.write_to_es.document import document_from
from functions.write_to_es.index import foreign_settings, index_differences
from shared.change import Change, Purge, Put, Remove, describe_change, describe_content
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError

# One `_bulk`, and at most one `_mget` after it.
REQUESTS_PER_SEND = 2
_COMPARED = ("version", "deleted", "digest")


class _Source(msgspec.Struct, frozen=True):
    version: int | None = None
    deleted: bool | None = None
    digest: str | None = None


class _Stored(msgspec.Struct, frozen=True):
    image_id: str = msgspec.field(name="_id")
    found: bool = False
    version: int | None = msgspec.field(name="_version", default=None)
    source: _Source = msgspec.field(name="_source", default=_Source())
    error: Error | None = None


class _MgetAnswer(msgspec.Struct, frozen=True):
    docs: list[_Stored]


class _Ambiguous(msgspec.Struct, frozen=True):
    """The guard kept the change out; only the stored document tells why."""


class _Request(list[Change]):
    """Changes with their operations beside them, which were encoded to learn their size."""

    def __init__(self, changes: Iterable[Change], operations: Sequence[Operation]) -> None:
        super().__init__(changes)
        self.operations = operations


def _operation(change: Change) -> Operation:
    match change:
        case Put() | Remove():
            return bulk.write(change.image_id, change.version, document_from(change), "external")
        case Purge():
            # At the tombstone's own version: an image that has come back is above it.
            return bulk.removal(change.image_id, change.version)


class ImageIndex:
    """The search index, written under the guard: a strictly higher version wins.

    The guard is OpenSearch's own, `version_type: external`. A removal is a write, too: a deleted
    document's version would be forgotten after a minute, and a late replay would bring it back.
    A failure that leaves open whether something was written is harmless: sent again, it turns
    out to be a `Duplicate`.
    """

    def __init__(self, client: OpenSearch, alias: str, *, longest_request: float) -> None:
        """Args: `longest_request`, in seconds, follows from the client's timeouts and retries."""
        self._client = client
        self._alias = alias
        self._longest_request = longest_request

    @property
    def longest_send(self) -> float:
        """Seconds that one `send` or `check` can take at most."""
        return REQUESTS_PER_SEND * self._longest_request

    def requests(self, changes: Sequence[Change]) -> Iterable[Sequence[Change]]:
        """Cut the changes, in order, into as much as a request takes, mostly one."""
        left = iter(changes)
        for operations in bulk.fitting(map(_operation, changes)):
            yield _Request(islice(left, len(operations)), operations)

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes of different images; one request where none was written before.

        Raises:
            RequestFailedError: nothing is known of any of them.
            RequestRefusedError: refused as a whole, nothing is written.
            MisconfiguredError: no right to write, no alias, or an index closed or write-protected.
        """
        if isinstance(changes, _Request):
            operations = changes.operations
        else:
            operations = [_operation(change) for change in changes]
        items = self._bulk(operations)
        verdicts = [self._read(item, change) for item, change in zip(items, changes, strict=True)]
        return self._looked_up(verdicts, changes)

    def check(self) -> None:
        """Look at the live index.

        Raises:
            MisconfiguredError: there is no such alias, or its mapping, its analysis or a setting
                by which it refuses documents is not ours.
            RequestFailedError: it could not be read for now.
        """
        try:
            with in_sink_words(self._alias):
                found = self._client.indices.get(index=self._alias)
        except RequestRefusedError as error:  # the name itself is none
            raise MisconfiguredError(str(error)) from error
        if found == "":  # opensearch-py takes an answer that was cut off for an empty success
            raise RequestFailedError(f"index {self._alias}: an empty answer")
        if self._alias in found:
            raise MisconfiguredError(f"{self._alias} is an index, expected is an alias")
        if len(found) != 1:
            indices = ", ".join(sorted(found))
            raise MisconfiguredError(f"alias {self._alias} stands for {indices}, expected is one")
        ((index, its),) = found.items()
        # What somebody else's pipeline refuses, say, is no fault of the event.
        for difference in chain(index_differences(its), foreign_settings(its)):
            raise MisconfiguredError(f"index {index} behind {self._alias}: {difference}")

    def _bulk(self, operations: Sequence[Operation]) -> Sequence[Item]:
        return bulk.send(self._client, self._alias, operations)

    def _read(self, item: Item, change: Change) -> Outcome | _Ambiguous:
        if item.was_kept_out:
            return _Ambiguous()
        match change:
            case Purge() if item.found_nothing:
                return Applied()
            case Put() | Remove() | Purge():
                return bulk.outcome(item, self._alias)

    def _looked_up(
        self, verdicts: Sequence[Outcome | _Ambiguous], changes: Sequence[Change]
    ) -> Sequence[Outcome]:
        """The verdicts, with the ambiguous ones decided by one look at the stored documents."""
        unclear = [
            change
            for verdict, change in zip(verdicts, changes, strict=True)
            if isinstance(verdict, _Ambiguous)
        ]
        decided = iter(self._compared(unclear) if unclear else ())
        return [
            next(decided) if isinstance(verdict, _Ambiguous) else verdict for verdict in verdicts
        ]

    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        try:
            stored = self._mget([change.image_id for change in changes])
        except (RequestFailedError, RequestRefusedError) as error:
            # What the bulk's answer said of the others stays true.
            return [Failed(str(error))] * len(changes)
        return [_compare(change, one) for change, one in zip(changes, stored, strict=True)]

    def _mget(self, image_ids: Sequence[str]) -> Sequence[_Stored]:
        """The documents, also those written since the last refresh.

        The path names the index, since `allow_explicit_index: false` refuses an index in the body.
        The body says what to return, since the service may ignore URL parameters of a signed POST
        (docs/internals/facts.md, OpenSearch).
        """
        body = {"docs": [{"_id": image_id, "_source": _COMPARED} for image_id in image_ids]}
        with in_sink_words(self._alias):
            answer = self._client.mget(body=body, index=self._alias)
        stored = bulk.understood(answer, _MgetAnswer, self._alias).docs
        if [one.image_id for one in stored] != list(image_ids):
            detail = f"index {self._alias}: {len(stored)} documents for {len(image_ids)} ids"
            raise RequestFailedError(detail)
        return stored


def _compare(change: Change, stored: _Stored) -> Outcome:
    """What the stored document says of the change that the guard kept out."""
    if stored.error is not None:
        return Failed(shortened(str(stored.error)))
    if not stored.found or stored.version is None or stored.version < change.version:
        return Failed(
            f"version {change.version} meets a document deleted behind our back, which OpenSearch "
            "remembers for a minute (index.gc_deletes)"
        )
    holds = stored.source.version
    if holds is not None and holds > change.version:
        return Stale()
    source = stored.source
    there = describe_content(source.digest, deleted=bool(source.deleted))
    this = describe_change(change)
    if holds != change.version:
        # Somebody wrote without a version: `_version` moved on, the content did not. Quarantined,
        # the event is not lost; audit finds the document.
        there = f"{there} of version {holds}, moved to {stored.version} behind our back"
    if there == this:
        return Duplicate()
    return Conflict(f"version {change.version} is taken: stored is {there}, this is {this}")
