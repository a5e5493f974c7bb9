"""Seeded bugs of the index's sink."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, override

import msgspec

from functions.write_to_es.bulk import BulkItem, Operation
from functions.write_to_es.sink import ImageIndex
from lockstep.simulation.components import INDEX, INDEX_SECONDS, Components
from shared.change import Change
from shared.outcome import Applied, Failed, Outcome, Refused, Stale
from shared.sink import Sink


def index(sink: Callable[..., Sink]) -> Components:
    return Components(index=lambda client: sink(client, INDEX, longest_request=INDEX_SECONDS))


class OtherBulk(ImageIndex):
    """An index whose bulk operations are changed."""

    @staticmethod
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        raise NotImplementedError

    @override
    def _bulk(self, operations: Sequence[Operation], within: float | None) -> Sequence[BulkItem]:
        return super()._bulk([self._changed(one) for one in operations], within)

    def _changed(self, operation: Operation) -> Operation:
        action, source = map(msgspec.json.decode, operation.lines.splitlines())
        lines = self.changed(action["index"], source)
        return Operation(b"".join(msgspec.json.encode(one) + b"\n" for one in lines), 1)


class WithoutVersionCheck(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": {"_id": target["_id"], "require_alias": True}}, source]


class TombstonesWithoutVersionCheck(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        if source["deleted"]:
            target = {"_id": target["_id"], "require_alias": True}
        return [{"index": target}, source]


class EqualVersionsAreIndexedAgain(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version_type": "external_gte"}}, source]


class ChecksTheArrival(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"index": target | {"version": source["arrived_at"]}}, source]


class DeletesDocuments(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        return [{"delete": target}] if source["deleted"] else [{"index": target}, source]


class TombstonesStayForever(OtherBulk):
    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        source.pop("expires_at", None)
        return [{"index": target}, source]


class AnyIndexWillDo(OtherBulk):
    """Without an alias, OpenSearch creates an index with a guessed mapping."""

    @staticmethod
    @override
    def changed(target: dict[str, Any], source: dict[str, Any]) -> list[Any]:
        del target["require_alias"]
        return [{"index": target}, source]


class ErrorsLoseTheirPositions(ImageIndex):
    """As an answer with `filter_path=items.*.error` alone."""

    @override
    def _bulk(self, operations: Sequence[Operation], within: float | None) -> Sequence[BulkItem]:
        return sorted(super()._bulk(operations, within), key=lambda item: item.error is None)


class ItemErrorsAreIgnored(ImageIndex):
    @override
    def _read(self, item: Any, change: Change) -> Any:
        return Applied()


class ConflictsOfVersionsAreFailures(ImageIndex):
    @override
    def _compared(self, changes: Sequence[Change], _within: float | None) -> Sequence[Outcome]:
        return [Failed("409")] * len(changes)


class ConflictsOfVersionsAreAllStale(ImageIndex):
    @override
    def _compared(self, changes: Sequence[Change], _within: float | None) -> Sequence[Outcome]:
        return [Stale()] * len(changes)


class ComparesTheWrongDocument(ImageIndex):
    @override
    def _compared(self, changes: Sequence[Change], within: float | None) -> Sequence[Outcome]:
        return super()._compared([*changes[1:], changes[0]], within)


class ServerErrorsArePermanent(ImageIndex):
    @override
    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        return [
            Refused(one.detail) if isinstance(one, Failed) else one
            for one in super().send(changes, within)
        ]


WRONG: Mapping[str, Components] = {
    "index: no version check": index(WithoutVersionCheck),
    "index: no version check on tombstones": index(TombstonesWithoutVersionCheck),
    "index: version check with external_gte": index(EqualVersionsAreIndexedAgain),
    "index: version check on the arrival time": index(ChecksTheArrival),
    "index: a deletion leaves no tombstone": index(DeletesDocuments),
    "index: tombstones without expires_at": index(TombstonesStayForever),
    "index: no require_alias": index(AnyIndexWillDo),
    "index: errors lose their positions": index(ErrorsLoseTheirPositions),
    "index: item errors are ignored": index(ItemErrorsAreIgnored),
    "index: a 409 counts as a failure": index(ConflictsOfVersionsAreFailures),
    "index: a 409 counts as stale, without a lookup": index(ConflictsOfVersionsAreAllStale),
    "index: a 409 is compared with the wrong document": index(ComparesTheWrongDocument),
    "index: 5xx errors are quarantined": index(ServerErrorsArePermanent),
}
