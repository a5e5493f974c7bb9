"""The checks of a history of a replica: what each row, write and quarantined record must be."""

from collections.abc import Mapping, Sequence

import msgspec

from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.tablestore import Columns, RowWritten
from lockstep.simulation.replica import oracle
from lockstep.simulation.replica.loads import Loads
from lockstep.simulation.replica.operators import ReplicaOperators
from lockstep.simulation.replica.source import KnownChange, key_text
from lockstep.simulation.replica.system import FUNCTION, VERSION, ReplicaSystem
from lockstep.simulation.violation import ViolationError
from shared.quarantine import QuarantinedRecord

DELETED = oracle.GUARD[2]
REASON = "refused_by_store"


def check_quarantined(
    system: ReplicaSystem,
    quarantined: Sequence[QuarantinedRecord],
    batch: Sequence[AcceptedRecord],
) -> None:
    """I1: only what no row can hold, or Table Store refuses, goes to quarantine.

    Raises:
        ViolationError: something else did, or with another reason.
    """
    by_number = {one.sequence_number: one for one in batch}
    for entry in quarantined:
        told = system.source.meaning(by_number[entry.sequence_number])
        if told.key in system.touched:
            continue  # its version may be no text
        if system.can_be_written(told):
            raise ViolationError("I1", f"{told} is in quarantine: {entry.reason}: {entry.detail}")
        if entry.reason != REASON:
            raise ViolationError("I1", f"{told} is in quarantine for another reason: {entry}")


