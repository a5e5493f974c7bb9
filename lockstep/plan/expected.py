"""The load for which a stack is planned."""

from collections.abc import Sequence

import msgspec

from lockstep.console.errors import UserError

LONGEST_OUTAGE_DAYS = 7
"""A consumer retries for at most so long, whatever the retention of the stream is."""


class LoadRefusedError(UserError):
    """The parts of a load contradict each other. The message says which, and what to do."""


class ExpectedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack will have to do.

    Attributes:
        mean_events_per_second: events a second, over a month.
        peak_events_per_second: events a second, at the busiest time.
        events_by_hour: events a second in each hour of a day (UTC), whose mean is the mean; empty:
            each hour is as the mean.
        event_bytes: size of an event on the stream.
        images: images in both stores.
        update_share: part of the events that change an image, 0 to 1.
        deletion_share: part of the events that delete an image, 0 to 1.
        searches_per_second: searches a second, over a month.
        retention_days: days for which the stream keeps events.
        outage_hours: hours for which a store is down, of which a plan tells the end.
    """

    mean_events_per_second: float
    peak_events_per_second: float
    event_bytes: float
    images: float
    update_share: float
    deletion_share: float
    searches_per_second: float
    retention_days: float
    outage_hours: float
    events_by_hour: Sequence[float] = ()

    @property
    def hours(self) -> Sequence[float]:
        """Events a second in each hour of a day."""
        return self.events_by_hour or (self.mean_events_per_second,) * 24

    @property
    def longest_outage_hours(self) -> float:
        """How long a store may be down before events are lost."""
        return 24 * min(self.retention_days - 1, LONGEST_OUTAGE_DAYS)

    def check(self) -> None:
        """Check what the parts say together.

        Raises:
            LoadRefusedError: they contradict each other.
        """
        if self.peak_events_per_second < self.mean_events_per_second:
            raise LoadRefusedError(
                f"the peak ({self.peak_events_per_second:g} events a second) is below the mean "
                f"({self.mean_events_per_second:g}): give --peak at least the mean"
            )
        if self.peak_events_per_second < max(self.hours):
            raise LoadRefusedError(
                f"the peak ({self.peak_events_per_second:g} events a second) is below the busiest "
                f"hour ({max(self.hours):g}): give --peak at least that, or leave it out"
            )
        if self.update_share + self.deletion_share > 1:
            raise LoadRefusedError(
                "updates and deletions are more than 100 percent of the events: lower "
                "--updates or --deletions"
            )
        longest = self.longest_outage_hours
        if self.outage_hours > longest:
            raise LoadRefusedError(
                f"with a retention of {self.retention_days:g} days, a store may be down for "
                f"{longest:g} hours: lower --outage-hours, or raise --retention"
            )
