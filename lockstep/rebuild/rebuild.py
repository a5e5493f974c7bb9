"""Plans and runs a rebuild: decides at which stage it is, and leaves the steps to `run.py`.

If there is no old index, the table alone fills the new one. If only the aliases are wrong, they are
set, and nothing is filled.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Literal

import msgspec

from lockstep.audit.audit import Audit
from lockstep.console.errors import UserError
from lockstep.rebuild.indices import RebuildState, StackIndices
from lockstep.rebuild.lease import Lease
from lockstep.rebuild.parts import (
    NotSwitchedError,
    OtherReleaseError,
    RebuildOptions,
    RebuildParts,
    RebuildProgress,
)
from lockstep.rebuild.run import (
    ABANDON,
    Copied,
    Copying,
    RebuildRun,
    audit_progress,
    missing_percent,
)
from lockstep.rebuild.worker import WorkerState
from lockstep.repair.repair import Example
from shared.horizon import RESTORABLE
from shared.sink import MisconfiguredError, SinkError

Stage = Literal["aliases", "begin", "go_on", "finish", "repeat"]
# The stages that create or fill an index by this release's definition.
_BUILDING: Collection[Stage] = ("begin", "go_on")


class RebuildPlan(msgspec.Struct, frozen=True):
    """What a rebuild would do.

    `stage`: only set the `aliases`, if they are wrong and the live index is of this release;
    `begin` a new index, `go_on` filling one, `finish` after the switch, or `repeat` the last step,
    if the live index is of this release and the old one still exists. `live`: the index that the
    consumers write to; None if there is none, and `replaces` likewise. `problems`: what is wrong
    with the aliases. `ignored`: indices from which nothing is copied, because no alias says that
    they hold the images. `differences`: how the live index differs from this release's definition,
    and from what the stack wants.
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
    or if only the aliases were set. `copied` counts the images that were copied from the table and
    from the old index. `not_copied`: images that could not be copied, and why. `kept` and `dropped`
    are earlier indices.
    """

    index: str
    corrected: Sequence[str]
    replaced: str | None
    copied: Mapping[str, int]
    not_copied: Sequence[Example]
    audit: Audit
    kept: Sequence[str]
    dropped: Sequence[str]
    seconds: float

    @property
    def exit_code(self) -> int:
        """The exit code of the audit; 1 if the stores are equal and an image was not copied."""
        return self.audit.exit_code or bool(self.not_copied)


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
        done = Copied()
        if stage == "aliases":
            self._correct_aliases(view, stage, options)
            audit = self._parts.audit(audit_progress(progress))
        else:
            with self._nothing_left(stage, index) as copying:
                lease = self._lease(stage, index, old)
                self._correct_aliases(view, stage, options)
                run = RebuildRun(
                    self._parts,
                    lease,
                    progress,
                    copying,
                    may_read_old=not self._is_too_old(view, index),
                )
                if stage in _BUILDING:
                    run.build(options)
            if stage != "repeat":
                run.follow_after_switch(options)
            run.check_again()
            done, audit = run.copied(), run.audited()
        kept = self._indices.read().kept
        drops = options.drop_old and audit.result == "equal" and not done.not_copied
        for one in kept if drops else ():
            self._indices.drop(one)
        return Rebuilt(
            index=index,
            corrected=view.problems,
            replaced=done.old,
            copied=done.copied,
            not_copied=done.not_copied,
            audit=audit,
            kept=() if drops else kept,
            dropped=kept if drops else (),
            seconds=round(self._parts.clock.elapsed() - started, 1),
        )

    @contextmanager
    def _nothing_left(self, stage: Stage, index: str) -> Iterator["Copying"]:
        """Delete the index that this run creates, if it fails before it copies anything.

        A failure of the deletion itself is not reported: `--abandon` deletes the index, too.
        """
        copying = Copying()
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
        missing = missing_percent(old, new)
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
                f"{' and '.join(view.unfinished)} are all unfinished: {ABANDON}"
            )
        for index in view.unfinished:
            if self._is_too_old(view, index):
                raise MisconfiguredError(
                    f"{index} was begun over {RESTORABLE.days} days ago, and may contain images "
                    f"that were deleted since: {ABANDON}"
                )
            old = self._indices.state(index).replaces
            if view.live not in {None, old} and self._indices.exists(old):
                raise MisconfiguredError(
                    f"{index} was built to replace another index than {view.live}: {ABANDON}"
                )
            for difference in self._indices.differences(index):
                raise MisconfiguredError(
                    f"{index} was created by another release or for other settings "
                    f"({difference}): {ABANDON}"
                )
            return "go_on", index, view.live if view.live is not None else old
        if view.live is None:
            return "begin", view.next, None
        if view.live_state is not None and not view.live_state.done:
            stage: Stage = "finish" if view.live_state.filled else "go_on"
            return stage, view.live, self._still_of_use(view, view.live_state.replaces)
        if view.problems and not view.differences:
            return "aliases", view.live, None
        kept = self._still_of_use(view, view.kept[0]) if view.kept else None
        if kept is not None and not view.differences:
            return "repeat", view.live, kept
        return "begin", view.next, view.live

    def _still_of_use(self, view: StackIndices, old: str | None) -> str | None:
        """The index that the live one has replaced, if images may still be copied from it."""
        return None if view.live is None or self._is_too_old(view, view.live) else old

    def _is_too_old(self, view: StackIndices, index: str) -> bool:
        """Whether a deletion may have left no tombstone since this index was created.

        Then the image that was deleted would come back from an index that did not get the deletion.
        A deletion may reach the index a whole retention after its arrival, as it may the table:
        so the time is that of a restore.
        """
        created = view.created.get(index)  # None: it is created now
        since = 0.0 if created is None else self._parts.clock.now() - created
        return since > RESTORABLE.total_seconds()

    def _lease(self, stage: Stage, index: str, old: str | None) -> Lease:
        parts = self._parts
        if stage == "begin":
            state = RebuildState(replaces=old, worker=parts.worker, source=parts.items.name)
            lease = Lease.create(self._indices, index, state, parts.clock)
        else:
            lease = Lease.take_over(self._indices, index, parts.worker, parts.clock, parts.state_of)
        self._indices.open(index)
        return lease
