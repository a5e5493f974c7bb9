"""What the guide tells readers to write is run through both SDKs, word by word."""

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tablestore import (
    INF_MAX,
    INF_MIN,
    CapacityUnit,
    Condition,
    OTSClient,
    ReservedThroughput,
    Row,
    RowExistenceExpectation,
    TableMeta,
    TableOptions,
)

from lockstep.local.tablestore.server import LocalTableStore
from tools.java_client import JAVA
from tools.tablestore_java import TABLE_STORE

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "tablestore.md"
# The guide's code names these: a client, and a range of the whole table.
PROGRAM = """
import com.alicloud.openservices.tablestore.SyncClient;
import com.alicloud.openservices.tablestore.model.*;
import com.alicloud.openservices.tablestore.model.filter.SingleColumnValueFilter;

public final class Reader {
    public static void main(String[] arguments) {
        RangeRowQueryCriteria criteria = new RangeRowQueryCriteria("orders");
        criteria.setInclusiveStartPrimaryKey(PrimaryKeyBuilder.createPrimaryKeyBuilder()
            .addPrimaryKeyColumn("id", PrimaryKeyValue.INF_MIN).build());
        criteria.setExclusiveEndPrimaryKey(PrimaryKeyBuilder.createPrimaryKeyBuilder()
            .addPrimaryKeyColumn("id", PrimaryKeyValue.INF_MAX).build());
        criteria.setMaxVersions(1);
        if (arguments[1].equals("filtered")) {
%s
        }
        SyncClient client = new SyncClient(arguments[0], "local", "local", "local");
        for (Row row : client.getRange(new GetRangeRequest(criteria)).getRows()) {
            System.out.println(row.getPrimaryKey().getPrimaryKeyColumn("id").getValue().asString());
        }
        client.shutdown();
    }
}
"""


def code_of_guide(language: str) -> str:
    """The one block of the section on removals in this language."""
    section = GUIDE.read_text().partition("## Removals\n")[2].partition("\n## ")[0]
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A table with a living row, a tombstone, and a row that somebody else wrote."""
    rows = {"living": [("lockstep_deleted", False)], "removed": [("lockstep_deleted", True)]}
    with LocalTableStore() as store:
        client = OTSClient(store.address, "local", "local", "local", enable_native=False)
        throughput = ReservedThroughput(CapacityUnit(0, 0))
        client.create_table(TableMeta("orders", [("id", "STRING")]), TableOptions(), throughput)
        for name, columns in {**rows, "foreign": [("total", 1)]}.items():
            row = Row([("id", name)], columns)
            client.put_row("orders", row, Condition(RowExistenceExpectation.IGNORE))
        yield store.address


def test_in_python_readers_that_filter_see_what_is_living(address: str) -> None:
    client = OTSClient(address, "local", "local", "local", enable_native=False)
    names: dict[str, Any] = {
        "client": client,
        "start": [("id", INF_MIN)],
        "end": [("id", INF_MAX)],
    }
    *statements, read = ast.parse(code_of_guide("python")).body
    assert isinstance(read, ast.Expr)
    exec(compile(ast.Module(statements, []), GUIDE, "exec"), names)  # noqa: S102 - our own guide
    _, _, filtered, _ = eval(compile(ast.Expression(read.value), GUIDE, "eval"), names)  # noqa: S307
    assert [row.primary_key[0][1] for row in filtered] == ["living"]
    _, _, all_, _ = client.get_range(
        "orders", "FORWARD", names["start"], names["end"], max_version=1
    )
    assert [row.primary_key[0][1] for row in all_] == ["foreign", "living", "removed"]


def test_in_java_readers_that_filter_see_what_is_living(address: str, tmp_path: Path) -> None:
    sources, classes = tmp_path / "sources", tmp_path / "classes"
    sources.mkdir()
    classes.mkdir()
    shutil.copy(TABLE_STORE.pins, sources)
    (sources / "Reader.java").write_text(PROGRAM % code_of_guide("java"))
    class_path = replace(TABLE_STORE, sources=sources).compile_into(classes)

    def read(how: str) -> list[str]:
        command = [*JAVA, "-cp", class_path, "Reader", address, how]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert read("filtered") == ["living"]
    assert read("all") == ["foreign", "living", "removed"]
