"""Writing and reading rows, as the SDK for Python sees it.

Messages: the SDKs' own tests against the service, and "Error codes" in Table Store's reference.
"""

from typing import Any

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    BatchGetRowRequest,
    BatchWriteRowRequest,
    ComparatorType,
    CompositeColumnCondition,
    Condition,
    DeleteRowItem,
    LogicalOperator,
    PutRowItem,
    Row,
    SingleColumnCondition,
    TableInBatchGetRowItem,
    TableInBatchWriteRowItem,
    TableOptions,
)

from tests.unit.tablestore.client import IGNORE, TableStore, refusal

VALUES = {
    "integer": -(2**63),
    "double": 5e-324,
    "true": True,
    "false": False,
    "text": "\U0001f600 é \0",
    "empty": "",
    "binary": bytearray(b"\0\xff"),
}
FAILED = (403, "OTSConditionCheckFail", "Condition check failed.")


def equal(column: str, value: Any, **given: Any) -> SingleColumnCondition:
    return SingleColumnCondition(column, value, ComparatorType.EQUAL, **given)


def test_each_type_of_value_comes_back(tablestore: TableStore) -> None:
    tablestore.put("a", **VALUES)
    found = tablestore.get("a")
    assert found == VALUES
    assert {name: type(one) for name, one in found.items()} == {
        name: type(one) for name, one in VALUES.items()
    }


def test_a_put_replaces_the_whole_row(tablestore: TableStore) -> None:
    tablestore.put("a", one=1, two=2)
    tablestore.put("a", two=3)
    assert tablestore.get("a") == {"two": 3}


def test_a_row_may_have_no_columns_but_its_key(tablestore: TableStore) -> None:
    tablestore.put("a")
    assert tablestore.get("a") == {}
    assert tablestore.get("b") is None


def test_a_deleted_row_is_gone(tablestore: TableStore) -> None:
    tablestore.put("a", one=1)
    tablestore.client.delete_row("rows", Row(tablestore.key("a")), IGNORE)
    assert tablestore.get("a") is None
    tablestore.client.delete_row("rows", Row(tablestore.key("a")), IGNORE)  # again, unguarded


def test_a_condition_on_the_existence_of_a_row(tablestore: TableStore) -> None:
    must, must_not = Condition("EXPECT_EXIST"), Condition("EXPECT_NOT_EXIST")
    assert refusal(tablestore.put, "a", must, one=1) == FAILED
    tablestore.put("a", must_not, one=1)
    assert refusal(tablestore.put, "a", must_not, one=2) == FAILED
    tablestore.put("a", must, one=3)
    assert tablestore.get("a") == {"one": 3}
    delete = tablestore.client.delete_row
    assert refusal(delete, "rows", Row(tablestore.key("b")), must) == FAILED
    delete("rows", Row(tablestore.key("a")), must)


@pytest.mark.parametrize("passes", [True, False])
def test_a_missing_column_passes_if_the_condition_says_so(
    tablestore: TableStore, *, passes: bool
) -> None:
    tablestore.put("a", one=1)
    condition = Condition("IGNORE", equal("version", 1, pass_if_missing=passes))
    if passes:
        tablestore.put("a", condition, one=2)
    else:
        assert refusal(tablestore.put, "a", condition, one=2) == FAILED


@pytest.mark.parametrize("passes", [True, False])
def test_a_missing_row_has_no_columns(tablestore: TableStore, *, passes: bool) -> None:
    """UnifiedConditionalUpdateTest.testLimits of the SDK for Java writes a missing row so."""
    condition = Condition("IGNORE", equal("version", 1, pass_if_missing=passes))
    if passes:
        tablestore.put("a", condition, version=1)
        assert tablestore.get("a") == {"version": 1}
    else:
        assert refusal(tablestore.put, "a", condition, version=1) == FAILED


