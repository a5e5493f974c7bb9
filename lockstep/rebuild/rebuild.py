"""The run of a rebuild: fill a new index, follow the old one, switch, and look behind once more.

Before the switch the new index has caught up with the old one to within a moment. After it, bulks
already under way may still land in the old index: so that is followed until the functions' timeout
is over, and both stores are then gone through once more from their beginning.
"""

import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol, get_args

import msgspec

from lockstep.audit.audit import Audit
from lockstep.console.errors import UserError
from lockstep.rebuild.copying import Copier, Origin
from lockstep.rebuild.indices import Indices, RebuildState, StackIndices
from lockstep.rebuild.lease import Lease
from lockstep.rebuild.worker import RebuildWorker, WorkerState, state_of
from lockstep.repair.repair import Example
from lockstep.stores.entry import FIELDS, from_document
from lockstep.stores.index import IndexReader
from lockstep.stores.table import TableReader, WholePage
from shared.clock import Clock
from shared.sink import MisconfiguredError, Sink

# The new index is switched to once a look at what is new in the old one takes no longer; or once
# the looks get no shorter, unless they take very long.
CLOSE_SECONDS = 1.0
STEADY = 0.8
FAR_SECONDS = 15.0
# Replicas of a large index take their time.
READY_SECONDS = 1800.0
# Between two looks at what is waited for.
PAUSE_SECONDS = 2.0

_ABANDON = "`lockstep rebuild --abandon --apply` removes what was begun"

Stage = Literal["begin", "go_on", "finish", "repeat"]


class ImageSource(Protocol):
    """What a new index is filled from first: the table, or an export of it."""

    @property
    def name(self) -> str:
        """Which source it is: a position is valid for this source only."""
        ...

    def count(self) -> int:
        """The approximate number of items."""
        ...

    def pages(self, position: str | None) -> Iterator[WholePage]:
        """All pages from this position on; None: from the first.

        Raises:
            StoreUnreadableError: it could not be read completely.
        """
        ...


class RebuildOptions(msgspec.Struct, frozen=True):
    """How to rebuild.

    `at_most`: so much less, in percent, readers may find in the new index than in the old one.
    `settle`: seconds that a bulk under way at the switch can take to land in the old index.
    `patience`: seconds to wait for consumers that are behind. `drop_old`: delete the old index at
    the end, if the audit says that both stores are equal.
    """

    at_most: float
    settle: float
    patience: float
    drop_old: bool = False


