"""The commands about the quarantine: what a user can cause ends in one line, before anything."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lockstep.cli import main
from lockstep.commands.quarantine import quarantine_group


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["redrive", "--since", "yesterday"], "7d, 12h"),
        (["redrive", "--since", "999999d"], "7d, 12h"),
        (["redrive", "--choose", "this"], "requires the IDs"),
        (["redrive", "--choose", "this", "x", "--mend", __file__], "not both"),
        (["redrive", "--rate", "0"], "--rate"),
        (["redrive", "--mend", "nowhere.ndjson"], "nowhere.ndjson"),
        (["redrive"], "lockstep up"),
        (["redrive", "--since", "99999d"], "lockstep up"),
        (["redrive", "--since", "2026-11-21T08:00"], "lockstep up"),
        (["quarantine", "list"], "lockstep up"),
        (["quarantine", "stats"], "lockstep up"),
        (["quarantine", "show", "x"], "lockstep up"),
    ],
)
def test_a_wrong_call_is_told_in_a_line(tmp_path: Path, words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, [*words, "--state", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert said in result.stderr.strip().splitlines()[-1]


def test_every_command_about_the_quarantine_explains_itself() -> None:
    for name, command in quarantine_group.commands.items():
        assert command.help, name
        assert CliRunner().invoke(main, ["quarantine", name, "--help"]).exit_code == 0
