"""What `lockstep audit` writes down, and how it ends."""

import io
import os
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from lockstep.audit.audit import Audit
from lockstep.audit.recheck import Difference
from lockstep.audit.report import as_line
from lockstep.commands.answering import Answering, show
from lockstep.commands.audit_files import KeptDifferences
from lockstep.commands.endings import OneLine
from lockstep.commands.options import APPLY_HINT
from lockstep.repair.answers import Answered, AnswerPlan, PlannedAnswer
from lockstep.repair.repair import DifferingImage, Example
from lockstep.stores.entry import Entry
from lockstep.stores.readers import StoreUnreadableError
from tests.unit.operator.command import assert_one_line, lockstep


def test_a_report_names_what_each_store_says_and_is_read_again_for_the_repair() -> None:
    table = Entry("a", 5, deleted=False, digest="d", checked_version=5, arrived_at=7)
    found = [
        Difference(
            "a", "missing_in_index", None, explained_by_quarantine=True, record=table, replica=None
        ),
        Difference(
            "b\n",
            "malformed",
            "image",
            explained_by_quarantine=False,
            record=None,
            replica=Entry("b\n", malformed="no version"),
        ),
    ]
    report = io.BytesIO()
    differences = KeptDifferences(io.BytesIO(), report, None, line=as_line, read_as=DifferingImage)
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


def test_an_html_report_that_cannot_be_written_is_told_before_anything_is_read(
    state: Path,
) -> None:
    pipe = state / "pipe"
    os.mkfifo(pipe)
    for file, said in (
        (state / "nowhere" / "audit.html", "nowhere"),
        (state, "is a directory"),
        (pipe, "not a regular file"),
    ):
        assert_one_line(lockstep("audit", "--html", file, "--state", state), said)


def test_an_html_report_of_before_stays_if_the_audit_does_not_end(state: Path) -> None:
    file = state / "audit.html"
    file.write_text("before")
    assert lockstep("audit", "--html", file, "--state", state).exit_code == 2
    assert file.read_text() == "before"
    assert sorted(one.name for one in state.iterdir()) == ["audit.html", "stack.json"]


def test_a_report_holds_no_differences_of_an_audit_before(state: Path) -> None:
    file = state / "report"
    file.write_text("before")
    assert lockstep("audit", "--report", file, "--state", state).exit_code == 2
    assert file.read_text() == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--index-wins", "FILE"], "require --repair"),
        (["--repair", "--index-wins", "FILE", "--table-wins", "FILE"], "not both"),
        (
            ["--repair", "--index-wins", "FILE", "--report", "FILE"],
            "remove --report: an answer reads",
        ),
        (
            ["--repair", "--index-wins", "FILE", "--html", "FILE"],
            "remove --html: it reports an audit",
        ),
        (["--report", "FILE", "--html", "FILE"], "different files"),
        (["--repair", "--kind", "removal"], "--kind requires"),
        (["--repair", "--table-wins", "FILE", "--kind", "removals"], "'removals' is not one of"),
        (["--repair", "--table-wins", "nowhere"], "does not exist"),
        (["--repair", "--table-wins", "FILE", "--sample", "5"], "remove --sample"),
        (["--report", "FILE", "--segments", "5"], "--segments requires --processes"),
        (["--report", "FILE", "--processes", "2", "--sample", "5"], "remove --processes"),
        (["--report", "FILE", "--processes", "0"], "0 is not in the range"),
        (["--report", "FILE", "--processes", "2", "--segments", "1025"], "1025 is not in the"),
    ],
)
def test_options_that_contradict_each_other_are_refused_before_anything_is_read(
    state: Path, words: list[str], said: str
) -> None:
    file = state / "report"
    file.write_bytes(b"kept")
    result = lockstep(
        "audit", *[str(file) if word == "FILE" else word for word in words], "--state", state
    )
    assert result.exit_code == 2
    assert said in result.stderr
    assert file.read_bytes() == b"kept"


def test_a_person_reads_what_an_answer_would_do_and_what_it_did(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = PlannedAnswer("image", "replace_document", 1_234, [Example("T1\x1b", "replace it")])
    plan = AnswerPlan("table", [row], 100_000, 1_234, 0, 2, {"removal": 5})
    show(Answering(plan))
    shown = capsys.readouterr().out
    assert "replace the document" in shown
    assert "for example, image: T1" in shown
    assert "\x1b" not in shown
    assert "not answered: 5 removal (--kind removal answers them)" in shown
    assert f"1,234 images would be changed (1.23 % of all); {APPLY_HINT}" in shown
    done = Answered(
        {"replace_document": 1_233}, "replaced/x/", [], [Example("T2", "it was written meanwhile")]
    )
    answering = Answering(plan, done, Audit("different", 1, 2, {}, 1.0))
    show(answering)
    shown = capsys.readouterr().out
    assert "not changed: T2: it was written meanwhile" in shown
    assert "kept in the bucket under replaced/x/" in shown
    assert "1,233 images changed" in shown
    assert answering.exit_code == 1


def test_a_dry_run_of_an_answer_ends_with_0_only_if_nothing_of_the_report_is_left() -> None:
    nothing = AnswerPlan("table", [], 10, 0, 0, 3, {})
    other = AnswerPlan("table", [], 10, 0, 0, 3, {"removal": 1})
    assert [Answering(one).exit_code for one in (nothing, other)] == [0, 1]


@pytest.mark.parametrize(
    "words",
    [["--acknowledge", "2026-11-21T08:00:00Z"], ["--reason", "put again"]],
    ids=["no reason", "no time"],
)
def test_an_acknowledgement_has_a_time_and_a_reason(state: Path, words: list[str]) -> None:
    result = lockstep("audit", "--state", state, *words)
    assert_one_line(result, "give --acknowledge TIME and --reason TEXT together")


def test_without_a_loss_there_is_nothing_to_acknowledge(state: Path) -> None:
    words = ["--acknowledge", "2026-11-21T08:00:00Z", "--reason", "put again"]
    result = lockstep("audit", "--state", state, *words)
    assert_one_line(result, "there is no loss to acknowledge")
