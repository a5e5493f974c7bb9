"""A fake of the client opensearch-py, with one index and its alias."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from typing import Any

import msgspec
from opensearchpy.exceptions import (
    AuthorizationException,
    ConnectionTimeout,
    NotFoundError,
    RequestError,
    TransportError,
)
from opensearchpy.exceptions import (
    ConnectionError as OpenSearchConnectionError,
)

from functions.write_to_es.index import definition
from lockstep.simulation.fakes.cut_answers import opensearch_document
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
    PartFailure,
)

# How long a deleted document's version is remembered (docs/internals/facts.md, OpenSearch).
GC_DELETES_SECONDS = 60.0
MAX_TERM_BYTES = 32_766
LONGEST_CHARACTER = 4  # bytes in UTF-8
MAX_ID_BYTES = 512
_NOT_FOUND, _FORBIDDEN, _BAD_REQUEST, _CONFLICT, _CREATED, _OK = 404, 403, 400, 409, 201, 200

# Errors that one operation of a bulk can get while the others succeed: status and type.
PASSING_CODES = (
    "429 rejected_execution_exception",
    "503 unavailable_shards_exception",
    "500 internal_server_error",
    "504 process_cluster_event_timeout_exception",
)


class StoredDocument(msgspec.Struct, frozen=True):
    """The document of one id. Without a source, it was deleted at that time."""

    version: int
    source: Mapping[str, Any] | None
    at: float


class OpenSearch:
    """A client and its index.

    Searches see writes at once, because refreshes are not simulated. `journal` has every write that
    took effect, in order. `conflicts` counts the writes that the version check rejected.
    """

    def __init__(
        self,
        alias: str,
        *,
        connection: Connection = PERFECT,
        now: Callable[[], float] = lambda: 0.0,
        refuses: Callable[[Mapping[str, Any]], bool] = lambda _: False,
        honours_parameters: bool = True,
    ) -> None:
        """Create an empty index.

        Args:
            alias: the alias for writing.
            connection: the connection to the index.
            now: returns the current time, in seconds.
            refuses: returns whether a document can never be indexed.
            honours_parameters: false if URL parameters are ignored, as they may be in a signed POST
                on AWS (docs/internals/facts.md).
        """
        self.documents: dict[str, StoredDocument] = {}
        self.journal: list[Written] = []
        self.conflicts = 0
        self.missing = False
        self.indices = _Indices(self)
        self._alias = alias
        self._connection = connection
        self._now = now
        self._refuses = refuses
        self._honours_parameters = honours_parameters
        self._points: dict[str, tuple[Sequence[str], Mapping[str, StoredDocument]]] = {}

    @property
    def index(self) -> str:
        """The index behind the alias."""
        return f"{self._alias}-000001"

    def restart(self) -> None:
        """Restart: the versions of deleted documents are lost."""
        for image_id in [one for one, its in self.documents.items() if its.source is None]:
            del self.documents[image_id]

    def is_there(self, alias: str) -> bool:
        """Whether an index is behind that alias."""
        return alias == self._alias and not self.missing

    def bulk(
        self, *, body: bytes, index: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run NDJSON operations. Each one succeeds or fails separately."""
        operations = list(_operations(body))
        failures = self._connection.part_failures(len(operations), PASSING_CODES)
        filtered = self._honours_parameters and "filter_path" in (params or {})
        return self.send(lambda: self._bulk(operations, index, failures, filtered=filtered))

    def mget(
        self, *, body: Mapping[str, Any], index: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The current documents with these ids."""
        wanted = [(one["_id"], one.get("_source")) for one in body.get("docs", ())]
        included = (params or {}).get("_source_includes")
        fields = included.split(",") if included else None
        wanted += [(one, fields) for one in body.get("ids", ())]

        def found() -> dict[str, Any]:
            return {"docs": [self._got(one, index, fields) for one, fields in wanted]}

        return self.send(found)

    def create_pit(self, *, index: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Open a point in time: the current content, for later searches."""

        def created() -> dict[str, Any]:
            if not self.is_there(index):
                raise AnswerError(_NOT_FOUND, "index_not_found_exception")
            if "keep_alive" not in params:
                raise AnswerError(_BAD_REQUEST, "action_request_validation_exception")
            name = f"pit-{len(self._points)}"
            there = copy(self.documents)
            found = sorted(image_id for image_id, one in there.items() if one.source)
            self._points[name] = found, there
            return {"pit_id": name}

        return self.send(created)

    def delete_pit(self, *, body: Mapping[str, Any]) -> dict[str, Any]:
        """Close points in time."""

        def deleted() -> dict[str, Any]:
            for one in body["pit_id"]:
                self._points.pop(one, None)
            return {"pits": [{"pit_id": one} for one in body["pit_id"]]}

        return self.send(deleted)

    def search(self, *, body: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
        """A page of a point in time."""
        if body["sort"] != [{"_shard_doc": "asc"}] or "allow_partial_search_results" not in params:
            raise NotImplementedError(body)

        def found() -> dict[str, Any]:
            (after,) = body.get("search_after", [-1])
            if body["pit"]["id"] not in self._points:  # closed, before this request arrived
                raise AnswerError(_NOT_FOUND, "search_context_missing_exception")
            image_ids, there = self._points[body["pit"]["id"]]
            hits = []
            for at in range(after + 1, min(after + 1 + body["size"], len(image_ids))):
                one = there[image_ids[at]]
                source = _only(one.source or {}, body["_source"])
                hit = {"_id": image_ids[at], "_version": one.version, "_source": source}
                hits.append(hit | {"sort": [at]})
            return {
                "timed_out": False,
                "_shards": {"failed": 0},
                "hits": {"total": {"value": len(image_ids), "relation": "eq"}, "hits": hits},
            }

        return self.send(found)

    def send(self, apply: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Send the request, and raise errors as opensearch-py does."""
        try:
            return self._connection.send(apply)
        except NoAnswerInTimeError as error:
            raise ConnectionTimeout("TIMEOUT", str(error), error) from error
        except NoAnswerError as error:
            raise OpenSearchConnectionError("N/A", str(error), error) from error
        except CutOffError as cut:
            found: dict[str, Any] = opensearch_document(cut)
            return found
        except AnswerError as error:
            raise transport_error(error.status, error.code) from error

    def _bulk(
        self,
        operations: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]],
        index: str,
        failures: Mapping[int, PartFailure],
        *,
        filtered: bool,
    ) -> dict[str, Any]:
        if any(len(target["_id"]) > MAX_ID_BYTES for _, target, _ in operations):
            raise AnswerError(_BAD_REQUEST, "action_request_validation_exception")
        if not self.is_there(index) and not any(
            target.get("require_alias") for verb, target, _ in operations if verb != "delete"
        ):
            raise NotImplementedError("OpenSearch would create an index with a guessed mapping")
        items = []
        for at, (verb, target, source) in enumerate(operations):
            fault = failures.get(at)
            if fault is None or fault.applied:
                item = self._write(verb, target, source, index)
            if fault is not None:
                status, _, kind = fault.code.partition(" ")
                item = _error(int(status), kind)
            full = {"_index": self.index, "_id": target["_id"], "_shards": {"failed": 0}}
            items.append({verb: item if filtered else full | item})
        errors = any("error" in item for entry in items for item in entry.values())
        return {"errors": errors, "items": items} | ({} if filtered else {"took": 1})

    def _write(
        self, verb: str, target: Mapping[str, Any], source: Mapping[str, Any], index: str
    ) -> dict[str, Any]:
        if not self.is_there(index):
            return _error(_NOT_FOUND, "index_not_found_exception", f"no such index [{index}]")
        if verb == "update":
            return self._looked(target["_id"], source)
        refusal = None if verb == "delete" else _refusal(source)
        if refusal is not None:
            return refusal
        if verb != "delete" and self._refuses(source):
            return _error(_BAD_REQUEST, "mapper_parsing_exception", "failed to parse")
        image_id = target["_id"]
        there = self._remembered(image_id)
        version, kind = target.get("version"), target.get("version_type")
        if version is None:
            version = 1 if there is None else there.version + 1
        elif kind not in {"external", "external_gte"}:
            raise NotImplementedError(kind)
        elif there is not None and (
            version < there.version or (version == there.version and kind == "external")
        ):
            self.conflicts += 1
            reason = (
                f"[{image_id}]: version conflict, current version [{there.version}] is higher or "
                f"equal to the one provided [{version}]"
            )
            return _error(_CONFLICT, "version_conflict_engine_exception", reason)
        gone = verb == "delete"
        kept = StoredDocument(version, None if gone else source, self._now())
        self.documents[image_id] = kept
        says = None if gone else source.get("version")
        self.journal.append(Written(image_id, says, gone or bool(source.get("deleted")), kept))
        was_there = there is not None and there.source is not None
        if gone:
            return {"status": _OK if was_there else _NOT_FOUND}
        return {"status": _OK if was_there else _CREATED}

    def _looked(self, image_id: str, source: Mapping[str, Any]) -> dict[str, Any]:
        """Run an update without changes, the only kind that we send."""
        if source != {"doc": {}}:
            raise NotImplementedError(f"an update by {source}")
        there = self.documents.get(image_id)
        if there is None or there.source is None:
            return _error(_NOT_FOUND, "document_missing_exception", f"[{image_id}] missing")
        return {"status": _OK}

    def _remembered(self, image_id: str) -> StoredDocument | None:
        there = self.documents.get(image_id)
        if there is None or there.source is not None:
            return there
        return there if self._now() - there.at < GC_DELETES_SECONDS else None

    def _got(self, image_id: str, index: str, fields: Sequence[str] | None) -> dict[str, Any]:
        if not self.is_there(index):
            error = {"type": "index_not_found_exception", "reason": f"no such index [{index}]"}
            return {"_index": index, "_id": image_id, "error": error}
        there = self.documents.get(image_id)
        got: dict[str, Any] = {"_index": self.index, "_id": image_id, "found": False}
        if there is not None and there.source is not None:
            source = there.source if fields is None else _only(there.source, fields)
            got |= {"found": True, "_version": there.version, "_source": source}
        return got


class _Indices:
    """The methods of a client for the index itself."""

    def __init__(self, client: OpenSearch) -> None:
        self._client = client

    def get(self, *, index: str) -> dict[str, Any]:
        """The mapping and settings of the index: ours."""

        def found() -> dict[str, Any]:
            if not self._client.is_there(index):
                raise AnswerError(_NOT_FOUND, "index_not_found_exception")
            return {
                self._client.index: {
                    "mappings": definition()["mappings"],
                    "settings": {"index": definition()["settings"]},
                }
            }

        return self._client.send(found)

    def refresh(self, *, index: str) -> dict[str, Any]:
        """Do nothing: searches see writes at once."""
        return self._client.send(lambda: {"_index": index})


def transport_error(status: int, code: str) -> TransportError:
    """The exception of opensearch-py for an error.

    A 403 comes from the managed service before OpenSearch. Its errors have another form.
    """
    if status == _FORBIDDEN:
        said = msgspec.json.encode({"message": code}).decode()
        return AuthorizationException(status, said, {"message": code})
    kinds = {_BAD_REQUEST: RequestError, _NOT_FOUND: NotFoundError}
    return kinds.get(status, TransportError)(status, code, {"error": {"type": code}})


def _operations(
    body: bytes,
) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """The verb, the target and the document of each operation."""
    if not body.endswith(b"\n"):
        raise transport_error(_BAD_REQUEST, "illegal_argument_exception: no newline at the end")
    lines = iter(body[:-1].split(b"\n"))
    for line in lines:
        ((verb, target),) = msgspec.json.decode(line).items()
        match verb:
            case "index" | "create" | "update":
                yield verb, target, msgspec.json.decode(next(lines))
            case "delete":
                yield verb, target, {}
            case _:
                raise transport_error(_BAD_REQUEST, f"illegal_argument_exception: action {verb}")


def _refusal(source: Mapping[str, Any]) -> dict[str, Any] | None:
    """The error for unknown fields, and for terms beyond Lucene's limit."""
    fields = definition()["mappings"]["properties"]
    for name in source.keys() - fields.keys():
        return _error(_BAD_REQUEST, "strict_dynamic_mapping_exception", f"[{name}] not allowed")
    for name, value in source.items():
        if (
            isinstance(value, str)
            and len(value) > MAX_TERM_BYTES // LONGEST_CHARACTER
            and fields[name]["type"] == "keyword"
            and "ignore_above" not in fields[name]
            and len(value.encode()) > MAX_TERM_BYTES
        ):
            reason = f"StoredDocument contains at least one immense term in field={name}"
            return _error(_BAD_REQUEST, "illegal_argument_exception", reason)
    return None


def _error(status: int, kind: str, reason: str = "simulated error") -> dict[str, Any]:
    return {"status": status, "error": {"type": kind, "reason": reason}}


def _only(source: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: source[name] for name in fields if name in source}
