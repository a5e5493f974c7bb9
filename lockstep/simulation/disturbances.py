"""What happens to the system around the consumers: outages, resharding, clocks, time."""

from collections.abc import Callable, Mapping, Sequence

from lockstep.simulation.faulty_network import TIMEOUT_SECONDS, StoreName
from lockstep.simulation.plan import StepKind, seeded_random
from lockstep.simulation.programs import IMAGE, IMAGES, Programs
from lockstep.simulation.system import STORES, System

HOUR = 3_600.0
SLOW_STORES: Sequence[StoreName] = ("table", "index")


class Disturbances:
    """The steps that disturb one system, by name."""

    def __init__(self, system: System, programs: Programs, *, poll: Callable[[], None]) -> None:
        """Disturb this system; `poll` lets its consumers read."""
        self._system = system
        self._programs = programs
        self._poll = poll
        self._conditions, self._time, self._stream = system.conditions, system.time, system.stream
        self.steps: Mapping[StepKind, Callable[[], None]] = {
            "split": self._split,
            "merge": self._merge,
            "reshard storm": self._reshard,
            "store down": self._stop_store,
            "store slow": self._slow_store,
            "alias missing": self._remove_alias,
            "restart OpenSearch": self._restart_index,
            "clock": self._move_clocks,
            "wait": self._wait,
        }

    def _stop_store(self) -> None:
        """Stop a random store for minutes or hours."""
        connection = self._system.connections[self._conditions.chance.choice(STORES)]
        connection.down_until = self._time.now + self._conditions.chance.random() ** 2 * 6 * HOUR

    def _slow_store(self) -> None:
        """For up to an hour, requests of a store take as long as they are large.

        One change is in time, and several are not.
        """
        chance = self._conditions.chance
        connection = self._system.connections[chance.choice(SLOW_STORES)]
        longest = TIMEOUT_SECONDS[connection.store]
        connection.slow_down(chance.random() * HOUR, each=chance.uniform(0.3, 0.9) * longest)
        self._programs.stamping.put([(f"{IMAGE}{one}", "image.updated") for one in range(IMAGES)])
        self._poll()

    def _remove_alias(self) -> None:
        """Remove the alias for up to an hour, as a broken deployment does."""
        self._system.index.missing = True
        self._time.later(self._conditions.chance.random() * HOUR, self._restore_alias)

    def _restore_alias(self) -> None:
        self._system.index.missing = False

    def _restart_index(self) -> None:
        self._conditions.tally["OpenSearch restart"] += 1
        self._system.index.restart()

    def _move_clocks(self) -> None:
        self._system.skew = (self._conditions.chance.random() - 0.5) * 4 * HOUR
        self._conditions.tally["clock back" if self._system.skew < 0 else "clock ahead"] += 1

    def _wait(self) -> None:
        self._time.advance(self._conditions.chance.random() ** 2 * 2 * HOUR)

    def _split(self) -> None:
        chance = self._conditions.chance
        shard = chance.choice(self._stream.open_shards)
        self._stream.split(shard, chance.randint(shard.hashes.start + 1, shard.hashes.end))
        self._conditions.tally["shard split"] += 1

    def _merge(self) -> None:
        shards = self._stream.open_shards
        if len(shards) > 1:
            at = self._conditions.chance.randrange(len(shards) - 1)
            self._stream.merge(shards[at], shards[at + 1])
            self._conditions.tally["shard merge"] += 1

    def _reshard(self) -> None:
        """Split and merge shards several times, including new ones, with events in between."""
        chance = self._conditions.chance
        # Each round has its own seed, because a put uses more random numbers if it has faults.
        for seed in [chance.getrandbits(32) for _ in range(chance.randint(3, 6))]:
            self._conditions.chance = seeded_random(seed)
            image_id = f"{IMAGE}{self._conditions.chance.randrange(IMAGES)}"
            self._conditions.chance.choice((self._split, self._merge))()
            self._programs.stamping.put([(image_id, "image.updated")])
        self._conditions.tally["reshard storm"] += 1
