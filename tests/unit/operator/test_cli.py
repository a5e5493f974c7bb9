"""The command line: what a user can cause ends in one line that says what to do."""

import errno
import gzip
import subprocess
import sys
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from functions.search_images.search import TooSlowError
from lockstep.cli import COMMANDS, main
from lockstep.commands.demo import scratch
from lockstep.commands.endings import OneLine
from lockstep.commands.search import search_command
from lockstep.console.errors import UserError
from lockstep.local.processes import LocalStackError
from lockstep.stack.stack import command_for
from shared.sink import MisconfiguredError
from tests.builders import image_event
from tests.unit.operator.command import assert_one_line, commands_of, lockstep


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
    result = lockstep("put", state, "--state", state)
    assert_one_line(result, f"{state} is a folder: give the files in it, one after the other")


@pytest.mark.parametrize("data", [b"", b"\n", b"[]", b"image_id,name\n"])
def test_a_file_of_events_without_records_is_told(state: Path, data: bytes) -> None:
    file = state / "images.txt"
    file.write_bytes(data)
    result = lockstep("put", file, "--state", state)
    said = f"local stack {state}\n{file} has no records\n"
    assert (result.exit_code, result.stderr) == (0, said)


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
    (third, fourth) = report["rejected"]
    assert (third["line"], third["reason"]) == (3, "not_json")
    assert "the record is not JSON, it begins with `no event`" in third["detail"]
    assert (fourth["line"], fourth["reason"]) == (4, "not_utf8")
    assert "encode the JSON as UTF-8" in fourth["detail"]
    assert (report["put"], report["resent"], result.exit_code) == (0, 0, 1)


def test_of_very_many_bad_lines_a_person_reads_the_first_ones_and_a_program_all(
    state: Path,
) -> None:
    file = state / "picture.jpg"
    file.write_bytes(b"\xff\n" * 642)
    result = lockstep("put", file, "--state", state)
    assert_one_line(result, "and 622 more lines (`--json` lists all)", code=1)
    assert result.stderr.count("line ") == 20
    assert "0 put, 642 rejected" in result.stdout
    report = msgspec.json.decode(lockstep("put", file, "--json", "--state", state).stdout)
    assert len(report["rejected"]) == 642


def test_a_packed_file_of_events_is_read(state: Path) -> None:
    file = state / "events.gz"
    file.write_bytes(gzip.compress(b"a\n" * 1000))
    result = lockstep("put", file, "--state", state)
    assert "line 1000: not_json" not in result.stderr
    assert "line 1: not_json" in result.stderr
    assert "0 put, 1,000 rejected" in result.stdout


def test_a_picture_is_one_line_that_says_what_it_is(state: Path) -> None:
    file = state / "photo.json"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff\n" * 1000)
    result = lockstep("put", file, "--state", state)
    assert_one_line(result, "photo.json is a picture (PNG)", "give a JSON or CSV file")
    assert result.stderr.count("\n") == 2


def test_a_bad_row_of_a_table_is_named_by_its_number(state: Path) -> None:
    file = state / "events.csv"
    file.write_bytes(b'image_id,name\n"a\nb",x\n,y\n')
    result = lockstep("put", file, "--state", state)
    assert "record 1: id_characters: " in result.stderr
    assert "record 2: schema: missing required field `image_id`" in result.stderr


def test_who_puts_images_is_told_of_import(state: Path) -> None:
    file = state / "images.ndjson"
    file.write_bytes(b'{"image_id": "4711", "image": {"name": "Low tide"}}\n')
    assert_one_line(lockstep("put", file, "--state", state), "`lockstep import`", code=1)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["-castle"], "Put -- before"),
        ([], "give TEXT or --filter FIELD=VALUE"),
        (["x", "--filter", "tag"], "'tag': write FIELD=VALUE"),
        (["x", "--filter", "q=y"], "q is no field: use TEXT"),
        (["x", "--filter", ""], "'': write FIELD=VALUE"),
        (["x", "--filter", "tags=y"], "'tags' is no field: expected tag, uploaded_by"),
        (["x", "--filter", "artist=y"], "min_height, max_height, attr.NAME"),
        (["x", "--filter", "taken_from=1979-13"], "taken_from: "),
        (["x", "--page", "0"], "--page"),
        (["x", "--limit", "5"], "--limit requires --csv or --ndjson"),
        (["x", "--csv", "--json"], "give --json or --csv, not both"),
        (["x", "--csv", "--ndjson"], "give --csv or --ndjson, not both"),
        (["x", "--ndjson", "--sort", "newest"], "in order of their ids: --sort has no meaning"),
        (["x", "--csv", "--page", "2"], "--page has no meaning"),
    ],
)
def test_a_text_that_is_no_one_word_is_told_how_to_be_written(
    state: Path, words: list[str], hint: str
) -> None:
    assert_one_line(lockstep("search", *words, "--state", state), hint)


