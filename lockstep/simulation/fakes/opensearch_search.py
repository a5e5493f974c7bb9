"""The searches of the fake client of OpenSearch, at a point in time or of one shard."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

from lockstep.simulation.fakes.network import AnswerError
from lockstep.simulation.fakes.opensearch_cluster import (
    BAD_REQUEST,
    NOT_FOUND,
    Cluster,
    StoredDocument,
    matcher,
)

_DEFAULT_PAGE = 10
# OpenSearch: "max must be greater than 1".
_FEWEST_SLICES = 2
# A hash of its own: nobody else cuts images in the same way.
_SLICE_SEED = 29


class Searches:
    """The part of a client that searches. It sees what was written before the last refresh."""

    nodes: Cluster
    _now: Callable[[], float]

    def send[T](self, apply: Callable[[], T]) -> Any:
        """Send a request, and raise errors as opensearch-py does."""
        raise NotImplementedError

    def count(self, *, index: str, body: Mapping[str, Any] | None = None) -> Any:
        """The number of documents that a search would find."""

        def counted() -> dict[str, Any]:
            fits = matcher((body or {}).get("query"))
            shown = self.nodes.shown(index, self._now())
            return {"count": sum(fits(one.source or {}) for _, one in shown)}

        return self.send(counted)

    def create_pit(self, *, index: str, params: Mapping[str, Any]) -> Any:
        """Open a point in time: what searches see now, for later searches."""

        def created() -> dict[str, Any]:
            there = dict(self.nodes.shown(index, self._now()))
            if "keep_alive" not in params:
                raise AnswerError(BAD_REQUEST, "action_request_validation_exception")
            name = f"pit-{next(self.nodes.opened)}"
            self.nodes.points[name] = there
            return {"pit_id": name}

        return self.send(created)

    def delete_pit(self, *, body: Mapping[str, Any]) -> Any:
        """Close points in time."""

        def deleted() -> dict[str, Any]:
            for one in body["pit_id"]:
                self.nodes.points.pop(one, None)
            return {"pits": [{"pit_id": one} for one in body["pit_id"]]}

        return self.send(deleted)

    def search(
        self,
        *,
        body: Mapping[str, Any] | None = None,
        index: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """A page of a point in time, or the first hits of an index."""
        wanted = body or {}
        if index is None and (
            wanted["sort"] != [{"_shard_doc": "asc"}]
            or "allow_partial_search_results" not in (params or {})
        ):
            raise NotImplementedError(body)

        def found() -> dict[str, Any]:
            if index is not None:
                there: Mapping[str, StoredDocument] = dict(self.nodes.shown(index, self._now()))
            elif wanted["pit"]["id"] not in self.nodes.points:  # closed, before this arrived
                raise AnswerError(NOT_FOUND, "search_context_missing_exception")
            else:
                there = self.nodes.points[wanted["pit"]["id"]]
            fits = matcher(wanted.get("query"))
            image_ids = sorted(
                one
                for one, its in there.items()
                if fits(its.source or {}) and _in_slice(one, wanted.get("slice"))
            )
            (after,) = wanted.get("search_after", [-1])
            until = after + 1 + wanted.get("size", _DEFAULT_PAGE)
            hits = [
                _hit(image_ids[at], there[image_ids[at]], wanted.get("_source"), at)
                for at in range(after + 1, min(until, len(image_ids)))
            ]
            return {
                "timed_out": False,
                "_shards": {"failed": 0},
                "hits": {"total": {"value": len(image_ids), "relation": "eq"}, "hits": hits},
            }

        return self.send(found)

    def msearch(self, *, body: Sequence[Mapping[str, Any]], index: str) -> Any:
        """A search of one shard by its numbers, the only one that we send this way."""
        header, wanted = body
        shard, _, where = header["preference"].removeprefix("_shards:").partition("|")
        ((field, bounds),) = wanted["query"]["range"].items()
        if where != "_primary" or field != "_seq_no" or wanted["sort"] != [{field: "asc"}]:
            raise NotImplementedError(body)
        (((_, after),)) = bounds.items()
        if bounds.keys() != {"gt"}:
            raise NotImplementedError(bounds)

        def found() -> dict[str, Any]:
            (one,) = self.nodes.read(index)
            numbered = one.written_after(after, int(shard), self._now())
            hits = [
                _hit(image_id, its, wanted["_source"], number)
                for number, image_id, its in numbered[: wanted["size"]]
            ]
            shards = {"total": 1, "successful": 1}
            return {"responses": [{"_shards": shards, "hits": {"hits": hits}}]}

        return self.send(found)


def only(source: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """These fields of a source, those that it has."""
    return {name: source[name] for name in fields if name in source}


def _in_slice(document_id: str, wanted: Mapping[str, int] | None) -> bool:
    """Whether a search returns this document: all, or those whose hash is in the slice."""
    if wanted is None:
        return True
    if wanted["max"] < _FEWEST_SLICES:
        raise AnswerError(BAD_REQUEST, "illegal_argument_exception")
    return crc32(document_id.encode(), _SLICE_SEED) % wanted["max"] == wanted["id"]


def _hit(image_id: str, one: StoredDocument, fields: Any, sort: int) -> dict[str, Any]:
    source = one.source or {}
    hit: dict[str, Any] = {"_id": image_id, "_version": one.version, "sort": [sort]}
    if fields is not False:
        hit["_source"] = source if fields is None else only(source, fields)
    return hit