def test_the_guard_of_a_version_as_text(tablestore: TableStore) -> None:
    def guarded(version: str) -> Condition:
        lower = SingleColumnCondition("version", version, ComparatorType.LESS_THAN)
        return Condition("IGNORE", lower)

    tablestore.put("a", guarded("2"), version="2")
    assert refusal(tablestore.put, "a", guarded("2"), version="2") == FAILED
    assert refusal(tablestore.put, "a", guarded("1"), version="1") == FAILED
    tablestore.put("a", guarded("3"), version="3")
    assert tablestore.get("a") == {"version": "3"}


def test_composite_conditions(tablestore: TableStore) -> None:
    tablestore.put("a", one=1, two="b")

    def composed(combinator: int, *parts: Any) -> Condition:
        condition = CompositeColumnCondition(combinator)
        for part in parts:
            condition.add_sub_condition(part)
        return Condition("IGNORE", condition)

    def holds(condition: Condition) -> bool:
        answer = write(tablestore, put("a", condition, one=1, two="b"))
        assert errors(answer) in ([None], [FAILED[1:]])
        return bool(answer.is_all_succeed())

    right, wrong = equal("one", 1), equal("two", "c")
    assert holds(composed(LogicalOperator.OR, right, wrong))
    assert not holds(composed(LogicalOperator.AND, right, wrong))
    assert holds(composed(LogicalOperator.AND, right, equal("two", "b")))
    assert holds(composed(LogicalOperator.NOT, wrong))
    assert not holds(composed(LogicalOperator.NOT, right))


def test_a_key_that_does_not_fit_the_table_is_refused(tablestore: TableStore) -> None:
    put = tablestore.client.put_row

    def message(*key: tuple[str, Any]) -> str:
        status, code, said = refusal(put, "rows", Row(list(key), [("c", 1)]), IGNORE)
        assert (status, code) == (400, "OTSInvalidPK")
        return said

    assert message(("pk", "a")) == "Validate PK name fail. Input: pk, Meta: id."
    assert message(("id", 1)) == "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."
    assert message(("id", "a"), ("n", 1)) == "Validate PK size fail. Input: 2, Meta: 1."


def test_limits_of_one_row(tablestore: TableStore) -> None:
    put, key = tablestore.client.put_row, tablestore.key

    def message(key_value: Any, columns: list[tuple[str, Any]]) -> str:
        status, code, said = refusal(put, "rows", Row(key(key_value), columns), IGNORE)
        assert (status, code) == (400, "OTSParameterInvalid")
        return said

    most = 2 * 1024 * 1024
    assert message("k" * 1025, [("c", 1)]) == (
        "The length of primary key column: 'id' exceeds the MaxLength:1024 with CurrentLength:1025."
    )
    assert message("é" * 513, [("c", 1)]).endswith("CurrentLength:1026.")
    assert message("a", [("attr", "v" * (most + 1))]) == (
        "The length of attribute column: 'attr' exceeds the"
        " MaxLength:2097152 with CurrentLength:2097153."
    )
    assert message("a", [(f"c{n}", 1) for n in range(1025)]) == (
        "The number of attribute columns exceeds the limit, limit count: 1024, column count: 1025."
    )
    assert message("a", [("a-b", 1)]) == "Invalid column name: 'a-b'."
    assert message("a", [("c" * 256, 1)]).startswith("Invalid column name: 'ccc")
    assert message(INF_MIN, [("c", 1)]) == "VT_INF_MIN is an invalid type for the primary key."
    assert message("a", [("id", 1)]) == (
        "Duplicated attribute column name with primary key column: id."
    )
    put("rows", Row(key("k" * 1024), [(f"c{n}", 1) for n in range(1024)]), IGNORE)
    put("rows", Row(key("a"), [("c" * 255, "v" * most)]), IGNORE)


def write(tablestore: TableStore, *items: Any, table: str = "rows") -> Any:
    request = BatchWriteRowRequest()
    request.add(TableInBatchWriteRowItem(table, list(items)))
    return tablestore.client.batch_write_row(request)


def put(key: Any, condition: Condition = IGNORE, **columns: Any) -> PutRowItem:
    return PutRowItem(Row([("id", key)], list(columns.items())), condition)