class RebuildPlan(msgspec.Struct, frozen=True):
    """What a rebuild would do.

    `stage`: `begin` a new index, `go_on` filling one, `finish` after the switch, or `repeat` that,
    where the live index is of this release and the old one is still kept. `differences` says where
    the live index is not as this release has it. `worker` is who began, and `worker_is` what has
    become of them, where that is not over.
    """

    stage: Stage
    live: str
    index: str
    replaces: str
    differences: Sequence[str]
    table: int
    documents: int
    worker: str | None = None
    worker_is: WorkerState | None = None


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did. `carried` counts what was written from the table and from the old index.

    `left` stays behind for good: the table has forgotten it. `told` is what could not be carried,
    and why. `kept` and `dropped` are indices of before.
    """

    index: str
    replaced: str
    carried: Mapping[str, int]
    left: int
    told: Sequence[Example]
    audit: Audit
    kept: Sequence[str]
    dropped: Sequence[str]
    seconds: float

    @property
    def exit_code(self) -> int:
        """As of the audit."""
        return self.audit.exit_code


class NotSwitchedError(UserError):
    """The new index is not good enough to be read; the old one is live."""


class NotFinishedError(UserError):
    """The rebuild could not be ended for now; run again, it goes on."""


class RebuildProgress(Protocol):
    """Is told what is done at the moment, how much of it, and of how much if that is known."""

    def __call__(self, step: str, count: int, total: int | None) -> None:
        """Report it."""
        ...


class RebuildParts(msgspec.Struct, frozen=True):
    """What a rebuild works with: one stack, connected, and the clock."""

    indices: Indices
    items: ImageSource
    """What a new index is filled from first."""
    table: TableReader
    index: Callable[[str], IndexReader]
    """One index, by its name, to be read."""
    sink: Sink
    """Writes through the alias `Indices.building`."""
    audit: Callable[[Callable[[str, int], None]], Audit]
    """Compares table and live index; tells which store it reads, and how far it is."""
    settled: Callable[[], float]
    """Until when both consumers have processed what arrived, in seconds since 1970."""
    clock: Clock
    horizon: dt.timedelta
    """How long tombstones stay."""
    worker: RebuildWorker


class Rebuild:
    """Rebuilds one stack's index."""

    def __init__(self, parts: RebuildParts) -> None:
        """Absent is done yet."""
        self._parts = parts
        self._indices = parts.indices

    def plan(self) -> RebuildPlan:
        """What `run` would do now.

        Raises:
            MisconfiguredError: what is there must be put in order by hand.
        """
        view = self._indices.look()
        stage, index, replaces = self._stage(view)
        note = view.numbered.get(index) if stage in {"go_on", "finish"} else None
        return RebuildPlan(
            stage=stage,
            live=view.live,
            index=index,
            replaces=replaces,
            differences=view.differences,
            table=self._parts.items.count(),
            documents=self._parts.index(view.live).count(),
            worker=None if note is None else str(note.worker),
            worker_is=None if note is None else state_of(note.worker),
        )

    def abandon(self, *, apply: bool) -> Sequence[str]:
        """Delete the indices that were being built and never went live; without `apply` name them.

        Raises:
            AnotherRebuildError: another rebuild is at work on one.
        """
        unfinished = self._indices.look().unfinished
        for index in unfinished if apply else ():
            parts = self._parts
            Lease.take_over(self._indices, index, parts.worker, parts.clock)
            self._indices.drop(index)
        return unfinished

    def run(self, options: RebuildOptions, progress: RebuildProgress) -> Rebuilt:
        """Rebuild, or go on with it, to its end. Safe to be killed, and to be run again.

        Raises:
            AnotherRebuildError: another rebuild is at work.
            NotSwitchedError: too much would be missing in the new index.
            NotFinishedError: a consumer, or a copy of the index, is not there for too long.
            MisconfiguredError: what is there must be put in order by hand.
            RequestFailedError: the index does not answer.
            StoreUnreadableError: a store could not be read to its end.
        """
        started = self._parts.clock.elapsed()
        stage, index, old = self._stage(self._indices.look())
        run = _Run(self._parts, self._ledger(stage, index, old), progress)
        if stage in {"begin", "go_on"}:
            run.fill()
            run.make_ready()
            run.follow()
            run.check_limit(options.at_most)
            self._indices.switch(index)
        if stage != "repeat":
            run.settle(options)
        run.look_behind()
        audit = run.audited()
        kept = self._indices.look().kept
        drops = options.drop_old and audit.result == "equal"
        for one in kept if drops else ():
            self._indices.drop(one)
        return Rebuilt(
            index=index,
            replaced=old,
            carried={name: run.carrier.carried[name] for name in get_args(Origin)},
            left=run.carrier.left,
            told=[Example(image_id, why) for image_id, why in run.carrier.told.items()],
            audit=audit,
            kept=() if drops else kept,
            dropped=kept if drops else (),
            seconds=round(self._parts.clock.elapsed() - started, 1),
        )

    def _stage(self, view: StackIndices) -> tuple[Stage, str, str]:
        """Where it stands, the new index, and the one that it replaces."""
        if len(view.unfinished) > 1:
            raise MisconfiguredError(
                f"{' and '.join(view.unfinished)} are both unfinished: {_ABANDON}"
            )
        for index in view.unfinished:
            note = view.numbered[index]
            if note is None or note.replaces != view.live:
                raise MisconfiguredError(f"{index} was not to replace {view.live}: {_ABANDON}")
            for difference in self._indices.differences(index):
                raise MisconfiguredError(
                    f"{index} is of another release ({difference}): {_ABANDON}"
                )
            return "go_on", index, view.live
        if view.note is not None and not view.note.done:
            return "finish", view.live, view.note.replaces
        if view.kept and not view.differences:
            return "repeat", view.live, view.kept[0]
        return "begin", view.next, view.live

    def _ledger(self, stage: Stage, index: str, old: str) -> Lease:
        parts = self._parts
        if stage == "begin":
            note = RebuildState(replaces=old, worker=parts.worker, source=parts.items.name)
            return Lease.create(self._indices, index, note, parts.clock)
        ledger = Lease.take_over(self._indices, index, parts.worker, parts.clock)
        self._indices.open(index)
        return ledger


