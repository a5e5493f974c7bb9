"""Filters: comparisons, missing columns, several versions, pages of columns, and limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablestore import (
    ComparatorType,
    CompositeColumnCondition,
    LogicalOperator,
    Row,
    SingleColumnCondition,
    TableOptions,
)

from lockstep.local.tablestore.filters import (
    ColumnFilter,
    CompositeFilter,
    RowFilter,
    decode_filter,
)
from lockstep.local.tablestore.messages import filters as pb
from lockstep.local.tablestore.operations.reading import Selection
from lockstep.local.tablestore.values import Cell, KeyColumn, TableRow
from tests.unit.tablestore.client import IGNORE, TableStore, refusal

COMPARATORS = {
    pb.CT_EQUAL: lambda one, other: one == other,
    pb.CT_NOT_EQUAL: lambda one, other: one != other,
    pb.CT_GREATER_THAN: lambda one, other: one > other,
    pb.CT_GREATER_EQUAL: lambda one, other: one >= other,
    pb.CT_LESS_THAN: lambda one, other: one < other,
    pb.CT_LESS_EQUAL: lambda one, other: one <= other,
}
PAIRS = [
    (1, 2),
    (-1, 1),
    (0.5, 1.5),
    ("a", "b"),
    ("Z", "a"),
    ("z", "é"),
    # In UTF-8, the order of Table Store; not in UTF-16, the order of Java.
    ("\uffff", "\U0001f600"),
    (b"a", b"b"),
    (b"", b"\0"),
    (False, True),
]


def column(comparator: int, other: Any, *, missing: bool = True, latest: bool = True) -> RowFilter:
    return ColumnFilter(comparator, "c", other, passes_if_missing=missing, latest_only=latest)


@pytest.mark.parametrize(("low", "high"), PAIRS)
@pytest.mark.parametrize("comparator", COMPARATORS)
def test_values_of_one_type_are_compared(comparator: int, low: Any, high: Any) -> None:
    # Each pair is in order, so the numbers 0 and 1 stand for it.
    for one, one_stands in ((low, 0), (high, 1)):
        for other, other_stands in ((low, 0), (high, 1)):
            expected = COMPARATORS[comparator](one_stands, other_stands)
            assert column(comparator, other).passes({"c": [one]}) == expected


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (1, True), ("a", b"a"), (1, "1")])
def test_values_of_two_types_are_only_unequal(one: Any, other: Any) -> None:
    passing = [each for each in COMPARATORS if column(each, other).passes({"c": [one]})]
    assert passing == [pb.CT_NOT_EQUAL]


def test_older_versions_are_compared_if_the_filter_says_so() -> None:
    columns = {"c": [2, 1]}
    assert column(pb.CT_EQUAL, 2).passes(columns)
    assert not column(pb.CT_EQUAL, 1).passes(columns)
    assert column(pb.CT_EQUAL, 1, latest=False).passes(columns)


@given(st.booleans(), st.booleans(), st.booleans())
def test_a_missing_column_passes_or_not_within_others(one: bool, two: bool, three: bool) -> None:  # noqa: FBT001 - drawn
    a, b, c = (column(pb.CT_EQUAL, 1, missing=each) for each in (one, two, three))
    found = CompositeFilter(
        pb.LO_AND,
        (CompositeFilter(pb.LO_NOT, (a,)), CompositeFilter(pb.LO_OR, (b, c))),
    )
    assert found.passes({}) == (not one and (two or three))


def deep(depth: int) -> Any:
    """A composite in a composite, so deep: each level has two filters."""
    found: Any = SingleColumnCondition("c", 1, ComparatorType.EQUAL)
    for _ in range(depth):
        outer = CompositeColumnCondition(LogicalOperator.AND)
        outer.add_sub_condition(SingleColumnCondition("c", 1, ComparatorType.EQUAL))
        outer.add_sub_condition(found)
        found = outer
    return found


@pytest.mark.parametrize("depth", [16, 100])
def test_the_number_of_filters_is_limited(tablestore: TableStore, depth: int) -> None:
    tablestore.put("a", c=1)
    assert tablestore.get("a", column_filter=deep(15)) == {"c": 1}
    assert refusal(tablestore.get, "a", column_filter=deep(depth)) == (
        400,
        "OTSParameterInvalid",
        "The count of filter exceeds the max: 32.",
    )


@pytest.mark.parametrize(
    ("combinator", "parts", "message"),
    [
        (LogicalOperator.NOT, 2, "Invalid NOT operator: the number of sub-filters must be 1."),
        (
            LogicalOperator.AND,
            1,
            "Invalid AND/OR operator: the number of sub-filters must be more than 1.",
        ),
    ],
)
def test_composites_have_the_right_number_of_parts(
    tablestore: TableStore, combinator: int, parts: int, message: str
) -> None:
    composite = CompositeColumnCondition(combinator)
    for _ in range(parts):
        composite.add_sub_condition(SingleColumnCondition("c", 1, ComparatorType.EQUAL))
    assert refusal(tablestore.get, "a", column_filter=composite)[2] == message


def test_all_filters_are_counted_before_one_is_checked(tablestore: TableStore) -> None:
    """UnifiedFilterRestrictionAndParamCheckingTest of the SDK for Java."""
    wide = CompositeColumnCondition(LogicalOperator.NOT)
    for _ in range(32):
        wide.add_sub_condition(SingleColumnCondition("c", 1, ComparatorType.EQUAL))
    assert refusal(tablestore.get, "a", column_filter=wide)[2] == (
        "The count of filter exceeds the max: 32."
    )


def test_the_value_of_a_filter_is_limited(tablestore: TableStore) -> None:
    large = SingleColumnCondition("c", "v" * (2 * 1024 * 1024 + 1), ComparatorType.EQUAL)
    assert refusal(tablestore.get, "a", column_filter=large)[2] == (
        "The length of attribute column: 'c' exceeds the MaxLength:2097152"
        " with CurrentLength:2097153."
    )


def test_a_page_of_columns() -> None:
    """The SDK for Python has no such filter, but that for Java has one."""
    inner = pb.ColumnPaginationFilter(offset=1, limit=2).SerializeToString()
    data = pb.Filter(type=pb.FT_COLUMN_PAGINATION, filter=inner).SerializeToString()
    page = Selection(frozenset(), "", "", 1, 0, 9, decode_filter(data))
    key = (KeyColumn("id", "a"),)
    cells = tuple(Cell(name, 1, 1) for name in "abcd")
    assert page.of(TableRow(key, cells)) == TableRow(key, cells[1:3])


def test_versions_and_ranges_of_time(tablestore: TableStore) -> None:
    client, key, now = tablestore.client, tablestore.key("a"), tablestore.clock.now
    client.update_table("rows", TableOptions(-1, 3, 86_400))
    cells = [("c", number, now - number) for number in range(4)]
    client.put_row("rows", Row(key, cells), IGNORE)

    def versions(**given: Any) -> list[int]:
        _, row, _ = client.get_row("rows", key, columns_to_get=["c"], **given)
        return [] if row is None else [one[1] for one in row.attribute_columns]

    assert versions(max_version=9) == [0, 1, 2]  # the newest three are kept
    assert versions(max_version=2) == [0, 1]
    assert versions(max_version=None, time_range=now - 1) == [1]
    assert versions(max_version=None, time_range=(now - 2, now)) == [1, 2]
    assert versions(max_version=9, time_range=(now - 9, now - 2)) == []
