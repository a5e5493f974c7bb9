"""The options that commands share."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

# Printed at the end of a dry run that found something to do.
APPLY_HINT = "nothing is changed yet: add --apply"

AT_MOST_PERCENT = 1.0
_EPOCH = dt.datetime.fromtimestamp(0, dt.UTC)
_AGE = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_LONGEST_KEY = 2_048


class NumberRange(click.FloatRange):
    """A number in a range. click also takes `nan`, which is in every range, and `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; refuses what is none. A default may be infinite."""
        number = super().convert(value, param, ctx)
        if isinstance(value, str) and not math.isfinite(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


def examples(*commands: str) -> str:
    """The end of a command's help: how it is typed."""
    # \b keeps click from joining the lines.
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def image_id_argument[F: Callable[..., Any]](command: F) -> F:
    """`ID`: the id of an image. Any text that may be a key of the table.

    A refused event may have any ID.
    """
    return click.argument("image_id", metavar="ID", callback=_image_id)(command)


def image_ids_argument[F: Callable[..., Any]](command: F) -> F:
    """`ID...`: the ids of images; see `image_id_argument`."""

    def each(
        context: click.Context, option: click.Parameter, given: tuple[str, ...]
    ) -> tuple[str, ...]:
        return tuple(_image_id(context, option, one) for one in given)

    argument = click.argument("image_ids", metavar="ID...", nargs=-1, required=True, callback=each)
    return argument(command)


def _image_id(_: click.Context, __: click.Parameter, given: str) -> str:
    return checked_id(given)


def checked_id(given: str) -> str:
    """The id that a user gave.

    Raises:
        BadParameter: no key of the table can be it.
    """
    if not given:
        raise click.BadParameter("the ID must not be empty")
    try:
        size = len(given.encode())
    except UnicodeEncodeError:
        # Bytes of a shell that are not UTF-8 arrive as lone surrogates.
        raise click.BadParameter("the ID is not UTF-8: no event can have it") from None
    if size > _LONGEST_KEY:
        raise click.BadParameter(f"the ID has {size:,} bytes, more than {_LONGEST_KEY:,}")
    return given


def json_option[F: Callable[..., Any]](command: F) -> F:
    """`--json`: an answer for programs."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def resume_file_option[F: Callable[..., Any]](command: F) -> F:
    """`--resume`: the file that holds the progress, so that the work can be continued."""
    return click.option(
        "--resume",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Write the progress to FILE; if FILE exists, continue from there.",
    )(command)


def apply_option[F: Callable[..., Any]](command: F) -> F:
    """`--apply`: without it, a command that changes something is a dry run."""
    return click.option(
        "--apply",
        "applies",
        is_flag=True,
        help="Make the changes. Without --apply, only show what would be done.",
    )(command)


def rate_option[F: Callable[..., Any]](command: F) -> F:
    """`--rate`: how much of the table's read capacity a command may use."""
    return click.option(
        "--rate",
        type=NumberRange(min=1),
        metavar="UNITS",
        help="Use at most this many read units of the table per second.",
    )(command)


def write_rate_option[F: Callable[..., Any]](words: str) -> Callable[[F], F]:
    """`--write-rate`: how many rows of Table Store a command may write in a second.

    Args:
        words: the help.
    """
    return click.option("--write-rate", type=NumberRange(min=1), metavar="ROWS", help=words)


def at_most_option[F: Callable[..., Any]](words: str) -> Callable[[F], F]:
    """`--at-most`: the share of images above which a command refuses to make a change.

    Args:
        words: the help.
    """
    return click.option(
        "--at-most",
        type=NumberRange(0, 100),
        metavar="PERCENT",
        default=AT_MOST_PERCENT,
        show_default=True,
        help=words,
    )


def is_said(parameter: str) -> bool:
    """Whether the user gave the option of this parameter."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source is not ParameterSource.DEFAULT


def past(_: click.Context, __: click.Parameter, text: str | None) -> dt.datetime | None:
    """The callback of an option that takes an age or a time that is not in the future.

    A time before 1970 is 1970: nothing is older, and AWS takes no earlier time.
    """
    if text is None:
        return None
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - when the command was typed
    if age := _AGE.fullmatch(text):
        return max(_EPOCH, now - dt.timedelta(**{_UNITS[age[2]]: int(age[1])}))
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("write 7d, 12h, 30m, or a time like 2026-11-21T08:00") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    if moment > now:
        raise click.BadParameter(f"{text} is in the future; it is {now:%Y-%m-%dT%H:%M} UTC now")
    return max(_EPOCH, moment)


def interval(_: click.Context, __: click.Parameter, text: str | None) -> dt.timedelta | None:
    """The callback of an option that takes a duration."""
    if text is None:
        return None
    found = _AGE.fullmatch(text)
    if found is None or not int(found[1]):
        raise click.BadParameter("write 1d, 12h or 30m")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


def since_option[F: Callable[..., Any]](words: str) -> Callable[[F], F]:
    """`--since`: an age or a time.

    Args:
        words: the help.
    """
    return click.option("--since", metavar="TIME", callback=past, help=words)


def named_values(
    _: click.Context, option: click.Parameter, given: Sequence[str]
) -> Mapping[str, str]:
    """The values that an option gives as in its metavar, such as NAME=VALUE, by their names.

    Raises:
        BadParameter: one has no "=", or two have one name.
    """
    values: dict[str, str] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals:
            raise click.BadParameter(f"{one!r}: write {option.metavar}")
        if name in values:
            raise click.BadParameter(f"{name} is given twice")
        values[name] = value
    return values