def errors(answer: Any) -> list[tuple[str, str] | None]:
    return [
        None if one.is_ok else (one.error_code, one.error_message)
        for one in answer.get_put()[0] + answer.get_put()[1]
    ]


def test_each_row_of_a_batch_has_its_own_answer(tablestore: TableStore) -> None:
    tablestore.put("a", one=1)
    answer = write(
        tablestore,
        put("a", Condition("EXPECT_NOT_EXIST"), one=2),
        put("b", one=3),
        put(1, one=4),
        DeleteRowItem(Row([("id", "c")]), Condition("EXPECT_EXIST")),
    )
    assert errors(answer) == [
        None,
        ("OTSConditionCheckFail", "Condition check failed."),
        ("OTSInvalidPK", "Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING."),
    ]
    assert [one.error_code for one in answer.get_delete()[1]] == ["OTSConditionCheckFail"]
    assert tablestore.get("a") == {"one": 1}
    assert tablestore.get("b") == {"one": 3}


def test_a_row_with_a_wrong_parameter_fails_the_whole_batch(tablestore: TableStore) -> None:
    items = [put("a", one=1), put("k" * 1025, one=1)]
    status, code, _ = refusal(write, tablestore, *items)
    assert (status, code) == (400, "OTSParameterInvalid")
    assert tablestore.get("a") is None


def test_limits_of_a_batch(tablestore: TableStore) -> None:
    rows = [put(str(number), c=1) for number in range(201)]
    assert write(tablestore, *rows[:200]).is_all_succeed()
    wrong = (400, "OTSParameterInvalid")
    assert refusal(write, tablestore, *rows) == (*wrong, "Rows count exceeds the upper limit: 200.")
    assert refusal(write, tablestore) == (*wrong, "No operation is specified for table: 'rows'.")
    assert refusal(tablestore.client.batch_write_row, BatchWriteRowRequest()) == (
        *wrong,
        "No row is specified in BatchWriteRow.",
    )
    # 2 for the name of the key, 1 for its value, 1 for the name of the column.
    fits = 2 * 1024 * 1024 - 4
    assert write(tablestore, put("a", c="v" * fits), put("b", c="v" * fits)).is_all_succeed()
    assert refusal(write, tablestore, put("a", c="v" * fits), put("b", c="v" * (fits + 1))) == (
        *wrong,
        (
            "The total data size of BatchWriteRow request exceeds the limit,"
            " limit size: 4194304, data size: 4194305."
        ),
    )


def test_a_row_may_be_twice_in_a_batch_without_conditions(tablestore: TableStore) -> None:
    assert write(tablestore, put("a", one=1), put("a", one=2)).is_all_succeed()
    assert tablestore.get("a") == {"one": 2}
    guarded = put("a", Condition("EXPECT_EXIST"), one=4)
    assert errors(write(tablestore, put("a", one=3), guarded)) == [
        None,
        (
            "OTSParameterInvalid",
            "Repeated rows do not support row exist expectation check in BatchModify.",
        ),
    ]


def test_a_missing_table_fails_each_row_of_a_batch(tablestore: TableStore) -> None:
    missing = ("OTSObjectNotExist", "Requested table does not exist.")
    assert errors(write(tablestore, put("a", one=1), table="none")) == [missing]
    assert refusal(tablestore.client.get_row, "none", [("id", "a")], max_version=1) == (
        404,
        *missing,
    )


def read(tablestore: TableStore, *keys: Any, **given: Any) -> Any:
    request = BatchGetRowRequest()
    primary_keys = [tablestore.key(key) for key in keys]
    given = {"max_version": 1} | given
    request.add(TableInBatchGetRowItem("rows", primary_keys, **given))
    return tablestore.client.batch_get_row(request)


def test_a_batch_of_reads(tablestore: TableStore) -> None:
    tablestore.put("a", one=1)
    found = read(tablestore, "a", "b", 1).get_result_by_table("rows")
    assert [one.is_ok for one in found] == [True, True, False]
    assert [one.row and one.row.primary_key for one in found] == [[("id", "a")], None, None]
    assert found[2].error_code == "OTSInvalidPK"
    assert read(tablestore, *"a" * 100).is_all_succeed()
    assert refusal(read, tablestore, *"a" * 101) == (
        400,
        "OTSParameterInvalid",
        "Rows count exceeds the upper limit: 100.",
    )
    assert refusal(read, tablestore, INF_MAX)[2] == (
        "VT_INF_MAX is an invalid type for the primary key."
    )


