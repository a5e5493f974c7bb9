"""A history of a replica: run the steps of a plan in virtual time, then drain the streams."""

from collections.abc import Callable, Sequence
from functools import partial

from lockstep.local.mapping.response import Errored, Returned
from lockstep.local.mapping.settings import Settings
from lockstep.simulation.discards import DiscardWriter
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.partiql import Item
from lockstep.simulation.fakes.table_stream import FakeTableStream, TableStreamShard
from lockstep.simulation.faults import AnyFault, Tally
from lockstep.simulation.faulty_network import TIMEOUT_SECONDS
from lockstep.simulation.poller import Poller
from lockstep.simulation.polling import MOST_INVOCATIONS, run_pollers
from lockstep.simulation.replica import items, oracle
from lockstep.simulation.replica.checks import Checks
from lockstep.simulation.replica.components import REAL, ReplicaComponents
from lockstep.simulation.replica.invocation import ReplicaInvocations
from lockstep.simulation.replica.loads import Loads
from lockstep.simulation.replica.operators import HARM_SHARE, ReplicaOperators
from lockstep.simulation.replica.plan import ReplicaPlan, ReplicaStepKind
from lockstep.simulation.replica.source import FIRST_NUMBERS, key_text, label_of
from lockstep.simulation.replica.system import FUNCTION, STORES, ReplicaSystem
from lockstep.tablestore.load import StreamReader

HOUR = 3_600.0
MOST_CHANGES = 6
MOST_SHARDS = 8
# A mapping gives up what is older than a day.
OLDEST_UNREAD_SECONDS = 12 * HOUR
REMOVAL_SHARE, OLDER_SHARE, DELETED_MAPPING_SHARE = 0.25, 0.3, 0.3
BEFORE_SHARE, UNTOLD_SHARE = 0.4, 0.4
THIRTY_DAYS = 30 * 24 * HOUR


