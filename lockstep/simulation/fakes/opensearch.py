"""A fake of the client opensearch-py: documents and searches of a cluster of indices."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opensearchpy.exceptions import ConnectionError as OpenSearchConnectionError
from opensearchpy.exceptions import ConnectionTimeout

from lockstep.simulation.fakes.cut_answers import opensearch_document, opensearch_status
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
from lockstep.simulation.fakes.opensearch_answers import (
    CONFLICT,
    error_item,
    operations_in,
    refusal_of,
    transport_error,
)
from lockstep.simulation.fakes.opensearch_cluster import (
    BAD_REQUEST,
    GC_DELETES_SECONDS,
    NOT_FOUND,
    Cluster,
    FakeIndex,
    StoredDocument,
)
from lockstep.simulation.fakes.opensearch_indices import ClusterClient, IndicesClient
from lockstep.simulation.fakes.opensearch_search import Searches, only

__all__ = ["GC_DELETES_SECONDS", "OpenSearch", "StoredDocument"]

MAX_ID_BYTES = 512
_TOO_MANY, _CREATED, _OK = 429, 201, 200

# Errors that one operation of a bulk can get while the others succeed: status and type.
PASSING_CODES = (
    "429 rejected_execution_exception",
    "503 unavailable_shards_exception",
    "500 internal_server_error",
    "504 process_cluster_event_timeout_exception",
)


class OpenSearch(Searches):
    """A client and its cluster.

    `documents` are those of the index behind the alias for writing. `journal` has every write to
    any index that took effect, in order. `conflicts` counts the writes that the version check
    rejected. A search sees what was written before the last refresh, or a second ago.
    """

    def __init__(
        self,
        alias: str,
        *,
        connection: Connection = PERFECT,
        now: Callable[[], float] = lambda: 0.0,
        refuses: Callable[[Mapping[str, Any]], bool] = lambda _: False,
        honours_parameters: bool = True,
        cluster: Cluster | None = None,
        shards: int = 1,
    ) -> None:
        """Connect to a cluster.

        Args:
            alias: the alias for writing.
            connection: the connection to the cluster.
            now: returns the current time, in seconds.
            refuses: returns whether a document can never be indexed.
            honours_parameters: false if URL parameters are ignored, as they may be in a signed POST
                on AWS (docs/internals/facts.md).
            cluster: that of another client; by default a new one with an empty index.
            shards: the shards of that index.
        """
        self.nodes = Cluster(alias, shards=shards, now=now) if cluster is None else cluster
        self.conflicts = 0
        self.indices = IndicesClient(self)
        self.cluster = ClusterClient(self)
        self._alias = alias
        self._connection = connection
        self._now = now
        self.refuses = refuses
        self._honours_parameters = honours_parameters

    def beside(self, connection: Connection = PERFECT) -> "OpenSearch":
        """Another client of the same cluster, over a connection of its own."""
        return OpenSearch(
            self._alias,
            connection=connection,
            now=self._now,
            refuses=self.refuses,
            honours_parameters=self._honours_parameters,
            cluster=self.nodes,
        )

    @property
    def documents(self) -> dict[str, StoredDocument]:
        """The documents of the index behind the alias, by id."""
        live = self.nodes.live
        return {} if live.is_lost else live.documents

    @documents.setter
    def documents(self, documents: dict[str, StoredDocument]) -> None:
        self.nodes.live.restore(documents, self._now())

    def held(self, image_id: str) -> StoredDocument | None:
        """The document of an image: the newer one, if a rebuild still copies from an old index."""
        live = self.documents.get(image_id)
        if self.nodes.followed is None:
            return live
        old = self.nodes.followed.documents.get(image_id)
        if old is None or old.source is None:
            return live
        if live is None or live.source is None:
            return old
        return old if _stated(old.source) > _stated(live.source) else live

    def is_read(self, shards: str) -> bool:
        """Whether `held` reads the index with this history of its shards."""
        followed = self.nodes.followed
        return shards == self.nodes.live.history or (
            followed is not None and shards == followed.history
        )

    def held_documents(self) -> dict[str, StoredDocument]:
        """A copy of all documents, as `held` returns them."""
        there = self.documents.copy()
        for image_id in () if self.nodes.followed is None else self.nodes.followed.documents:
            held = self.held(image_id)
            if held is not None:
                there[image_id] = held
        return there

    @property
    def journal(self) -> list[Written]:
        """Every write to any index that took effect, in order."""
        return self.nodes.journal

    @property
    def missing(self) -> bool:
        """Whether there is no alias for writing. Set it to remove the alias, or to set it again."""
        return not self.nodes.is_writable

    @missing.setter
    def missing(self, missing: bool) -> None:
        if missing:
            self.nodes.hide()
        else:
            self.nodes.show()

    def restart(self) -> None:
        """Restart: the versions of deleted documents are lost."""
        for one in self.nodes.indices.values():
            one.forget_deletions()

    def bulk(
        self, *, body: bytes, index: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run NDJSON operations. Each one succeeds or fails separately."""
        operations = list(operations_in(body))
        # The update before a removal changes nothing: both are one part.
        parts = [at for at, (verb, _, _) in enumerate(operations) if verb != "update"]
        failed = self._connection.part_failures(len(parts), PASSING_CODES)
        failures = {parts[part]: failure for part, failure in failed.items()}
        filtered = self._honours_parameters and "filter_path" in (params or {})
        answer: dict[str, Any] = self.send(
            lambda: self._bulk(operations, index, failures, filtered=filtered)
        )
        return answer

    def index(
        self,
        *,
        index: str,
        id: str,  # noqa: A002 - the client's name
        body: Mapping[str, Any],
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Write one document."""
        return self._one("index", index, id, body, params)

    def delete(
        self,
        *,
        index: str,
        id: str,  # noqa: A002 - the client's name
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """Delete one document."""
        return self._one("delete", index, id, {}, params)

    def update(self, *, index: str, id: str, body: Mapping[str, Any]) -> Any:  # noqa: A002 - the client's name
        """Change fields of one document; its version grows by one."""

        def updated() -> dict[str, Any]:
            target = self.nodes.written(index)
            there = target.documents.get(id)
            if there is None or there.source is None:
                raise AnswerError(NOT_FOUND, "document_missing_exception")
            source = {**there.source, **body["doc"]}
            self._keep(target, id, there.version + 1, source)
            return {"result": "updated"}

        return self.send(updated)

    def mget(
        self, *, body: Mapping[str, Any], index: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The current documents with these ids."""
        wanted = [(one["_id"], one.get("_source")) for one in body.get("docs", ())]
        included = (params or {}).get("_source_includes")
        fields = included.split(",") if included else None
        wanted += [(one, fields) for one in body.get("ids", ())]
        answer: dict[str, Any] = self.send(lambda: {"docs": self._got(wanted, index)})
        return answer

    def send[T](self, apply: Callable[[], T]) -> Any:
        """Send the request, and raise errors as opensearch-py does."""
        try:
            return self._raw(apply)
        except CutOffError as cut:
            return opensearch_document(cut)

    def asked(self, apply: Callable[[], bool]) -> bool:
        """Send a request whose answer has a status and no body."""
        try:
            return self._raw(apply)
        except CutOffError as cut:
            return opensearch_status(cut)

    def _raw[T](self, apply: Callable[[], T]) -> T:
        """Send the request, and raise errors as opensearch-py does, but for a cut answer."""
        try:
            return self._connection.send(apply)
        except NoAnswerInTimeError as error:
            raise ConnectionTimeout("TIMEOUT", str(error), error) from error
        except NoAnswerError as error:
            raise OpenSearchConnectionError("N/A", str(error), error) from error
        except AnswerError as error:
            raise transport_error(error.status, error.code) from error

    def _one(
        self,
        verb: str,
        index: str,
        image_id: str,
        source: Mapping[str, Any],
        params: Mapping[str, Any] | None,
    ) -> Any:
        target: dict[str, Any] = {"_id": image_id, **(params or {})}
        if "version" in target:
            target["version"] = int(target["version"])

        def written() -> dict[str, Any]:
            item = self._write(verb, target, source, self.nodes.written(index))
            if "error" in item:
                raise AnswerError(item["status"], item["error"]["type"])
            return item

        return self.send(written)

    def _bulk(
        self,
        operations: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]],
        name: str,
        failures: Mapping[int, PartFailure],
        *,
        filtered: bool,
    ) -> dict[str, Any]:
        if any(len(target["_id"]) > MAX_ID_BYTES for _, target, _ in operations):
            raise AnswerError(BAD_REQUEST, "action_request_validation_exception")
        index, refusal = self._target(name, operations)
        items = []
        for at, (verb, target, source) in enumerate(operations):
            fault = failures.get(at)
            if fault is None or fault.applied:
                if index is None or (refusal and target.get("require_alias") and verb != "delete"):
                    item = refusal
                else:
                    item = self._write(verb, target, source, index)
            if fault is not None:
                status, _, kind = fault.code.partition(" ")
                item = error_item(int(status), kind)
            item = {"_index": name if index is None else index.name, **item}
            if not filtered:
                item = {"_id": target["_id"], "_shards": {"failed": 0}, **item}
            items.append({verb: item})
        errors = any("error" in item for entry in items for item in entry.values())
        return {"errors": errors, "items": items} | ({} if filtered else {"took": 1})

    def _target(
        self,
        name: str,
        operations: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]],
    ) -> tuple[FakeIndex | None, dict[str, Any]]:
        """The index of a bulk, and the error for operations that cannot have it."""
        cluster = self.nodes
        if name == self._alias and cluster.is_writable:
            cluster.unpin_after(
                [(target["_id"], target.get("version")) for _, target, _ in operations]
            )
            return cluster.pinned or cluster.live, {}
        if name in cluster.indices:
            reason = (
                f"no such index [{name}] and [require_alias] request flag is [true] and [{name}] "
                "is not an alias"
            )
            return cluster.indices[name], error_item(NOT_FOUND, "index_not_found_exception", reason)
        try:
            return cluster.written(name), {}
        except AnswerError as error:
            kind, _, reason = error.code.partition(": ")
            if error.status == NOT_FOUND and not any(
                target.get("require_alias") for verb, target, _ in operations if verb != "delete"
            ):
                raise NotImplementedError(
                    "OpenSearch would create an index with a guessed mapping"
                ) from error
            return None, error_item(error.status, kind, reason)

    def _write(
        self, verb: str, target: Mapping[str, Any], source: Mapping[str, Any], index: FakeIndex
    ) -> dict[str, Any]:
        image_id = target["_id"]
        if verb == "update":
            return _looked(index, image_id, source)
        now = self._now()
        if now < index.busy_until:
            return error_item(_TOO_MANY, "rejected_execution_exception")
        refusal = None if verb == "delete" else refusal_of(source, index.mappings)
        if refusal is not None:
            return refusal
        if verb != "delete" and self.refuses(source):
            return error_item(BAD_REQUEST, "mapper_parsing_exception", "failed to parse")
        there = index.documents.get(image_id)
        if there is not None and there.source is None and now - there.at >= index.gc_deletes:
            there = None
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
            return error_item(CONFLICT, "version_conflict_engine_exception", reason)
        gone = verb == "delete"
        was_there = there is not None and there.source is not None
        if gone and not was_there:
            index.keep(image_id, version, None, now)  # only the version is remembered
            return {"status": NOT_FOUND}
        self._keep(index, image_id, version, None if gone else source)
        return {"status": _OK if was_there else _CREATED}

    def _keep(
        self, index: FakeIndex, image_id: str, version: int, source: Mapping[str, Any] | None
    ) -> None:
        self.nodes.journal.append(index.keep(image_id, version, source, self._now()))

    def _got(
        self, wanted: Sequence[tuple[str, Sequence[str] | None]], name: str
    ) -> list[dict[str, Any]]:
        """What an `_mget` answers. It sees every write."""
        pinned = self.nodes.pinned if name == self._alias else None
        indices = self.nodes.read(name, unavailable=True) if pinned is None else [pinned]
        if len(indices) != 1:
            error = {"type": "index_not_found_exception", "reason": f"no such index [{name}]"}
            if indices:
                reason = f"alias [{name}] has more than one index associated with it"
                error = {"type": "illegal_argument_exception", "reason": reason}
            return [{"_index": name, "_id": one, "error": error} for one, _ in wanted]
        (index,) = indices
        return [_document(index, image_id, fields) for image_id, fields in wanted]


def _looked(index: FakeIndex, image_id: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Run an update without changes, the only kind that we send in a bulk."""
    if source != {"doc": {}}:
        raise NotImplementedError(f"an update by {source}")
    there = index.documents.get(image_id)
    if there is None or there.source is None:
        return error_item(NOT_FOUND, "document_missing_exception", f"[{image_id}] missing")
    return {"status": _OK}


def _stated(source: Mapping[str, Any]) -> int:
    version = source.get("version")
    return version if isinstance(version, int) else 0


def _document(index: FakeIndex, image_id: str, fields: Sequence[str] | None) -> dict[str, Any]:
    there = index.documents.get(image_id)
    got: dict[str, Any] = {"_index": index.name, "_id": image_id, "found": False}
    if there is not None and there.source is not None:
        source = there.source if fields is None else only(there.source, fields)
        got |= {"found": True, "_version": there.version, "_source": source}
    return got
