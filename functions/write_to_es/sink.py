"""The index as a sink: one `_bulk` an invocation, guarded by versions (DESIGN.md, OpenSearch)."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.connect import in_sink_words, shortened
from functions.write_to_es.document import document_from
from functions.write_to_es.index import index_differences
from shared.change import Change, Purge, Put
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.sink import MisconfiguredError, RequestFailedError, RequestRefusedError

# Half of what the smallest managed instances take: an answer in time matters more.
MAX_REQUEST_BYTES = 5 * 1024 * 1024
# One `_bulk`, and at most one `_mget` after it.
REQUESTS_PER_SEND = 2

# Keeps one entry per operation, so that positions stay (FACTS.md, OpenSearch). The managed service
# may ignore it: the full answer is understood as well.
_NEEDED = {"filter_path": "errors,items.*.status,items.*.error"}
_COMPARED = ("version", "deleted", "digest")
# A 400 like that of a bad document, but the fault of the deployment.
_NO_WRITE_INDEX = "no write index is defined for alias"


class _Target(msgspec.Struct, frozen=True):
    """Whom an operation writes, under which guard; each says all of it (FACTS.md: AWS)."""

    image_id: str = msgspec.field(name="_id")
    version: int
    version_type: str = "external"
    require_alias: bool = True


class _Action(msgspec.Struct, frozen=True):
    index: _Target


class _Removal(msgspec.Struct, frozen=True):
    delete: _Target


class _Error(msgspec.Struct, frozen=True):
    type: str = "error without type"
    reason: str | None = None
    caused_by: "_Error | None" = None

    def __str__(self) -> str:
        reason = self.reason or "no reason given"
        cause = f" ({self.caused_by})" if self.caused_by else ""
        return f"{self.type}: {reason}{cause}"


class _Item(msgspec.Struct, frozen=True):
    status: int
    error: _Error | None = None


class _BulkAnswer(msgspec.Struct, frozen=True):
    items: list[dict[str, _Item]]


class _Source(msgspec.Struct, frozen=True):
    version: int | None = None
    deleted: bool | None = None
    digest: str | None = None


class _Stored(msgspec.Struct, frozen=True):
    image_id: str = msgspec.field(name="_id")
    found: bool = False
    version: int | None = msgspec.field(name="_version", default=None)
    source: _Source = msgspec.field(name="_source", default=_Source())
    error: _Error | None = None


class _MgetAnswer(msgspec.Struct, frozen=True):
    docs: list[_Stored]


class _Ambiguous(msgspec.Struct, frozen=True):
    """The guard kept the change out; only the stored document tells why."""


class _Request(list[Change]):
    """Changes with their operations beside them, which were encoded to learn their size."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[bytes] = []


_encoder = msgspec.json.Encoder()


