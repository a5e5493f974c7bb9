"""Seeded bugs of the choice between two contents of one version."""

from collections.abc import Callable, Mapping
from functools import partial

from lockstep.quarantine.settlement import (
    _choose_stored,
    _choose_this,
    choose,
    correct,
    new_version,
)
from lockstep.simulation.components import Components
from shared.stamps import is_stamp
from tests.simulation.rewired import rewired

type NewVersion = Callable[[int | None, float], int | None]


def next_number_of_a_count(above: int | None, now: float) -> int | None:
    """The number after the stored one, if the source counts: the source uses it next."""
    if above is None or is_stamp(above):
        return new_version(above, now)
    return above + 1


def next_stamp(above: int | None, now: float) -> int | None:
    """If no clock is above the stored stamp, the stamp after it: no stamps are left free."""
    free = new_version(above, now)
    return above + 1 if above is not None and free == above + 1_001 else free


def choosing(wrong: NewVersion) -> Components:
    this, stored = (rewired(one, new_version=wrong) for one in (_choose_this, _choose_stored))
    return Components(choose=rewired(choose, _choose_this=this, _choose_stored=stored))


def correcting(wrong: NewVersion) -> Components:
    return Components(correct=rewired(correct, new_version=wrong))


WRONG: Mapping[str, Components] = {
    "redrive: a choice takes the number that the source uses next": choosing(
        next_number_of_a_count
    ),
    "redrive: a choice takes the stamp that the source uses next": choosing(next_stamp),
    "redrive: a correction takes the number that the source uses next": correcting(
        next_number_of_a_count
    ),
    "redrive: a correction takes a stamp where nothing is known": Components(
        correct=partial(correct, stamp=True)
    ),
}