class _Run:
    """One run of one rebuild: its steps."""

    def __init__(self, parts: RebuildParts, ledger: Lease, progress: RebuildProgress) -> None:
        self._parts = parts
        self._indices = parts.indices
        self._clock = parts.clock
        self._ledger = ledger
        self._progress = progress
        self._new_name, self._old_name = ledger.index, ledger.note.replaces
        self._old = parts.index(self._old_name)
        self.carrier = Copier(
            parts.table,
            self._old,
            parts.index(self._new_name),
            parts.sink,
            clock=parts.clock,
            horizon=parts.horizon,
        )

    def fill(self) -> None:
        """Fill the new index for the first time, from where that was interrupted."""
        items, note = self._parts.items, self._ledger.note
        if note.source != items.name:
            self._ledger.keep(source=items.name, position=None, filled=False)
        if self._ledger.note.filled:
            return
        count, total = 0, items.count()
        for page in items.pages(self._ledger.note.position):
            self.carrier.all_of(page.images)
            count += len(page.images)
            self._tell(f"filling {self._new_name} from the {items.name}", count, total)
            self._ledger.beat(position=page.position)
        self._ledger.keep(filled=True, position=None)

    def make_ready(self) -> None:
        """Copy over what the old index has newer; then refreshes and replicas as it has them."""
        self._indices.refresh(self._new_name)
        self._catch_up()
        self._indices.make_ready(self._new_name, self._ledger.note)
        deadline = self._clock.elapsed() + READY_SECONDS
        while not self._indices.is_as_healthy(self._new_name, self._old_name):
            if self._clock.elapsed() > deadline:
                raise NotFinishedError(
                    f"the copies of {self._new_name} are not there after {READY_SECONDS:.0f} s: "
                    "look at the cluster's health, then run this again"
                )
            self._tell("waiting for the copies of the new index")
            self._clock.sleep(PAUSE_SECONDS)

    def follow(self) -> None:
        """Catch up with the old index until nothing is far behind, as close as this machine can.

        Raises:
            NotFinishedError: the old index is written faster than it can be followed.
        """
        before = math.inf
        while True:
            started = self._clock.elapsed()
            self._catch_up()
            took = self._clock.elapsed() - started
            if took < CLOSE_SECONDS:
                break
            if took > STEADY * before:
                if took > FAR_SECONDS:
                    raise NotFinishedError(
                        f"{self._old_name} is written faster than it can be followed, by "
                        f"{took:.0f} s at a time: run this again when less is going on"
                    )
                break
            before = took
        self._indices.refresh(self._new_name)

    def check_limit(self, at_most: float) -> None:
        """Let nobody read an index that lacks what the old one shows.

        Raises:
            NotSwitchedError: it lacks more than this share, in percent.
        """
        old, new = (self._indices.shown(name) for name in (self._old_name, self._new_name))
        missing = 100 * (old - new) / max(1, old)
        if missing > at_most:
            raise NotSwitchedError(
                f"readers find {old:,} images in {self._old_name} and would find {new:,} in "
                f"{self._new_name}, {missing:.3g} % less: nothing is switched; is it the right "
                "table? --at-most PERCENT allows for more"
            )

    def settle(self, options: RebuildOptions) -> None:
        """After the switch: follow the old index until nothing can land in it any more."""
        switched_at, started = self._clock.now(), self._clock.elapsed()
        while True:
            self._catch_up()
            waited = self._clock.elapsed() - started
            if waited >= options.settle:
                if self._parts.settled() >= switched_at:
                    return
                if waited >= options.settle + options.patience:
                    raise NotFinishedError(
                        f"{self._new_name} is live, but a consumer is still behind the switch: "
                        "`lockstep status --wait 600`, then run this again"
                    )
            self._tell(
                f"{self._new_name} is live; following {self._old_name}",
                round(waited),
                round(options.settle),
            )
            self._clock.sleep(PAUSE_SECONDS)

    def look_behind(self) -> None:
        """Go through old index and table once more, from their beginning."""
        if self._indices.exists(self._old_name):
            everything = map(from_document, self._old.search(FIELDS, {}))
            self.carrier.newer_in_old(everything, self._telling(f"looking at {self._old_name}"))
        self.carrier.newer_in_table(self._parts.table.scan(), self._telling("looking at the table"))
        self._indices.refresh(self._new_name)

    def audited(self) -> Audit:
        """Whether both stores say the same now; if that can be told, the rebuild is done."""
        audit = self._parts.audit(
            lambda store, count: self._tell(f"audit: reading the {store}", count)
        )
        if audit.result != "unknown":
            self._ledger.done()
        return audit

    def _catch_up(self) -> None:
        """Copy over what was written to the old index since the last time."""
        if not self._indices.exists(self._old_name):
            return
        reached, since = self._indices.reached(self._old_name), self._ledger.note.followed
        telling = self._telling(f"following {self._old_name}")
        if since is None:
            self.carrier.newer_in_old(map(from_document, self._old.search(FIELDS, {})), telling)
        else:
            query = {"query": {"range": {"_seq_no": {"gt": since}}}}
            self.carrier.just_written(map(from_document, self._old.search(FIELDS, query)), telling)
        self._ledger.beat(followed=reached)

    def _telling(self, step: str) -> Callable[[int], None]:
        return lambda count: self._tell(step, count)

    def _tell(self, step: str, count: int = 0, total: int | None = None) -> None:
        self._progress(step, count, total)
        self._ledger.beat()
