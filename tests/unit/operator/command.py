"""`lockstep`, typed."""

import click
from click.testing import CliRunner, Result

from lockstep.cli import main
from tests.json_answers import check


def lockstep(*words: object, stdin: bytes = b"") -> Result:
    typed = list(map(str, words))
    result = CliRunner().invoke(main, typed, input=stdin)
    check(typed, result.stdout)
    return result


def commands_of(group: click.Group) -> dict[str, click.Command]:
    """The commands of a group, by name, in the order of its help."""
    context = click.Context(group)
    found = {name: group.get_command(context, name) for name in group.list_commands(context)}
    assert None not in found.values()
    return {name: command for name, command in found.items() if command is not None}


def assert_one_line(result: Result, *parts: str, code: int = 2) -> None:
    assert result.exit_code == code, result.output
    assert isinstance(result.exception, SystemExit)
    last = result.stderr.strip().splitlines()[-1]
    for part in parts:
        assert part in last
