"""The options and the output of the commands that change single images."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import click

from lockstep.commands.chosen_stack import changed_stack_options
from lockstep.commands.endings import INTERRUPTED, NO, NOT_KNOWN
from lockstep.commands.options import NumberRange, json_option
from lockstep.commands.side_by_side import show_side_by_side
from lockstep.console.terminal import answers, notes
from lockstep.console.text import printable
from lockstep.images.events import ShownEvent
from lockstep.images.held import OWN_FIELDS, HeldImage, fields_of
from lockstep.images.outcomes import ChangedImage, ChangeResult
from shared.event import MAX_VERSION

# Of somebody else's events, so many are shown side by side. `--json` has all.
_OTHERS = 2

# When and where an event came, which no content depends on.
_PLACES = OWN_FIELDS | {"event_type", "occurred_at", "digest"}

_CODES: Mapping[ChangeResult, int] = {
    "delivered": 0,
    "unchanged": 0,
    "not_put": 0,
    "not_delivered": NOT_KNOWN,
    "not_checked": NOT_KNOWN,
}


def change_options[F: Callable[..., Any]](command: F) -> F:
    """What both commands take: the stack, `--version`, `--wait`, `--dry-run` and `--json`."""
    options = [
        changed_stack_options(when=lambda given: not given["dry_run"]),
        json_option,
        click.option(
            "--version",
            type=click.IntRange(1, MAX_VERSION),
            metavar="VERSION",
            help="Version of the event, for a source that counts versions. Default: the clock.",
        ),
        click.option(
            "--wait",
            type=NumberRange(min=0),
            metavar="SECONDS",
            default=120.0,
            show_default=True,
            help="Wait at most this long until both stores have it.",
        ),
        click.option("--dry-run", is_flag=True, help="Show what would be put. Put nothing."),
    ]
    changed: Any = command
    for option in reversed(options):
        changed = option(changed)
    found: F = changed
    return found


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show what is waited for; if the user interrupts that, say what is then unknown."""
    try:
        with notes.status(words):
            yield
    except KeyboardInterrupt:
        notes.print(
            "interrupted: the event may be on the stream; whether another event came between was "
            "not checked. `lockstep get ID` shows what the stores have"
        )
        sys.exit(INTERRUPTED)


def exit_code(changed: Sequence[ChangedImage]) -> int:
    """0: each is as wanted. 1: one is not; both versions were shown. 2: one is unknown."""
    codes = {_CODES.get(one.result, NO) for one in changed}
    return NO if NO in codes else max(codes, default=0)


def show_changed(one: ChangedImage, done: str) -> None:
    """Print what became of a change of an image.

    Args:
        one: the change.
        done: what was done if all is well: `updated` or `deleted`.
    """
    words = {"delivered": done, "not_put": f"would be {done}"}
    word = words.get(one.result, one.result.replace("_", " "))
    answers.print(printable(f"{one.image_id}: {word}: {one.detail}"))
    if one.result in ("delivered", "not_put"):
        _show_edit(one)
    elif one.put is not None:
        _show_all(one)


def _show_edit(one: ChangedImage) -> None:
    """The fields of the content that an update changes; what a dry run would delete."""
    if one.put is None:
        return
    if one.put.image is None:
        if one.result == "not_put":
            show_side_by_side({"before": _content(one.read)}, marked=())
        return
    columns = {"before": _content(one.read), "after": _content(one.put)}
    before, after = columns.values()
    same = {name for name, value in before.items() if name in after and after[name] == value}
    show_side_by_side(
        {
            title: {name: value for name, value in content.items() if name not in same}
            for title, content in columns.items()
        },
        marked=(),
    )


def _show_all(one: ChangedImage) -> None:
    """What was read, what was put, what others put, and what the stores have now."""
    for other in one.others:
        arrived = "" if other.arrived_at is None else f", arrived {other.arrived_at}"
        fate = other.fate.replace("_", " ")
        answers.print(f"{fate}: version {other.version}, {other.event_type}{arrived}")
    columns = {"read": _content(one.read), "put": _content(one.put)}
    for number, other in enumerate(one.others[-_OTHERS:], start=1):
        columns["theirs" if number == 1 else f"theirs ({number})"] = _content(other)
    table, index = _content(one.table), _content(one.index)
    columns |= {"stored": table} if table == index else {"table": table, "index": index}
    show_side_by_side(columns)


def _content(one: HeldImage | ShownEvent | None) -> dict[str, Any]:
    """The fields that an event changes."""
    return {name: value for name, value in fields_of(one).items() if name not in _PLACES}
