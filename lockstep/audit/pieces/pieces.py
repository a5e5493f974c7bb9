"""Works on an audit in pieces, as far as one invocation reaches.

It does what `lockstep.audit.audit` does in one process, with the same comparison and the same
second looks. What it has read and found is in the bucket, so the next invocation goes on there,
also after one that was killed.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import batched
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from lockstep.audit.audit import WATERMARK, Audit, audit_of
from lockstep.audit.image_comparison import IMAGES, StoreName
from lockstep.audit.partition import suspects_of
from lockstep.audit.pieces.segments import IN_MEMORY, SegmentBuilder, Segments
from lockstep.audit.pieces.state import AuditState, HeldState
from lockstep.audit.recheck import Difference, OverBudgetError, Recheck
from lockstep.audit.report import as_line
from lockstep.audit.suspects import Suspect, Suspects
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexPoint, PointLostError
from lockstep.stores.readers import EntryLookup, StoreUnreadableError
from lockstep.stores.table import EntryPage
from shared.clock import Clock

# OpenSearch keeps the point in time for so long without a request. That is longer than a lease,
# and the time until the next invocation.
KEEP_ALIVE = "1h"
# So many points in time may be lost, and so many invocations in a row fail or wait: then the audit
# ends. With one invocation every five minutes, it waits for an hour.
POINTS = 3
FAILURES_OF_A_POINT = 3
FAILURES = 12
WAITS = 12
# Something may be in its way for ever, such as an object that somebody deleted.
LONGEST_SECONDS = 48 * 3600.0
# So many images are looked up again at once: they must fit one invocation.
LOOKED_UP = 1_000
# Seconds of comparing without a difference after which the state is saved.
SAVED_AFTER = 5.0
# The report lists so many differences. All are counted.
LISTED = 100_000
# A partition of that many entries needs about 30 MB of memory.
_PER_PART = 50_000
_FEWEST_PARTS, _MOST_PARTS = 16, 8_192


class PiecesOfTable(EntryLookup, Protocol):
    """The table, read in pages."""

    def entry_pages(self, position: str | None) -> Iterator[EntryPage]:
        """See `TableReader.entry_pages`."""
        ...


class PiecesOfIndex(EntryLookup, Protocol):
    """The index, read in pages at one point in time."""

    def open_point(self, keep_alive: str) -> IndexPoint:
        """See `IndexReader.open_point`."""
        ...

    def entry_pages(self, point: IndexPoint) -> Iterator[tuple[Sequence[Entry], IndexPoint]]:
        """See `IndexReader.entry_pages`."""
        ...

    def close_point(self, point: IndexPoint) -> None:
        """See `IndexReader.close_point`."""
        ...


def parts_for(entries: int) -> int:
    """The number of partitions for about so many entries of a store."""
    return min(max(_FEWEST_PARTS, -(-entries // _PER_PART)), _MOST_PARTS)


class OutOfTimeError(Exception):
    """The invocation must end; the next one goes on."""


class Pieces:
    """An audit, as far as one invocation reaches."""

    def __init__(
        self,
        held: HeldState,
        table: PiecesOfTable,
        index: PiecesOfIndex,
        *,
        quarantined_images: Callable[[], Iterable[tuple[str, str]]],
        clock: Clock,
        remaining: Callable[[], float],
        settled: Callable[[], float],
        units: Callable[[], float] = lambda: 0.0,
        watermark: float = WATERMARK,
        in_memory: int | None = None,
    ) -> None:
        """Prepare to work.

        Args:
            held: the state, held by this invocation.
            table: the system of record.
            index: the search index.
            quarantined_images: see `lockstep.audit.audit.audit`.
            clock: the clock.
            remaining: the seconds that are left; at 0, the work ends at the next page.
            settled: see `lockstep.audit.audit.audit`.
            units: the read units that the readers have used.
            watermark: seconds to wait for records in progress before the invocation ends.
            in_memory: so many entries are in memory before they are stored; None: `IN_MEMORY`.
        """
        self._held = held
        self._table = table
        self._index = index
        self._quarantined_images = cache(lambda: list(quarantined_images()))
        self._clock = clock
        self._remaining = remaining
        self._settled = settled
        self._units = units
        self._watermark = watermark
        self._in_memory = IN_MEMORY if in_memory is None else in_memory
        self._counted_at, self._counted_units = clock.elapsed(), 0.0

    def go_on(self) -> Audit | None:
        """Work until the audit ends or the time is over.

        Returns:
            The result of the audit, if it has ended. The caller stores it, then the state.

        Raises:
            LeaseLostError: another invocation has taken over.
        """
        if self._clock.now() - self._state.started > LONGEST_SECONDS:
            return self._result(f"the audit did not end within {LONGEST_SECONDS / 3600:g} hours")
        try:
            if self._state.step == "table":
                self._read_table()
            if self._state.step == "index":
                self._read_index()
            self._compare()
        except OutOfTimeError:
            return None
        except PointLostError as error:
            return self._lost_point(error)
        except StoreUnreadableError as error:
            return self._failed(error)
        return self._result(None)

    @property
    def _state(self) -> AuditState:
        return self._held.state

    def _check_time(self, needed: float = 0.0) -> None:
        """Raise OutOfTimeError if fewer seconds are left."""
        if self._remaining() <= needed:
            raise OutOfTimeError

    def _save(self, **changes: Any) -> None:
        """Save the state, with what this invocation has used."""
        now, units = self._clock.elapsed(), self._units()
        self._held.save(
            seconds=self._state.seconds + now - self._counted_at,
            units=self._state.units + units - self._counted_units,
            **changes,
        )
        self._counted_at, self._counted_units = now, units

    def _result(self, reason: str | None) -> Audit:
        if reason is not None:
            self._save(reason=reason)
        return audit_of(
            self._state.findings, seconds=self._state.seconds, reason=self._state.reason
        )

    def _lost_point(self, error: Exception) -> Audit | None:
        """Begin the index's side again, unless it was lost too often."""
        state = self._state
        lost = state.points_lost + 1
        if lost >= POINTS:
            return self._result(f"{error}; the index could not be read in {POINTS} attempts")
        findings = state.findings.copy()
        findings.counts["index"] = 0
        self._save(point=None, index=(), points_lost=lost, findings=findings, failures=0)
        return None

    def _failed(self, error: Exception) -> Audit | None:
        """Let the next invocation try again, unless too many have failed."""
        failures = self._state.failures + 1
        if self._state.point is not None and failures >= FAILURES_OF_A_POINT:
            # Perhaps the node that held the point in time is gone.
            return self._lost_point(error)
        if failures >= FAILURES:
            return self._result(f"{error}; {FAILURES} invocations in a row could not read it")
        self._save(failures=failures)
        return None

    def _read_table(self) -> None:
        builder = SegmentBuilder(self._state.parts)
        position = self._state.position

        def save(**changes: Any) -> None:
            self._store("table", builder, position=position, **changes)

        try:
            for page in self._table.entry_pages(position):
                builder.add(page.entries)
                position = page.position
                if position is not None:
                    self._check_time()
                    if builder.count >= self._in_memory:
                        save()
        except (StoreUnreadableError, OutOfTimeError):
            save()
            raise
        save(step="index")

    def _read_index(self) -> None:
        if self._state.point is None:
            self._save(point=self._index.open_point(KEEP_ALIVE), index=())
        point = self._state.point
        if point is None:  # it was just saved
            raise AssertionError
        builder = SegmentBuilder(self._state.parts)
        try:
            for entries, at in self._index.entry_pages(point):
                builder.add(entries)
                point = at
                self._check_time()
                if builder.count >= self._in_memory:
                    self._store("index", builder, point=point)
        except PointLostError:
            raise
        except (StoreUnreadableError, OutOfTimeError):
            self._store("index", builder, point=point)
            raise
        self._store("index", builder, step="compare", point=None)
        self._index.close_point(point)

    def _store(self, store: StoreName, builder: SegmentBuilder, **changes: Any) -> None:
        """Store the entries in memory as a segment, and how far the store was read."""
        state, count = self._state, builder.count
        if count:
            keys: tuple[str, ...] = getattr(state, store)
            key = self._held.keep(f"{store}-{len(keys):06d}", builder.build())
            changes[store] = (*keys, key)
            findings = state.findings.copy()
            findings.counts[store] += count
            changes |= {"findings": findings, "failures": 0}
        self._save(**changes)

    def _compare(self) -> None:
        """Compare the partitions that are left."""
        state = self._state
        if state.reason is not None:
            return
        segments = Segments(self._held.objects, state.parts)
        for part in range(state.part, state.parts):
            if self._remaining() <= 0:
                self._save(part=part, after=self._after(part))
                raise OutOfTimeError
            found = suspects_of(
                segments.partition(state.table, part),
                segments.partition(state.index, part),
                self._clock.now(),
                IMAGES,
            )
            after = self._after(part)
            suspects = sorted(
                (one for one in found if one.image_id > after), key=attrgetter("image_id")
            )
            for some in batched(suspects, LOOKED_UP):
                self._look_again(part, some)
                if self._state.reason is not None:
                    return
            if suspects or self._clock.elapsed() - self._counted_at >= SAVED_AFTER:
                self._save(part=part + 1, after="", failures=0, waits=0)

    def _after(self, part: int) -> str:
        """The last image of a partition that is settled; "" if none is."""
        return self._state.after if self._state.part == part else ""

    def _look_again(self, part: int, some: Sequence[Suspect]) -> None:
        """Look up suspects until each is equal or proved different; save what was found."""
        self._check_time(self._watermark)
        state, lines = self._state, []

        def add(found: Difference) -> None:
            lines.append(msgspec.json.encode(as_line(found)))

        suspects = Suspects()
        recheck = Recheck(
            self._table,
            self._index,
            quarantined_images=self._quarantined_images,
            clock=self._clock,
            deadline=self._clock.elapsed() + self._remaining(),
            on_difference=add,
            # A copy: if the invocation ends before this is saved, the next one begins again.
            findings=state.findings.copy(),
        )
        with contextlib.closing(suspects):
            suspects.add(some)
            try:
                recheck.run(suspects, self._settled, self._watermark, first_pause=False)
            except OverBudgetError:
                raise OutOfTimeError from None
        findings = recheck.findings
        changes: dict[str, Any] = {}
        if findings.under_way:
            if state.waits + 1 < WAITS:
                self._save(part=part, after=self._after(part), waits=state.waits + 1)
                raise OutOfTimeError
            changes["reason"] = (
                f"{findings.under_way:,} images differ, but a consumer lagged in "
                f"{WAITS} invocations: run `lockstep status --wait 60`"
            )
        listed = lines[: max(0, LISTED - state.listed)]
        if listed:
            name = f"differences-{len(state.differences):06d}"
            key = self._held.keep(name, b"\n".join([*listed, b""]))
            changes |= {
                "differences": (*state.differences, key),
                "listed": state.listed + len(listed),
            }
        changes |= {"findings": findings, "failures": 0, "waits": 0}
        self._save(part=part, after=some[-1].image_id, **changes)
