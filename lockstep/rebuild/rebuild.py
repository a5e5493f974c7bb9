"""Runs a rebuild: fills a new index, follows the old one, switches, and checks everything again.

At the switch the new index lacks only the last writes to the old one. After the switch, bulk
requests in progress may still reach the old index. So the old index is followed until the
functions' timeout has passed. Then the old index and the table are read completely once
more.

If there is no old index, the table alone fills the new one. If only the aliases are wrong, they are
set, and nothing is filled.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
from shared.sink import MisconfiguredError, Sink, SinkError

# A pass copies what is new in the old index. The aliases are switched when a pass takes less than
# CLOSE_SECONDS, or more than STEADY times as long as the pass before, and at most FAR_SECONDS.
CLOSE_SECONDS = 1.0
STEADY = 0.8
FAR_SECONDS = 15.0
# How long to wait for the replicas of the new index.
READY_SECONDS = 1800.0
# The pause between two checks of the replicas or the consumers.
PAUSE_SECONDS = 2.0

_ABANDON = "`lockstep rebuild --abandon --apply` deletes it"

Stage = Literal["aliases", "begin", "go_on", "finish", "repeat"]
# The stages that create or fill an index by this release's definition.
_BUILDING: Collection[Stage] = ("begin", "go_on")


class ImageSource(Protocol):
    """What a new index is filled from first: the table, or an export of it."""

    @property
    def name(self) -> str:
        """The name of the source: a position is valid for this source only."""
        ...

    def count(self) -> int:
        """The approximate number of items."""
        ...

    def pages(self, position: str | None) -> Iterator[WholePage]:
        """All pages from this position; None: from the first page.

        Raises:
            StoreUnreadableError: it could not be read completely.
        """
        ...


class RebuildOptions(msgspec.Struct, frozen=True):
    """How to rebuild.

    `at_most`: how many images fewer, in percent, readers may find in the new index.
    `settle`: how many seconds a bulk request in progress at the switch can take to reach the old
    index. `patience`: seconds to wait for consumers that lag. `drop_old`: delete the old index at
    the end, if the audit finds both stores equal and every image was copied. `before_deploying`:
    build the index although the deployed consumers have another index mapping, because this release
    is deployed next.
    """

    at_most: float
    settle: float
    patience: float
    drop_old: bool = False
    before_deploying: bool = False


class RebuildPlan(msgspec.Struct, frozen=True):
    """What a rebuild would do.

    `stage`: only set the `aliases`, if they are wrong and the live index is of this release;
    `begin` a new index, `go_on` filling one, `finish` after the switch, or `repeat` the last step,
    if the live index is of this release and the old one still exists. `live`: the index that the
    consumers write to; None if there is none, and `replaces` likewise. `problems`: what is wrong
    with the aliases. `ignored`: indices from which nothing is copied, because no alias says that
    they hold the images. `differences`: how the live index differs from this release's definition.
    `refused`: why the index cannot be built without `before_deploying`. `worker` began a rebuild
    that has not ended, and `worker_is` says whether it still runs.
    """

    stage: Stage
    live: str | None
    index: str
    replaces: str | None
    problems: Sequence[str]
    ignored: Sequence[str]
    differences: Sequence[str]
    table: int
    documents: int
    refused: str | None = None
    worker: str | None = None
    worker_is: WorkerState | None = None


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did.

    `corrected`: what was wrong with the aliases. `replaced`: the old index, None if there was none
    or if only the aliases were set. `carried` counts the images that were copied from the table and
    from the old index. `told`: images that could not be copied, and why. `kept` and `dropped` are
    earlier indices.
    """

    index: str
    corrected: Sequence[str]
    replaced: str | None
    carried: Mapping[str, int]
    told: Sequence[Example]
    audit: Audit
    kept: Sequence[str]
    dropped: Sequence[str]
    seconds: float

    @property
    def exit_code(self) -> int:
        """The exit code of the audit; 1 if the stores are equal and an image was not copied."""
        return self.audit.exit_code or bool(self.told)


class OtherReleaseError(UserError):
    """The deployed consumers have another index mapping than this release."""


class NotSwitchedError(UserError):
    """The new index lacks too much to be switched to; the old one stays live."""


class NotFinishedError(UserError):
    """The rebuild could not be completed now; running it again resumes it."""


class RebuildProgress(Protocol):
    """Called with the current step, its count, and the total if it is known."""

    def __call__(self, step: str, count: int, total: int | None) -> None:
        """Report it."""
        ...


