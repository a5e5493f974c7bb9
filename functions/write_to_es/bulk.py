"""`_bulk` requests: encode operations, split them into requests, and read the answers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from opensearchpy import OpenSearch
from urllib3 import Timeout

from functions.write_to_es.connect import sink_errors
from shared.outcome import Applied, Failed, Refused
from shared.shortened import shortened
from shared.sink import MisconfiguredError, RequestFailedError

# Half the limit of the smallest managed instances, so that a request is answered in time.
MAX_REQUEST_BYTES = 5 * 1024 * 1024

# The filter keeps one entry for each operation, so positions stay the same
# (docs/internals/facts.md, OpenSearch). The managed service may ignore the filter, so the full
# answer must work, too.
_NEEDED: Mapping[str, Any] = {"filter_path": "errors,items.*.status,items.*.error,items.*._index"}
_WRITTEN, _BAD_REQUEST, _NOT_FOUND = frozenset({200, 201}), 400, 404
# This error has status 400, as for a bad document, but the deployment is the cause.
_NO_WRITE_INDEX = "no write index is defined for alias"

# `external_gte` also overwrites a document of the same version.
type VersionType = Literal["external", "external_gte"]


class _Target(msgspec.Struct, frozen=True):
    """The document that an operation writes, and its version check (docs/internals/facts.md)."""

    image_id: str = msgspec.field(name="_id")
    version: int
    version_type: VersionType
    require_alias: bool = True
    routing: str | UnsetType = UNSET


class _Write(msgspec.Struct, frozen=True):
    index: _Target


class _Removal(msgspec.Struct, frozen=True):
    delete: _Target


class _UpdateTarget(msgspec.Struct, frozen=True):
    image_id: str = msgspec.field(name="_id")
    require_alias: bool = True


class _NoUpdate(msgspec.Struct, frozen=True):
    update: _UpdateTarget


class Operation(msgspec.Struct, frozen=True):
    """Lines of NDJSON that write or remove one document, and the number of items in the answer."""

    lines: bytes
    items: int


class BulkError(msgspec.Struct, frozen=True):
    """Why an operation failed."""

    type: str = "error without type"
    reason: str | None = None
    caused_by: "BulkError | None" = None

    def __str__(self) -> str:
        reason = self.reason or "no reason given"
        cause = f" ({self.caused_by})" if self.caused_by else ""
        return f"{self.type}: {reason}{cause}"


class BulkItem(msgspec.Struct, frozen=True):
    """The result of an operation, as the answer contains it.

    `index` is the one behind the alias that the operation went to.
    """

    status: int
    error: BulkError | None = None
    index: str = msgspec.field(name="_index", default="")

    @property
    def is_version_conflict(self) -> bool:
        """Whether the version check refused the operation."""
        error = self.error
        return error is not None and error.type == "version_conflict_engine_exception"

    @property
    def found_nothing(self) -> bool:
        """Whether a removal found no document."""
        return self.status == _NOT_FOUND and self.error is None


class _Answer(msgspec.Struct, frozen=True):
    items: list[dict[str, BulkItem]]


_encoder = msgspec.json.Encoder()


def write(image_id: str, version: int, document: object, version_type: VersionType) -> Operation:
    """An operation that writes a document. An id cannot inject another operation."""
    action = _encoder.encode(_Write(_Target(image_id, version, version_type)))
    return Operation(action + b"\n" + _encoder.encode(document) + b"\n", 1)


def removal(image_id: str, version: int, routing: str | UnsetType = UNSET) -> Operation:
    """An operation that removes a document, unless it then has a higher version.

    `routing`: the routing with which somebody wrote the document; none of our sinks sets it.

    OpenSearch ignores `require_alias` of a removal, and would create a missing index. It respects
    `require_alias` of an update. So before the removal comes an update that changes nothing.
    """
    update = _encoder.encode(_NoUpdate(_UpdateTarget(image_id)))
    action = _encoder.encode(_Removal(_Target(image_id, version, "external_gte", routing=routing)))
    return Operation(update + b'\n{"doc":{}}\n' + action + b"\n", 2)


def split(
    operations: Iterable[Operation], room: Callable[[], int] = lambda: MAX_REQUEST_BYTES
) -> Iterator[list[Operation]]:
    """The operations, in order, split into requests of at most `room()` bytes, or one operation."""
    request: list[Operation] = []
    size = 0
    for operation in operations:
        if request and size + len(operation.lines) > room():
            yield request
            request, size = [], 0
        request.append(operation)
        size += len(operation.lines)
    if request:
        yield request


def send_bulk(
    client: OpenSearch,
    alias: str,
    operations: Sequence[Operation],
    *,
    seconds: float | None = None,
) -> Sequence[BulkItem]:
    """Send one request. Returns the item of each operation.

    `seconds` is its timeout; by default it has that of the client.

    Raises:
        RequestTimedOutError: it did not end in its time.
        SinkError: it is unknown whether an operation took effect.
    """
    params = {**_NEEDED}
    if seconds is not None:
        params |= timeout(seconds)
    with sink_errors(alias):
        body = b"".join([one.lines for one in operations])
        answer = client.bulk(body=body, index=alias, params=params)
    entries = converted(answer, _Answer, alias).items
    items = [item for entry in entries for item in entry.values()]
    ends = [*accumulate(one.items for one in operations)]
    if len(items) != ends[-1]:
        detail = f"index {alias}: {len(items)} answers to {ends[-1]} operations"
        raise RequestFailedError(detail)
    return [items[end - 1] for end in ends]


def timeout(seconds: float) -> dict[str, Any]:
    """The parameters of a request that may take so many seconds."""
    return {"request_timeout": Timeout(total=seconds)}


def converted[T](answer: Any, shape: type[T], alias: str) -> T:
    """Convert an answer of the client, which returns a text that it cannot parse unchanged.

    Raises:
        RequestFailedError: the answer does not have this shape.
    """
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        detail = f"index {alias}: not an answer of OpenSearch: {error}"
        raise RequestFailedError(detail) from error


def outcome(item: BulkItem, alias: str) -> Applied | Refused | Failed:
    """The outcome of an operation that the version check did not refuse.

    Raises:
        MisconfiguredError: no operation can succeed until the deployment is corrected.
    """
    if item.status in _WRITTEN and item.error is None:
        return Applied()
    detail = shortened(f"index {alias}: {item.status}: {item.error}")
    if _is_misconfiguration(item):
        raise MisconfiguredError(detail)
    # Unknown statuses are transient, like 429 and 5xx.
    return Refused(detail) if item.status == _BAD_REQUEST else Failed(detail)


def _is_misconfiguration(item: BulkItem) -> bool:
    match item:
        case BulkItem(status=401 | 403):  # 403 also means that the index is write-protected
            return True
        case BulkItem(error=BulkError(type="index_not_found_exception" | "index_closed_exception")):
            return True
        case BulkItem(error=BulkError(type="strict_dynamic_mapping_exception")):
            return True  # our definition has all fields of our documents: the index has another one
        case BulkItem(error=BulkError(type="illegal_argument_exception", reason=str(reason))):
            return reason.startswith(_NO_WRITE_INDEX)
        case _:
            return False
