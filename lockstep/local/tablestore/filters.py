"""Filters: what a row's columns must be, in conditions of writes and in reads.

On the wire, `filter_if_missing` is the opposite of what SDKs call `pass_if_missing`: the column is
missing, so the row does not pass.
"""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.local.tablestore.checks import check_column_name, check_value
from lockstep.local.tablestore.errors import invalid, unsupported
from lockstep.local.tablestore.messages import NotAMessageError, parsed
from lockstep.local.tablestore.messages import filters as pb
from lockstep.local.tablestore.plain_buffer import decode_value
from lockstep.local.tablestore.values import Bound, TableRow, Value

MOST_FILTERS = 32

type Columns = Mapping[str, Sequence[Value]]
"""The values of each column, the newest first."""

_COMPARISONS: Mapping[int, Callable[[Any, Any], bool]] = {
    pb.CT_EQUAL: operator.eq,
    pb.CT_NOT_EQUAL: operator.ne,
    pb.CT_GREATER_THAN: operator.gt,
    pb.CT_GREATER_EQUAL: operator.ge,
    pb.CT_LESS_THAN: operator.lt,
    pb.CT_LESS_EQUAL: operator.le,
}


def columns_of(row: TableRow | None) -> Columns:
    """The columns that a filter sees, those of the key among them. A missing row has none."""
    columns: dict[str, list[Value]] = {}
    if row is not None:
        columns = {one.name: [one.value] for one in row.key if not isinstance(one.value, Bound)}
        for cell in row.cells:
            if cell.value is not None:
                columns.setdefault(cell.name, []).append(cell.value)
    return columns


@dataclass(frozen=True, slots=True)
class ColumnFilter:
    """Compares one column with a value. With `latest_only`, only its newest version."""

    comparator: int
    column: str
    value: Value
    passes_if_missing: bool
    latest_only: bool

    def passes(self, columns: Columns) -> bool:
        """Whether a row with these columns passes."""
        values = columns.get(self.column, ())
        if not values:
            return self.passes_if_missing
        return any(self._compares(value) for value in (values[:1] if self.latest_only else values))

    def _compares(self, value: Value) -> bool:
        if type(value) is not type(self.value):
            # Which order types have is not documented.
            return bool(self.comparator == pb.CT_NOT_EQUAL)
        one, other = (
            each.encode() if isinstance(each, str) else each for each in (value, self.value)
        )
        return _COMPARISONS[self.comparator](one, other)


@dataclass(frozen=True, slots=True)
class CompositeFilter:
    """Combines filters by NOT, AND or OR."""

    combinator: int
    parts: tuple["RowFilter", ...]

    def passes(self, columns: Columns) -> bool:
        """Whether a row with these columns passes."""
        found = (part.passes(columns) for part in self.parts)
        if self.combinator == pb.LO_AND:
            return all(found)
        if self.combinator == pb.LO_OR:
            return any(found)
        return not any(found)


@dataclass(frozen=True, slots=True)
class Pagination:
    """Lets all rows pass, and of their columns `limit` from the one at `offset` on."""

    offset: int
    limit: int

    def passes(self, _columns: Columns) -> bool:
        """Every row passes."""
        return True


type RowFilter = ColumnFilter | CompositeFilter | Pagination


def decode_filter(data: bytes) -> RowFilter | None:
    """Read a filter of a request; None if the request has none.

    Raises:
        TableStoreError: OTSParameterInvalid, if it is not a filter that Table Store accepts.
    """
    if not data:
        return None
    # Composites count, too. Table Store counts all filters before it checks one of them.
    counting = iter(range(MOST_FILTERS))
    found = _decode(data, counting)
    _check_parts(found)
    return found


def _decode(data: bytes, counting: Iterator[int]) -> RowFilter:
    if next(counting, None) is None:
        raise invalid(f"The count of filter exceeds the max: {MOST_FILTERS}.")
    outer = _message(pb.Filter, data, "filter")
    match outer.type:
        case pb.FT_SINGLE_COLUMN_VALUE:
            return _column_filter(
                _message(pb.SingleColumnValueFilter, outer.filter, "relation filter")
            )
        case pb.FT_COMPOSITE_COLUMN_VALUE:
            inner = _message(pb.CompositeColumnValueFilter, outer.filter, "composite filter")
            parts = [part.SerializeToString() for part in inner.sub_filters]
            return CompositeFilter(
                inner.combinator, tuple(_decode(part, counting) for part in parts)
            )
        case _:
            inner = _message(pb.ColumnPaginationFilter, outer.filter, "column pagination filter")
            if inner.offset < 0:
                raise invalid(
                    "Offset in ColumnPaginationFilter must be greater than or equal to 0."
                )
            if inner.limit <= 0:
                raise invalid("Limit in ColumnPaginationFilter must be greater than 0.")
            return Pagination(inner.offset, inner.limit)


def _check_parts(found: RowFilter) -> None:
    if not isinstance(found, CompositeFilter):
        return
    if found.combinator == pb.LO_NOT:
        if len(found.parts) != 1:
            raise invalid("Invalid NOT operator: the number of sub-filters must be 1.")
    elif len(found.parts) <= 1:
        raise invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")
    for part in found.parts:
        _check_parts(part)


def _column_filter(message: Any) -> ColumnFilter:
    check_column_name(message.column_name)
    if message.HasField("value_trans_rule"):
        raise unsupported("filters with a regular expression")
    if message.comparator not in _COMPARISONS:
        raise unsupported("the comparators EXIST and NOT_EXIST")
    value = decode_value(message.column_value)
    check_value(message.column_name, value)
    return ColumnFilter(
        message.comparator,
        message.column_name,
        value,
        passes_if_missing=not message.filter_if_missing,
        latest_only=message.latest_version_only,
    )


def _message(kind: Any, data: bytes, what: str) -> Any:
    try:
        return parsed(kind, data)
    except NotAMessageError:
        raise invalid(f"Deserialize {what} failed.") from None


def passes(found: RowFilter | None, row: TableRow | None) -> bool:
    """Whether a row passes a filter; each row passes if there is none."""
    return found is None or found.passes(columns_of(row))
