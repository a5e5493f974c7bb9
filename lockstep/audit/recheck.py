"""Looks up again what seems to differ, until it is equal or proved different."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from lockstep.audit.ahead import AheadKind
from lockstep.audit.comparison import Comparison
from lockstep.audit.image_comparison import IMAGES
from lockstep.audit.suspects import Suspect, Suspects
from lockstep.stores.entry import Entry
from lockstep.stores.readers import LOOKUP, EntryLookup
from shared.clock import Clock
from shared.horizon import LONGEST_RETENTION

# Seconds before the second lookup: a write in progress reaches the other store in this time.
SECOND_LOOK_AFTER = 2.0

EXPLAINED = "explained_by_quarantine"


class Difference(msgspec.Struct, frozen=True):
    """One differing image, with the entry of each store; None if a store has none.

    `ahead` is what the replica has that the system of record lacks; None if it has nothing newer.
    """

    image_id: str
    kind: str
    ahead: AheadKind | None
    explained_by_quarantine: bool
    record: Entry | None
    replica: Entry | None


class Findings(msgspec.Struct):
    """What an audit has found so far.

    `counts`: the entries of each store, as of the last lookup. `found`: the proved differences by
    kind, and those that the quarantine explains. `ahead`: what the replica has that the system of
    record lacks.
    `replay_since`: the oldest arrival, in milliseconds since 1970, of what of that a stream may
    still hold. `under_way`: images that differ, perhaps only because a consumer lags.
    """

    counts: dict[str, int] = msgspec.field(default_factory=lambda: {"table": 0, "index": 0})
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
        record: EntryLookup,
        replica: EntryLookup,
        *,
        quarantined_images: Callable[[], Iterable[tuple[str, str]]],
        clock: Clock,
        deadline: float,
        on_difference: Callable[[Difference], None],
        findings: Findings | None = None,
        comparison: Comparison = IMAGES,
    ) -> None:
        self._comparison = comparison
        if findings is None:
            findings = Findings(counts={comparison.record: 0, comparison.replica: 0})
        self.findings = findings
        self._record = record
        self._replica = replica
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
        in_record, in_replica = self._entries([suspect.image_id for suspect in suspects])
        names, counts = self._comparison, self.findings.counts
        for suspect in suspects:
            image_id = suspect.image_id
            record, replica = in_record.get(image_id), in_replica.get(image_id)
            verdict = self._comparison.verdict(
                suspect, record, replica, until=until, now=self._clock.now()
            )
            if isinstance(verdict, Suspect):
                yield verdict
                continue
            counts[names.record] += (record is not None) - suspect.in_record
            counts[names.replica] += (replica is not None) - suspect.in_replica
            if verdict is not None:
                self._report(image_id, verdict, record, replica)

    def _entries(self, image_ids: Sequence[str]) -> tuple[Mapping[str, Entry], Mapping[str, Entry]]:
        """The entries of the system of record, and those of the replica."""
        if self._comparison.replica_first:
            in_replica = self._replica.lookup(image_ids)
            return self._record.lookup(image_ids), in_replica
        return self._record.lookup(image_ids), self._replica.lookup(image_ids)

    def _report(
        self, image_id: str, kind: str, record: Entry | None, replica: Entry | None
    ) -> None:
        consumers, now = self._consumers(image_id), self._clock.now()
        ahead_with = self._comparison.ahead(record, replica, now=now, quarantined_by=consumers)
        found, ahead_of = self.findings.found, self.findings.ahead
        found[kind] = found.get(kind, 0) + 1
        if consumers:
            found[EXPLAINED] = found.get(EXPLAINED, 0) + 1
        if ahead_with is not None and replica is not None:
            ahead_of[ahead_with] = ahead_of.get(ahead_with, 0) + 1
            self._note_arrival(replica.arrived_at, now)
        self._on_difference(
            Difference(image_id, kind, ahead_with, bool(consumers), record, replica)
        )

    def _consumers(self, image_id: str) -> set[str]:
        """The consumers that have a record of the image in quarantine."""
        if self._quarantined is None:
            self._quarantined = {}
            for consumer, quarantined in self._quarantined_images():
                self._quarantined.setdefault(quarantined, set()).add(consumer)
        return self._quarantined.get(image_id, set())

    def _note_arrival(self, arrived_at: int, now: float) -> None:
        """Note the arrival of what is ahead, if a stream may still hold its record."""
        if arrived_at >= (now - LONGEST_RETENTION.total_seconds()) * 1000:
            before = self.findings.replay_since
            latest = int(now * 1000) if before is None else before
            self.findings.replay_since = min(arrived_at, latest)


def _pauses(watermark: float) -> Iterator[float]:
    """Seconds to wait before each lookup: 0, then doubling; in total `watermark`."""
    pause, waited = 1.0, 0.0
    yield 0.0
    while waited < watermark:
        pause = min(pause * 2, watermark - waited)
        yield pause
        waited += pause
