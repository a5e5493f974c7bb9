"""Seeded bugs of the rebuild, of the aliases, and of reading the table."""

# ruff: noqa: SLF001 - a bug is in the inner parts

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, override

import msgspec
from opensearchpy import OpenSearch

from functions.write_to_es.aliases import alias_definitions
from functions.write_to_es.bulk import BulkItem
from functions.write_to_es.index import IndexCheck
from functions.write_to_es.sink import ImageIndex
from lockstep.rebuild import copying
from lockstep.rebuild.copying import Copier
from lockstep.rebuild.indices import Indices, StackIndices
from lockstep.rebuild.lease import Lease
from lockstep.rebuild.parts import RebuildParts
from lockstep.rebuild.rebuild import Rebuild
from lockstep.rebuild.run import RebuildRun
from lockstep.rebuild.shards import Shards, _Look
from lockstep.repair.decide import Ahead, NeedsOperator, decide
from lockstep.simulation.components import INDEX_SECONDS, Components
from lockstep.stores.table import TableReader
from shared.change import Change, Remove
from shared.outcome import Refused
from shared.sink import write_all
from tests.simulation.rewired import rewired
from tests.simulation.wrong_index import WithoutVersionCheck, index


class CarriesNoTombstones(Copier):
    @override
    def _write(self, origin: Any, changes: Sequence[Change]) -> Sequence[Change]:
        return super()._write(origin, [one for one in changes if not isinstance(one, Remove)])


class DropsWhatFailsAtFirst(Copier):
    @override
    def _write(self, origin: Any, changes: Sequence[Change]) -> Sequence[Change]:
        for change, outcome in zip(changes, write_all(changes, self._sink), strict=True):
            self._note(origin, change, outcome)
        return []


class DropsWhatIsRefused(Copier):
    """As before the simulation found it: readers lose an image whose newer version is refused."""

    @override
    def _write(self, origin: Any, changes: Sequence[Change]) -> Sequence[Change]:
        super()._write(origin, changes)
        return []


def _not_ahead(*states: Any, now: float) -> Any:
    decision = decide(*states, now=now)
    return NeedsOperator(decision.why) if isinstance(decision, Ahead) else decision


class CopiesNothingThatIsAhead(Copier):
    _copy_from_old = rewired(
        Copier._copy_from_old,
        content_for_new_index=rewired(copying.content_for_new_index, decide=_not_ahead),
    )


class OfNoTombstones(RebuildRun):
    __init__ = rewired(RebuildRun.__init__, Copier=CarriesNoTombstones)


class OfNoPatience(RebuildRun):
    __init__ = rewired(RebuildRun.__init__, Copier=DropsWhatFailsAtFirst)


class OfNoFallback(RebuildRun):
    __init__ = rewired(RebuildRun.__init__, Copier=DropsWhatIsRefused)


class OfTheTableAlone(RebuildRun):
    __init__ = rewired(RebuildRun.__init__, Copier=CopiesNothingThatIsAhead)


class ReadsTheTableOnce(RebuildRun):
    @override
    def check_again(self) -> None:
        if self._indices.exists(name := self._old_name):
            self._copy_all_newer(self._parts.index(name), "")
        self._indices.refresh(self._new_name)


class SwitchesWithoutFollowing(RebuildRun):
    @override
    def _catch_up(self) -> None:
        pass


class CarryingNoTombstones(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=OfNoTombstones)


class WithoutPatience(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=OfNoPatience)


class WithoutFallback(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=OfNoFallback)


class FromTheTableAlone(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=OfTheTableAlone)


class WithoutTheLastLookAtTheTable(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=ReadsTheTableOnce)


class WithoutFollowing(Rebuild):
    run = rewired(Rebuild.run, RebuildRun=SwitchesWithoutFollowing)


class AnybodysLease(Lease):
    @classmethod
    @override
    def take_over(cls, indices: Any, index: str, worker: Any, clock: Any, *_: Any) -> "Lease":
        state = msgspec.structs.replace(indices.state(index), worker=worker, done=False)
        indices.save_state(index, state)
        return cls(indices, index, state, clock)

    @override
    def _check(self) -> None:
        pass


class UncheckedLease(Lease):
    """A worker that another one has overtaken goes on."""

    @override
    def _check(self) -> None:
        pass


class WithoutLease(Rebuild):
    _lease = rewired(Rebuild._lease, Lease=AnybodysLease)


class WithoutCheckOfTheLease(Rebuild):
    _lease = rewired(Rebuild._lease, Lease=UncheckedLease)


class WaitsForNoConsumer(Rebuild):
    def __init__(self, parts: RebuildParts) -> None:
        super().__init__(msgspec.structs.replace(parts, settled=lambda: math.inf))


class CopiesWithoutVersionCheck(Rebuild):
    def __init__(self, parts: RebuildParts) -> None:
        of: Any = parts.sink
        sink = WithoutVersionCheck(of._client, of._alias, longest_request=INDEX_SECONDS)
        super().__init__(msgspec.structs.replace(parts, sink=sink))