def test_a_read_names_columns(tablestore: TableStore) -> None:
    tablestore.put("a", one=1, two=2)
    assert tablestore.get("a", ["one"]) == {"one": 1}
    assert tablestore.get("a", ["other"]) is None
    assert tablestore.get("a", ["id"]) == {}
    names = [f"c{number}" for number in range(1025)]
    assert refusal(tablestore.get, "a", names)[2] == (
        "The number of columns from the request exceeds the limit,"
        " limit count: 1024, column count: 1025."
    )


def test_a_read_that_goes_on_within_a_row_is_refused(tablestore: TableStore) -> None:
    tablestore.put("a", one=1)
    expected = (
        400,
        "OTSUnsupportOperation",
        "the Table Store of this machine does not support tokens of wide columns.",
    )
    assert refusal(tablestore.get, "a", token=b"x") == expected
    assert refusal(span, tablestore, INF_MIN, INF_MAX, token=b"x") == expected


def test_a_read_must_say_which_versions(tablestore: TableStore) -> None:
    assert refusal(tablestore.get, "a", max_version=None) == (
        400,
        "OTSParameterInvalid",
        "No version condition is specified.",
    )


def test_a_read_filters_rows(tablestore: TableStore) -> None:
    tablestore.put("a", deleted=True)
    tablestore.put("b", one=1)
    alive = equal("deleted", value=False)
    assert tablestore.get("a", column_filter=alive) is None
    assert tablestore.get("b", column_filter=alive) == {"one": 1}
    strict = equal("deleted", value=False, pass_if_missing=False)
    assert tablestore.get("b", column_filter=strict) is None


def span(tablestore: TableStore, start: Any, end: Any, *, back: bool = False, **given: Any) -> Any:
    """The keys of a range, and the key at which the next page begins."""
    direction = "BACKWARD" if back else "FORWARD"
    given = {"max_version": 1} | given
    _, following, rows, _ = tablestore.client.get_range(
        "rows", direction, tablestore.key(start), tablestore.key(end), **given
    )
    return [row.primary_key[0][1] for row in rows], following and following[0][1]


def test_ranges_forward_and_backward(tablestore: TableStore) -> None:
    for key in "dbca":
        tablestore.put(key, one=key)
    assert span(tablestore, INF_MIN, INF_MAX) == (["a", "b", "c", "d"], None)
    assert span(tablestore, "b", "d") == (["b", "c"], None)
    assert span(tablestore, "d", "b", back=True) == (["d", "c"], None)
    assert span(tablestore, INF_MAX, INF_MIN, back=True, limit=3) == (["d", "c", "b"], "a")
    assert span(tablestore, "a", INF_MAX, limit=4) == (["a", "b", "c", "d"], None)
    assert span(tablestore, "x", "y") == ([], None)
    only_c = equal("one", "c")
    assert span(tablestore, INF_MIN, INF_MAX, limit=2, column_filter=only_c) == ([], "c")


def test_a_range_that_is_none_is_refused(tablestore: TableStore) -> None:
    wrong = (400, "OTSParameterInvalid")
    forward = (*wrong, "Begin key must less than end key in FORWARD")
    assert refusal(span, tablestore, "b", "a") == forward
    assert refusal(span, tablestore, "a", "a") == forward
    assert refusal(span, tablestore, "a", "b", back=True) == (
        *wrong,
        "Begin key must more than end key in BACKWARD",
    )
    for limit in (0, -1):
        assert refusal(span, tablestore, "a", "b", limit=limit) == (
            *wrong,
            "The limit must be greater than 0.",
        )


