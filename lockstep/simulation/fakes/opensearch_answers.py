"""The errors that the fake of OpenSearch answers, and the lines of a bulk request."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from opensearchpy.exceptions import (
    AuthorizationException,
    ConflictError,
    NotFoundError,
    RequestError,
    TransportError,
)

from lockstep.simulation.fakes.opensearch_cluster import BAD_REQUEST, NOT_FOUND

CONFLICT = 409
MAX_TERM_BYTES = 32_766
LONGEST_CHARACTER = 4  # bytes in UTF-8
_FORBIDDEN = 403


def transport_error(status: int, code: str) -> TransportError:
    """The exception of opensearch-py for an error.

    A 403 comes from the managed service before OpenSearch. Its errors have another form.
    """
    if status == _FORBIDDEN:
        said = msgspec.json.encode({"message": code}).decode()
        return AuthorizationException(status, said, {"message": code})
    kinds = {BAD_REQUEST: RequestError, NOT_FOUND: NotFoundError, CONFLICT: ConflictError}
    return kinds.get(status, TransportError)(status, code, {"error": {"type": code}})


def operations_in(
    body: bytes,
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """The verb, the target and the document of each operation."""
    if not body.endswith(b"\n"):
        raise transport_error(BAD_REQUEST, "illegal_argument_exception: no newline at the end")
    lines = iter(body[:-1].split(b"\n"))
    for line in lines:
        ((verb, target),) = msgspec.json.decode(line).items()
        match verb:
            case "index" | "create" | "update":
                yield verb, target, msgspec.json.decode(next(lines))
            case "delete":
                yield verb, target, {}
            case _:
                raise transport_error(BAD_REQUEST, f"illegal_argument_exception: action {verb}")


def refusal_of(source: Mapping[str, Any], mappings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error for unknown fields, and for terms beyond Lucene's limit."""
    fields = mappings.get("properties", {})
    unknown = source.keys() - fields.keys()
    if unknown and mappings.get("dynamic") != "strict":
        raise NotImplementedError("OpenSearch would guess the type of a field")
    for name in unknown:
        return error_item(BAD_REQUEST, "strict_dynamic_mapping_exception", f"[{name}] not allowed")
    for name, value in source.items():
        if (
            isinstance(value, str)
            and len(value) > MAX_TERM_BYTES // LONGEST_CHARACTER
            and fields[name]["type"] == "keyword"
            and "ignore_above" not in fields[name]
            and len(value.encode()) > MAX_TERM_BYTES
        ):
            reason = f"StoredDocument contains at least one immense term in field={name}"
            return error_item(BAD_REQUEST, "illegal_argument_exception", reason)
    return None


def error_item(status: int, kind: str, reason: str = "simulated error") -> dict[str, Any]:
    """An item of a bulk's answer that says an error."""
    return {"status": status, "error": {"type": kind, "reason": reason}}
