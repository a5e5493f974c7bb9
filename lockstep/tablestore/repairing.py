"""The repair of what an audit of a replica has found: a plan, and its application."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import batched
from typing import Final, Literal

import msgspec

from functions.write_to_tablestore.conversion import Conversion
from functions.write_to_tablestore.keys import key_as_text, key_in
from lockstep.stores.writing import settled
from lockstep.tablestore.audit import RowDifference
from lockstep.tablestore.comparison import RowDifferenceKind
from lockstep.tablestore.repair import ItemKey
from shared.clock import Clock
from shared.outcome import Applied, Duplicate, Refused
from shared.sink import RequestFailedError, SinkOf

type RowAction = Literal["write", "remove", "correct_item"]
"""Write the row, remove it, or nothing: an operator must correct the item or the settings."""

ACTIONS: Final[Mapping[RowDifferenceKind, RowAction]] = {
    "missing_in_replica": "write",
    "missing_in_source": "remove",
    "other_values": "write",
    "malformed_version": "write",
    "unconvertible": "correct_item",
}
_ROWS_AT_ONCE: Final = 1000


class PlannedRows(msgspec.Struct, frozen=True):
    """What to do about one kind of difference. `example` is one of the keys."""

    kind: RowDifferenceKind
    action: RowAction
    rows: int
    example: str


class RowPlan(msgspec.Struct, frozen=True):
    """What a repair would do: `changes` of all `rows` would be written or removed."""

    planned: Sequence[PlannedRows]
    rows: int
    changes: int

    @property
    def images(self) -> int:
        """See `Limited`."""
        return self.rows

    @property
    def percent(self) -> float:
        """The share of all rows that would be changed."""
        return 100 * self.changes / max(1, self.rows)


class UnrepairedRow(msgspec.Struct, frozen=True):
    """A row that cannot be repaired, and why."""

    key: str
    detail: str


class RepairedRows(msgspec.Struct, frozen=True):
    """What a repair did.

    `changed` rows were written or removed; `equal` ones were right meanwhile. `error`: why the
    repair did not come to its end; None if it did.
    """

    changed: int
    equal: int
    not_repaired: Sequence[UnrepairedRow]
    error: str | None = None


def planned(differing: Iterable[RowDifference], rows: int) -> RowPlan:
    """What a repair would do. Writes nothing.

    Args:
        differing: what an audit found.
        rows: the number of all rows.
    """
    counts: Counter[RowDifferenceKind] = Counter()
    examples: dict[RowDifferenceKind, str] = {}
    for one in differing:
        counts[one.kind] += 1
        examples.setdefault(one.kind, one.key)
    return RowPlan(
        [PlannedRows(kind, ACTIONS[kind], counts[kind], examples[kind]) for kind in sorted(counts)],
        rows,
        sum(count for kind, count in counts.items() if ACTIONS[kind] != "correct_item"),
    )


def apply(
    differing: Iterable[RowDifference],
    repair: SinkOf[ItemKey],
    conversion: Conversion,
    clock: Clock,
    on_progress: Callable[[int], None] = lambda _: None,
) -> RepairedRows:
    """Repair these rows, one by one as their items are at that moment.

    Args:
        differing: what an audit found.
        repair: the repair of keys.
        conversion: how items become rows.
        clock: the clock.
        on_progress: is told how many rows are done.

    Raises:
        MisconfiguredError: the table in Table Store, or the permission to write it, is not right.
        StoreUnreadableError: the source cannot be read.
    """
    changed = equal = 0
    not_repaired: list[UnrepairedRow] = []
    ended = None
    wanted = (one for one in differing if ACTIONS[one.kind] != "correct_item")
    try:
        for some in batched(wanted, _ROWS_AT_ONCE):
            keys = [conversion.keys_of(key_in(one.key)) for one in some]
            for key, outcome in settled(keys, repair, clock):
                match outcome:
                    case Applied():
                        changed += 1
                    case Duplicate():
                        equal += 1
                    case Refused(detail):
                        text = key_as_text(conversion.key_of(key))
                        not_repaired.append(UnrepairedRow(text, detail))
            on_progress(changed + equal + len(not_repaired))
    except RequestFailedError as error:
        ended = str(error)
    return RepairedRows(changed, equal, not_repaired, ended)
