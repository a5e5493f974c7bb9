"""The help: each command explains itself, its options and how it is typed."""

import shlex
from collections.abc import Iterator

import click
import pytest

from lockstep.cli import COMMANDS, main
from tests.unit.operator.command import commands_of, lockstep


def all_commands(
    group: click.Group = main, prefix: str = ""
) -> Iterator[tuple[str, click.Command]]:
    """The commands, also those in groups of groups, by the words that call them."""
    for name, command in commands_of(group).items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_of_a_command_is_the_first_line_of_its_own_help(name: str) -> None:
    command = commands_of(main)[name]
    assert command.help is not None
    assert command.help.partition("\n")[0] == COMMANDS[name][1]


def test_every_line_of_help_fits_80_columns() -> None:
    for name in ["", *commands_of(main), *(name for name, _ in all_commands())]:
        shown = lockstep(*name.split(), "--help").stdout
        assert max(map(len, shown.splitlines())) <= 80, name


@pytest.mark.parametrize(("name", "command"), list(all_commands()))
def test_every_command_has_an_example_that_it_takes(name: str, command: click.Command) -> None:
    epilog = command.epilog or ""
    lines = [line.strip() for line in epilog.splitlines() if "lockstep " in line]
    assert lines, f"{name} has no example"
    for line in lines:
        words = shlex.split(line.rpartition("| ")[2].removeprefix("lockstep ").partition(" > ")[0])
        assert " ".join(words).startswith(name)
        context = click.Context(command, info_name=name)
        command.make_parser(context).parse_args(words[len(name.split()) :])


@pytest.mark.parametrize(("name", "command"), list(all_commands()))
def test_every_option_has_help_and_names_its_value(name: str, command: click.Command) -> None:
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        assert option.help, f"{name} {option.name}"
        assert option.help.endswith((".", "]", "}.")), f"{name} {option.name}: a sentence"
        if not option.is_flag and not isinstance(option.type, click.Choice):
            assert option.metavar, f"{name} {option.name} has no metavar"
