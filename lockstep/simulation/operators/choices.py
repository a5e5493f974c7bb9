"""Choices between two contents of one version, while the source of the image goes on."""

from lockstep.simulation import poison
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.system import System
from lockstep.simulation.uploader import Uploader

# A redrive refuses to run by a clock that is further behind.
_MOST_BEHIND_SECONDS = 840.0
# Mostly the source counts: its next number is the one after the stored one.
_COUNTING_SHARE = 0.6
_MOST_EVENTS = 2


class Choices:
    """Puts conflicts into the table's quarantine, and lets an operator choose."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Act on this system."""
        self._system = system
        self._around = around
        self._images = 0

    def step(self) -> None:
        """Two contents of one version arrive, an operator chooses, and the source goes on.

        Sometimes the clocks go back meanwhile, so that the source continues from its last stamp.
        """
        system, chance = self._system, self._system.conditions.chance
        counts = chance.random() < _COUNTING_SHARE
        source = self._around.counting if counts else self._around.stamping
        if source.is_busy:
            return
        self._images += 1
        image_id = f"K{self._images}"
        self._put(source, image_id)
        self._around.drain()
        self._put_other_content(source)
        self._around.drain()
        self._around.resume()
        if not counts and chance.random() < 0.8:  # noqa: PLR2004 - mostly
            system.skew = -chance.random() * _MOST_BEHIND_SECONDS
            system.conditions.tally["clock back"] += 1
        self._around.choose(image_id)
        for _ in range(_MOST_EVENTS):
            self._put(source, image_id)
            self._around.meanwhile()
        system.conditions.tally["chosen while the source went on"] += 1

    @staticmethod
    def _put(source: Uploader, image_id: str) -> None:
        source.put([(image_id, "image.updated")])

    def _put_other_content(self, source: Uploader) -> None:
        """Another program puts other content of the version that the source put last."""
        system = self._system
        taken = source.made[-1]
        record = poison.poison_record(
            "poison conflict",
            system.conditions.chance,
            image_id=taken.image_id,
            version=taken.version,
            taken=taken,
        )
        system.conditions.tally["poison conflict"] += 1
        system.ledger.note(record.data, record.meant)
        system.stream.accept(record.key, record.data)
