"""A command of an operator behind the gate: how it runs, and what it printed."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from shared.change import Change
from tests.contract.repair.hand import DAY, Hand, a_change, stamp
from tests.gate.conftest import GatedStack
from tests.json_answers import command_in

# How many images `written` writes.
WRITTEN = 3


class Command(NamedTuple):
    """A command as its page names it, and a run of it. Several may have one name.

    `policies` are the managed policies with which it runs. `prepare` brings a new stack into a
    state in which the command uses each of its rights. `run` runs it, and returns what went wrong;
    None if nothing did. `repeats`: it leaves that state as it was, so it can run again on the same
    stack.
    """

    name: str
    policies: Sequence[str]
    run: Callable[[GatedStack], str | None]
    prepare: Callable[[GatedStack], None] = lambda _: None
    repeats: bool = False


def failure(gated: GatedStack, *words: object, code: int = 0) -> str | None:
    """How a command fails; None if it ends with this code. If it can, it prints JSON."""
    typed = [*map(str, words)]
    result = gated.lockstep(*typed, *([] if command_in(typed) is None else ["--json"]))
    ended = result.exception is None or isinstance(result.exception, SystemExit)
    if ended and result.exit_code == code:
        return None
    return f"{words}: {result.exit_code} {result.output[-500:]} {result.exception!r}"


def printed(gated: GatedStack, *words: object, code: int = 0) -> Any:
    """What a command prints, which must not fail."""
    result = gated.lockstep(*words, "--json")
    if result.exit_code != code:
        raise CommandFailedError(f"{words}: {result.exit_code} {result.output[-500:]}")
    return msgspec.json.decode(result.stdout)


class CommandFailedError(Exception):
    """A command ended with another exit code than expected."""


def new_images(count: int) -> list[Change]:
    """Images, in their first version."""
    return [a_change(f"T{at}", stamp(DAY), f"image {at}") for at in range(count)]


def written(gated: GatedStack) -> None:
    """Both stores have three images."""
    Hand(gated.stage).write_both(*new_images(WRITTEN))
