"""The tombstones of a table in Table Store: found by page, and deleted if they are still there."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablestore import (
    INF_MAX,
    INF_MIN,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    DeleteRowItem,
    LogicalOperator,
    OTSClient,
    Row,
    RowExistenceExpectation,
    SingleColumnCondition,
)

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.connect import sink_errors
from functions.write_to_tablestore.keys import Key, key_as_text, key_in
from functions.write_to_tablestore.names import AT, DELETED, GUARD_COLUMNS, PURGE_AT, VERSION
from functions.write_to_tablestore.purge import MalformedTombstone, Tombstone, TombstonePage
from functions.write_to_tablestore.requests import (
    as_sent,
    columns_read,
    write_error,
    write_rows,
)
from functions.write_to_tablestore.sink import FAILED_CONDITION
from functions.write_to_tablestore.values import Cell
from shared.outcome import Applied, Failed, Refused, Stale


class Tombstones:
    """The tombstones of one table."""

    def __init__(self, client: OTSClient, table: str, key_columns: Sequence[str]) -> None:
        """Prepare to read and to delete.

        Args:
            client: the client. It must not retry.
            table: the name of the table.
            key_columns: the columns of its key, in their order.
        """
        self._client = client
        self._table = table
        self._key_columns = [*key_columns]

    def page(self, position: str | None, now: int, most: int | None) -> TombstonePage:
        """The tombstones of the page at this position that are past their time.

        Table Store chooses them, so other rows are not sent.

        Args:
            position: None: the first page.
            now: the time, in seconds since 1970.
            most: at most so many rows are looked at; None: as many as Table Store does, up to 4 MB.

        Raises:
            SinkError: the page cannot be read, see `sink_errors`.
        """
        start = [(name, INF_MIN) for name in self._key_columns]
        if position is not None:
            start = as_sent(key_in(position))
        with sink_errors(self._table):
            consumed, after, rows, _ = self._client.get_range(
                self._table,
                "FORWARD",
                start,
                [(name, INF_MAX) for name in self._key_columns],
                limit=most,
                column_filter=_all_of(
                    _is(DELETED, cell=True),
                    # Without the column, it never ends: that is a flaw, and is told.
                    SingleColumnCondition(
                        PURGE_AT, now, ComparatorType.LESS_EQUAL, pass_if_missing=True
                    ),
                ),
                max_version=1,
            )
            found = [
                _read(tuple(columns_read(row.primary_key).items()), row.attribute_columns, now)
                for row in rows
            ]
            return TombstonePage(
                tombstones=[one for one in found if isinstance(one, Tombstone)],
                malformed=[one for one in found if isinstance(one, MalformedTombstone)],
                position=None if after is None else key_as_text(columns_read(after).items()),
                units=consumed.read,
            )

    def delete(
        self, tombstones: Sequence[Tombstone]
    ) -> Sequence[Applied | Stale | Refused | Failed]:
        """Delete tombstones, if they are still there with the version that was read.

        A row that was written again stays, also if it has no columns of the version.

        Returns:
            An outcome for each: `Stale` if another write came first.

        Raises:
            SinkError: the whole request failed, see `sink_errors`.
        """
        items = [
            DeleteRowItem(
                Row(as_sent(one.key)),
                Condition(
                    RowExistenceExpectation.EXPECT_EXIST,
                    _all_of(_is(VERSION, cell=one.version), _is(DELETED, cell=True)),
                ),
            )
            for one in tombstones
        ]
        outcomes: list[Applied | Stale | Refused | Failed] = []
        for error in write_rows(self._client, self._table, items):
            if error is None:
                outcomes.append(Applied())
            elif error.code == FAILED_CONDITION:
                outcomes.append(Stale())
            else:
                outcomes.append(write_error(self._table, error))
        return outcomes


def _is(column: str, *, cell: Cell) -> SingleColumnCondition:
    # By default, a condition passes if the row does not have the column.
    return SingleColumnCondition(column, cell, ComparatorType.EQUAL, pass_if_missing=False)


def _all_of(*conditions: SingleColumnCondition) -> CompositeColumnCondition:
    whole = CompositeColumnCondition(LogicalOperator.AND)
    for one in conditions:
        whole.add_sub_condition(one)
    return whole


def _read(key: Key, columns: Sequence[Any], now: int) -> Tombstone | MalformedTombstone | None:
    """What a row is that passed the filter; None if it is nothing for a purge."""
    stored = columns_read(columns)
    if stored.get(DELETED) is not True:
        return None
    flaw = _flaw_in(stored)
    if flaw is not None:
        return MalformedTombstone(key, flaw)
    return Tombstone(key, stored[VERSION]) if stored[PURGE_AT] <= now else None


def _flaw_in(stored: Mapping[str, Any]) -> str | None:
    for name in (AT, PURGE_AT):
        if type(stored.get(name)) is not int:
            return f"{name} is missing, or no Integer"
    if guard.label_of(stored.get(VERSION)) is None:
        return f"{VERSION} is missing, or no version"
    others = sorted(stored.keys() - GUARD_COLUMNS)
    return f"a tombstone has no column {others[0]!r}" if others else None
