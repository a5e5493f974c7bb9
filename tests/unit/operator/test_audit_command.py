"""What `lockstep audit` writes down, and how it ends."""

import io
from pathlib import Path

import click
import msgspec
from click.testing import CliRunner

from lockstep.audit.audit import Difference
from lockstep.commands.audit import Differences
from lockstep.commands.endings import OneLine
from lockstep.stores.entry import Entry
from lockstep.stores.readers import StoreUnreadableError
from tests.unit.operator.command import assert_one_line, lockstep


def test_a_report_names_what_each_store_says_and_is_read_again_for_the_repair() -> None:
    table = Entry("a", 5, deleted=False, digest="d", checked_version=5, arrived_at=7)
    found = [
        Difference(
            "a", "missing_in_index", None, explained_by_quarantine=True, table=table, index=None
        ),
        Difference(
            "b\n",
            "malformed",
            "image",
            explained_by_quarantine=False,
            table=None,
            index=Entry("b\n", malformed="no version"),
        ),
    ]
    report = io.BytesIO()
    differences = Differences(io.BytesIO(), report)
    for one in found:
        differences.add(one)
    for _ in range(2):
        assert [(one.image_id, one.kind, one.ahead) for one in differences] == [
            ("a", "missing_in_index", None),
            ("b\n", "malformed", "image"),
        ]
    first, second = map(msgspec.json.decode, report.getvalue().splitlines())
    assert first == {
        "image_id": "a",
        "kind": "missing_in_index",
        "ahead": None,
        "explained_by_quarantine": True,
        "table": {
            "image_id": "a",
            "version": 5,
            "deleted": False,
            "digest": "d",
            "guard": 5,
            "arrived_at": 7,
        },
        "index": None,
    }
    assert second["index"]["malformed"] == "no version"


def test_a_store_that_breaks_off_in_the_middle_of_a_repair_ends_in_one_line() -> None:
    def command() -> None:
        raise StoreUnreadableError("index images: a shard did not answer")

    group = OneLine("lockstep", commands={"audit": click.Command("audit", callback=command)})
    result = CliRunner().invoke(group, ["audit"])
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: index images: a shard did not answer\n",
    )


def test_a_report_that_cannot_be_written_is_told_before_anything_is_read(state: Path) -> None:
    for file in (state / "nowhere" / "report", state):
        result = lockstep("audit", "--report", file, "--state", state)
        assert_one_line(result, str(file))


def test_a_report_holds_no_differences_of_an_audit_before(state: Path) -> None:
    file = state / "report"
    file.write_text("before")
    assert lockstep("audit", "--report", file, "--state", state).exit_code == 2
    assert file.read_text() == ""