class RebuildParts(msgspec.Struct, frozen=True):
    """The stores and services that a rebuild uses."""

    indices: Indices
    items: ImageSource
    """What the new index is filled from first."""
    table: TableReader
    index: Callable[[str], IndexReader]
    """The reader of an index, by the index's name."""
    sink: Sink
    """Writes through the alias `Indices.building`."""
    audit: Callable[[Callable[[str, int], None]], Audit]
    """Compares the table and the live index; reports the store and the count while it reads."""
    settled: Callable[[], float]
    """The time up to which both consumers have processed all arrivals, in seconds since 1970."""
    clock: Clock
    worker: RebuildWorker
    state_of: Callable[[RebuildWorker], WorkerState] = state_of
    """Whether a worker still runs."""
    refusal: str | None = None
    """Why this release must not build an index for the deployed consumers; None: it may."""


class Rebuild:
    """Rebuilds one stack's index."""

    def __init__(self, parts: RebuildParts) -> None:
        self._parts = parts
        self._indices = parts.indices

    def plan(self) -> RebuildPlan:
        """What `run` would do now.

        Raises:
            MisconfiguredError: an operator must clean up the indices first.
        """
        view = self._indices.read()
        stage, index, replaces = self._stage(view)
        state = view.numbered.get(index) if stage in {"go_on", "finish"} else None
        return RebuildPlan(
            stage=stage,
            live=view.live,
            index=index,
            replaces=replaces,
            problems=view.problems,
            ignored=view.ignored(index) if replaces is None and stage in _BUILDING else (),
            differences=view.differences,
            table=self._parts.items.count(),
            documents=0 if view.live is None else self._parts.index(view.live).count(),
            refused=self._refusal(stage),
            worker=None if state is None else str(state.worker),
            worker_is=None if state is None else self._parts.state_of(state.worker),
        )

    def abandon(self, *, apply: bool) -> Sequence[str]:
        """Delete the indices whose rebuild did not end; without `apply` only return them.

        Raises:
            AnotherRebuildError: another worker runs one of the rebuilds.
        """
        unfinished = self._indices.read().unfinished
        for index in unfinished if apply else ():
            parts = self._parts
            Lease.take_over(self._indices, index, parts.worker, parts.clock, parts.state_of)
            self._indices.drop(index)
        return unfinished

    def run(self, options: RebuildOptions, progress: RebuildProgress) -> Rebuilt:
        """Run a rebuild to its end, or resume one. It can be killed and run again at any time.

        If it fails before it has copied anything, the index that it created is deleted.

        Raises:
            AnotherRebuildError: another worker runs this rebuild.
            OtherReleaseError: the deployed consumers have another index mapping, and it is not
                said that this release is deployed next.
            NotSwitchedError: the new index lacks too much.
            NotFinishedError: a consumer lags, or a copy of the index is missing, for too long.
            MisconfiguredError: an operator must clean up the indices first.
            RequestFailedError: the index does not answer.
            StoreUnreadableError: a store could not be read completely.
        """
        started = self._parts.clock.elapsed()
        view = self._indices.read()
        stage, index, old = self._stage(view)
        if (refused := self._refusal(stage)) is not None and not options.before_deploying:
            raise OtherReleaseError(refused)
        done = _Copied()
        if stage == "aliases":
            self._correct_aliases(view, stage, options)
            audit = self._parts.audit(_audit_progress(progress))
        else:
            with self._nothing_left(stage, index) as copying:
                lease = self._lease(stage, index, old)
                self._correct_aliases(view, stage, options)
                run = _Run(self._parts, lease, progress, copying)
                if stage in _BUILDING:
                    run.build(options)
            if stage != "repeat":
                run.follow_after_switch(options)
            run.check_again()
            done, audit = run.copied(), run.audited()
        kept = self._indices.read().kept
        drops = options.drop_old and audit.result == "equal" and not done.told
        for one in kept if drops else ():
            self._indices.drop(one)
        return Rebuilt(
            index=index,
            corrected=view.problems,
            replaced=done.old,
            carried=done.carried,
            told=done.told,
            audit=audit,
            kept=() if drops else kept,
            dropped=kept if drops else (),
            seconds=round(self._parts.clock.elapsed() - started, 1),
        )

    @contextmanager
    def _nothing_left(self, stage: Stage, index: str) -> Iterator["_Copying"]:
        """Delete the index that this run creates, if it fails before it copies anything.

        A failure of the deletion itself is not reported: `--abandon` deletes the index, too.
        """
        copying = _Copying()
        try:
            yield copying
        except Exception:
            if stage == "begin" and not copying.has_begun:
                with suppress(UserError, SinkError):
                    # Another worker may have created the index, or taken it over.
                    if self._indices.state(index).worker == self._parts.worker:
                        self._indices.drop(index)
            raise

    def _correct_aliases(self, view: StackIndices, stage: Stage, options: RebuildOptions) -> None:
        """Set both aliases to the live index, unless readers would find too few images in it.

        A new index is switched to later in any case, so its rebuild goes on then.
        """
        if not view.problems or view.live is None:
            return
        live, at_most, fills = view.live, options.at_most, stage in _BUILDING
        old, new = self._indices.shown_now(), self._indices.shown(live)
        missing = _missing(old, new)
        if missing <= at_most:
            self._indices.switch(live)
        elif not fills:
            raise NotSwitchedError(
                f"readers find {old:,} images now but would find {new:,} in {live}, "
                f"{missing:.3g} % fewer: the aliases are not set. Run `lockstep audit --repair "
                f"--apply`, which writes what {live} lacks from the table, then run this again; "
                "--at-most PERCENT allows more"
            )

    def _refusal(self, stage: Stage) -> str | None:
        return self._parts.refusal if stage in _BUILDING else None

    def _stage(self, view: StackIndices) -> tuple[Stage, str, str | None]:
        """The stage, the new index, and the index that it replaces."""
        if len(view.unfinished) > 1:
            raise MisconfiguredError(
                f"{' and '.join(view.unfinished)} are all unfinished: {_ABANDON}"
            )
        for index in view.unfinished:
            old = self._indices.state(index).replaces
            if view.live not in {None, old} and self._indices.exists(old):
                raise MisconfiguredError(
                    f"{index} was built to replace another index than {view.live}: {_ABANDON}"
                )
            for difference in self._indices.differences(index):
                raise MisconfiguredError(
                    f"{index} was created by another release ({difference}): {_ABANDON}"
                )
            return "go_on", index, view.live if view.live is not None else old
        if view.live is None:
            return "begin", view.next, None
        if view.live_state is not None and not view.live_state.done:
            stage: Stage = "finish" if view.live_state.filled else "go_on"
            return stage, view.live, view.live_state.replaces
        if view.problems and not view.differences:
            return "aliases", view.live, None
        if view.kept and not view.differences:
            return "repeat", view.live, view.kept[0]
        return "begin", view.next, view.live

    def _lease(self, stage: Stage, index: str, old: str | None) -> Lease:
        parts = self._parts
        if stage == "begin":
            state = RebuildState(replaces=old, worker=parts.worker, source=parts.items.name)
            return Lease.create(self._indices, index, state, parts.clock)
        lease = Lease.take_over(self._indices, index, parts.worker, parts.clock, parts.state_of)
        self._indices.open(index)
        return lease


