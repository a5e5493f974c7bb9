"""The options that the commands about the quarantine share, and how they find its cases."""

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO, get_args

import click

from lockstep.commands.options import since_option
from lockstep.console.terminal import notes
from lockstep.quarantine.cases import FoundCases, Wanted
from lockstep.source_files.records import lines
from lockstep.stack.use_cases.quarantine import NO_ID, StackQuarantine
from shared.event import Reason


def no_empty_id[T: str | tuple[str, ...]](_: click.Context, __: click.Parameter, given: T) -> T:
    """Refuse an empty ID, as an empty shell variable gives: every ID starts with it."""
    if "" in (given if isinstance(given, tuple) else (given,)):
        raise click.BadParameter(NO_ID)
    return given


def wanted_options[F: Callable[..., Any]](command: F) -> F:
    """`--reason`, `--image` and `--since`, as `Wanted` has them."""
    image = click.option("--image", metavar="ID", help="Select records of this image.")
    return reason_option(get_args(Reason))(image(since_quarantined_option(command)))


def reason_option[F: Callable[..., Any]](reasons: Sequence[str]) -> Callable[[F], F]:
    """`--reason`.

    Args:
        reasons: those of the consumers. The mapping adds one.
    """
    all_reasons = [*reasons, "given_up"]
    return click.option(
        "--reason",
        type=click.Choice(all_reasons),
        metavar="REASON",
        help=f"Select records with this reason: {', '.join(all_reasons)}.",
    )


def since_quarantined_option[F: Callable[..., Any]](command: F) -> F:
    """`--since`, of records."""
    since = since_option("Select records quarantined since TIME: 7d, 12h, or a time (UTC).")
    return since(command)


pointers_option = click.option(
    "--pointers",
    type=click.File("rb"),
    metavar="FILE",
    help="Also read the records that the failure documents in FILE name (from SQS or SNS, NDJSON).",
)


def find(
    quarantine: StackQuarantine, wanted: Wanted, pointers: BinaryIO | None = None
) -> FoundCases:
    """The cases in quarantine, with a line on the terminal while they are read."""
    with notes.status("reading the quarantine"):
        return quarantine.find(wanted, () if pointers is None else lines(pointers))
