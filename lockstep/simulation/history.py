"""A history: run the steps of a plan on the whole system in virtual time, then drain it."""

from collections.abc import Callable, Mapping

from lockstep.local.mapping.settings import Settings
from lockstep.simulation import invariants, poison, table_changes_check
from lockstep.simulation.components import REAL, Components
from lockstep.simulation.discards import DiscardWriter
from lockstep.simulation.disturbances import HOUR, Disturbances
from lockstep.simulation.faults import Fault, Tally
from lockstep.simulation.invocation import Invocations
from lockstep.simulation.operators.operators import Operators
from lockstep.simulation.operators.purges import Expiry
from lockstep.simulation.operators.redrives import Redrives
from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.plan import HistoryPlan, Route, StepKind
from lockstep.simulation.poller import Poller
from lockstep.simulation.polling import MOST_INVOCATIONS, run_poller, run_pollers
from lockstep.simulation.programs import IMAGE, IMAGES, TYPES, Programs
from lockstep.simulation.routes import ReadStream, Routes
from lockstep.simulation.system import Function, System
from lockstep.simulation.violation import ViolationError
from shared.quarantine import INDEX_CONSUMER

DAY = 24 * HOUR
# More than twice the horizon.
MOST_DAYS = 260
MOST_REDRIVES = 3