class _Copying(msgspec.Struct):
    """Whether a run has begun to copy images into the new index."""

    has_begun: bool = False


class _Copied(msgspec.Struct, frozen=True):
    """What a run copied; see `Rebuilt`."""

    old: str | None = None
    carried: Mapping[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(get_args(Origin), 0)
    )
    told: Sequence[Example] = ()


class _Run:
    """One run of one rebuild: its steps."""

    def __init__(
        self, parts: RebuildParts, lease: Lease, progress: RebuildProgress, copying: _Copying
    ) -> None:
        self._parts = parts
        self._copying = copying
        self._indices = parts.indices
        self._clock = parts.clock
        self._lease = lease
        self._progress = progress
        self._new_name = lease.index
        self._copier = Copier(
            parts.table, parts.index(self._new_name), parts.sink, clock=parts.clock
        )

    @property
    def _old_name(self) -> str | None:
        """The old index. It may not exist, and a deployment may create one during the rebuild."""
        return self._lease.state.replaces

    def build(self, options: RebuildOptions) -> None:
        """Fill the new index, follow the old one, and switch the aliases.

        Raises:
            NotSwitchedError, NotFinishedError: see `Rebuild.run`.
            MisconfiguredError: somebody moved the alias to another index.
        """
        self._fill()
        self._make_ready()
        self._follow()
        while (live := self._indices.read().live) not in {None, self._old_name, self._new_name}:
            if self._indices.exists(self._old_name):
                raise MisconfiguredError(
                    f"during the rebuild, somebody moved the alias from {self._old_name} to "
                    f"{live}: {_ABANDON}"
                )
            # There was no index, and a deployment has just created one.
            self._lease.save(replaces=live, followed={})
            self._make_ready()
            self._follow()
        self._check_limit(options.at_most)
        self._indices.switch(self._new_name)

    def copied(self) -> _Copied:
        """What was copied."""
        return _Copied(
            old=self._old_name,
            carried={name: self._copier.copied[name] for name in get_args(Origin)},
            told=[Example(image_id, why) for image_id, why in self._copier.failed.items()],
        )

    def _fill(self) -> None:
        """Fill the new index; continue where an earlier run was interrupted."""
        items, state = self._parts.items, self._lease.state
        if state.source != items.name:
            self._lease.save(source=items.name, position=None, filled=False)
        if self._lease.state.filled:
            return
        count, total = 0, items.count()
        for page in items.pages(self._lease.state.position):
            self._copying.has_begun = True
            self._copier.copy_all(page.images)
            count += len(page.images)
            self._report(f"filling {self._new_name} from the {items.name}", count, total)
            self._lease.renew(position=page.position)
        self._copying.has_begun = True  # also if there was no page
        self._lease.save(filled=True, position=None)

    def _make_ready(self) -> None:
        """Copy what is newer in the old index; then take over its refresh interval and replicas."""
        self._indices.refresh(self._new_name)
        self._catch_up()
        self._indices.make_ready(self._new_name, self._lease.state)
        deadline = self._clock.elapsed() + READY_SECONDS
        while not self._indices.is_as_healthy(self._new_name, self._old_name):
            if self._clock.elapsed() > deadline:
                raise NotFinishedError(
                    f"{self._new_name} lacks copies after {READY_SECONDS:.0f} s: check the "
                    "cluster's health, then run this again"
                )
            self._report("waiting for the copies of the new index")
            self._clock.sleep(PAUSE_SECONDS)

    def _follow(self) -> None:
        """Copy what is new in the old index, in passes, until little is left.

        Raises:
            NotFinishedError: the old index is written faster than it can be copied.
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
                        f"{self._old_name} is written faster than it can be copied: one pass "
                        f"takes {took:.0f} s. Run this again when fewer events arrive"
                    )
                break
            before = took
        self._indices.refresh(self._new_name)

    def _check_limit(self, at_most: float) -> None:
        """Check that readers would not find too few images in the new index.

        Raises:
            NotSwitchedError: it lacks more than this share, in percent.
        """
        if not self._indices.exists(self._old_name):
            return
        old, new = (self._indices.shown(name) for name in (self._old_name, self._new_name))
        missing = _missing(old, new)
        if missing > at_most:
            raise NotSwitchedError(
                f"readers find {old:,} images in {self._old_name} but would find {new:,} in "
                f"{self._new_name}, {missing:.3g} % fewer: the aliases are not switched. Check "
                "that this is the right table; --at-most PERCENT allows more"
            )

    def follow_after_switch(self, options: RebuildOptions) -> None:
        """After the switch: copy what is new in the old index until nothing more can reach it."""
        settle = options.settle if self._indices.exists(self._old_name) else 0.0
        switched_at, started = self._clock.now(), self._clock.elapsed()
        while True:
            self._catch_up()
            waited = self._clock.elapsed() - started
            if waited >= settle:
                if self._parts.settled() >= switched_at:
                    return
                if waited >= settle + options.patience:
                    raise NotFinishedError(
                        f"{self._new_name} is live, but a consumer still processes older records: "
                        "run `lockstep status --wait 600`, then run this again"
                    )
            self._report(
                f"{self._new_name} is live; copying from {self._old_name}",
                round(waited),
                round(settle),
            )
            self._clock.sleep(PAUSE_SECONDS)

    def check_again(self) -> None:
        """Read the old index and the table completely once more."""
        if self._indices.exists(name := self._old_name):
            self._copy_all_newer(self._parts.index(name), f"checking {name}")
        self._copier.copy_newer_in_table(
            self._parts.table.scan(), self._reporting("checking the table")
        )
        self._indices.refresh(self._new_name)

    def audited(self) -> Audit:
        """Audit the stores, and end the rebuild."""
        audit = self._parts.audit(_audit_progress(self._report))
        self._lease.finish()
        return audit

    def _catch_up(self) -> None:
        """Copy what was written to the old index since the last pass."""
        if not self._indices.exists(name := self._old_name):
            return
        old, shards = self._parts.index(name), self._indices.shards(name)
        look = shards.look()
        written = shards.written_since(self._lease.state.followed, look)
        step = f"copying from {name}"
        if written is None:
            self._copy_all_newer(old, step)
        else:
            self._copier.copy_just_written(old, map(from_document, written), self._reporting(step))
        self._lease.renew(followed=look.marks)

    def _copy_all_newer(self, old: IndexReader, step: str) -> None:
        everything = map(from_document, old.search(FIELDS, {}))
        self._copier.copy_newer_in_old(old, everything, self._reporting(step))

    def _reporting(self, step: str) -> Callable[[int], None]:
        return lambda count: self._report(step, count)

    def _report(self, step: str, count: int = 0, total: int | None = None) -> None:
        self._progress(step, count, total)
        self._lease.renew()


def _missing(old: int, new: int) -> float:
    """By how many percent readers find fewer images."""
    return 100 * (old - new) / max(1, old)


def _audit_progress(tell: RebuildProgress) -> Callable[[str, int], None]:
    return lambda store, count: tell(f"audit: reading the {store}", count, None)
