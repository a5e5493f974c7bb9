"""One run of one rebuild: its steps.

At the switch the new index lacks only the last writes to the old one. After the switch, bulk
requests in progress may still reach the old index. So the old index is followed until they have
ended: on AWS, until the functions' timeout has passed; on one machine, as long as OpenSearch says
that one is in progress. Then the old index and the table are read completely once more.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import msgspec

from lockstep.audit.audit import Audit
from lockstep.rebuild.copying import Copier, Origin
from lockstep.rebuild.lease import Lease
from lockstep.rebuild.parts import (
    NotFinishedError,
    NotSwitchedError,
    RebuildOptions,
    RebuildParts,
    RebuildProgress,
)
from lockstep.repair.repair import Example
from lockstep.stores.entry import FIELDS, from_document
from lockstep.stores.index import IndexReader
from shared.sink import MisconfiguredError

# A pass copies what is new in the old index. The aliases are switched when a pass takes less than
# CLOSE_SECONDS, or more than STEADY times as long as the pass before, and at most FAR_SECONDS.
CLOSE_SECONDS = 1.0
STEADY = 0.8
FAR_SECONDS = 15.0
# How long to wait for the replicas of the new index.
READY_SECONDS = 1800.0
# The pause between two checks of the replicas or the consumers.
PAUSE_SECONDS = 2.0


ABANDON = "`lockstep rebuild --abandon --apply` deletes it"


class Copying(msgspec.Struct):
    """Whether a run has begun to copy images into the new index."""

    has_begun: bool = False


class Copied(msgspec.Struct, frozen=True):
    """What a run copied; see `Rebuilt`."""

    old: str | None = None
    copied: Mapping[str, int] = msgspec.field(
        default_factory=lambda: dict.fromkeys(get_args(Origin), 0)
    )
    not_copied: Sequence[Example] = ()


class RebuildRun:
    """One run of one rebuild: its steps."""

    def __init__(
        self,
        parts: RebuildParts,
        lease: Lease,
        progress: RebuildProgress,
        copying: Copying,
        *,
        may_read_old: bool,
    ) -> None:
        self._parts = parts
        self._may_read_old = may_read_old
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
        """The old index, if images may be copied from it.

        It may not exist, and a deployment may create one during the rebuild.
        """
        return self._lease.state.replaces if self._may_read_old else None

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
                    f"{live}: {ABANDON}"
                )
            # There was no index, and a deployment has just created one.
            self._lease.save(replaces=live, followed={})
            self._make_ready()
            self._follow()
        self._check_limit(options.at_most)
        self._indices.switch(self._new_name)

    def copied(self) -> Copied:
        """What was copied."""
        return Copied(
            old=self._old_name,
            copied={name: self._copier.copied[name] for name in get_args(Origin)},
            not_copied=[Example(image_id, why) for image_id, why in self._copier.failed.items()],
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
        missing = missing_percent(old, new)
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
        old_writes = self._indices.writing() if settle is None else frozenset()
        while True:
            self._catch_up()
            waited = self._clock.elapsed() - started
            old_writes = old_writes and old_writes & self._indices.writing()
            if waited >= (settle or 0.0) and not old_writes:
                if self._parts.settled() >= switched_at:
                    return
                why = "a consumer still processes older records: run `lockstep status --wait 600`"
            else:
                why = "a write that began before still runs: wait a minute"
            if waited >= (settle or 0.0) + options.patience:
                raise NotFinishedError(f"{self._new_name} is live, but {why}, then run this again")
            self._report(
                f"{self._new_name} is live; waiting for writes that began before to end, and "
                f"copying them from {self._old_name}",
                round(waited),
                None if settle is None else round(settle),
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
        audit = self._parts.audit(audit_progress(self._report))
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


def missing_percent(old: int, new: int) -> float:
    """By how many percent readers find fewer images."""
    return 100 * (old - new) / max(1, old)


def audit_progress(tell: RebuildProgress) -> Callable[[str, int], None]:
    """Reports the progress of an audit as a step of the rebuild."""
    return lambda store, count: tell(f"audit: reading the {store}", count, None)
