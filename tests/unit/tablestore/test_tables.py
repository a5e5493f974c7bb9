"""The operations on tables."""

from pathlib import Path

import pytest
from tablestore import PK_AUTO_INCR, Row, TableOptions

from lockstep.local.tablestore.endpoint import TableStoreEndpoint
from lockstep.local.tablestore.operations.tables import MOST_TABLES
from lockstep.local.tablestore.signatures import Account
from lockstep.local.tablestore.store import TableFile, UnusableTableFileError
from tests.unit.tablestore.client import IGNORE, Clock, TableStore, refusal, sdk

WRONG = (400, "OTSParameterInvalid")


def test_a_table_is_described_as_it_was_created(tablestore: TableStore) -> None:
    key = [("a", "STRING"), ("b", "INTEGER"), ("c", "BINARY")]
    tablestore.table("other", *key, options=TableOptions(1_200_000, 2, 86_401))
    found = tablestore.client.describe_table("other")
    assert found.table_meta.schema_of_primary_key == key
    options = found.table_options
    assert (options.time_to_live, options.max_version, options.max_time_deviation) == (
        1_200_000,
        2,
        86_401,
    )
    assert tablestore.client.list_table() == ("other", "rows")


def test_the_options_of_a_table_have_defaults(tablestore: TableStore) -> None:
    options = tablestore.client.describe_table("rows").table_options
    found = (options.time_to_live, options.max_version, options.max_time_deviation)
    assert found == (-1, 1, 86_400)


def test_the_options_of_a_table_change(tablestore: TableStore) -> None:
    tablestore.client.update_table("rows", TableOptions(-1, 3, 86_402))
    options = tablestore.client.describe_table("rows").table_options
    assert (options.time_to_live, options.max_version) == (-1, 3)


def test_a_table_exists_once(tablestore: TableStore) -> None:
    assert refusal(tablestore.table, "rows") == (
        409,
        "OTSObjectAlreadyExist",
        "Requested table already exists.",
    )


def test_a_deleted_table_is_gone_with_its_rows(tablestore: TableStore) -> None:
    tablestore.put("a", one=1)
    tablestore.client.delete_table("rows")
    missing = (404, "OTSObjectNotExist", "Requested table does not exist.")
    for call in (tablestore.client.describe_table, tablestore.client.delete_table):
        assert refusal(call, "rows") == missing
    tablestore.table("rows")
    assert tablestore.get("a") is None


@pytest.mark.parametrize("name", ["0", "#", "中文", "T#", "T中文", "3t", "-", "a" * 256])
def test_a_wrong_table_name_is_refused(tablestore: TableStore, name: str) -> None:
    expected = (*WRONG, f"Invalid table name: '{name}'.")
    assert refusal(tablestore.table, name) == expected
    assert refusal(tablestore.client.describe_table, name) == expected


@pytest.mark.parametrize("name", ["_0", "_T", "A0", "a" * 255])
def test_a_right_table_name_is_accepted(tablestore: TableStore, name: str) -> None:
    assert tablestore.table(name) in tablestore.client.list_table()


def test_a_key_has_one_to_four_columns_of_different_names(tablestore: TableStore) -> None:
    columns = [(f"k{number}", "STRING") for number in range(5)]
    assert refusal(tablestore.table, "other", *columns) == (
        *WRONG,
        "The number of primary key columns must be in range: [1, 4].",
    )
    assert refusal(tablestore.table, "other", ("k", "STRING"), ("k", "INTEGER")) == (
        *WRONG,
        "Duplicated primary key name: 'k'.",
    )


def test_a_table_with_an_auto_increment_key_is_described_but_not_written(
    tablestore: TableStore,
) -> None:
    tablestore.table("other", ("k", "STRING"), ("n", "INTEGER", PK_AUTO_INCR))
    schema = tablestore.client.describe_table("other").table_meta.schema_of_primary_key
    assert schema == [("k", "STRING"), ("n", "INTEGER", PK_AUTO_INCR)]
    row = Row([("k", "a"), ("n", 1)], [("c", 1)])
    assert refusal(tablestore.client.put_row, "other", row, IGNORE)[1] == "OTSUnsupportOperation"


def test_time_to_live_is_not_0(tablestore: TableStore) -> None:
    assert refusal(tablestore.table, "other", options=TableOptions(0)) == (
        *WRONG,
        "TimeToLive cannot be 0 or less than -1.",
    )


def test_cells_expire_after_the_time_to_live(tablestore: TableStore) -> None:
    minute, day = 60_000, 86_400_000
    tablestore.client.update_table("rows", TableOptions(day // 1000, 1, day))
    almost = tablestore.clock.now - day + minute
    row = Row([("id", "a")], [("old", 1, almost), ("new", 2)])
    tablestore.client.put_row("rows", row, IGNORE)
    tablestore.client.put_row("rows", Row([("id", "b")], [("old", 1, almost)]), IGNORE)
    assert tablestore.get("a") == {"old": 1, "new": 2}
    tablestore.clock.now += minute + 1
    assert tablestore.get("a") == {"new": 2}
    assert tablestore.get("b") is None


def test_an_instance_has_so_many_tables(tablestore: TableStore) -> None:
    for number in range(1, MOST_TABLES):
        tablestore.table(f"t{number}")
    assert refusal(tablestore.table, "one_more") == (
        403,
        "OTSQuotaExhausted",
        "Number of tables exceeds the quota:64.",
    )


def test_tables_and_rows_survive_a_restart(tmp_path: Path) -> None:
    with TableFile.open(tmp_path / "tables.db") as store:
        TableStore(store).put("a", one=1)
    with TableFile.open(tmp_path / "tables.db") as store:
        client = sdk(TableStoreEndpoint(store, Clock(), Account()))
        _, row, _ = client.get_row("rows", [("id", "a")], max_version=1)
    assert [one[:2] for one in row.attribute_columns] == [("one", 1)]


def test_another_file_is_not_used(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_text("something else")
    with pytest.raises(UnusableTableFileError, match=r"other\.db"):
        TableFile.open(other)