class FurthestShard(Shards):
    @override
    def written_since(
        self, marks: Mapping[str, Any], look: _Look
    ) -> Iterator[Mapping[str, Any]] | None:
        if not marks or super().written_since(marks, look) is None:
            return None
        furthest = max(mark.number for mark in marks.values())
        shards = look.primaries.items()
        return self._pages({at: furthest for at, one in shards if furthest < one.seq_no.max_seq_no})


class UnrefreshedShards(Shards):
    @override
    def _refresh(self) -> None:
        pass


class FurthestShardCounts(Indices):
    @override
    def shards(self, index: str) -> Shards:
        return FurthestShard(self._client, index)


class ShardsAreNotRefreshed(Indices):
    @override
    def shards(self, index: str) -> Shards:
        return UnrefreshedShards(self._client, index)


class AnyAliasWillDo(Indices):
    @override
    def read(self) -> StackIndices:
        return msgspec.structs.replace(super().read(), problems=())


class AnyMappingWillDo(Indices):
    @override
    def read(self) -> StackIndices:
        return msgspec.structs.replace(super().read(), differences=())


def _unfiltered(alias: str) -> Mapping[str, Mapping[str, Any]]:
    return {name: {} for name in alias_definitions(alias)}


class ReadersSeeTombstones(Indices):
    switch = rewired(Indices.switch, alias_definitions=_unfiltered)


class MovesOneAliasAfterTheOther(Indices):
    @override
    def switch(self, to: str) -> None:
        for name, definition in alias_definitions(self._alias).items():
            for one in self._client.indices.get(index=f"{self._alias}-0*"):
                if name in self._client.indices.get_alias(index=one)[one]["aliases"]:
                    self._client.indices.delete_alias(index=one, name=name)
            self._client.indices.put_alias(index=to, name=name, body=definition)


def finds_no_problem(_: OpenSearch, __: str) -> IndexCheck:
    return IndexCheck(())


class ThrottledLooksAbsent(TableReader):
    @override
    def _items(
        self,
        image_ids: Sequence[str],
        fields: Sequence[str],
    ) -> Iterator[Mapping[str, Any]]:
        wanted: dict[str, Any] = {
            self._table: {"Keys": [{"image_id": {"S": image_id}} for image_id in image_ids]}
        }
        answer = self._client.batch_get_item(RequestItems=wanted)
        yield from answer["Responses"].get(self._table, [])


class ReadsAnIndexOfAnyAge(Rebuild):
    @override
    def _is_too_old(self, view: StackIndices, index: str) -> bool:
        return False


class TakesAnUnknownFieldForARefusal(ImageIndex):
    """As before the simulation found it: what an old index refuses is judged by the new one."""

    @override
    def _read(self, item: BulkItem, change: Change) -> Any:
        if item.error is not None and item.error.type == "strict_dynamic_mapping_exception":
            return Refused(str(item.error))
        return super()._read(item, change)


def rebuilding(by: Callable[[RebuildParts], Rebuild]) -> Components:
    return Components(rebuild=by)


WRONG: Mapping[str, Components] = {
    "rebuild: tombstones are not carried": rebuilding(CarryingNoTombstones),
    "rebuild: what the new index rejects for seconds is dropped": rebuilding(WithoutPatience),
    "rebuild: what the index refuses takes the old document with it": rebuilding(WithoutFallback),
    "rebuild: what the index is ahead with is removed": rebuilding(FromTheTableAlone),
    "rebuild: consumers behind the switch are not waited for": rebuilding(WaitsForNoConsumer),
    "rebuild: the table is not read again": rebuilding(WithoutTheLastLookAtTheTable),
    "rebuild: the old index is not followed": rebuilding(WithoutFollowing),
    "rebuild: a second one takes over without the lease": rebuilding(WithoutLease),
    "rebuild: a worker goes on without the lease": rebuilding(WithoutCheckOfTheLease),
    "rebuild: the copy has no version check": rebuilding(CopiesWithoutVersionCheck),
    "rebuild: the furthest shard's number counts": Components(indices=FurthestShardCounts),
    "rebuild: shards are read without a refresh": Components(indices=ShardsAreNotRefreshed),
    "rebuild: an index of any age is read": rebuilding(ReadsAnIndexOfAnyAge),
    "rebuild: aliases are not checked": Components(indices=AnyAliasWillDo),
    "rebuild: another release's mapping is taken for ours": Components(indices=AnyMappingWillDo),
    "rebuild: the alias for reading has no filter": Components(indices=ReadersSeeTombstones),
    "rebuild: one alias moves after the other": Components(indices=MovesOneAliasAfterTheOther),
    "index: a field that it does not know is a refusal": index(TakesAnUnknownFieldForARefusal),
    "audit: aliases are not checked": Components(check_index=finds_no_problem),
    "readers: a throttled item looks absent": Components(table_reader=ThrottledLooksAbsent),
}