def test_a_page_ends_after_5000_rows(tablestore: TableStore) -> None:
    for start in range(0, 5001, 200):
        items = [put(f"{number:05}") for number in range(start, min(start + 200, 5001))]
        assert write(tablestore, *items).is_all_succeed()
    found, following = span(tablestore, INF_MIN, INF_MAX)
    assert (len(found), following) == (5000, "05000")
    assert span(tablestore, "00001", INF_MAX)[1] is None  # 5,000 rows to the end


def test_a_page_has_at_most_4_mib(tablestore: TableStore) -> None:
    """RestrictedItemTest.testCase35 of the SDK for Java."""
    # 2 for the name of the key, 1 for its value, 1 for the name of the column.
    half = 2 * 1024 * 1024 - 4
    for key, size in (("a", half), ("b", half), ("c", half + 1)):
        tablestore.put(key, c="v" * size)
    assert span(tablestore, INF_MIN, INF_MAX) == (["a", "b"], "c")
    assert span(tablestore, "b", INF_MAX) == (["b"], "c")


def test_an_update_that_only_deletes_creates_no_row(tablestore: TableStore) -> None:
    """row_op_test.test_all_delete_in_update of the SDK for Python."""
    delete = Row(tablestore.key("a"), {"delete_all": ["one", "two"]})
    tablestore.client.update_row("rows", delete, IGNORE)
    assert tablestore.get("a") is None
    tablestore.put("a", one=1)
    tablestore.client.update_row("rows", delete, IGNORE)
    assert tablestore.get("a") == {}


def test_reading_counts_no_timestamps(tablestore: TableStore) -> None:
    """The key has 3 bytes, the name of a column 4."""
    columns = {f"c{number:03}": number for number in range(340)}
    tablestore.put("a", **columns, last="v" * (4096 - 3 - 340 * 12 - 4))
    consumed, _, _ = tablestore.client.get_row("rows", tablestore.key("a"), max_version=1)
    assert consumed.read == 1


def test_a_table_keeps_so_many_versions_as_it_says(tablestore: TableStore) -> None:
    now = tablestore.clock.now
    row = Row(tablestore.key("a"), [("c", "old", now - 1), ("c", "new", now), ("c", "newer", now)])
    tablestore.client.put_row("rows", row, IGNORE)
    _, found, _ = tablestore.client.get_row("rows", tablestore.key("a"), max_version=5)
    assert found.attribute_columns == [("c", "newer", now)]
    late = Row(tablestore.key("a"), [("c", 1, now - 2 * 86_400_000)])
    assert refusal(tablestore.client.put_row, "rows", late, IGNORE)[2] == (
        "Invalid timestamp. Cell:c."
    )


def update(tablestore: TableStore, **changes: Any) -> None:
    row = Row(tablestore.key("a"), changes)
    tablestore.client.update_row("rows", row, IGNORE)


def test_an_update_changes_only_what_it_names(tablestore: TableStore) -> None:
    tablestore.put("a", one=1, two=2, three=3)
    update(tablestore, put=[("one", "new")], delete_all=["two"], increment=[("n", 5)])
    assert tablestore.get("a") == {"n": 5, "one": "new", "three": 3}
    update(tablestore, increment=[("n", -7), ("three", 1)])
    assert tablestore.get("a") == {"n": -2, "one": "new", "three": 4}
    wrong = refusal(update, tablestore, increment=[("one", 1)])
    assert wrong == (
        400,
        "OTSParameterInvalid",
        "Invalid column type for column one expect VT_INTEGER actual VT_STRING",
    )


def test_an_update_deletes_one_version(tablestore: TableStore) -> None:
    now = tablestore.clock.now
    tablestore.client.update_table("rows", TableOptions(-1, 2, 86_400))
    update(tablestore, put=[("c", "old", now - 1), ("c", "new", now)])
    update(tablestore, delete=[("c", None, now)])
    assert tablestore.get("a") == {"c": "old"}


def test_an_increment_beyond_64_bits_wraps_around(tablestore: TableStore) -> None:
    tablestore.put("a", n=2**63 - 1)
    update(tablestore, increment=[("n", 1)])
    assert tablestore.get("a") == {"n": -(2**63)}
