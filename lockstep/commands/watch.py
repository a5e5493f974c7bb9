"""`lockstep watch`: see the shards, the consumers and the alarms of a stack, live."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Self

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from doors.clock import SYSTEM_CLOCK
from lockstep.commands.chosen_stack import connected, stack_options
from lockstep.commands.options import NumberRange, examples
from lockstep.console.terminal import print_json
from lockstep.watching.lines import json_line, text_line
from lockstep.watching.loop import Watched, show_live, write_lines
from lockstep.watching.screen import draw
from lockstep.watching.seen import Seen

# In seconds. CloudWatch has one value for a minute.
LOCAL_EVERY, DEPLOYED_EVERY = 1.0, 60.0


@click.command(
    "watch",
    epilog=examples(
        "lockstep watch",
        "lockstep watch --stack lockstep",
        "lockstep watch --json --every 10",
        "lockstep watch --json --count 1 --stack lockstep",
    ),
)
@stack_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--every",
    type=NumberRange(min=0.5),
    metavar="SECONDS",
    help="Time between two looks. Default: 1; of a deployed stack 60, which is the least.",
)
@click.option(
    "--count",
    "looks",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after so many looks. Default: run until Ctrl-C.",
)
def watch_command(
    name: str | None, state: Path, every: float | None, looks: int | None, *, as_json: bool
) -> None:
    """See the shards, the consumers and the alarms of a stack, live.

    Where there is no terminal, it prints one line of text for each look. It changes nothing. A look
    at a deployed stack costs money: about 0.005 dollars an hour.
    """
    least = LOCAL_EVERY if name is None else DEPLOYED_EVERY
    every = least if every is None else every
    if name is not None and every < least:
        raise click.BadParameter(
            f"CloudWatch has one value for a minute: use {least:.0f} or more",
            param_hint="'--every'",
        )
    clock = SYSTEM_CLOCK.steady()
    title = str(state) if name is None else name
    console = Console(highlight=False, markup=False, emoji=False)
    with _ended_by_signals():
        watched = _watched(name, state, every)
        if as_json:
            write_lines(
                watched,
                lambda seen: print_json(json_line(seen, title)),
                clock=clock,
                every=every,
                looks=looks,
            )
        elif console.is_terminal and not console.is_dumb_terminal:
            with WatchScreen(console, title) as shown:
                show_live(watched, shown, clock=clock, looks=looks)
        else:
            write_lines(
                watched,
                lambda seen: click.echo(text_line(seen)),
                clock=clock,
                every=every,
                looks=looks,
            )


def _watched(name: str | None, state: Path, every: float) -> Watched:
    clients = connected(name, state)  # raises if there is no stack
    from lockstep.watching import deployed, local  # noqa: PLC0415 - slow; not without a stack

    elapsed = SYSTEM_CLOCK.elapsed
    if name is not None:
        return Watched(deployed.DeployedStack(clients, name).parts(every, elapsed), deployed.alarms)
    return Watched(local.LocalStack(state).parts(every, elapsed), local.alarms)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C ends it with exit code 0. SIGTERM ends it, too, and leaves a clean terminal."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


class WatchScreen:
    """The alternate screen of a terminal: what was there before comes back at the end.

    What was seen last is then printed below it. Ctrl-Z does nothing meanwhile: it would leave this
    screen to the shell.
    """

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._seen: Seen | None = None
        self._live = Live(
            console=console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._on_ctrl_z = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._live.stop()
        signal.signal(signal.SIGTSTP, self._on_ctrl_z)
        if self._seen is not None:
            self._console.print(self._drawn(self._seen, height=sys.maxsize))

    @property
    def size(self) -> tuple[int, int]:
        """See `Shown.size`."""
        return self._console.size

    def show(self, seen: Seen) -> None:
        """See `Shown.show`."""
        self._seen = seen
        self._live.update(self._drawn(seen, height=self._console.height), refresh=True)

    def _drawn(self, seen: Seen, *, height: int) -> Text:
        return draw(
            seen,
            self._title,
            width=self._console.width,
            height=height,
            only_ascii=self._console.options.ascii_only,
        )