def _operation(change: Change) -> bytes:
    """Lines of NDJSON: always encoded, so that no id can smuggle in an operation."""
    action = _Action(_Target(change.image_id, change.version))
    write = _encoder.encode(action) + b"\n" + _encoder.encode(document_from(change)) + b"\n"
    if not isinstance(change, Purge):
        return write
    # A removal does not heed `require_alias`, and would make an index where there is none; beside a
    # write that does it makes none. The guard is at the tombstone's own version: an image that has
    # come back is above it.
    target = _Target(change.image_id, change.version, version_type="external_gte")
    return write + _encoder.encode(_Removal(target)) + b"\n"


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
        request, size = _Request(), 0
        for change in changes:
            operation = _operation(change)
            if request and size + len(operation) > MAX_REQUEST_BYTES:
                yield request
                request, size = _Request(), 0
            request.append(change)
            request.operations.append(operation)
            size += len(operation)
        if request:
            yield request

    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        """Write changes of different images; one request where none was written before.

        Raises:
            RequestFailedError: nothing is known of any of them.
            RequestRefusedError: refused as a whole, nothing is written.
            MisconfiguredError: no right to write, no alias, or an index closed or write-protected.
        """
        if isinstance(changes, _Request):
            operations: Iterable[bytes] = changes.operations
        else:
            operations = map(_operation, changes)
        # A purge is two operations; the last one says what came of it.
        counts = [1 + isinstance(change, Purge) for change in changes]
        answers = self._bulk(b"".join(operations), sum(counts))
        items = [answers[last - 1] for last in accumulate(counts)]
        verdicts = [
            Applied() if _was_gone(item, change) else self._read(item)
            for item, change in zip(items, changes, strict=True)
        ]
        return self._looked_up(verdicts, changes)

    def check(self) -> None:
        """Look at the live index.

        Raises:
            MisconfiguredError: there is no such alias, or its mapping or its analysis is not ours.
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
        for difference in index_differences(its):
            raise MisconfiguredError(f"index {index} behind {self._alias}: {difference}")

    def _bulk(self, body: bytes, count: int) -> Sequence[_Item]:
        """One request: as many items as operations, or a SinkError."""
        with in_sink_words(self._alias):
            answer = self._client.bulk(body=body, index=self._alias, params=_NEEDED)
        entries = self._understood(answer, _BulkAnswer).items
        items = [item for entry in entries for item in entry.values()]
        if len(items) != count:
            detail = f"index {self._alias}: {len(items)} answers to {count} operations"
            raise RequestFailedError(detail)
        return items

    def _read(self, item: _Item) -> Outcome | _Ambiguous:
        """What one item of the answer says."""
        match item:
            case _Item(status=200 | 201, error=None):
                return Applied()
            case _Item(status=409, error=_Error(type="version_conflict_engine_exception")):
                return _Ambiguous()
        detail = shortened(f"index {self._alias}: {item.status}: {item.error}")
        if _is_misconfiguration(item):
            raise MisconfiguredError(detail)
        # Whatever status may be new is transient, as 429 and 5xx are.
        return Refused(detail) if item.status == _BAD_REQUEST else Failed(detail)

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

        By path and without an index in the body, which `allow_explicit_index: false` would refuse;
        what to return is in the body, since parameters of a signed POST may be ignored (FACTS.md).
        """
        body = {"docs": [{"_id": image_id, "_source": _COMPARED} for image_id in image_ids]}
        with in_sink_words(self._alias):
            answer = self._client.mget(body=body, index=self._alias)
        stored = self._understood(answer, _MgetAnswer).docs
        if [one.image_id for one in stored] != list(image_ids):
            detail = f"index {self._alias}: {len(stored)} documents for {len(image_ids)} ids"
            raise RequestFailedError(detail)
        return stored

    def _understood[T](self, answer: Any, shape: type[T]) -> T:
        try:
            return msgspec.convert(answer, shape)
        except msgspec.ValidationError as error:
            detail = f"index {self._alias}: not an answer of OpenSearch: {error}"
            raise RequestFailedError(detail) from error


_BAD_REQUEST, _NOT_FOUND = 400, 404


def _was_gone(item: _Item, change: Change) -> bool:
    """Whether a purge came to nothing, which is what it is for."""
    return isinstance(change, Purge) and item == _Item(_NOT_FOUND)


def _is_misconfiguration(item: _Item) -> bool:
    """Whether no operation at all can work until the deployment is mended."""
    match item:
        case _Item(status=401 | 403):  # 403 is an index blocked for writing, too
            return True
        case _Item(error=_Error(type="index_not_found_exception" | "index_closed_exception")):
            return True
        case _Item(error=_Error(type="illegal_argument_exception", reason=str(reason))):
            return reason.startswith(_NO_WRITE_INDEX)
        case _:
            return False


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
    there, this = _content_of(stored.source), _content(change)
    if holds != change.version:
        # Somebody wrote without a version: `_version` moved on, the content did not. Quarantined,
        # the event is not lost; audit finds the document.
        there = f"{there} of version {holds}, moved to {stored.version} behind our back"
    if there == this:
        return Duplicate()
    return Conflict(f"version {change.version} is taken: stored is {there}, this is {this}")


def _content(change: Change) -> str:
    return f"digest {change.digest}" if isinstance(change, Put) else _TOMBSTONE


def _content_of(source: _Source) -> str:
    if source.deleted:
        return _TOMBSTONE
    return "an image without digest" if source.digest is None else f"digest {source.digest}"


_TOMBSTONE = "a tombstone"
