"""Wait until an age is near its limit: one hour before it, or one hour after it."""

from lockstep.simulation.operators.tools import Surroundings
from lockstep.simulation.system import System

HOUR, DAY = 3_600.0, 86_400.0
HORIZON_DAYS, RESTORABLE_DAYS = 121, 91
# Further away, nothing is remembered and every tombstone has expired.
MOST_DAYS = 260


class AgeLimits:
    """The limits of the ages of what is stored now."""

    def __init__(self, system: System, around: Surroundings) -> None:
        """Wait in this system."""
        self._system = system
        self._around = around

    def reach(self, share: float, *, of_tombstones: bool = False) -> None:
        """In this share of all calls, wait until shortly before or after one of the limits.

        Both consumers process everything before: their records would be gone by then.

        Args:
            share: in which share of all calls.
            of_tombstones: wait for the end of a tombstone, if there is one.
        """
        conditions, time = self._system.conditions, self._system.time
        if conditions.chance.random() >= share:
            return
        rate = conditions.fault_rate
        self._around.drain()
        conditions.fault_rate = rate
        off = conditions.chance.choice((-HOUR, HOUR))
        until = time.now + MOST_DAYS * DAY
        ends, arrivals = self._ends_and_arrivals()
        if not (of_tombstones and ends):
            ends += [at + days * DAY for at in arrivals for days in (HORIZON_DAYS, RESTORABLE_DAYS)]
        limits = sorted({at + off for at in ends if time.now < at + off < until})
        if limits:
            before = off < 0
            conditions.tally[
                "age an hour before its limit" if before else "age an hour after its limit"
            ] += 1
            time.advance(conditions.chance.choice(limits) - time.now)

    def _ends_and_arrivals(self) -> tuple[list[float], list[float]]:
        """The ends of tombstones, and the arrivals of all entries, in seconds since 1970."""
        ends, arrivals = [], []
        for item in self._system.table.items.values():
            if "expires_at" in item:
                ends.append(float(item["expires_at"]["N"]))
            if "arrived_at" in item:
                arrivals.append(float(item["arrived_at"]["N"]) / 1000)
        for document in self._system.index.documents.values():
            source = document.source or {}
            if "expires_at" in source:
                ends.append(float(source["expires_at"]))
            if "arrived_at" in source:
                arrivals.append(source["arrived_at"] / 1000)
        return ends, arrivals
