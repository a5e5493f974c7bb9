"""Seeded bugs of the index's sink."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from functions.write_to_es.bulk import BulkItem, Operation
from functions.write_to_es.sink import ImageIndex
from lockstep.simulation.components import INDEX, INDEX_SECONDS, Components
from shared.change import Change
from shared.outcome import Applied, Failed, Outcome, Refused, Stale
from shared.sink import Sink


def index(made: Callable[..., Sink]) -> Components:
    return Components(index=lambda client: made(client, INDEX, longest_request=INDEX_SECONDS))


class OtherBulk(ImageIndex):
    """The bulk's lines, changed."""

    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        raise NotImplementedError

    def _bulk(self, operations: Sequence[Operation]) -> Sequence[BulkItem]:
        return super()._bulk([self._changed(one) for one in operations])

    def _changed(self, operation: Operation) -> Operation:
        action, source = map(msgspec.json.decode, operation.lines.splitlines())
        lines = self.changed(action["index"], source)
        return Operation(b"".join(msgspec.json.encode(one) + b"\n" for one in lines), 1)


class Unguarded(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": {"_id": target["_id"], "require_alias": True}}, source]


class TombstonesAreUnguarded(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        if source["deleted"]:
            target = {"_id": target["_id"], "require_alias": True}
        return [{"index": target}, source]


class EqualVersionsAreIndexedAgain(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version_type": "external_gte"}}, source]


class GuardedByArrival(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version": source["arrived_at"]}}, source]


class DeletesDocuments(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"delete": target}] if source["deleted"] else [{"index": target}, source]


class TombstonesStayForEver(OtherBulk):
    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        source.pop("expires_at", None)
        return [{"index": target}, source]


class AnyIndexWillDo(OtherBulk):
    """Without an alias OpenSearch makes an index by itself, with a guessed mapping."""

    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        del target["require_alias"]
        return [{"index": target}, source]


class ErrorsLoseTheirPositions(ImageIndex):
    """What `filter_path=items.*.error` alone leaves of an answer."""

    def _bulk(self, operations: Sequence[Operation]) -> Sequence[BulkItem]:
        return sorted(super()._bulk(operations), key=lambda item: item.error is None)


class ItemErrorsAreOverlooked(ImageIndex):
    def _read(self, item: Any, change: Change) -> Any:  # noqa: ARG002 - that is the bug
        return Applied()


class ConflictsOfVersionsAreFailures(ImageIndex):
    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Failed("409")] * len(changes)


class ConflictsOfVersionsAreAllStale(ImageIndex):
    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Stale()] * len(changes)


class ComparesWithItsNeighbour(ImageIndex):
    def _compared(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return super()._compared([*changes[1:], changes[0]])


class ServerErrorsAreForGood(ImageIndex):
    def send(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [
            Refused(one.detail) if isinstance(one, Failed) else one for one in super().send(changes)
        ]


WRONG: Mapping[str, Components] = {
    "index: no version check": index(Unguarded),
    "index: no version check on tombstones": index(TombstonesAreUnguarded),
    "index: external_gte": index(EqualVersionsAreIndexedAgain),
    "index: version check on the arrival": index(GuardedByArrival),
    "index: hard delete": index(DeletesDocuments),
    "index: tombstones without a purge time": index(TombstonesStayForEver),
    "index: no require_alias": index(AnyIndexWillDo),
    "index: errors lose their positions": index(ErrorsLoseTheirPositions),
    "index: item errors overlooked": index(ItemErrorsAreOverlooked),
    "index: 409 as failure": index(ConflictsOfVersionsAreFailures),
    "index: 409 as success, unseen": index(ConflictsOfVersionsAreAllStale),
    "index: 409 compared with the neighbour's document": index(ComparesWithItsNeighbour),
    "index: 5xx quarantined": index(ServerErrorsAreForGood),
}
