"""The purge: deletes the tombstones of a table in Table Store that are past the horizon.

Until then, a tombstone stops older records that are delivered again. The purge may run at any time,
twice, and while the consumer writes: a row that changes after it was read stays.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import batched
from typing import Final, Protocol

import msgspec

from functions.write_to_tablestore.keys import Key
from shared.clock import Clock
from shared.outcome import Applied, Failed, Outcome, Stale
from shared.pace import ITEMS_PER_PACED_PAGE, Pace
from shared.sink import RequestFailedError, RequestTimedOutError, outcomes_of

# At most so many rows are deleted in one request, and looked at for one page
# (https://www.alibabacloud.com/help/en/tablestore/limits-on-widecolumn-model).
ROWS_PER_DELETE: Final = 200
ROWS_PER_PAGE: Final = 5_000
# Seconds between two attempts.
PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class Tombstone(msgspec.Struct, frozen=True):
    """A tombstone that is past its time, and its version."""

    key: Key
    version: str


class MalformedTombstone(msgspec.Struct, frozen=True):
    """A row that says that it is a tombstone, and has a flaw. It is never deleted."""

    key: Key
    flaw: str


class TombstonePage(msgspec.Struct, frozen=True):
    """What a page of the table has.

    `position` is where reading continues; None: this is the last page. `units` is the read capacity
    that the page has used.
    """

    tombstones: Sequence[Tombstone]
    malformed: Sequence[MalformedTombstone]
    position: str | None
    units: float


class TombstonesOfTable(Protocol):
    """Finds and deletes tombstones."""

    def page(self, position: str | None, now: int, most: int | None) -> TombstonePage:
        """See `Tombstones.page`."""
        ...

    def delete(self, tombstones: Sequence[Tombstone]) -> Sequence[Outcome]:
        """See `Tombstones.delete`."""
        ...


class PurgedTombstones(msgspec.Struct, frozen=True):
    """What a purge did with the tombstones of a table.

    Attributes:
        expired: tombstones that were past their time.
        purged: deleted.
        changed: written or deleted by somebody else meanwhile, so nothing was done. After a lost
            answer, a tombstone that this purge has deleted counts here.
        failed: not deleted this time.
        malformed: rows that say that they are tombstones, and have a flaw; they stay.
        finished: whether it came to the end of the table.
        position: where the next purge goes on; None: at the beginning.
    """

    expired: int = 0
    purged: int = 0
    changed: int = 0
    failed: int = 0
    malformed: int = 0
    finished: bool = False
    position: str | None = None


class TombstonePurge:
    """A purge of one table."""

    def __init__(
        self,
        tombstones: TombstonesOfTable,
        clock: Clock,
        *,
        applies: bool,
        reads: Pace | None = None,
        writes: Pace | None = None,
        rows_at_once: int = ROWS_PER_DELETE,
        has_time: Callable[[], bool] = lambda: True,
        on_malformed: Callable[[MalformedTombstone], None] = lambda _: None,
        on_step: Callable[[PurgedTombstones], None] = lambda _: None,
    ) -> None:
        """Prepare a purge; without `applies`, it only counts.

        Args:
            tombstones: the table.
            clock: time.
            applies: whether tombstones are deleted.
            reads: limits the read units a second; None: no limit.
            writes: limits the rows that are deleted a second; None: no limit.
            rows_at_once: at most so many rows are deleted at once.
            has_time: whether to begin with another page, or another request.
            on_malformed: is told of each row with a flaw.
            on_step: is told what is done after each page.
        """
        self._tombstones = tombstones
        self._clock = clock
        self._applies = applies
        self._reads = reads
        self._writes = writes
        self._rows_at_once = min(rows_at_once, ROWS_PER_DELETE)
        self._has_time = has_time
        self._on_malformed = on_malformed
        self._on_step = on_step
        self._most = None if reads is None else ITEMS_PER_PACED_PAGE

    def run(self, position: str | None = None) -> PurgedTombstones:
        """Purge from this position on, to the end of the table or until there is no more time.

        Raises:
            RequestFailedError: the table cannot be read for too long.
            MisconfiguredError: no request can succeed until the deployment is corrected.
        """
        now = int(self._clock.now())
        done = PurgedTombstones(position=position)
        while self._has_time():
            page = self._page(done.position, now)
            if self._reads is not None:
                self._reads.spend(page.units)
            for one in page.malformed:
                self._on_malformed(one)
            outcomes = [*self._delete_all(page.tombstones)] if self._applies else []
            stopped = self._applies and len(outcomes) < len(page.tombstones)
            purged, changed = (
                sum(isinstance(one, kind) for one in outcomes) for kind in (Applied, Stale)
            )
            done = PurgedTombstones(
                expired=done.expired + len(outcomes if stopped else page.tombstones),
                purged=done.purged + purged,
                changed=done.changed + changed,
                failed=done.failed + len(outcomes) - purged - changed,
                malformed=done.malformed + len(page.malformed),
                finished=not stopped and page.position is None,
                position=done.position if stopped else page.position,
            )
            self._on_step(done)
            if stopped or done.finished:
                break
        return done

    def _page(self, position: str | None, now: int) -> TombstonePage:
        for pause in PAUSES:
            try:
                return self._tombstones.page(position, now, self._most)
            except RequestTimedOutError:
                self._most = max(1, (self._most or ROWS_PER_PAGE) // 2)
            except RequestFailedError:
                pass
            self._clock.sleep(pause)
        return self._tombstones.page(position, now, self._most)

    def _delete_all(self, tombstones: Sequence[Tombstone]) -> Iterator[Outcome]:
        """Delete these; yields an outcome for each, or for the first ones if the time is over."""
        for some in batched(tombstones, self._rows_at_once):
            if not self._has_time():
                return
            yield from self._delete(some)
            if self._writes is not None:
                self._writes.spend(len(some))

    def _delete(self, some: Sequence[Tombstone]) -> Sequence[Outcome]:
        outcomes = [*outcomes_of(some, self._tombstones.delete)]
        for pause in PAUSES:
            again = [at for at, one in enumerate(outcomes) if isinstance(one, Failed)]
            if not again:
                break
            self._clock.sleep(pause)
            retried = outcomes_of([some[at] for at in again], self._tombstones.delete)
            for at, outcome in zip(again, retried, strict=True):
                outcomes[at] = outcome
        return outcomes
