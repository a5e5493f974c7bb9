"""What kinds of differences of rows, and what a repair does about them, are called."""

from collections.abc import Mapping

from lockstep.tablestore.comparison import RowDifferenceKind
from lockstep.tablestore.repairing import RowAction

ROW_KINDS: Mapping[RowDifferenceKind, str] = {
    "missing_in_replica": "only the source has it: the item has no row, or a tombstone",
    "missing_in_source": "only the replica has it: the row has no item",
    "other_values": "a column has another value or type, or is missing or too many",
    "malformed_version": "a column of the version is missing or malformed",
    "unconvertible": "Table Store cannot hold the item",
}
ROW_ACTIONS: Mapping[RowAction, str] = {
    "write": "write the row",
    "remove": "remove the row",
    "correct_item": "leave: correct the item or the settings",
}