class History:
    """One history: a system, and the plan that it runs."""

    def __init__(
        self, planned: HistoryPlan, components: Components = REAL, tally: Tally | None = None
    ) -> None:
        """Set the system up as the plan says; `tally` counts the faults hit."""
        self.system = System(planned, components, Tally() if tally is None else tally)
        self._plan = planned
        self._conditions, self._time = self.system.conditions, self.system.time
        self._stream = self.system.stream
        self._programs = Programs(self.system, planned.other_skew, poll=self._poll)
        self._uploader, self.uploaders = self._programs.stamping, self._programs.all
        self._invocations = Invocations(self.system, timeout=planned.function_seconds)
        self._expiry = Expiry(self.system)
        self._redrives = Redrives(self.system, self._work)
        mapped: list[Function] = ["write_to_dynamodb", "write_to_es"]
        if planned.second_mapping is not None:
            mapped.append(planned.second_mapping)
            self._count("two mappings on one function")
        self._discard_writers = {
            one: DiscardWriter(self.system, one)
            for one in mapped
            if planned.discards or (one == INDEX_CONSUMER and planned.index_from is not None)
        }
        image_stream = ReadStream(self._stream)
        self._pollers = [
            self._poller(function, image_stream)
            for function in mapped
            if function != INDEX_CONSUMER or planned.index_from is None
        ]
        self._routes = self._index_from(planned.index_from, mapped.count("write_to_es"))
        self._steps: dict[StepKind, Callable[[], None]] = {
            "put": self._programs.put_any,
            "poll": self._poll,
            "poison": self._programs.put_any_poison,
            "duplicate": lambda: self._rewind("duplicate delivery", most=1),
            "replay": lambda: self._rewind("replay of a prefix"),
            "full replay": self._rewind_all,
            "late replay": self._replay_after_deletion,
            "restart poller": self._restart_poller,
            "days pass": self._let_days_pass,
            "redrive": self._redrives.redrive,
            "large batch": self._programs.put_large_batch,
            **Disturbances(self.system, self._programs, poll=self._poll).steps,
        }
        self._operators: Operators | None = None
        if self._routes is not None:
            self._steps.update(self._steps_of(self._routes))
        if planned.operators:
            self._operators = Operators(self.system, self._surroundings())
            self._steps.update(self._operators.steps)
        if not planned.honours_parameters:
            self._count("parameters in the URL ignored")

    def run(self) -> None:
        """Run all steps, drain the system, and check the invariants.

        Raises:
            ViolationError: one of I1 to I8 is broken.
        """
        self.play()
        self.finish()

    def forget(self) -> None:
        """Free the memory at once; the history cannot be used any more.

        Most objects refer to each other through these two. Otherwise the garbage collector would
        have to find them: a history took 2 % longer.
        """
        vars(self.system).clear()
        vars(self).clear()

    def play(self) -> None:
        """Run all steps.

        Raises:
            ViolationError: one of I5 to I8 is broken.
        """
        for step in self._plan.steps:
            self._conditions.chance.seed(step.seed)
            self._conditions.fault_rate = self._plan.fault_rate
            if self._operators is not None:
                self._operators.remember()
            self._steps[step.kind]()

    def drain(self, function: Function) -> None:
        """Let one consumer settle the whole stream, independent of the other one.

        Raises:
            ViolationError: as in `play`, or it does not end.
        """
        for poller in list(self._pollers):
            if poller.function == function:
                poller.drain()

    def finish(self) -> None:
        """Stop the faults, drain everything, and check the invariants.

        Raises:
            ViolationError: one of I1 to I8 is broken.
        """
        self._conditions.chance.seed(self._plan.seed)
        if self._has_discards:
            self._redrives.redrive()
        self.system.skew = 0.0
        self._drain_all()
        if self._operators is not None:
            self._operators.finish()
        if self._has_discards:
            self._time.settle()  # late copies: a redriven record must not wait for them
            self._redrives.redrive_all_discarded()
            self._drain_all()
        self._conditions.tally["bulk item 409"] += self.system.index.conflicts
        if self._routes is not None:
            self._routes.repair()
        invariants.check(self.system, self.uploaders)
        if self._routes is not None:
            table_changes_check.check(self.system, self._routes)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            meanwhile=self._work,
            drain=self._drain_all,
            oldest_unread=self._oldest_unread,
            put=lambda image_id: self._uploader.put([(image_id, "image.updated")]),
            delete=lambda image_id: self._uploader.put([(image_id, "image.deleted")]),
            put_refused=lambda: self._programs.put_poison("refused by the index"),
            replay=self._replay_everything,
            replays=not self._plan.discards and self._routes is None,
            resume=self._resume,
            purge=self._expiry.purge,
            redrive=self._redrives.redrive,
            redrive_pointers=self._redrives.redrive_pointers,
            quarantined=self._redrives.found,
            fetched=self._redrives.fetched,
            put_poison=self._programs.put_any_poison,
            choose=self._redrives.choose,
            stamping=self._uploader,
            counting=self._programs.counting,
            rewind=self._read_all_again,
            reads_events=self._plan.index_from is None,
            pollers=self._pollers,
            batch_size=self._plan.batch_size,
        )

    def _resume(self) -> None:
        self._conditions.fault_rate = self._plan.fault_rate

    def _read_all_again(self) -> None:
        for poller in self._pollers:
            poller.rewind_all()
        self._count("full replay from TRIM_HORIZON", bool(self._stream.accepted))
        self._poll()

    def _work(self, image_id: str | None = None) -> None:
        """Let the producer put events, mostly one of this image, and a consumer process some.

        Mostly it is the index's: what it writes meanwhile is what a repair must not undo.
        """
        chance = self._conditions.chance
        if image_id is not None and chance.random() < 0.9:  # noqa: PLR2004 - mostly
            self._uploader.put([(image_id, chance.choice(TYPES))])
        elif chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._programs.put_any()
        poller = chance.choice([self._pollers[1], *self._pollers])
        poller.run(invocations=MOST_INVOCATIONS, seconds=60.0)

    def _replay_everything(self) -> None:
        for poller in self._pollers:
            poller.rewind_all()
        self._drain_all()

    def _oldest_unread(self) -> float | None:
        arrivals = (poller.oldest_unsettled() for poller in self._pollers)
        return min((one for one in arrivals if one is not None), default=None)

    @property
    def _has_discards(self) -> bool:
        return any(one.attempted for one in self.system.discards.values())

    def _rewind_all(self) -> None:
        self._count("full replay from TRIM_HORIZON", bool(self._stream.accepted))
        self._any_poller().rewind_all()

    def _restart_poller(self) -> None:
        self._any_poller().restart()

    def _let_days_pass(self) -> None:
        """Consume everything, wait for days or months, then purge and redrive.

        Every record is read within the retention of the stream, and never after it. So a tombstone
        need not reject events that are older than the sum of retention and quarantine age.
        """
        chance = self._conditions.chance
        image_id = self._programs.put_poison(chance.choice(poison.REDRIVABLE))
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._uploader.put([(image_id, "image.deleted")])
        self._drain_all()
        self._time.advance(chance.random() ** 2 * MOST_DAYS * DAY)
        self._conditions.fault_rate = self._plan.fault_rate
        purged = self._expiry.purge()
        if purged and chance.random() < 0.7:  # noqa: PLR2004 - mostly
            self._upload_again(chance.choice(purged))
        for _ in range(chance.randint(0, MOST_REDRIVES)):
            self._redrives.redrive()

    def _upload_again(self, image_id: str) -> None:
        """Upload an image, and consume that, while its tombstone is purged.

        Its purge may be told late, or again after the upload.
        """
        self._uploader.put([(image_id, "image.uploaded")])
        self._poll()
        if self._routes is not None:
            for poller in self._pollers:
                poller.rewind_all()
            self._poll()

    def _count(self, fault: Fault, really: bool = True) -> None:  # noqa: FBT001, FBT002 - reads well
        """Count a fault that is not a fault of a request."""
        self._conditions.tally[fault] += really

    def _poll(self) -> None:
        overlaps = self._plan.second_mapping is not None
        run_pollers(self._pollers, self._conditions, self._time, overlaps=overlaps)

    def _any_poller(self) -> Poller:
        return self._conditions.chance.choice(self._pollers)

    def _rewind(self, fault: Fault, most: int | None = None) -> None:
        """Read a shard again, from at most this many records before the checkpoint."""
        poller = self._any_poller()
        if not poller.checkpoints:
            return
        shard_id = self._conditions.chance.choice(sorted(poller.checkpoints))
        settled = poller.checkpoints[shard_id]
        back = self._conditions.chance.randint(0, settled) if most is None else min(settled, most)
        self._count(fault, back > 0)
        poller.rewind(shard_id, settled - back)

    def _replay_after_deletion(self) -> None:
        """Delete an image, consume the deletion, and later replay everything."""
        image_id = f"{IMAGE}{self._conditions.chance.randrange(IMAGES)}"
        known = any(event.image_id == image_id for event in self._uploader.made)
        self._count("late replay of a deletion", known)
        self._uploader.put([(image_id, "image.deleted")])
        self._poll()
        self._time.advance(self._conditions.chance.random() * HOUR)
        for poller in self._pollers:
            poller.rewind_all()
        self._poll()

    def _index_from(self, route: Route | None, mappings: int) -> Routes | None:
        if route is None:
            return None
        return Routes(
            self.system,
            route,
            shards=self._plan.shards,
            mappings=mappings,
            operators=self._plan.operators,
            poller=self._poller,
            pollers=self._pollers,
        )

    def _steps_of(self, routes: Routes) -> Mapping[StepKind, Callable[[], None]]:
        return {
            "change the source": lambda: self._change_source(routes),
            "remove by hand": routes.remove_by_hand,
            "put by hand": lambda: self._put_by_hand(routes),
            "index down for a day": lambda: self._stop_index_for_a_day(routes),
        }

    def _change_source(self, routes: Routes) -> None:
        """Change the source of the index, as the guide says: after both consumers have caught up.

        Or without that; then the index may miss changes, until a repair.
        """
        waits = self._conditions.chance.random() < 0.5  # noqa: PLR2004 - a coin
        if waits:
            self._drain_all()
            self._conditions.fault_rate = self._plan.fault_rate
        routes.change(waited=waits)
        if self._conditions.chance.random() < 0.5:  # noqa: PLR2004 - old and new mappings deliver
            self._programs.put_any()
            self._poll()

    def _put_by_hand(self, routes: Routes) -> None:
        """Somebody puts an item; sometimes the consumers go on in the next hours."""
        chance = self._conditions.chance
        routes.put_by_hand(self._uploader.stamp())
        for _ in range(chance.choice((0, 0, 3, 6))):
            self._time.advance(chance.random() ** 2 * HOUR)
            self._poll()

    def _stop_index_for_a_day(self, routes: Routes) -> None:
        self._programs.put_any()
        run_poller(self._pollers[0], self._conditions.chance)
        oldest = self._oldest_unread()
        if oldest is not None and self._time.now + DAY - oldest > self._stream.retention:
            self._drain_all()  # the table's consumer reads in time, whatever happens to the index
            self._conditions.fault_rate = self._plan.fault_rate
        routes.stop_index_for_a_day()

    def _poller(self, function: Function, source: ReadStream) -> Poller:
        settings = Settings(
            batch_size=self._plan.batch_size,
            window_seconds=self._plan.window_seconds,
            parallelization_factor=self._plan.parallelization_factor,
            retries=self._plan.retries,
            age_seconds=source.oldest_age(self._plan.age_seconds),
            bisect=self._plan.bisect,
            reports_item_failures=True,
        )
        consumer = self.system.consumers[function]
        return Poller(
            function,
            stream=source.stream,
            settings=settings,
            conditions=self._conditions,
            components=self.system.components,
            invoke=lambda batch: self._invocations.invoke(consumer, batch),
            is_durable=lambda accepted: self.system.is_durable(consumer, accepted),
            write_discarded=self._discard_writers[function].write
            if function in self._discard_writers
            else None,
            losses=self.system.losses.notes_of(function) if source.stream is self._stream else None,
        )

    def _drain_all(self) -> None:
        """Stop the faults, let late requests arrive, put the remaining events, read everything."""
        self._conditions.fault_rate = 0.0
        for connection in self.system.connections.values():
            connection.restore()
        self._time.settle()
        for uploader in self.uploaders:
            if uploader.waits:
                uploader.put([])
            if uploader.waits:
                raise ViolationError("I7", f"the producer still holds {uploader.waits} events")
        if self._operators is not None:
            self._operators.rebuilds.mend()
        if self._routes is not None:
            # First the table, because it tells its changes to the index; some are copied late.
            self.drain("write_to_dynamodb")
            self._time.settle()
        for poller in list(self._pollers):
            poller.drain()
        if self._operators is not None and not self.system.losses.stopped:
            self._operators.rebuilds.finish()
