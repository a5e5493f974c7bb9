"""What status and audit say about events that a consumer has not read and cannot read any more."""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from lockstep.commands.chosen_stack import connected
from lockstep.console.terminal import answers, print_json, print_table
from lockstep.console.text import counted, printable
from lockstep.stack.stack import REPLICA_CONSUMER
from lockstep.stream.losses import NOT_RUNNING, Loss, StoppedConsumer, Unread, typed

# Nobody reads more rows than this; `--json` has all.
ROWS = 20


def show_unread(
    losses: Sequence[Loss], stopped: Sequence[StoppedConsumer], as_typed: Callable[[str], str]
) -> None:
    """Print losses and stopped consumers, and what to do about them.

    Args:
        losses: what the stream removed before a consumer read it.
        stopped: the consumers that do not read.
        as_typed: a command as it is typed for this stack.
    """
    if losses:
        print_table(
            ["consumer", " lost", "arrived from", "to"],
            [
                [
                    loss.consumer,
                    "unknown" if loss.records is None else f"{loss.records:,}",
                    typed(loss.since),
                    typed(loss.until),
                ]
                for loss in losses[:ROWS]
            ],
        )
        if len(losses) > ROWS:
            answers.print(f"{len(losses) - ROWS:,} more losses (`--json` lists all)")
        since = typed(Unread(tuple(losses), tuple(stopped)).since)
        answers.print("The stream removed these records before a consumer read them.")
        lost = {loss.consumer for loss in losses}
        if REPLICA_CONSUMER in lost:
            answers.print(f"Correct the replica: {as_typed('tablestore audit --repair')}")
        lost.discard(REPLICA_CONSUMER)
        answers.print("Put their events again, and say so:" if lost else "Then say so:")
        answers.print(as_typed(f"audit --acknowledge {since} --reason TEXT"))
    for one in stopped:
        since = "" if one.since is None else f" since {typed(one.since)}"
        answers.print(printable(f"{one.consumer} does not read: {one.state}{since}"))
    if any(one.state == NOT_RUNNING for one in stopped):
        answers.print("See the logs of the stack, then start it again.")
    elif stopped:
        answers.print("Enable the event source mapping, or deploy the stack again.")


def show_acknowledged(
    name: str | None, state: Path, since: dt.datetime | None, reason: str | None, *, as_json: bool
) -> None:
    """Acknowledge the losses of a stack, and print what was acknowledged."""
    if since is None or not reason:
        raise click.UsageError("give --acknowledge TIME and --reason TEXT together")
    from lockstep.stack.use_cases.losses import acknowledge  # noqa: PLC0415 - slow

    made = acknowledge(connected(name, state), since, reason)
    if as_json:
        print_json(made, applied=True)
        return
    answers.print(f"{counted(len(made.losses), 'loss', 'es')} acknowledged")
