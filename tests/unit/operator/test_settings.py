"""The settings of the command line, and which stack a command is about."""

import os
from pathlib import Path

import pytest

from lockstep.commands.settings import ConfigurationError, default_file, read_settings
from lockstep.stack.stack import STATE
from tests.unit.operator.command import assert_one_line, lockstep

NOTHING = {"XDG_CONFIG_HOME": os.devnull}


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_without_settings_a_command_is_about_the_local_stack_in_the_folder_of_the_user() -> None:
    found = read_settings(NOTHING, None)
    assert (found.stack, found.state, found.region) == (None, STATE, None)


def test_the_environment_comes_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'stack = "prod"\nstate = "data"\nregion = "eu-west-1"\n')
    found = read_settings(NOTHING, file)
    assert (found.stack, found.stack_from) == ("prod", f"`stack` in {file}")
    assert (found.state, found.region) == (tmp_path / "data", "eu-west-1")
    said = {"LOCKSTEP_STACK": "test", "LOCKSTEP_STATE": "here", "LOCKSTEP_REGION": "us-east-1"}
    found = read_settings(NOTHING | said, file)
    assert (found.stack, found.stack_from) == ("test", "LOCKSTEP_STACK")
    assert (found.state, found.region) == (Path("here"), "us-east-1")


def test_a_setting_of_lockstep_comes_before_one_of_aws(tmp_path: Path) -> None:
    aws = NOTHING | {"AWS_REGION": "us-west-2"}
    assert read_settings(aws, None).region == "us-west-2"
    assert read_settings(aws, written(tmp_path, 'region = "eu-west-1"\n')).region == "eu-west-1"
    both = aws | {"LOCKSTEP_REGION": "us-east-1"}
    assert read_settings(both, None).region == "us-east-1"


def test_an_empty_variable_is_none(tmp_path: Path) -> None:
    file = written(tmp_path, 'stack = "prod"\nstate = "/data"\n')
    empty = dict.fromkeys(["LOCKSTEP_STACK", "LOCKSTEP_STATE", "LOCKSTEP_REGION"], "")
    found = read_settings(NOTHING | empty, file)
    assert (found.stack, found.state, found.region) == ("prod", Path("/data"), None)


def test_the_default_file_is_that_of_the_user_and_may_be_missing(tmp_path: Path) -> None:
    own = {"XDG_CONFIG_HOME": str(tmp_path)}
    file = default_file(own)
    assert file == tmp_path / "lockstep" / "config.toml"
    assert read_settings(own, None).stack is None
    file.parent.mkdir()
    file.write_text('stack = "prod"\n')
    assert read_settings(own, None).stack == "prod"
    home = Path.home() / ".config" / "lockstep" / "config.toml"
    assert default_file({}) == default_file({"XDG_CONFIG_HOME": "relative"}) == home


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stack = ", "is not TOML"),
        ("stack = 1", "Expected `str"),
        ('stak = "prod"', "it may have the keys stack, state, region"),
        ("\udcff", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert_one_line(lockstep("status", "--config", file), str(file), why)


def test_a_file_that_the_user_gives_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        read_settings(NOTHING, tmp_path / "none.toml")
    assert_one_line(lockstep("status", "--config", tmp_path / "none.toml"), "no such file")
    assert_one_line(lockstep("down", "--config", tmp_path / "none.toml"), "no such file")


def test_the_folder_of_the_file_is_where_the_local_stack_is_looked_for(tmp_path: Path) -> None:
    file = written(tmp_path, 'state = "data"\n')
    assert_one_line(lockstep("status", "--config", file), f"no local stack in {tmp_path / 'data'}")
    assert lockstep("down", "--config", file).stdout == f"nothing runs in {tmp_path / 'data'}\n"


@pytest.mark.parametrize("words", [["--local"], ["--state", "x"], ["--local", "--state", "x"]])
def test_an_option_comes_before_all(
    tmp_path: Path, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a local stack may run in the folder of the tests
    file = written(tmp_path, 'stack = "prod"\n')
    result = lockstep("status", "--config", file, *words)
    assert_one_line(result, f"no local stack in {'x' if 'x' in words else STATE}")


def test_a_hint_has_local_where_a_setting_names_a_deployed_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path, 'stack = "prod"\n')
    hinted = lockstep("status", "--config", file, "--local")
    assert_one_line(hinted, "start one with `lockstep up --local`")
    named = lockstep("status", "--config", file, "--state", "x")
    assert_one_line(named, "start one with `lockstep up --state x`")
    assert_one_line(lockstep("status", "--local"), "start one with `lockstep up`")


@pytest.mark.parametrize("other", [["--local"], ["--state", "x"]])
def test_one_command_is_about_one_stack(other: list[str]) -> None:
    assert_one_line(lockstep("status", "--stack", "prod", *other), f"give --stack or {other[0]}")


def name_of(words: list[str]) -> str:
    return " ".join(word for word in words if word != __file__)


CHANGES = [
    ["audit", "--repair", "--apply"],
    ["audit", "--repair", "--apply", "--index-wins", __file__],
    ["audit", "--acknowledge", "2026-11-21T08:00:00Z", "--reason", "x"],
    ["delete", "x"],
    ["update", "x", "--set", "name=y"],
    ["erase", "x", "--apply"],
    ["purge", "--apply"],
    ["rebuild", "--apply"],
    ["replay", "--since", "1h", "--apply"],
    ["redrive", "--apply"],
    ["quarantine", "discard", "x", "--reason", "y", "--apply"],
    ["import", "x", "--apply"],
    ["prepare", "table", "--apply"],
    ["pictures", "audit", "--repair", "--apply"],
    ["tablestore", "audit", "--repair", "--apply"],
    ["tablestore", "load", "--apply"],
    ["tablestore", "purge", "--apply"],
    ["tablestore", "redrive", "--apply"],
]


@pytest.mark.parametrize("words", CHANGES, ids=name_of)
def test_what_changes_stores_takes_a_deployed_stack_only_from_the_option(
    tmp_path: Path, words: list[str]
) -> None:
    file = written(tmp_path, 'stack = "prod"\n')
    result = lockstep(*words, "--config", file)
    assert_one_line(result, f"`stack` in {file}", "add --stack prod, or --local")


@pytest.mark.parametrize("words", [*CHANGES, ["put", "-"], ["upload", "."], ["smoke"]], ids=name_of)
def test_what_writes_names_its_stack_first(tmp_path: Path, words: list[str]) -> None:
    state = tmp_path / "none"
    assert lockstep(*words, "--state", state).stderr.startswith(f"local stack {state}\n")
