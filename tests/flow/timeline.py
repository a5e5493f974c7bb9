"""The data points of a local stack, cut into periods that are as long as a test makes them.

CloudWatch looks at minutes, and an alarm at up to 30 hours. A test does not wait for them: what the
stack has emitted since the last period is one period, however long that took. So nothing depends on
the speed of the machine. The values are those of the stack; only the times are of the test.
"""

from collections import Counter
from pathlib import Path

from lockstep.local.metrics import MINUTE, MetricPoint, read_points

BEGINNING = 1_795_248_000


class Timeline:
    """What a stack has emitted, and when, in the time of the test.

    Args:
        state: the stack's folder.
    """

    def __init__(self, state: Path) -> None:
        self.now = BEGINNING
        self.points: list[MetricPoint] = []
        self._state = state
        self._seen: Counter[MetricPoint] = Counter()

    def fresh(self) -> list[MetricPoint]:
        """What was emitted since the last period ended."""
        return [point._replace(times=times) for point, times in self._unseen().items()]

    def let_pass(self, seconds: int) -> None:
        """End a period of this length: what is fresh now was emitted in it."""
        unseen = self._unseen()
        self._seen += unseen
        self.points += [point._replace(at=self.now, times=times) for point, times in unseen.items()]
        self.now += seconds

    def begin(self) -> None:
        """Begin something new: forget what was emitted until now."""
        self.let_pass(MINUTE)
        self.points.clear()

    def _unseen(self) -> Counter[MetricPoint]:
        found: Counter[MetricPoint] = Counter()
        for point in read_points(self._state):
            found[point._replace(times=1)] += point.times
        return found - self._seen
