"""The steps of operators by name.

A new step is a class of its own module, a line here, and a name with a weight in plan.py.
"""

from collections.abc import Callable, Mapping

from lockstep.simulation.fakes.opensearch import GC_DELETES_SECONDS
from lockstep.simulation.operators.ages import OldEvents
from lockstep.simulation.operators.answering import AnswerSteps
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.choices import Choices
from lockstep.simulation.operators.discarding import Discarding
from lockstep.simulation.operators.forgeries import Forgeries
from lockstep.simulation.operators.giving_up import GivingUp
from lockstep.simulation.operators.guide import Guide
from lockstep.simulation.operators.harm import Harm
from lockstep.simulation.operators.imports import Imports
from lockstep.simulation.operators.limits import AgeLimits
from lockstep.simulation.operators.losses import Losses
from lockstep.simulation.operators.old_index import OldIndices
from lockstep.simulation.operators.pointers import Pointers
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.purges import Purges
from lockstep.simulation.operators.rebuilds import Rebuilds
from lockstep.simulation.operators.repairs import Repairs
from lockstep.simulation.operators.replays import Replays
from lockstep.simulation.operators.restores import Restores
from lockstep.simulation.operators.retentions import Retentions
from lockstep.simulation.operators.tools import Surroundings, Tools
from lockstep.simulation.plan import StepKind
from lockstep.simulation.system import System


class Operators:
    """The operators of one system, and what they do."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Operate on this system; `around` is what else happens in the history."""
        self.tools = Tools(system)
        self.promises = Promises(self.tools)
        limits = AgeLimits(system, around)
        audits = Audits(self.tools, self.promises, limits, around)
        harm = Harm(self.tools, self.promises, around)
        repairs = Repairs(self.tools, self.promises, audits, harm, limits, around)
        answering = AnswerSteps(self.tools, self.promises, audits, repairs, harm, around)
        self._guide = Guide(self.tools, self.promises, audits, repairs, answering, around)
        restores = Restores(self.tools, self.promises, limits, self._guide)
        purges = Purges(self.tools, self.promises, audits, harm, limits, restores, around)
        self.rebuilds = Rebuilds(self.tools, self.promises, around)
        self.remember = restores.remember
        replays = Replays(self.tools, self.promises, around)
        old_events = OldEvents(system, around, replays.replay_all)
        discarding = Discarding(system, around, batch_size=around.batch_size)
        forgeries = Forgeries(system, self.promises, around)
        imports = Imports(self.tools, around)
        retentions = Retentions(system, around)
        choices = Choices(system, around)
        losses = Losses(self.tools, audits, around)
        pointers = Pointers(system, around)
        giving_up = GivingUp(self.tools, self.promises, replays.replay_all, around)
        old_indices = OldIndices(system, self.rebuilds, around)
        self.steps: Mapping[StepKind, Callable[[], None]] = {
            "audit": audits.step,
            "harm": harm.step,
            "repair": repairs.step,
            "answer": answering.step,
            "restore": restores.step,
            "purge": purges.step,
            "rebuild": self.rebuilds.rebuild,
            "harm the index": self.rebuilds.harm,
            "replay command": replays.step,
            "old events": old_events.step,
            "discard": discarding.step,
            "forge": forgeries.step,
            "import": imports.step,
            "change the retention": retentions.step,
            "choose": choices.step,
            "lose records": losses.step,
            "interrupted import": imports.interrupted,
            "two purges": purges.together,
            "redrive pointers": pointers.step,
            "old index": old_indices.step,
            "give up records": giving_up.step,
        }

    def finish(self) -> None:
        """Follow the guide at the end of the history, if an image was touched, or an event lost.

        Raises:
            ViolationError: O6 is broken.
        """
        system = self.tools.system
        if any(system.touched.values()) or system.losses.lost:
            self._guide.follow()
            # OpenSearch forgets the versions of the documents that were removed.
            self.tools.system.time.advance(GC_DELETES_SECONDS + 1.0)
