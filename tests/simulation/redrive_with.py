"""A redrive with a seeded bug where it gives each record its own object."""

from typing import Any

from lockstep.quarantine.own_objects import OwnObjects
from lockstep.quarantine.redrive import Redrive
from tests.simulation.rewired import rewired


def redrive_with(own_objects: type[OwnObjects]) -> type[Redrive]:
    """The redrive that uses this class."""
    init = rewired(Redrive.__init__, OwnObjects=own_objects)

    class RedriveWith(Redrive):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            init(self, *args, **kwargs)

    return RedriveWith
