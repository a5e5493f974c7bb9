"""The retention of the image stream changes, while both consumers have read everything."""

from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.system import System

_DAY = 86_400.0
# From the shortest of Kinesis to the longest that tombstones allow for.
_RETENTIONS = (1 * _DAY, 7 * _DAY, 30 * _DAY)


class Retentions:
    """Changes the retention of one system's stream."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Change the stream of this system."""
        self._system = system
        self._around = around

    def step(self) -> None:
        """Change the retention: what is older leaves the stream, nothing comes back."""
        system = self._system
        self._around.drain()
        stream = system.stream
        others = [one for one in _RETENTIONS if one != stream.retention]
        stream.retention = system.conditions.chance.choice(others)
        stream.trim_expired()
        system.conditions.tally["retention changed"] += 1
        self._around.resume()
