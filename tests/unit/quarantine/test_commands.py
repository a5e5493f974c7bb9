"""The commands about the quarantine: a user's error is one line, and nothing is done."""

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
        (["redrive", "--stamp"], "--stamp requires --mend"),
        (["redrive", "--rate", "0"], "--rate"),
        (["redrive", "--mend", "nowhere.ndjson"], "nowhere.ndjson"),
        (["redrive"], "lockstep up"),
        (["redrive", "--since", "99999d"], "lockstep up"),
        (["redrive", "--since", "2026-11-21T08:00"], "lockstep up"),
        (["quarantine", "list"], "lockstep up"),
        (["quarantine", "stats"], "lockstep up"),
        (["quarantine", "show", "x"], "lockstep up"),
        (["quarantine", "export"], "give the IDs of records, or --all"),
        (["quarantine", "export", "x", "--all"], "give the IDs of records, or --all"),
        (["quarantine", "export", "--all"], "lockstep up"),
    ],
)
def test_a_usage_error_is_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    result = CliRunner().invoke(main, [*words, "--state", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert said in result.stderr.strip().splitlines()[-1]


def test_every_command_about_the_quarantine_has_help() -> None:
    for name, command in quarantine_group.commands.items():
        assert command.help, name
        assert CliRunner().invoke(main, ["quarantine", name, "--help"]).exit_code == 0
