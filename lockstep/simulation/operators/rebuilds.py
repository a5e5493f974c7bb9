"""Rebuilds of the index: killed, twice at once, while consumers write, and after what harms it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import msgspec
import opensearchpy

from functions.write_to_es.sink import ImageIndex
from lockstep.audit.audit import Audit
from lockstep.console.errors import UserError
from lockstep.rebuild.indices import AnotherRebuildError
from lockstep.rebuild.parts import NotFinishedError, OtherReleaseError, RebuildOptions, RebuildParts
from lockstep.rebuild.rebuild import Rebuild, Rebuilt
from lockstep.rebuild.worker import RebuildWorker, WorkerState
from lockstep.simulation.components import INDEX, INDEX_SECONDS
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.faulty_network import CrashedError
from lockstep.simulation.operators.broken_index import are_right, harm
from lockstep.simulation.operators.clients import OwnJournal
from lockstep.simulation.operators.new_index import NewIndexChecks
from lockstep.simulation.operators.promises import Promises
from lockstep.simulation.operators.rebuild_client import RebuildIndex
from lockstep.simulation.operators.restores import RESTORABLE_SECONDS
from lockstep.simulation.operators.tools import BREAKS_OFF, Surroundings, Tools
from lockstep.simulation.store_views import held_by
from lockstep.simulation.violation import ViolationError
from shared.sink import MisconfiguredError

if TYPE_CHECKING:
    from lockstep.simulation.fakes.opensearch_cluster import FakeIndex

# The timeout of the functions: as long as a bulk that is in progress may take.
SETTLE_SECONDS = 6.0
# About as long as a rebuild takes until the switch.
WORKING_SECONDS = 1.5
_MEANWHILE_SECONDS = (WORKING_SECONDS, WORKING_SECONDS + SETTLE_SECONDS)
_BETWEEN_LOOKS_SECONDS = 0.2
_KILLED_SHARE, _BUSY_SHARE, _TWICE_SHARE, _AGAIN_SHARE = 0.4, 0.3, 0.4, 0.2
_REFUSED_SHARE = 0.2
_AUDITED_SHARE = 0.2
_MOST_REQUESTS = 80
_MOST_ATTEMPTS = 3
_MOST_MEANWHILE = 4
_LONGEST_BUSY_SECONDS = 5.0
_ENDS = (*BREAKS_OFF, UserError)


class Rebuilds:
    """Rebuilds the index of one system, and harms it before."""

    def __init__(self, tools: Tools, promises: Promises, around: Surroundings) -> None:
        """Rebuild with these tools."""
        self._tools = tools
        self._system = tools.system
        self._conditions = tools.system.conditions
        self._nodes = tools.system.index.nodes
        self._checks = NewIndexChecks(tools.system)
        self._nodes.moved = self._note_switch
        self._nodes.looked = self._work_after_look
        self._promises = promises
        self._around = around
        self._own = OwnJournal(self._system.index.journal)
        self._own.watch = self._note_gift
        self._numbers = itertools.count(1)
        self._at_work: list[RebuildWorker] = []
        self._clients: dict[RebuildWorker, RebuildIndex] = {}
        self._settles = False
        self._are_elsewhere = False
        self._is_concerned = False  # a rebuild has begun, or something is wrong
        self._switched_at = 0.0
        self._works_after_look = False
        self._overtaken: set[RebuildWorker] = set()
        self._refusal: str | None = None
        self._is_unchecked = False  # a rebuild has ended since the last check
        self._needs_repair = False  # the consumers wrote to another index

    def rebuild(self) -> None:
        """Rebuild, with whatever may happen meanwhile; stop after some attempts."""
        self._is_concerned = True
        chance = self._conditions.chance
        faulty = self._tools.begin()
        self._are_elsewhere = chance.random() < 0.5  # noqa: PLR2004 - a coin
        if chance.random() < _REFUSED_SHARE:
            self._around.put_refused()
            self._around.meanwhile()
            self._around.meanwhile()
        for _ in range(chance.randint(1, _MOST_ATTEMPTS)):
            self._let_things_happen()
            if chance.random() < _KILLED_SHARE:
                self._conditions.kill_in = chance.randint(1, _MOST_REQUESTS)
            table_writes = len(self._system.table.journal)
            done = self._attempt(self._options(chance.choice((0.0, 0.0, 120.0))))
            self._conditions.kill_in = None
            if done is not None:
                self._checks.aliases(done)
                again = done.kept and not faulty and chance.random() < _AGAIN_SHARE
                if again and not self._is_old(done.index):
                    self._check_again(table_writes)
                return
            if chance.random() < 0.5:  # noqa: PLR2004 - a coin
                self._around.meanwhile()

    def leave_unfinished(self) -> None:
        """Begin a rebuild that is killed at any request, or ends."""
        self._is_concerned = True
        self._tools.begin(faulty=False)
        self._conditions.kill_in = self._conditions.chance.randint(1, _MOST_REQUESTS)
        self._attempt(self._options(0.0, settle=0.0))
        self._conditions.kill_in = None

    def harm(self) -> None:
        """Lose the index, move an alias, or find an index of another release; often rebuild."""
        self._is_concerned = True
        chance = self._conditions.chance
        if self._nodes.followed is not None or not self._is_whole:
            return
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._work_twice()  # often, the index is ahead of the table then
        was = self._nodes.live
        harm(self._system, chance)
        self._needs_repair |= self._nodes.live is not was and self._nodes.is_writable
        self._check_named()
        if self._nodes.live.is_foreign and chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._check_refused()
        if chance.random() < 0.5:  # noqa: PLR2004 - a coin
            self._around.meanwhile()
        if chance.random() < 0.7:  # noqa: PLR2004 - mostly
            self.rebuild()

    @property
    def _is_whole(self) -> bool:
        return are_right(self._nodes) and not self._nodes.live.is_foreign

    def mend(self) -> None:
        """Before the consumers process everything: give them an index that they can write to.

        Raises:
            ViolationError: a promise is broken, or a rebuild does not end.
        """
        if self._is_concerned:
            self._finish()

    def finish(self) -> None:
        """After that: finish what was begun, and check the new index.

        Raises:
            ViolationError: a promise is broken, or a rebuild does not end.
        """
        if not self._is_concerned:
            return
        if not self._finish():
            raise ViolationError("O6", "a rebuild does not end, although nothing fails")
        if self._is_unchecked and not self._needs_repair:
            self._checks.has_the_table()
        self._is_unchecked = False

    def _finish(self) -> bool:
        """Run rebuilds until nothing is left to do; false if a consumer must do something first."""
        self._tools.begin(faulty=False)
        self._are_elsewhere = False
        for _ in range(_MOST_ATTEMPTS):
            try:
                if not self._is_wrong():
                    self._nodes.followed = None  # also if the last one was killed after its end
                    return True
                self._checks.aliases(self._run(self._options(0.0, settle=0.0)))
            except NotFinishedError:
                return False
            except MisconfiguredError as error:
                if "--abandon" not in str(error):
                    raise
                self._rebuild(self._worker()).abandon(apply=True)
        return not self._is_wrong()

    def _is_wrong(self) -> bool:
        states = [
            one.mappings.get("_meta", {}).get("rebuild") for one in self._nodes.indices.values()
        ]
        return not self._is_whole or any(state and not state.get("done") for state in states)

    def _let_things_happen(self) -> None:
        """Choose what happens in the middle of the rebuild that comes next."""
        chance, time = self._conditions.chance, self._system.time
        for _ in range(chance.randint(0, _MOST_MEANWHILE)):
            seconds = chance.choice(_MEANWHILE_SECONDS)
            self._tools.interleave(self._meanwhile, seconds)
        self._works_after_look = chance.random() < 0.5  # noqa: PLR2004 - a coin
        if chance.random() < _TWICE_SHARE:
            self._tools.interleave(self._second, WORKING_SECONDS)
        if chance.random() < _BUSY_SHARE:
            time.later(chance.random(), self._make_busy)

    def _meanwhile(self) -> None:
        """Consumers work; one may have begun its request before the switch."""
        nodes, chance = self._nodes, self._conditions.chance
        began_before = (
            nodes.followed is not None
            and self._system.time.now < self._switched_at + SETTLE_SECONDS
            and chance.random() < 0.7  # noqa: PLR2004 - mostly
        )
        nodes.pinned = nodes.followed if began_before else None
        self._around.meanwhile()
        nodes.pinned = None

    def _work_after_look(self) -> None:
        """Between two looks at the old index, consumers write to it."""
        if self._works_after_look and self._nodes.followed is None:
            self._works_after_look = False
            self._tools.interleave(self._work_twice, _BETWEEN_LOOKS_SECONDS, is_running=True)

    def _work_twice(self) -> None:
        for image_id in [*self._nodes.live.documents]:  # others write meanwhile
            self._around.put(image_id)
        self._around.meanwhile()
        self._around.meanwhile()

    def _write_to_the_old(self) -> None:
        """Consumers work, with requests that began before the switch."""
        left = self._switched_at + SETTLE_SECONDS - self._system.time.now
        if left <= 0 or self._nodes.followed is None:
            return
        for image_id in self._nodes.live.documents:
            self._around.put(image_id)
        self._nodes.pinned = self._nodes.followed
        self._system.time.later(left / 2, self._unpin)
        self._around.meanwhile()
        self._unpin()

    def _unpin(self) -> None:
        self._nodes.pinned = None

    def _make_busy(self) -> None:
        """For seconds, each index that is not live rejects its writes."""
        now, chance = self._system.time.now, self._conditions.chance
        for one in self._nodes.indices.values():
            if one is not self._nodes.live and one is not self._nodes.followed:
                self._conditions.tally["new index busy"] += 1
                one.busy_until = now + chance.random() * _LONGEST_BUSY_SECONDS

    def _second(self) -> None:
        """Another operator begins the same rebuild in the middle of the first one.

        Raises:
            ViolationError: O4: it runs beside the first.
        """
        # OpenSearch has no locks: who stops between reading the lease and writing it keeps it.
        held = [
            one
            for one in self._at_work
            if self._holds_lease(one) and not self._clients[one].is_saving
        ]
        tally = self._conditions.tally
        kill_in, self._conditions.kill_in = self._conditions.kill_in, None
        try:
            self._run(self._options(0.0))
        except AnotherRebuildError:
            tally["two rebuilds at once"] += 1
        except _ENDS:
            tally["rebuild broken off"] += 1
        else:
            if held and not self._are_elsewhere:
                raise ViolationError("O4", "a second rebuild ran beside the first")
            self._overtaken.update(held)
        finally:
            self._conditions.kill_in = kill_in

    def _holds_lease(self, worker: RebuildWorker) -> bool:
        """Whether an unfinished rebuild is this worker's, as the mapping says."""
        for one in self._nodes.indices.values():
            state = one.mappings.get("_meta", {}).get("rebuild", {})
            if state.get("worker", {}).get("pid") == worker.pid and not state.get("done"):
                return True
        return False

    def _attempt(self, options: RebuildOptions) -> Rebuilt | None:
        """Run a rebuild; None if it ended before its end."""
        tally = self._conditions.tally
        try:
            return self._run(options)
        except CrashedError:
            tally["rebuild killed"] += 1
        except _ENDS:
            tally["rebuild broken off"] += 1
        return None

    def _run(self, options: RebuildOptions) -> Rebuilt:
        """Run a rebuild, and check the promises around it."""
        worker = self._worker()
        self._settles = options.settle != 0.0
        for one in self._nodes.indices.values() if not self._at_work else ():
            one.look()  # the look of a second one would not be of the first
        with self._promised(), self._working(worker):
            done = self._rebuild(worker).run(options, lambda _step, _count, _total: None)
            if worker in self._overtaken:
                raise ViolationError("O4", "a rebuild ended, although another one took over")
        self._checks.note_conflicts()
        self._nodes.followed = None
        self._is_unchecked = True
        self._conditions.tally["rebuilt"] += 1
        return done

    @contextmanager
    def _working(self, worker: RebuildWorker) -> Iterator[None]:
        """Let this worker be at work."""
        self._at_work.append(worker)
        try:
            yield
        finally:
            self._at_work.remove(worker)

    @contextmanager
    def _promised(self) -> Iterator[None]:
        """O1, O2: checked around the outer one of two rebuilds."""
        if self._tools.is_running:
            yield
            return
        with self._promises.kept("O1", "O2", of_intact=True):
            yield

    def _note_switch(self, was: "FakeIndex", live: "FakeIndex") -> None:
        """The aliases have moved: readers must lose nothing.

        Raises:
            ViolationError: O2.
        """
        self._switched_at = self._system.time.now
        live.busy_until = 0.0
        if self._nodes.indices.get(was.name) is not was:
            return
        self._nodes.followed = was
        self._checks.at_switch(was, live)
        if was.is_foreign and self._settles:
            # What it refuses from now on must not be judged by the new index.
            self._tools.interleave(self._write_to_the_old, WORKING_SECONDS, is_running=True)

    def _note_gift(self, written: Written) -> None:
        """Note what the index may have from now on: the table's content of this image.

        An item that somebody put by hand is in no journal.
        """
        held, _ = held_by(written)
        table = self._system.consumers["write_to_dynamodb"].store
        if written.version is not None and (
            table.stored_version(written.image_id) == held
            or any(
                one.image_id == written.image_id and held_by(one)[0] == held
                for one in self._system.table.journal
            )
        ):
            self._system.given_index.add((written.image_id, held))

    def _is_old(self, index: str) -> bool:
        """Whether an index was created so long ago that the same rebuild again creates another."""
        age = self._system.time.now - self._nodes.indices[index].created
        return age > RESTORABLE_SECONDS

    def _check_again(self, table_writes: int) -> None:
        """O4: the same rebuild again at once writes nothing.

        But what the table has taken since the first one read it, if the index's consumer lags; and
        images below a purged tombstone, which the old index may still have.

        Args:
            table_writes: how many writes the table had when the first one began.

        Raises:
            ViolationError: it writes again.
        """
        before, others = len(self._own), self._others_wrote()
        try:
            done = self._run(self._options(0.0))
        except _ENDS:
            return
        taken = {one.image_id for one in self._system.table.journal[table_writes:]}
        purged = {image_id for image_id, _ in self._system.purged["write_to_es"]}
        wrote = {one.image_id for one in self._own[before:]}
        if wrote - taken - purged and self._others_wrote() == others:
            raise ViolationError("O4", f"a second rebuild wrote again: {done.copied}")

    def _others_wrote(self) -> int:
        """How many writes others than rebuilds have made so far."""
        system = self._system
        return len(system.table.journal) + len(system.index.journal) - len(self._own)

    def _check_refused(self) -> None:
        """Before another release is deployed, a rebuild needs to be told so; it changes nothing.

        Raises:
            ViolationError: O2: it ran nevertheless.
        """
        self._tools.begin(faulty=False)
        before = [*self._nodes.indices]
        self._refusal = "another release is deployed"
        try:
            options = msgspec.structs.replace(self._options(0.0), before_deploying=False)
            self._rebuild(self._worker()).run(options, lambda _step, _count, _total: None)
        except OtherReleaseError:
            if [*self._nodes.indices] == before:
                return
        raise ViolationError("O2", "a rebuild ran, although another release is deployed")

    def _check_named(self) -> None:
        """The plan of a rebuild, audit and status name what is wrong, and only then."""
        right = self._is_whole
        client = cast("opensearchpy.OpenSearch", RebuildIndex(self._tools, self._own))
        self._tools.begin(faulty=False)
        named = self._system.components.check_index(client, INDEX).problems
        if bool(named) == right:
            raise ViolationError("O3", f"audit and status say of the index: {named or 'nothing'}")
        try:
            plan = self._rebuild(self._worker()).plan()
        except MisconfiguredError:
            return
        if bool(plan.problems or plan.differences) == right:
            raise ViolationError("O3", f"the plan of a rebuild says: {plan.problems or 'nothing'}")

    def _worker(self) -> RebuildWorker:
        return RebuildWorker("operators", next(self._numbers), 0.0)

    def _state_of(self, worker: RebuildWorker) -> WorkerState:
        if self._are_elsewhere:
            return "unknown"
        return "at_work" if worker in self._at_work else "gone"

    def _options(self, patience: float, settle: float = SETTLE_SECONDS) -> RebuildOptions:
        return RebuildOptions(
            at_most=100.0,
            settle=settle,
            patience=patience,
            before_deploying=self._refusal is not None,
        )

    def _rebuild(self, worker: RebuildWorker) -> Rebuild:
        tools, components = self._tools, self._system.components
        self._clients[worker] = RebuildIndex(tools, self._own)
        client = cast("opensearchpy.OpenSearch", self._clients[worker])
        indices = components.indices(client, INDEX)
        table = tools.table_reader()
        return components.rebuild(
            RebuildParts(
                indices=indices,
                items=table,
                table=table,
                index=lambda name: components.index_reader(client, name),
                sink=ImageIndex(client, indices.building, longest_request=INDEX_SECONDS),
                audit=lambda _: self._audit(),
                settled=self._settled,
                clock=tools.clock,
                worker=worker,
                state_of=self._state_of,
                refusal=self._refusal,
            )
        )

    def _audit(self) -> Audit:
        """The audit at the end; mostly none, since the steps of audits check it."""
        if self._conditions.chance.random() > _AUDITED_SHARE:
            return Audit(result="equal", table=0, index=0, differences={}, seconds=0.0)
        return self._system.components.audit(
            self._tools.table_reader(whole=True),
            self._tools.index_reader(whole=True),
            quarantined_images=self._tools.quarantined,
            clock=self._tools.clock,
            settled=self._settled,
        )

    def _settled(self) -> float:
        """The time up to which both consumers have processed all arrivals."""
        oldest = self._around.oldest_unread()
        return float("inf") if oldest is None else oldest - 0.001