class ReplicaHistory:
    """One history: a system, and the plan that it runs."""

    def __init__(
        self,
        planned: ReplicaPlan,
        components: ReplicaComponents = REAL,
        tally: Tally | None = None,
    ) -> None:
        """Set the system up as the plan says; `tally` counts the faults hit."""
        self.system = ReplicaSystem(planned, components, Tally() if tally is None else tally)
        self._plan = planned
        self._conditions, self._time = self.system.conditions, self.system.time
        self._source = self.system.source
        self._invocations = ReplicaInvocations(self.system)
        self._pollers: list[Poller] = []
        self._last_result = "No records processed"
        self._discards = DiscardWriter(self.system, FUNCTION) if planned.discards else None
        self._loads = Loads(self.system, meanwhile=self._work, reader=self._reader)
        self._operators = ReplicaOperators(self.system, meanwhile=self._work)
        self._checks = Checks(self.system, self._loads, self._operators)
        self._steps: dict[ReplicaStepKind, Callable[[], None]] = {
            "change": self._change_some,
            "poll": self._poll,
            "duplicate": lambda: self._rewind("duplicate delivery", most=1),
            "replay": lambda: self._rewind("replay of a prefix"),
            "full replay": self._rewind_all,
            "old records": self._deliver_old_records,
            "restart poller": lambda: self._any_poller().restart(),
            "split": self._split,
            "store down": self._stop_store,
            "store slow": self._slow_store,
            "wait": lambda: self._pass(self._conditions.draw() ** 2 * 2 * HOUR),
            "hours pass": lambda: self._pass(self._conditions.draw() * 6 * HOUR),
            "load": self._load,
            "new stream": self._enable_new_stream,
            "repair": self._repair,
            "redrive": self._redrive,
            "months pass": self._let_months_pass,
        }
        self._put_before_the_stream()
        self._read_new_stream()
        self._count("two mappings on one function", planned.has_second)
        self._count("removals delete the row", planned.deletions == "row")

    def run(self) -> None:
        """Run all steps, drain the streams, and check the invariants.

        Raises:
            ViolationError: one of I1 to I8 is broken.
        """
        for step in self._plan.steps:
            self._conditions.chance.seed(step.seed)
            self._conditions.fault_rate = self._plan.fault_rate
            self._steps[step.kind]()
            self._checks.check_writes()
        self._conditions.chance.seed(self._plan.seed)
        self._drain()
        if self.system.lost or self._source.has_untold:
            self._load_what_is_missing()
        touched = [one for one in self.system.keys if key_text(one) in self.system.touched]
        if touched:
            self._operators.repair(touched, must=True)
        if self.system.bucket.objects:
            self._operators.redrive(must=True)
        self._checks.check_end()

    def forget(self) -> None:
        """Free the memory at once; the history cannot be used any more."""
        self.system.close()
        vars(self.system).clear()
        vars(self).clear()

    def _load_what_is_missing(self) -> None:
        """Load, at first with faults."""
        for must in (False, True):
            self._read_a_change()
            if not must:
                self._conditions.fault_rate = self._plan.fault_rate
            done = self._loads.load(must=must)
            self._drain()
            if done:
                return

    def _read_a_change(self) -> None:
        """Change an item, and let the consumer write it: the guide says so before a load."""
        told = len(self._source.told)
        while len(self._source.told) == told:
            self._change(self.system.keys[0])
        self._drain()

    def _put_before_the_stream(self) -> None:
        """Some tables have items before their stream is enabled."""
        chance = self._conditions.chance
        if chance.random() < BEFORE_SHARE:
            for keys in self.system.keys:
                if chance.random() < 0.7:  # noqa: PLR2004 - most of them
                    self._source.put(keys, items.any_item(chance, keys))
                    self._count("item there before the stream")

    def _work(self) -> None:
        """Change some items, and let a consumer process some of the changes."""
        for _ in range(self._conditions.chance.randint(1, 2)):
            self._change(self._any_keys())
        self._any_poller().run(invocations=MOST_INVOCATIONS, seconds=60.0)

    def _change_some(self) -> None:
        chance = self._conditions.chance
        for _ in range(chance.randint(1, MOST_CHANGES)):
            self._change(self._any_keys())
            if chance.random() < 0.3:  # noqa: PLR2004 - so that records have different times
                self._pass(chance.random() * 5.0)

    def _any_keys(self) -> Item:
        """The key of an item: the first ones change often, and the last ones rarely."""
        keys = self.system.keys
        return keys[int(self._conditions.draw() ** 2 * len(keys))]

    def _change(self, keys: Item) -> None:
        """Insert, change or remove an item."""
        system, chance = self.system, self._conditions.chance
        key = key_text(keys)
        there = key in self._source.items
        if there and chance.random() < REMOVAL_SHARE:
            self._source.remove(keys)
            self._count("item removed")
            return
        self._count("item created again", not there and key in self._source.ever)
        self._source.put(keys, items.any_item(chance, keys))
        told = self._source.last_of(key)
        if system.key_of(key, keys) is None:
            self._count("key that no row can hold")
        elif told is not None and system.row_of(told) is None:
            self._count("item that no row can hold")

    def _poll(self) -> None:
        overlaps = self._plan.has_second
        run_pollers(self._pollers, self._conditions, self._time, overlaps=overlaps)

    def _any_poller(self) -> Poller:
        return self._conditions.chance.choice(self._pollers)

    def _rewind(self, fault: AnyFault, most: int | None = None) -> None:
        """Read a shard again, from at most this many records before the checkpoint."""
        poller, chance = self._any_poller(), self._conditions.chance
        if not poller.checkpoints:
            return
        shard_id = chance.choice(sorted(poller.checkpoints))
        settled = poller.checkpoints[shard_id]
        back = chance.randint(0, settled) if most is None else min(settled, most)
        self._count(fault, back > 0)
        poller.rewind(shard_id, settled - back)
        self._poll()

    def _rewind_all(self) -> None:
        """The mapping is created again: it reads from TRIM_HORIZON."""
        self._count("full replay from TRIM_HORIZON", bool(self._source.told))
        self._any_poller().rewind_all()
        self._poll()

    def _deliver_old_records(self) -> None:
        """Deliver some records of a shard again, whatever came after them."""
        chance = self._conditions.chance
        readable = [
            (shard, poller.checkpoints.get(shard.shard_id, 0))
            for poller in self._pollers
            for shard in poller.readable_shards()
        ]
        settled = [(shard, end) for shard, end in readable if end > shard.trimmed]
        if not settled:
            return
        shard, end = chance.choice(settled)
        first = chance.randrange(shard.trimmed, end)
        batch = shard.records[first : chance.randint(first + 1, end)]
        self.system.came_late = True
        self._count("old records delivered again")
        self._invocations.invoke(batch)

    def _split(self) -> None:
        stream = self._source.stream
        if sum(not one.closed for one in stream.shards.values()) < MOST_SHARDS:
            stream.split()
            self._count("shard split")

    def _stop_store(self) -> None:
        connection = self.system.connections[self._conditions.chance.choice(STORES)]
        connection.down_until = self._time.now + self._conditions.draw() ** 2 * HOUR

    def _slow_store(self) -> None:
        """For up to an hour, requests of the replica take as long as they are large."""
        chance = self._conditions.chance
        longest = TIMEOUT_SECONDS["replica"]
        self.system.connections["replica"].slow_down(
            chance.random() * HOUR, each=chance.uniform(0.3, 0.9) * longest
        )
        for keys in self.system.keys:
            self._change(keys)
        self._poll()

    def _load(self) -> None:
        if self._last_result != "OK" and self._conditions.draw() < 0.8:  # noqa: PLR2004 - mostly
            self._change_some()
            self._any_poller().run(invocations=MOST_INVOCATIONS, seconds=60.0)
        self._loads.load()

    def _repair(self) -> None:
        """Repair some keys; often somebody has changed a row by hand before."""
        chance = self._conditions.chance
        if chance.random() < HARM_SHARE:
            self._operators.harm()
            if chance.random() < 0.5:  # noqa: PLR2004 - a coin
                self._poll()
        keys = self.system.keys
        self._operators.repair(chance.sample(keys, chance.randint(1, len(keys))))

    def _redrive(self) -> None:
        self._operators.redrive()

    def _let_months_pass(self) -> None:
        """Consume everything, wait until tombstones have expired, and purge them."""
        self._drain()
        day = 24 * HOUR
        self._time.advance(oracle.HORIZON_SECONDS + (self._conditions.draw() - 0.7) * 2 * day)
        self._conditions.fault_rate = self._plan.fault_rate
        if self._conditions.draw() < 0.5:  # noqa: PLR2004 - a coin
            self._change_some()
        self._operators.purge()

    def _enable_new_stream(self) -> None:
        """Disable the stream of the source, and enable a new one.

        Its label is later. Or another region's older stream takes over: then the setting
        STREAM_LABEL is the present time. That setting is about all records, so the old mapping has
        read everything before. Otherwise it may be deleted before that.
        """
        chance, system = self._conditions.chance, self.system
        if len(self._source.streams) == len(FIRST_NUMBERS):
            return
        self._time.advance(1.0)
        older = chance.random() < OLDER_SHARE
        if older or self._invocations.label is not None:
            self._drain()
            self._pollers.clear()
        elif chance.random() < DELETED_MAPPING_SHARE:
            self._pollers.clear()
            self._time.settle()
            system.lost.update(
                self._source.meaning(one).version
                for one in self._source.records()
                if not system.is_durable(one)
            )
        if chance.random() < UNTOLD_SHARE:
            self._source.is_enabled = False
            self._change_some()
            self._count("change while no stream was enabled")
        self._invocations.label = label_of(self._time.now) if older else None
        self._read_new_stream(older=older)
        self._count("older stream takes over" if older else "stream enabled anew")
        self._change_some()
        self._poll()

    def _read_new_stream(self, *, older: bool = False) -> None:
        used = len(self._source.streams)
        order = self._plan.seed % len(FIRST_NUMBERS)
        numbers = FIRST_NUMBERS[order:] + FIRST_NUMBERS[:order]
        stream = self._source.enable_stream(
            self._time.now - THIRTY_DAYS if older else self._time.now,
            first_number=numbers[used],
            label=self._invocations.label,
        )
        self._last_result = "No records processed"
        for _ in range(1 + self._plan.has_second):
            self._pollers.append(self._poller(stream))
        stream.needed = partial(_needed, list(self._pollers))

    def _poller(self, stream: FakeTableStream) -> Poller:
        plan = self._plan
        return Poller(
            FUNCTION,
            stream=stream,
            settings=Settings(
                batch_size=plan.batch_size,
                window_seconds=plan.window_seconds,
                parallelization_factor=plan.parallelization_factor,
                retries=plan.retries,
                age_seconds=plan.age_seconds,
                bisect=plan.bisect,
                reports_item_failures=True,
            ),
            conditions=self._conditions,
            components=self.system.components,
            invoke=partial(self._invoke, stream),
            is_durable=self.system.is_durable,
            write_discarded=None if self._discards is None else self._discards.write,
        )

    def _invoke(
        self, stream: FakeTableStream, batch: Sequence[AcceptedRecord]
    ) -> Returned | Errored:
        answer = self._invocations.invoke(batch)
        if stream is self._source.stream:
            self._last_result = "OK" if isinstance(answer, Returned) else "PROBLEM: it raised"
        return answer

    def _reader(self) -> StreamReader:
        return StreamReader("Enabled", self._last_result)

    def _drain(self) -> None:
        """Stop the faults, let late requests arrive, and read everything."""
        self._conditions.fault_rate = 0.0
        for connection in self.system.connections.values():
            connection.restore()
        self._time.settle()
        for poller in list(self._pollers):
            poller.drain()

    def _pass(self, seconds: float) -> None:
        """Let time pass; nothing is unread for so long that the mapping would give it up."""
        oldest = min(
            (at for one in self._pollers if (at := one.oldest_unsettled()) is not None),
            default=self._time.now,
        )
        if self._time.now + seconds - oldest > OLDEST_UNREAD_SECONDS:
            self._drain()
            self._conditions.fault_rate = self._plan.fault_rate
        self._time.advance(seconds)

    def _count(self, fault: AnyFault, really: bool = True) -> None:  # noqa: FBT001, FBT002 - reads well
        self._conditions.tally[fault] += really


def _needed(pollers: Sequence[Poller], shard: TableStreamShard) -> int:
    """Up to which position its records may be removed: what all mappings have settled."""
    return min(
        (one.checkpoints.get(shard.shard_id, 0) for one in pollers if one.reads(shard)),
        default=len(shard.records),
    )
