"""Gathers what a report shows of the differences, while an audit finds them."""

from collections import Counter

from lockstep.audit.recheck import Difference
from lockstep.reports.timeline import Timeline
from lockstep.stores.entry import Entry
from lockstep.stream.stream import SKEW

# The examples of each kind. All of them together fit in one lookup.
EXAMPLES = 5


class Gathering:
    """What a report shows of the differences of one audit.

    Its memory does not grow with the number of differences, except for the ids of images that have
    a record in quarantine, which an audit keeps anyway.
    """

    def __init__(self, now: float) -> None:
        """Begin without differences.

        Args:
            now: when the audit begins, in seconds since 1970.
        """
        self._latest = (now + SKEW.total_seconds()) * 1000
        self.timeline = Timeline()
        self.explained: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[Difference]] = {}
        self.quarantined: set[str] = set()

    def add(self, found: Difference) -> None:
        """Add a difference."""
        self.timeline.add(found.kind, self._arrival(found))
        if found.explained_by_quarantine:
            self.explained[found.kind] += 1
            self.quarantined.add(found.image_id)
        self._counts[found.kind] += 1
        if self._counts[found.kind] <= EXAMPLES:
            self._examples.setdefault(found.kind, []).append(found)

    @property
    def examples(self) -> list[Difference]:
        """Some differences of each kind, the most frequent kind first."""
        return [one for kind, _ in self._counts.most_common() for one in self._examples[kind]]

    def _arrival(self, found: Difference) -> int | None:
        """The newest arrival that the entries state. One in the future is of no record."""

        def arrivals(entry: Entry | None) -> list[int]:
            known = entry is not None and 0 < entry.arrived_at <= self._latest
            return [entry.arrived_at] if entry is not None and known else []

        return max([*arrivals(found.record), *arrivals(found.replica)], default=None)
