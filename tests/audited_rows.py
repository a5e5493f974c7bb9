"""A report of an audit of a replica whose rows somebody harmed."""

import datetime as dt
from typing import Any

from functions.write_to_tablestore.rows import RowPut, RowRemoval
from functions.write_to_tablestore.values import Cell
from lockstep.reports.content import AuditedWith, Examples, ReportContent
from lockstep.reports.gathering import GatheredKinds
from lockstep.reports.replica_audit import replica_report
from lockstep.reports.row_examples import row_examples
from lockstep.stream.losses import Loss
from lockstep.tablestore.audit import ReplicaAudit, RowDifference
from lockstep.tablestore.comparison import RowDifferenceKind
from lockstep.tablestore.key_states import KeyState, Would
from lockstep.tablestore.repair import GuardedWrite, Mending, NoRow
from lockstep.tablestore.repairing import planned
from shared.outcome import Refused

NOW = 1_795_248_000.0
BEGAN = dt.datetime.fromtimestamp(NOW, dt.UTC)
VERSION = f"00000001764500000.000/{1:040d}"
GUARD: dict[str, Cell] = {"lockstep_version": VERSION, "lockstep_at": 1, "lockstep_deleted": False}
SCRIPT = "<script>document.title='harmed'</script>"


def write_of(key: str) -> Would:
    change = RowPut(key, (("id", key),), VERSION, 1, (("name", key),))
    return Mending(GuardedWrite(change, NoRow()), again=False)


def removal_of(key: str) -> Would:
    change = RowRemoval(key, (("id", key),), VERSION, 1, 2)
    return Mending(GuardedWrite(change, NoRow()), again=False)


def a_difference(kind: RowDifferenceKind, key: str, **fields: Any) -> RowDifference:
    return RowDifference(f'["{key}"]', kind, **fields)


def item(key: str, **columns: Any) -> dict[str, Any]:
    """An item that is there; what it has does not matter if its columns are given."""
    return {"id": {"S": key}, **{name: {"S": f"{cell}"} for name, cell in columns.items()}}


def harmed_rows() -> list[tuple[RowDifference, KeyState]]:
    """Each kind of difference, with its row and its item as they are now."""
    ours: dict[str, Cell] = {"name": SCRIPT, "size": 1, "data": b"\x00\xff"}
    theirs: dict[str, Cell] = {"name": "Sea", "size": "1"}
    at = BEGAN - dt.timedelta(hours=3)
    return [
        (
            a_difference("other_values", "o-1", columns=("name", "size"), arrived_at=at),
            KeyState(GUARD | theirs, item("o-1"), ours, write_of("o-1")),
        ),
        (
            a_difference("missing_in_replica", "o-2"),
            KeyState(None, item("o-2"), {"name": "Thames"}, write_of("o-2")),
        ),
        (
            a_difference("missing_in_source", "o-3", arrived_at=at),
            KeyState(GUARD | {"name": "Left"}, None, None, removal_of("o-3")),
        ),
        (
            a_difference("malformed_version", "o-4", detail="lockstep_at is no Integer"),
            KeyState(GUARD | {"lockstep_at": "x"}, item("o-4"), {}, write_of("o-4")),
        ),
        (
            a_difference("unconvertible", "o-5", detail="n: no Integer and no Double"),
            KeyState(None, {"id": {"S": "o-5"}, "n": {"N": "0.1"}}, None, Refused("n: no Double")),
        ),
    ]


def replica_report_of(rows: list[tuple[RowDifference, KeyState]]) -> ReportContent:
    """The report of an audit that found these rows, with a loss."""
    gathered = GatheredKinds[RowDifference](NOW)
    for found, _ in rows:
        at = found.arrived_at
        gathered.count(found.kind, [] if at is None else [int(at.timestamp() * 1000)], found)
    differences: dict[str, int] = {}
    for found, _ in rows:
        differences[found.kind] = differences.get(found.kind, 0) + 1
    lost = Loss("write_to_tablestore", BEGAN - dt.timedelta(days=2), BEGAN, 3)
    audit = ReplicaAudit(
        "different" if rows else "unknown",
        source=200,
        replica=199,
        differences=differences,
        seconds=1.5,
        losses=(lost,),
        unknown_since=lost.since,
    )
    examples = row_examples([one for one, _ in rows], [state for _, state in rows])
    return replica_report(
        AuditedWith("orders", "eu-central-1", BEGAN, "all columns"),
        audit,
        gathered,
        examples=Examples(list(examples), BEGAN),
        plan=planned([one for one, _ in rows], 200) if rows else None,
        todo=["correct the items that Table Store cannot hold, or the settings"],
    )
