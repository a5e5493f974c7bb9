"""Seeded bugs of the repair, the redrive and the purge of a replica."""

from collections.abc import Mapping, Sequence
from typing import Any, override

from functions.write_to_tablestore.purge import TombstonePage
from functions.write_to_tablestore.tombstones import Tombstones
from lockstep.simulation.replica.components import ReplicaComponents
from lockstep.tablestore.redrive import KeyRedrive
from lockstep.tablestore.repair import Expected, RowKey, RowRepair
from shared.outcome import Duplicate, Outcome

A_DAY = 86_400


class SourceFirst(RowRepair):
    """Reads the item before the row."""

    _before: Mapping[RowKey, Mapping[str, Any]] = {}

    @override
    def _attempt(self, keys: Sequence[RowKey], within: float | None) -> Any:
        self._before = super()._items(keys)
        return super()._attempt(keys, within)

    @override
    def _items(self, keys: Sequence[RowKey]) -> Mapping[RowKey, Mapping[str, Any]]:
        return self._before


class AboveTheStream(RowRepair):
    @override
    def _kept(self, row: Any) -> tuple[str, Expected, bool]:
        version, expected, again = super()._kept(row)
        label, _, number = version.partition("/")
        return f"{label}/{'9' * len(number)}", expected, again


class RemovedItemsStay(RowRepair):
    @override
    def decide(self, key: RowKey, row: Any, item: Any) -> Any:
        return super().decide(key, row, item) if item is not None else Duplicate()


class PurgesADayTooEarly(Tombstones):
    @override
    def page(self, position: str | None, now: int, most: int | None) -> TombstonePage:
        return super().page(position, now + 2 * A_DAY, most)


class NothingToRepair:
    """A repair that does nothing."""

    def __init__(self, repair: Any) -> None:
        self._repair = repair

    def __getattr__(self, name: str) -> Any:
        return getattr(self._repair, name)

    @staticmethod
    def send(changes: Sequence[Any], within: float | None = None) -> Sequence[Outcome]:  # noqa: ARG004 - as a sink
        return [Duplicate()] * len(changes)


def redrives_without_repair(aside: Any, objects: Any, repair: Any, **others: Any) -> KeyRedrive:
    return KeyRedrive(aside, objects, NothingToRepair(repair), **others)


WRONG: Mapping[str, ReplicaComponents] = {
    "replica's repair: the source is read before the row": ReplicaComponents(repair=SourceFirst),
    "replica's repair: versions above the stream": ReplicaComponents(repair=AboveTheStream),
    "replica's repair: removed items stay": ReplicaComponents(repair=RemovedItemsStay),
    "replica's redrive: files away without a repair": ReplicaComponents(
        redrive=redrives_without_repair
    ),
    "replica's purge: two days too early": ReplicaComponents(tombstones=PurgesADayTooEarly),
}
