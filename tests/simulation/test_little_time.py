"""Invocations whose timeout leaves little time for many requests, one after another."""

from itertools import chain, repeat
from typing import Any

import msgspec
import pytest

from lockstep.simulation.components import REAL, Components
from lockstep.simulation.history import History
from lockstep.simulation.violation import ViolationError
from shared.batch import NO_TIME, Delivery
from shared.deliver import deliver
from tests.simulation.test_operators import quiet

# The longest request to the index takes 22 s, and 1 s is reserved for the response.
SHORT_SECONDS = 24.0


def with_many_refused(function_seconds: float, components: Components = REAL) -> History:
    planned = msgspec.structs.replace(
        quiet(), batch_size=100, function_seconds=function_seconds, operators=False
    )
    history = History(planned, components)
    for _ in range(10):
        history._programs.put_poison("refused by the index")  # noqa: SLF001 - refused one by one
    return history


def test_many_refused_records_take_several_invocations_of_a_short_function() -> None:
    with_many_refused(SHORT_SECONDS).run()


def test_an_invocation_with_time_left_may_not_say_that_it_has_none() -> None:
    def hasty(*args: Any, **named: Any) -> Delivery:
        said = chain(repeat(60.0, 20), repeat(SHORT_SECONDS - 2))
        return deliver(*args, **named | {"remaining": lambda: next(said)})

    with pytest.raises(ViolationError, match=NO_TIME.detail):
        with_many_refused(60.0, msgspec.structs.replace(REAL, deliver=hasty)).run()
