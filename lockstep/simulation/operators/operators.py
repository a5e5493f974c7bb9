"""The steps of operators by name.

A new step is a class of its own module, a line here, and a name with a weight in plan.py.
"""

from collections.abc import Callable, Mapping

from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.plan import StepKind
from lockstep.simulation.system import System


class Operators:
    """The operators of one system, and what they do."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Operate on this system; `around` is what else happens in the history."""
        self.tools = Tools(system)
        self.promises = Promises(self.tools)
        audits = Audits(self.tools, self.promises, around)
        self.steps: Mapping[StepKind, Callable[[], None]] = {
            "audit": audits.step,
        }
