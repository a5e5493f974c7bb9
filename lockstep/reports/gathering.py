"""Gathers what a report shows of the differences, while an audit finds them."""

from collections import Counter
from collections.abc import Iterable

from lockstep.audit.recheck import Difference
from lockstep.reports.content import OverTime
from lockstep.reports.timeline import Timeline
from lockstep.stream.stream import SKEW

# The examples of each kind. All of them together fit in one lookup.
EXAMPLES = 5


class GatheredKinds[T]:
    """The differences of one audit by kind and over time, and some of each kind.

    Its memory does not grow with the number of differences.
    """

    def __init__(self, now: float) -> None:
        """Begin without differences.

        Args:
            now: when the audit begins, in seconds since 1970.
        """
        self._latest = (now + SKEW.total_seconds()) * 1000
        self._timeline = Timeline()
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[T]] = {}

    def count(self, kind: str, arrivals: Iterable[int], found: T) -> None:
        """Count a difference.

        Args:
            kind: its kind.
            arrivals: in milliseconds since 1970; the newest counts. One in the future is of no
                record, and 0 is unknown.
            found: the difference.
        """
        known = [at for at in arrivals if 0 < at <= self._latest]
        self._timeline.add(kind, max(known, default=None))
        self._counts[kind] += 1
        if self._counts[kind] <= EXAMPLES:
            self._examples.setdefault(kind, []).append(found)

    @property
    def examples(self) -> list[T]:
        """Some differences of each kind, the most frequent kind first."""
        return [one for kind, _ in self._counts.most_common() for one in self._examples[kind]]

    @property
    def over_time(self) -> OverTime:
        """The differences by their arrival."""
        timeline = self._timeline
        return OverTime(list(timeline.bars()), timeline.width, timeline.unknown)


class Gathering(GatheredKinds[Difference]):
    """The differences of one audit of images.

    Its memory grows with the IDs of images that have a record in quarantine, which an audit keeps
    anyway.
    """

    def __init__(self, now: float) -> None:
        """Begin without differences.

        Args:
            now: when the audit begins, in seconds since 1970.
        """
        super().__init__(now)
        self.explained: Counter[str] = Counter()
        self.quarantined: set[str] = set()

    def add(self, found: Difference) -> None:
        """Add a difference."""
        entries = [one for one in (found.record, found.replica) if one is not None]
        self.count(found.kind, [one.arrived_at for one in entries], found)
        if found.explained_by_quarantine:
            self.explained[found.kind] += 1
            self.quarantined.add(found.image_id)
