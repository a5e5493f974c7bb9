"""Runs an audit: reads both stores to disk, compares them, and looks up again what differs."""

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import batched
from typing import Literal

import msgspec

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import DifferenceKind, difference
from lockstep.audit.restored import Restored
from lockstep.audit.spill import Spill, Suspect
from lockstep.stores.entry import Entry
from lockstep.stores.readers import LOOKUP, EntryReader, StoreUnreadableError
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from lockstep.stream.stream import SKEW
from shared.clock import Clock
from shared.horizon import LONGEST_RETENTION
from shared.quarantine import TABLE_CONSUMER

# Seconds before the second lookup: a write in progress reaches the other store in this time.
SECOND_LOOK_AFTER = 2.0
# For so many seconds, a difference may be due to a record that is still in progress.
WATERMARK = 30.0

EXPLAINED = "explained_by_quarantine"


class Sample(msgspec.Struct, frozen=True):
    """An estimate for all images from a random sample.

    `images` is the size of the sample. With probability `confidence`, at most the share `at_most`
    of all images differs.
    """

    images: int
    confidence: float
    at_most: float


class Audit(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of an audit. `table` and `index` count entries, tombstones included.

    `under_way` counts images that differ, perhaps only because a consumer lags. `ahead` counts
    images by what the index has that the table lacks. `replay_since` is the oldest arrival of what
    of that a stream may still hold. `restored`: the table is a restored one. `warnings` are about
    the stack, one sentence each. `wrong` is what is wrong with the aliases of the index or with
    its mapping, whatever the entries say.

    `discarded` counts the failure documents of batches that the event source mappings discarded.
    `losses` and `stopped`: why both stores may lack the same events, see `with_unread`; those that
    arrived since `unknown_since`.
    """

    result: Literal["equal", "different", "unknown"]
    table: int
    index: int
    differences: dict[str, int]
    seconds: float
    ahead: dict[AheadKind, int] = {}
    replay_since: dt.datetime | None = None
    restored: Restored | None = None
    reason: str | None = None
    under_way: int = 0
    sample: Sample | None = None
    warnings: Sequence[str] = ()
    wrong: Sequence[str] = ()
    discarded: int = 0
    losses: tuple[Loss, ...] = ()
    stopped: tuple[StoppedConsumer, ...] = ()
    unknown_since: dt.datetime | None = None

    @property
    def complete(self) -> bool:
        """Whether the stores were compared completely; then `result` is their difference."""
        return self.reason is None

    @property
    def exit_code(self) -> int:
        """0: equal. 1: different, or something is `wrong`. 2: unknown."""
        if self.wrong:
            return 1
        return {"equal": 0, "different": 1, "unknown": 2}[self.result]


class Difference(msgspec.Struct, frozen=True):
    """One differing image, with the entry of each store; None if a store has none.

    `ahead` is what the index has that the table lacks; None if it has nothing newer.
    """

    image_id: str
    kind: DifferenceKind
    ahead: AheadKind | None
    explained_by_quarantine: bool
    table: Entry | None
    index: Entry | None


class OverBudgetError(Exception):
    """The audit takes longer than its budget."""


def audit(
    table: EntryReader,
    index: EntryReader,
    *,
    quarantined_images: Callable[[], Iterable[tuple[str, str]]],
    clock: Clock,
    progress: Callable[[str, int], None] = lambda _store, _count: None,
    settled: Callable[[], float] = lambda: math.inf,
    watermark: float = WATERMARK,
    budget: float = math.inf,
    on_difference: Callable[[Difference], None] = lambda _: None,
    only: Iterable[str] | None = None,
) -> Audit:
    """Compare the two stores completely, in bounded memory.

    Images that differ are looked up again in both stores, repeatedly, until they are equal or
    proved different: both consumers have processed all that arrived up to the newest entry. The
    result is `unknown` if a store could not be read completely, or a record is still in progress.

    Args:
        table: the system of record.
        index: the search index.
        quarantined_images: reads which consumer has a record of which image in quarantine; called
            only if something differs.
        clock: the clock.
        progress: called with a store's name and the number of entries read from it.
        settled: the time up to which both consumers have processed all arrivals, in seconds since
            1970.
        watermark: seconds to wait for records in progress.
        budget: seconds; the result of an audit that takes longer is `unknown`.
        on_difference: called with each proved difference.
        only: compare these images only.
    """
    started = clock.elapsed()
    recheck = _Recheck(
        table,
        index,
        quarantined_images=quarantined_images,
        clock=clock,
        deadline=started + budget,
        on_difference=on_difference,
    )
    reason = None
    spill = Spill()
    try:
        if only is None:
            _gather(table, index, spill, recheck, progress)
            spill.compare(clock.now())
        else:
            spill.suspect(Suspect(one, in_table=False, in_index=False) for one in only)
        recheck.run(spill, settled, watermark, first_pause=only is None)
    except StoreUnreadableError as error:
        reason = str(error)
    except OverBudgetError:
        reason = f"the audit did not end within {budget:g} s"
    finally:
        spill.close()
    if recheck.under_way and reason is None:
        reason = (
            f"{recheck.under_way:,} images differ, but a consumer lags by more than {watermark:g} s"
            ": run `lockstep status --wait 60`, then audit again"
        )
    found = +recheck.found
    result: Literal["equal", "different", "unknown"] = "different" if found else "equal"
    return Audit(
        result="unknown" if reason else result,
        table=recheck.counts["table"],
        index=recheck.counts["index"],
        differences=dict(sorted(found.items())),
        seconds=round(clock.elapsed() - started, 3),
        ahead=dict(sorted(recheck.ahead.items())),
        replay_since=_as_time(recheck.replay_since),
        reason=reason,
        under_way=recheck.under_way,
    )


def with_unread(found: Audit, unread: Unread) -> Audit:
    """The audit, knowing what the consumers have not read and cannot read any more.

    Stores that are equal may both lack the same events: then the result is `unknown`. What is
    proved different stays so, and can be repaired.
    """
    if not unread:
        return found
    return msgspec.structs.replace(
        found,
        result="unknown" if found.result == "equal" else found.result,
        losses=unread.losses,
        stopped=unread.stopped,
        unknown_since=unread.since,
    )


def _gather(
    table: EntryReader,
    index: EntryReader,
    spill: Spill,
    recheck: "_Recheck",
    progress: Callable[[str, int], None],
) -> None:
    """Read both stores to disk."""
    stores: tuple[tuple[Literal["table", "index"], EntryReader], ...] = (
        ("table", table),
        ("index", index),
    )
    for name, store in stores:
        for entries in batched(store.scan(), 1000):
            spill.add(name, entries)
            recheck.counts[name] += len(entries)
            progress(name, recheck.counts[name])
            recheck.check_budget()


class _Recheck:
    """Looks up suspects until each is equal in both stores or proved different.

    `counts` counts the entries of each store, as of the last lookup.
    """

    def __init__(
        self,
        table: EntryReader,
        index: EntryReader,
        *,
        quarantined_images: Callable[[], Iterable[tuple[str, str]]],
        clock: Clock,
        deadline: float,
        on_difference: Callable[[Difference], None],
    ) -> None:
        self.counts = {"table": 0, "index": 0}
        self.found: Counter[str] = Counter()
        self.ahead: Counter[AheadKind] = Counter()
        self.replay_since: int | None = None
        self.under_way = 0
        self._table = table
        self._index = index
        self._quarantined_images = quarantined_images
        self._quarantined: dict[str, set[str]] | None = None
        self._clock = clock
        self._deadline = deadline
        self._on_difference = on_difference

    def run(
        self, spill: Spill, settled: Callable[[], float], watermark: float, *, first_pause: bool
    ) -> None:
        """Look up all suspects, repeat those in progress; `under_way` counts those that remain."""
        for pause in _pauses(watermark):
            self.under_way = 0
            for some in spill.suspects(LOOKUP):
                if pause or first_pause:
                    self._clock.sleep(pause or SECOND_LOOK_AFTER)
                    pause, first_pause = 0.0, False  # noqa: PLW2901 - one wait per round
                self.check_budget()
                # Read this before the lookups: later arrivals may still be in progress.
                until = settled() * 1000
                left = list(self._look_up(some, until))
                self.under_way += len(left)
                spill.clear(one.image_id for one in some)
                spill.suspect(left)
            if not self.under_way:
                return

    def check_budget(self) -> None:
        """Raise OverBudgetError after the deadline."""
        if self._clock.elapsed() > self._deadline:
            raise OverBudgetError

    def _look_up(self, suspects: Sequence[Suspect], until: float) -> Iterator[Suspect]:
        """Look up suspects once; yield those that may differ because a consumer lags."""
        image_ids = [suspect.image_id for suspect in suspects]
        in_table, in_index = self._table.lookup(image_ids), self._index.lookup(image_ids)
        for suspect in suspects:
            image_id = suspect.image_id
            table, index = in_table.get(image_id), in_index.get(image_id)
            now = self._clock.now()
            kind = difference(table, index, now=now)
            if kind is not None and _newest_arrival((table, index), now) > until:
                if not _caught_up(suspect, table, index):
                    yield _with_version(suspect, table, index)
                    continue
                kind = None
            self.counts["table"] += (table is not None) - suspect.in_table
            self.counts["index"] += (index is not None) - suspect.in_index
            if kind is not None:
                self._report(image_id, kind, table, index)

    def _report(
        self, image_id: str, kind: DifferenceKind, table: Entry | None, index: Entry | None
    ) -> None:
        consumers, now = self._consumers(image_id), self._clock.now()
        ahead_with = ahead(table, index, now=now, explained=TABLE_CONSUMER in consumers)
        self.found[kind] += 1
        self.found[EXPLAINED] += bool(consumers)
        if ahead_with is not None and index is not None:
            self.ahead[ahead_with] += 1
            self._note_arrival(index.arrived_at, now)
        self._on_difference(Difference(image_id, kind, ahead_with, bool(consumers), table, index))

    def _consumers(self, image_id: str) -> set[str]:
        """The consumers that have a record of the image in quarantine."""
        if self._quarantined is None:
            self._quarantined = {}
            for consumer, quarantined in self._quarantined_images():
                self._quarantined.setdefault(quarantined, set()).add(consumer)
        return self._quarantined.get(image_id, set())

    def _note_arrival(self, arrived_at: int, now: float) -> None:
        """Note the arrival of what the table lacks, if a stream may still hold its record."""
        if arrived_at >= (now - LONGEST_RETENTION.total_seconds()) * 1000:
            latest = int(now * 1000) if self.replay_since is None else self.replay_since
            self.replay_since = min(arrived_at, latest)


def _as_time(arrived_at: int | None) -> dt.datetime | None:
    """An arrival in milliseconds since 1970, exactly: a replay tells if the stream holds it."""
    if arrived_at is None:
        return None
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=arrived_at)


def _newest_arrival(entries: Iterable[Entry | None], now: float) -> int:
    """The newest arrival that these entries claim, in milliseconds since 1970; 0 if there is none.

    An arrival in the future is of no record: somebody else wrote the entry.
    """
    latest = (now + SKEW.total_seconds()) * 1000
    return max(
        (
            one.arrived_at
            for one in entries
            if one is not None and not one.malformed and one.arrived_at <= latest
        ),
        default=0,
    )


def _with_version(suspect: Suspect, table: Entry | None, index: Entry | None) -> Suspect:
    """The suspect, with the version that both stores must pass to count as equal."""
    newest = max((one.version for one in (table, index) if one), default=0)
    return msgspec.structs.replace(suspect, seen=suspect.seen or newest)


def _caught_up(suspect: Suspect, table: Entry | None, index: Entry | None) -> bool:
    """Whether both stores have passed the version of the first lookup.

    An image that changes all the time differs at every lookup, each time in other versions.
    """
    if table is None or index is None or table.version == index.version:
        return False
    if table.malformed or index.malformed:
        return False
    return 0 < suspect.seen <= min(table.version, index.version)


def _pauses(watermark: float) -> Iterator[float]:
    """Seconds to wait before each lookup: 0, then doubling; in total `watermark`."""
    pause, waited = 1.0, 0.0
    yield 0.0
    while waited < watermark:
        pause = min(pause * 2, watermark - waited)
        yield pause
        waited += pause
