"""The command line: what a user can cause ends in one line that says what to do."""

from pathlib import Path

import msgspec
import pytest

from lockstep.cli import main
from tests.builders import image_event
from tests.unit.operator.command import assert_one_line, lockstep


@pytest.mark.parametrize("command", [["status"], ["audit"], ["search", "x"], ["put", "-"]])
def test_without_a_stack_the_line_says_how_to_start_one(tmp_path: Path, command: list[str]) -> None:
    assert_one_line(lockstep(*command, "--state", tmp_path / "none"), "lockstep up")


@pytest.mark.parametrize("command", [["status"], ["audit"], ["search", "x"]])
def test_a_state_folder_below_a_file_is_told(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").touch()
    result = lockstep(*command, "--state", tmp_path / "file" / "state")
    assert_one_line(result, "Not a directory", "--state")


def test_a_damaged_description_of_the_stack_is_told(state: Path) -> None:
    (state / "stack.json").write_bytes(b"\xff")
    assert_one_line(lockstep("status", "--state", state), "damaged", "lockstep up")


def test_a_file_that_is_not_there_is_named(state: Path) -> None:
    assert_one_line(lockstep("put", "nowhere.ndjson", "--state", state), "nowhere.ndjson")


def test_a_folder_is_no_file_of_events(state: Path) -> None:
    assert_one_line(lockstep("put", state, "--state", state), "Is a directory")


@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, '{"fields": {"a": "nowhere"}}'])
def test_a_mapping_that_cannot_be_used_is_named(state: Path, content: str) -> None:
    mapping = state / "mapping.json"
    mapping.write_text(content)
    assert_one_line(lockstep("put", "-", "--from", mapping, "--state", state), "mapping.json")


def test_what_looks_like_markup_in_a_bad_line_is_told_as_it_is(state: Path) -> None:
    bad = msgspec.json.encode(image_event() | {"[/x] [red]": 1, "version": 1})
    file = state / "events.ndjson"
    file.write_bytes(bad + b"\n")
    result = lockstep("put", file, "--state", state)
    assert_one_line(result, "line 1", "[/x] [red]", code=1)


def test_bad_lines_are_listed_for_programs(state: Path) -> None:
    file = state / "events.ndjson"
    file.write_bytes(b"\n\nno event\n\xff\n")
    result = lockstep("put", file, "--json", "--state", state)
    report = msgspec.json.decode(result.stdout)
    (third, fourth) = report["refused"]
    assert (third["line"], third["reason"]) == (3, "not_json")
    assert "malformed" in third["detail"]
    assert (fourth["line"], fourth["reason"]) == (4, "not_utf8")
    assert "encode the JSON as UTF-8" in fourth["detail"]
    assert (report["put"], report["resent"], result.exit_code) == (0, 0, 1)


def test_a_stack_that_is_deployed_needs_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    assert_one_line(lockstep("status", "--stack", "x"), "AWS_REGION")


@pytest.mark.parametrize(
    "words",
    [
        ["--apply"],
        ["--repair", "--sample", "5"],
        ["--at-most", "101"],
        ["--at-most", "5"],
        ["--since", "soon"],
        ["--since", "2999-01-01"],
        ["--since", "2999-01-01T00:00+14:00"],
        ["--rate", "0"],
        ["--sample", "0"],
    ],
)
def test_an_audit_that_makes_no_sense_is_told_before_anything_is_read(
    state: Path, words: list[str]
) -> None:
    assert_one_line(lockstep("audit", *words, "--state", state), words[0] if words else "")


def test_nothing_runs_is_no_error_when_it_is_to_be_stopped(tmp_path: Path) -> None:
    result = lockstep("down", "--state", tmp_path / "none")
    assert (result.exit_code, "nothing runs" in result.stdout) == (0, True)


def test_the_environment_for_sam_is_json(state: Path) -> None:
    result = lockstep("status", "--env-vars", "--state", state)
    functions = {"WriteToDynamodb", "WriteToEs", "SearchImages"}
    assert set(msgspec.json.decode(result.stdout)) == functions


def test_every_command_explains_itself() -> None:
    for name, command in main.commands.items():
        assert command.help, name
        assert lockstep(name, "--help").exit_code == 0
