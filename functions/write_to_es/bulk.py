"""`_bulk`: operations as OpenSearch reads them, as many as a request takes, and what it answers."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Literal

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.connect import in_sink_words, shortened
from shared.outcome import Applied, Failed, Refused
from shared.sink import MisconfiguredError, RequestFailedError

# Half of what the smallest managed instances take: an answer in time matters more.
MAX_REQUEST_BYTES = 5 * 1024 * 1024

# Keeps one entry for each operation, so that positions stay (docs/internals/facts.md, OpenSearch).
# The managed service may ignore it: the full answer is understood as well.
_NEEDED = {"filter_path": "errors,items.*.status,items.*.error"}
_WRITTEN, _BAD_REQUEST, _NOT_FOUND = frozenset({200, 201}), 400, 404
# A 400 like that of a bad document, but the fault of the deployment.
_NO_WRITE_INDEX = "no write index is defined for alias"

# Whether a document of the same version is written again.
type Guard = Literal["external", "external_gte"]


class _Target(msgspec.Struct, frozen=True):
    """The document that an operation writes, and its version check (docs/internals/facts.md)."""

    image_id: str = msgspec.field(name="_id")
    version: int
    version_type: Guard
    require_alias: bool = True


class _Write(msgspec.Struct, frozen=True):
    index: _Target


class _Removal(msgspec.Struct, frozen=True):
    delete: _Target


class _Looked(msgspec.Struct, frozen=True):
    image_id: str = msgspec.field(name="_id")
    require_alias: bool = True


class _Look(msgspec.Struct, frozen=True):
    update: _Looked


class Operation(msgspec.Struct, frozen=True):
    """What to do with one document: lines of NDJSON, and how many items answer them."""

    lines: bytes
    items: int


class Error(msgspec.Struct, frozen=True):
    """Why an operation was not done."""

    type: str = "error without type"
    reason: str | None = None
    caused_by: "Error | None" = None

    def __str__(self) -> str:
        reason = self.reason or "no reason given"
        cause = f" ({self.caused_by})" if self.caused_by else ""
        return f"{self.type}: {reason}{cause}"


class Item(msgspec.Struct, frozen=True):
    """What became of an operation."""

    status: int
    error: Error | None = None

    @property
    def was_kept_out(self) -> bool:
        """Whether the document's version kept the operation out."""
        error = self.error
        return error is not None and error.type == "version_conflict_engine_exception"

    @property
    def found_nothing(self) -> bool:
        """Whether a removal came to nothing."""
        return self.status == _NOT_FOUND and self.error is None


class _Answer(msgspec.Struct, frozen=True):
    items: list[dict[str, Item]]


_encoder = msgspec.json.Encoder()


def write(image_id: str, version: int, document: object, guard: Guard) -> Operation:
    """Write this document; always encoded, so that no id can smuggle in another operation."""
    action = _encoder.encode(_Write(_Target(image_id, version, guard)))
    return Operation(action + b"\n" + _encoder.encode(document) + b"\n", 1)


def removal(image_id: str, version: int) -> Operation:
    """Remove a document unless it is above this version by then.

    A removal by itself does not heed `require_alias`, and makes an index where there is none;
    beside an update, which heeds it, it makes none. This one changes nothing.
    """
    look = _encoder.encode(_Look(_Looked(image_id)))
    action = _encoder.encode(_Removal(_Target(image_id, version, "external_gte")))
    return Operation(look + b'\n{"doc":{}}\n' + action + b"\n", 2)


def fitting(operations: Iterable[Operation]) -> Iterator[list[Operation]]:
    """The operations, in order, cut into as many as a request takes."""
    request: list[Operation] = []
    size = 0
    for operation in operations:
        if request and size + len(operation.lines) > MAX_REQUEST_BYTES:
            yield request
            request, size = [], 0
        request.append(operation)
        size += len(operation.lines)
    if request:
        yield request


def send(client: OpenSearch, alias: str, operations: Sequence[Operation]) -> Sequence[Item]:
    """One request: an item for each operation.

    Raises:
        SinkError: nothing is known of any of them.
    """
    with in_sink_words(alias):
        body = b"".join([one.lines for one in operations])
        answer = client.bulk(body=body, index=alias, params=_NEEDED)
    entries = understood(answer, _Answer, alias).items
    items = [item for entry in entries for item in entry.values()]
    ends = [*accumulate(one.items for one in operations)]
    if len(items) != ends[-1]:
        detail = f"index {alias}: {len(items)} answers to {ends[-1]} operations"
        raise RequestFailedError(detail)
    return [items[end - 1] for end in ends]


def understood[T](answer: Any, shape: type[T], alias: str) -> T:
    """An answer of the client, which hands on what it cannot read.

    Raises:
        RequestFailedError: it is none of this shape.
    """
    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        detail = f"index {alias}: not an answer of OpenSearch: {error}"
        raise RequestFailedError(detail) from error


def outcome(item: Item, alias: str) -> Applied | Refused | Failed:
    """What one item says, where no version kept the operation out.

    Raises:
        MisconfiguredError: no operation at all can work until the deployment is mended.
    """
    if item.status in _WRITTEN and item.error is None:
        return Applied()
    detail = shortened(f"index {alias}: {item.status}: {item.error}")
    if _is_misconfiguration(item):
        raise MisconfiguredError(detail)
    # Whatever status may be new is transient, as 429 and 5xx are.
    return Refused(detail) if item.status == _BAD_REQUEST else Failed(detail)


def _is_misconfiguration(item: Item) -> bool:
    match item:
        case Item(status=401 | 403):  # 403 is an index blocked for writing, too
            return True
        case Item(error=Error(type="index_not_found_exception" | "index_closed_exception")):
            return True
        case Item(error=Error(type="illegal_argument_exception", reason=str(reason))):
            return reason.startswith(_NO_WRITE_INDEX)
        case _:
            return False
