"""The kinds of histories: of the images, and of a replica in Table Store."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from lockstep.console.extras import check_installed
from lockstep.simulation.components import REAL
from lockstep.simulation.faults import FLOORS_PER_THOUSAND, AnyFault
from lockstep.simulation.history import History
from lockstep.simulation.plan import plan


class AnyHistory(Protocol):
    """A history of any kind."""

    def run(self) -> None:
        """Run all steps, and check everything.

        Raises:
            ViolationError: an invariant is broken.
        """
        ...

    def forget(self) -> None:
        """Free the memory."""
        ...


class Kind(msgspec.Struct, frozen=True):
    """A kind of histories. It is picklable.

    `plan` gives the plan of a seed, and `history` runs it with components and a tally; `components`
    are the real ones. `floors` says how often each fault occurs in a thousand histories at least.
    `command` is what runs such histories.
    """

    command: str
    plan: Callable[[int], Any]
    history: Callable[[Any, Any, Any], AnyHistory]
    components: Any
    floors: Mapping[AnyFault, int]


IMAGES = Kind("lockstep simulate", plan, History, REAL, FLOORS_PER_THOUSAND)


def tablestore() -> Kind:
    """The histories of a replica in Table Store. Only they need its SDK.

    Raises:
        ModuleNotFoundError: the SDK is not installed.
    """
    check_installed("tablestore")
    from lockstep.simulation.replica import components, faults, history, plan  # noqa: PLC0415

    return Kind(
        "lockstep simulate --replica tablestore",
        plan.plan,
        history.ReplicaHistory,
        components.REAL,
        faults.FLOORS_PER_THOUSAND,
    )
