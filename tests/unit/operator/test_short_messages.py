"""Whatever is typed or read, what a command says is short."""

from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from lockstep.commands.endings import OneLine
from lockstep.console.errors import UserError
from shared.shortened import MOST
from shared.sink import MisconfiguredError
from tests.builders import image_event
from tests.unit.operator.command import assert_one_line, lockstep

LONG = "x" * 200_000
# The file and the line number, the reason, and the words around the message.
AROUND = 400


@pytest.mark.parametrize(
    "error",
    [
        UserError(LONG),
        MisconfiguredError(LONG),
        OSError(2, "No such file", LONG),
        click.UsageError(LONG),
        click.BadParameter(LONG),
    ],
)
def test_a_command_ends_in_a_short_line(error: Exception) -> None:
    @click.group(cls=OneLine)
    def group() -> None:
        pass

    @group.command()
    def fails() -> None:
        raise error

    result = CliRunner().invoke(group, ["fails"])
    assert result.exit_code == 2
    *_, line = result.stderr.strip().splitlines()
    assert line.startswith("Error: ")
    assert len(line) <= MOST + AROUND
    assert " characters] …" in line


@pytest.mark.parametrize(
    "words", [["audit", f"--{LONG}"], ["status", LONG], ["status", "--wait", LONG], [LONG]]
)
def test_what_was_typed_is_not_repeated_whole(words: list[str]) -> None:
    result = lockstep(*words)
    assert_one_line(result, " characters] …")
    assert len(result.stderr) <= MOST + AROUND


def test_a_line_of_a_file_is_not_repeated_whole(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(msgspec.json.encode(image_event() | {LONG: 1}))
    result = lockstep("put", file, "--state", state)
    (line,) = [one for one in result.stderr.splitlines() if "unknown field" in one]
    assert len(line) <= MOST + AROUND
    assert line.endswith("image.attributes (a mapping file does this)")