@pytest.mark.parametrize(
    ("typed", "meant"), [("statu", "status"), ("updat", "update"), ("qurantine", "quarantine")]
)
def test_a_mistyped_command_is_told_what_is_nearly_the_same(typed: str, meant: str) -> None:
    assert_one_line(lockstep(typed), f"No such command '{typed}'. ", f"'{meant}'")


def test_bytes_in_a_text_that_are_no_utf_8_are_replaced_as_in_a_browser() -> None:
    context = search_command.make_context("search", ["a\udcffb"])
    assert context.params["text"] == "a\ufffdb"


@pytest.mark.parametrize("words", [["quarantine", "show", ""], ["redrive", "x", ""]])
def test_an_empty_id_names_no_record(state: Path, words: list[str]) -> None:
    assert_one_line(lockstep(*words, "--state", state), "the ID must not be empty")


@pytest.mark.parametrize("source", ["s3://", "s3:///key", "s3://a b/key"])
def test_an_address_without_a_bucket_is_told_in_words(state: Path, source: str) -> None:
    result = lockstep("import", source, "--replace", "--state", state)
    assert_one_line(result, f"{source}: invalid bucket name")


def test_hints_name_the_stack_that_a_command_is_about(state: Path) -> None:
    other = state / "my state"
    assert_one_line(
        lockstep("audit", "--state", other), f"start one with `lockstep up --state '{other}'`"
    )
    assert command_for("down", None, Path(".lockstep").absolute()) == "`lockstep down`"
    assert command_for("down", "images", Path(".lockstep")) == "`lockstep down --stack images`"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 2, "Error: output: No space left"),
        (OSError(errno.EIO, "Input/output error"), 2, "Error: input or output: Input/output"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, ""),
    ],
)
def test_what_cannot_be_written_is_not_blamed_on_the_input(
    error: OSError, code: int, said: str
) -> None:
    result = ended_by(error)
    assert result.exit_code == code
    assert result.stderr.startswith(said)
    assert bool(result.stderr) == bool(said)


@pytest.mark.parametrize("error", [UserError, LocalStackError, TooSlowError, MisconfiguredError])
def test_what_is_not_our_fault_is_told_in_its_own_line(error: type[Exception]) -> None:
    result = ended_by(error("too \x1b[31mred"))
    assert (result.exit_code, result.stderr) == (2, "Error: too \\x1b[31mred\n")


def test_what_is_our_fault_is_not_hidden() -> None:
    assert isinstance(ended_by(ValueError("a mistake")).exception, ValueError)


def ended_by(error: Exception) -> Result:
    """How a command ends that raises this."""

    def command() -> None:
        raise error

    group = OneLine("lockstep", commands={"status": click.Command("status", callback=command)})
    return CliRunner().invoke(group, ["status"])


def test_ctrl_c_while_the_command_still_loads_ends_it_as_later() -> None:
    interrupting = """
import sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "lockstep.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupting())
from lockstep.__main__ import main
main()
"""
    command = [sys.executable, "-c", interrupting]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_scratch_folder_is_gone_unless_something_failed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended: list[Path] = []
    with scratch(ended.append) as done:
        pass
    with pytest.raises(KeyboardInterrupt), scratch(ended.append) as interrupted:
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="failed"), scratch(ended.append) as failed:
        raise OSError("failed")
    assert ended == [done, interrupted, failed]
    assert [folder.exists() for folder in ended] == [False, False, True]
    assert str(failed) in capsys.readouterr().err
    failed.rmdir()


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


def test_what_every_command_is_for_fits_its_line_of_the_help() -> None:
    commands = commands_of(main)
    groups = [group for group in (main, *commands.values()) if isinstance(group, click.Group)]
    for group in groups:
        found = commands_of(group)
        room = 80 - 2 - 6 - max(map(len, found))  # as click lays it out
        for name, command in found.items():
            line = command.get_short_help_str(room)
            assert not line.endswith("..."), name
            if group is main:
                assert COMMANDS[name][1].removesuffix(".") == line.removesuffix("."), name


def test_every_command_explains_itself() -> None:
    for name, command in commands_of(main).items():
        assert command.help, name
        assert lockstep(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        (["--help"], {"boto3", "botocore", "opensearchpy", "rich", "msgspec", "lockstep.stack"}),
        (["status", "--help"], {"boto3", "botocore", "opensearchpy", "lockstep.audit"}),
        (["status"], {"boto3", "botocore", "opensearchpy", "lockstep.audit"}),
    ],
)
def test_a_command_loads_only_what_it_needs(
    tmp_path: Path, words: list[str], unwanted: set[str]
) -> None:
    script = """
import sys
from lockstep.__main__ import main
try:
    main()
finally:
    print(*sys.modules, file=sys.stderr)
"""
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert not unwanted & loaded
