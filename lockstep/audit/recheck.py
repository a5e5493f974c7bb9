"""Looks up again what seems to differ, until it is equal or proved different."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import DifferenceKind, difference
from lockstep.audit.suspects import Suspect, Suspects
from lockstep.stores.entry import Entry
from lockstep.stores.readers import LOOKUP, EntryLookup
from lockstep.stream.stream import SKEW
from shared.clock import Clock
from shared.horizon import LONGEST_RETENTION
from shared.quarantine import TABLE_CONSUMER

# Seconds before the second lookup: a write in progress reaches the other store in this time.
SECOND_LOOK_AFTER = 2.0

EXPLAINED = "explained_by_quarantine"

type StoreName = Literal["table", "index"]


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


class Findings(msgspec.Struct):
    """What an audit has found so far.

    `counts`: the entries of each store, as of the last lookup. `found`: the proved differences by
    kind, and those that the quarantine explains. `ahead`: what the index has that the table lacks.
    `replay_since`: the oldest arrival, in milliseconds since 1970, of what of that a stream may
    still hold. `under_way`: images that differ, perhaps only because a consumer lags.
    """

    counts: dict[StoreName, int] = msgspec.field(default_factory=lambda: {"table": 0, "index": 0})
    found: dict[str, int] = msgspec.field(default_factory=dict)
    ahead: dict[AheadKind, int] = msgspec.field(default_factory=dict)
    replay_since: int | None = None
    under_way: int = 0

    def copy(self) -> "Findings":
        """A copy that can change by itself."""
        return msgspec.structs.replace(
            self, counts=self.counts.copy(), found=self.found.copy(), ahead=self.ahead.copy()
        )


class OverBudgetError(Exception):
    """The audit takes longer than its budget."""


class Recheck:
    """Looks up suspects until each is equal in both stores or proved different."""

    def __init__(
        self,
        table: EntryLookup,
        index: EntryLookup,
        *,
        quarantined_images: Callable[[], Iterable[tuple[str, str]]],
        clock: Clock,
        deadline: float,
        on_difference: Callable[[Difference], None],
        findings: Findings | None = None,
    ) -> None:
        self.findings = Findings() if findings is None else findings
        self._table = table
        self._index = index
        self._quarantined_images = quarantined_images
        self._quarantined: dict[str, set[str]] | None = None
        self._clock = clock
        self._deadline = deadline
        self._on_difference = on_difference

    def run(
        self,
        suspects: Suspects,
        settled: Callable[[], float],
        watermark: float,
        *,
        first_pause: bool,
    ) -> None:
        """Look up all suspects, repeat those in progress; `under_way` counts those that remain."""
        for pause in _pauses(watermark):
            self.findings.under_way = 0
            for some in suspects.batches(LOOKUP):
                if pause or first_pause:
                    self._clock.sleep(pause or SECOND_LOOK_AFTER)
                    pause, first_pause = 0.0, False  # noqa: PLW2901 - one wait per round
                self.check_budget()
                # Read this before the lookups: later arrivals may still be in progress.
                until = settled() * 1000
                left = list(self._look_up(some, until))
                self.findings.under_way += len(left)
                suspects.clear(one.image_id for one in some)
                suspects.add(left)
            if not self.findings.under_way:
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
            self.findings.counts["table"] += (table is not None) - suspect.in_table
            self.findings.counts["index"] += (index is not None) - suspect.in_index
            if kind is not None:
                self._report(image_id, kind, table, index)

    def _report(
        self, image_id: str, kind: DifferenceKind, table: Entry | None, index: Entry | None
    ) -> None:
        consumers, now = self._consumers(image_id), self._clock.now()
        ahead_with = ahead(table, index, now=now, explained=TABLE_CONSUMER in consumers)
        found, ahead_of = self.findings.found, self.findings.ahead
        found[kind] = found.get(kind, 0) + 1
        if consumers:
            found[EXPLAINED] = found.get(EXPLAINED, 0) + 1
        if ahead_with is not None and index is not None:
            ahead_of[ahead_with] = ahead_of.get(ahead_with, 0) + 1
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
            before = self.findings.replay_since
            latest = int(now * 1000) if before is None else before
            self.findings.replay_since = min(arrived_at, latest)


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
