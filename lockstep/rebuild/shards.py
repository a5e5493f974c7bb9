"""Follows the writes to an index, shard by shard.

Each shard numbers its writes (`_seq_no`), and the shards' numbers are independent of each other. So
what was written since a moment is found only with one number for each shard.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.bulk import converted
from functions.write_to_es.connect import sink_errors
from functions.write_to_es.index import PATIENCE
from lockstep.stores.entry import FIELDS
from shared.sink import RequestFailedError

DOCUMENTS_PER_PAGE = 2_000
# The states of a shard copy that answers; RELOCATING still does.
_AT_WORK = frozenset({"STARTED", "RELOCATING"})


class ShardMark(msgspec.Struct, frozen=True):
    """A moment in the writes of one shard: all writes up to `number` are complete.

    `number` is the global checkpoint of the primary: each copy in sync has these writes, so they
    survive a failover. `history` changes if a shard loses writes for good, for example if it is
    restored from a snapshot. Numbers of two histories cannot be compared.
    """

    history: str
    number: int


class _Commit(msgspec.Struct, frozen=True):
    user_data: Mapping[str, str] = {}


class _Routing(msgspec.Struct, frozen=True):
    primary: bool
    state: str


class _SeqNo(msgspec.Struct, frozen=True):
    max_seq_no: int
    global_checkpoint: int


class _Copy(msgspec.Struct, frozen=True):
    """One copy of a shard in the index's statistics."""

    routing: _Routing
    seq_no: _SeqNo
    commit: _Commit = _Commit()

    @property
    def history(self) -> str:
        return self.commit.user_data.get("history_uuid", "")


class _ShardsOfIndex(msgspec.Struct, frozen=True):
    shards: Mapping[str, list[_Copy]]


class _Statistics(msgspec.Struct, frozen=True):
    indices: Mapping[str, _ShardsOfIndex]


class _Answering(msgspec.Struct, frozen=True):
    total: int
    successful: int


class _ShardHits(msgspec.Struct, frozen=True):
    hits: list[dict[str, Any]] = []


class _Page(msgspec.Struct, frozen=True):
    shards: _Answering = msgspec.field(name="_shards", default=_Answering(0, 0))
    hits: _ShardHits = _ShardHits()
    error: Any = None


class _Pages(msgspec.Struct, frozen=True):
    responses: list[_Page]


class _Look(msgspec.Struct, frozen=True):
    """The primary of each shard, as the statistics show it at one moment."""

    primaries: Mapping[str, _Copy]

    @property
    def marks(self) -> dict[str, ShardMark]:
        """The moment that a reader reaches who refreshes the index now and then reads it."""
        return {
            shard: ShardMark(one.history, one.seq_no.global_checkpoint)
            for shard, one in self.primaries.items()
        }


class Shards:
    """The shards of one index."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client = client
        self._index = index

    def look(self) -> _Look:
        """The shards as they are now.

        Raises:
            RequestFailedError: the index, or each shard of it, did not answer.
            MisconfiguredError: there is no such index, or no right to read its statistics.
        """
        with sink_errors(self._index):
            found = self._client.indices.stats(index=self._index, params={"level": "shards"})
        indices = converted(found, _Statistics, self._index).indices
        if self._index not in indices:
            message = (
                f"index {self._index}: no shard answers. Check the cluster's health; if the shards "
                "are lost, delete the index and run this again: the table fills a new one"
            )
            raise RequestFailedError(message)
        shards = indices[self._index].shards
        return _Look(
            {
                shard: one
                for shard, copies in shards.items()
                for one in copies
                if one.routing.primary and one.routing.state in _AT_WORK
            }
        )

    def written_since(
        self, marks: Mapping[str, ShardMark], look: _Look
    ) -> Iterator[Mapping[str, Any]] | None:
        """The documents that were written after these marks.

        Also returns documents that were written after `look`. A shard without new writes is not
        read.

        Returns:
            None if some shard has no mark, or one of another history, or one above its own number:
            only reading the whole index then misses nothing.

        Raises:
            RequestFailedError: a shard does not answer.
            MisconfiguredError: there is no such index, or no right to read it.
        """
        for shard in marks.keys() - look.primaries.keys():
            message = f"index {self._index}: shard {shard} has no primary"
            raise RequestFailedError(message)
        after = {}
        for shard, one in look.primaries.items():
            mark = marks.get(shard)
            if mark is None or mark.history != one.history or mark.number > one.seq_no.max_seq_no:
                return None
            if mark.number < one.seq_no.max_seq_no:
                after[shard] = mark.number
        return self._pages(after)

    def _pages(self, after: Mapping[str, int]) -> Iterator[Mapping[str, Any]]:
        if after:
            self._refresh()
        for shard, number in after.items():
            yield from self._written_after(shard, number)

    def _refresh(self) -> None:
        with sink_errors(self._index):
            answer = self._client.indices.refresh(index=self._index, params=PATIENCE)
        if answer["_shards"]["failed"]:
            message = f"index {self._index}: a shard was not refreshed"
            raise RequestFailedError(message)

    def _written_after(self, shard: str, number: int) -> Iterator[Mapping[str, Any]]:
        """The documents of a shard with a higher number, in the order of their numbers.

        It needs no point in time: a document that is written meanwhile only gets a higher number.
        """
        # In the body, since the service may ignore URL parameters of a signed POST, and without the
        # index, since `allow_explicit_index: false` refuses one (docs/internals/facts.md).
        header = {"preference": f"_shards:{shard}|_primary"}
        while True:
            query = {
                "size": DOCUMENTS_PER_PAGE,
                "query": {"range": {"_seq_no": {"gt": number}}},
                "sort": [{"_seq_no": "asc"}],
                "version": True,
                "_source": list(FIELDS),
            }
            with sink_errors(self._index):
                answer = self._client.msearch(body=[header, query], index=self._index)
            (page,) = converted(answer, _Pages, self._index).responses
            # With more than one shard, equal numbers could hide documents at the end of a page.
            if page.error is not None or page.shards != _Answering(1, 1):
                message = f"index {self._index}: shard {shard} did not answer alone: {page.error}"
                raise RequestFailedError(message)
            hits = page.hits.hits
            yield from hits
            if len(hits) < DOCUMENTS_PER_PAGE:
                return
            number = hits[-1]["sort"][0]