class Checks:
    """Checks everything that was written in one history, and what is there at its end."""

    def __init__(self, system: ReplicaSystem, loads: Loads, operators: ReplicaOperators) -> None:
        """Check this system, its loads and the work of its operators."""
        self._system = system
        self._operators = operators
        self._by_hand: list[Columns] = []
        self._loads = loads
        self._checked = system.store.writes  # those before were by nobody of ours

    def check_writes(self) -> None:
        """I2: each write since the last check has a higher version, and is what its record means.

        Raises:
            ViolationError: it has not, or is not.
        """
        system = self._system
        told = self._by_row()
        for write in system.store.journal(self._checked):
            self._checked += 1
            if self._checked - 1 in self._operators.harmed:
                if write.after is not None:
                    self._by_hand.append(write.after)
            elif self._operators.wrote(write):
                pass
            elif write.after is None:
                self._check_removed(write)
            else:
                self._check_written(write, write.after, told.get(write.key, {}))

    def check_end(self) -> None:
        """I1 and I3: each row is what the source has, or what could not be written is set aside.

        Raises:
            ViolationError: it is not.
        """
        self.check_writes()
        for key, changes in self._by_row().items():
            self._check_row(key, sorted(changes.values(), key=lambda one: one.version))
        self._check_items()
        rows = self._system.store.rows()
        for key in rows.keys() - self._by_row().keys():
            write = RowWritten(key, rows[key], rows[key])
            if self._operators.wrote(write) or rows[key] in self._by_hand:
                continue
            if not self._loads.wrote(key, rows[key]) and not oracle.same(
                rows[key], self._system.foreign.get(key, {})
            ):
                raise ViolationError("I3", f"nobody has written {_said(rows[key])}")
        for record in self._system.source.records():
            if not self._system.is_durable(record) and not self._is_excused(record):
                told = self._system.source.meaning(record)
                raise ViolationError("I1", f"{told} is in no row, and not set aside")

    def _check_written(
        self, write: RowWritten, after: Columns, its: Mapping[str, KnownChange]
    ) -> None:
        system = self._system
        version = after.get(VERSION)
        before = None if write.before is None else write.before.get(VERSION)
        if write.before in self._by_hand:
            before = None
        if system.deletions == "row" and after.get(DELETED):
            raise ViolationError("I4", f"{_said(after)} is a tombstone")
        if not isinstance(version, str) or (before is not None and version <= before):
            raise ViolationError("I2", f"{_said(after)} replaced {_said(write.before)}")
        if version in its:
            expected = system.row_of(its[version])
            if expected is None or not oracle.same(after, expected):
                raise ViolationError("I3", f"{_said(after)} is not {expected}")
        elif not self._loads.wrote(write.key, after):
            raise ViolationError("I3", f"no record and no load has {_said(after)}")

    def _check_removed(self, write: RowWritten) -> None:
        if self._system.deletions != "row":
            raise ViolationError("I4", f"{_said(write.before)} was deleted without a tombstone")

    def _check_row(self, key: bytes, changes: Sequence[KnownChange]) -> None:
        """The row has the last change that could be written and was not given up, or a later one.

        Its content was checked when it was written.
        """
        system = self._system
        row = system.store.rows().get(key)
        due = [
            one
            for one in changes
            if system.can_be_written(one)
            and one.version not in self._given_up()
            and one.version not in system.lost
        ]
        if not due or due[0].key in system.touched:
            return
        last = due[-1]
        if row is None:
            if system.deletions == "row" and any(
                one.item is None and one.version >= last.version for one in changes
            ):
                return  # perhaps by a removal that was given up, and took effect nevertheless
            if system.is_over(last):
                return
            raise ViolationError("I1", f"there is no row for {last}")
        if row.get(VERSION, "") < last.version and not (
            system.deletions == "row" and last.item is None
        ):
            raise ViolationError("I3", f"{_said(row)} is older than {last}")
        self._check_returned(row, last)

    def _check_items(self) -> None:
        """I3: each row is its item of now, unless that cannot be written, or was given up."""
        system = self._system
        for keys in system.keys:
            key = key_text(keys)
            if key not in system.touched or key in system.source.items:
                continue
            row = system.store.row(system.key_of(key, keys) or ())
            if row is not None and row.get(DELETED) is not True:
                raise ViolationError("I4", f"{key} is removed, and has {_said(row)}")
        for key, item in system.source.items.items():
            now = KnownChange(key, system.source_table.keys_in(item), item, "", 0)
            row_key = system.key_of(key, now.keys)
            if row_key is None or not system.can_be_written(now):
                continue
            row = system.store.row(row_key) or {}
            expected = system.row_of(now) or {}
            if not oracle.same(_without_guard(row), _without_guard(expected)) or row.get(DELETED):
                raise ViolationError("I3", f"{now} is {_said(row)}")

    def _check_returned(self, row: Columns, last: KnownChange) -> None:
        """I4: a removed item's row is a tombstone.

        Without tombstones, an older request that comes late may bring a row back.
        """
        system = self._system
        if last.item is None and system.deletions == "row" and not self._came_late():
            raise ViolationError("I4", f"{_said(row)} came back after {last}")

    def _came_late(self) -> bool:
        """Whether a request may have come after later ones of its row."""
        system = self._system
        return (
            system.conditions.hidden_effects > 0
            or system.planned.has_second
            or self._loads.count > 0
            or system.came_late
            or bool(system.touched)
            or self._operators.has_repaired
        )

    def _given_up(self) -> frozenset[str]:
        attempted = self._system.discards[FUNCTION].attempted
        return frozenset(self._system.source.meaning(one).version for one in attempted.values())

    def _is_excused(self, record: AcceptedRecord) -> bool:
        """Whether a record need not be in a row: it was given up, or nobody has read it.

        After a load, that is only true of items that are gone, or that no row can hold.
        """
        system = self._system
        told = system.source.meaning(record)
        if told.version in self._given_up() or told.key in system.touched:
            return True
        if told.version not in system.lost:
            return False
        now = msgspec.structs.replace(told, item=system.source.items.get(told.key))
        return now.item is None or not all(map(system.can_be_written, (told, now)))

    def _by_row(self) -> Mapping[bytes, Mapping[str, KnownChange]]:
        """The changes of each row, by their versions."""
        system = self._system
        found: dict[bytes, dict[str, KnownChange]] = {}
        for one in system.source.told.values():
            key = system.key_of(one.key, one.keys)
            if key is not None:
                found.setdefault(system.store.key_bytes(key), {})[one.version] = one
        return found


def _without_guard(row: Columns) -> Columns:
    return {name: cell for name, cell in row.items() if name not in oracle.GUARD}


def _said(row: Columns | None) -> str:
    """A row in a message: its version first."""
    return "no row" if row is None else f"the row of version {row.get(VERSION)}: {dict(row)}"
