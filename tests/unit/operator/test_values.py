"""The values of options and arguments: what makes no sense is one line, in every command."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from lockstep.cli import main
from lockstep.commands.options import past
from tests.unit.operator.command import assert_one_line, commands_of, lockstep


def parameters(group: click.Group) -> Iterator[tuple[str, click.Parameter]]:
    """Every parameter of every command, with the name of its command."""
    for name, command in commands_of(group).items():
        if isinstance(command, click.Group):
            yield from parameters(command)
        else:
            yield from ((name, parameter) for parameter in command.params)


NUMBERS = [
    pytest.param(one, id=f"{name} {one.opts[0]}")
    for name, one in parameters(main)
    if isinstance(one.type, click.types.FloatParamType)
]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("parameter", NUMBERS)
def test_a_number_of_a_command_is_finite(parameter: click.Parameter, value: str) -> None:
    with pytest.raises(click.BadParameter):
        parameter.type.convert(value, parameter, None)


@pytest.mark.parametrize("text", ["99999d", "0001-01-01T00:00", "0001-01-01T00:00+14:00"])
def test_a_time_that_aws_would_refuse_is_1970(text: str) -> None:
    context = click.Context(click.Command("any"))
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert past(context, click.Option(["--since"]), text) == epoch


@pytest.mark.parametrize(
    ("image_id", "hint"),
    [
        ("", "must not be empty"),
        ("caf\udce9", "not UTF-8"),
        ("\N{GREEK SMALL LETTER ALPHA}" * 1_025, "2,050 bytes, more than 2,048"),
    ],
)
def test_an_id_that_no_image_can_have_is_one_line(state: Path, image_id: str, hint: str) -> None:
    assert_one_line(lockstep("trace", image_id, "--state", state), hint)
