"""When the pollers of a history run, and for how long: the same for each kind of history."""

import random
from collections.abc import Sequence

from lockstep.simulation.clock import VirtualTime
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.poller import MEANWHILE_SECONDS, Poller

MOST_INVOCATIONS = 4


def run_pollers(
    pollers: Sequence[Poller], conditions: Conditions, time: VirtualTime, *, overlaps: bool
) -> None:
    """Run each poller once.

    Args:
        pollers: the pollers, at least one.
        conditions: what happens meanwhile, and by what chance.
        time: the time of the history.
        overlaps: whether the last poller may run in the middle of the others.
    """
    first = list(pollers)
    if overlaps and conditions.chance.random() < 0.5:  # noqa: PLR2004 - a coin
        last = first.pop()
        time.later(
            conditions.chance.random() * MEANWHILE_SECONDS,
            lambda: conditions.interleave(lambda: run_poller(last, conditions.chance)),
        )
    for poller in first:
        run_poller(poller, conditions.chance)


def run_poller(poller: Poller, chance: random.Random) -> None:
    """Let a poller invoke its function some times, or never."""
    invocations = chance.randint(0, MOST_INVOCATIONS)
    if invocations:
        poller.run(invocations=invocations, seconds=chance.random() * 60.0)
