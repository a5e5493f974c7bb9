"""A first read in tasks on the fakes: done in any order, again, and killed at any write."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from lockstep.audit.audit import Audit, audit
from lockstep.audit.recheck import Difference
from lockstep.audit.segmented.segmented_read import SegmentedRead
from lockstep.audit.segmented.tasks import Division, Task, Work
from lockstep.stores.readers import SegmentReader
from shared.clock import Clock
from tests.unit.audit.pieces import Bucket
from tests.unit.audit.stand import Stand
from tests.unit.quarantine.stand import Crash

PARTITIONS = 5


class Troubled:
    """Does tasks in random order; each one is killed at random, done again, and done twice."""

    def __init__(self, bucket: Bucket, work: Work, chance: random.Random) -> None:
        self.killed = self.repeated = 0
        self._bucket = bucket
        self._work = work
        self._chance = chance

    def __call__(
        self, tasks: Sequence[Task], check: Callable[[], None], /
    ) -> Iterator[tuple[Task, int]]:
        shuffled = [*tasks]
        self._chance.shuffle(shuffled)
        done: list[Task] = []
        for task in shuffled:
            check()
            yield task, self._done(task)
            done.append(task)
            again = self._chance.choice(done)
            assert self._work.do(again) >= 0
            self.repeated += 1

    def _done(self, task: Task) -> int:
        for writes in chain((self._chance.randrange(3) for _ in range(3)), [None]):
            self._bucket.crash_after = writes
            try:
                return self._work.do(task)
            except Crash:
                self.killed += 1
            finally:
                self._bucket.crash_after = None
        raise AssertionError("the last attempt is not killed")


class SegmentedAudit:
    """An audit of stores in memory whose first read is in segments."""

    def __init__(
        self,
        stores: tuple[SegmentReader, SegmentReader],
        clock: Clock,
        segments: int,
        *,
        bucket: Bucket | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.bucket = bucket or Bucket()
        division = Division(segments, PARTITIONS)
        table, index = stores
        self.work = Work(
            self.bucket,
            division,
            table=table,
            index=index,
            now=clock.now,
            check=check,
            in_memory=20,
        )
        self.troubled = Troubled(self.bucket, self.work, random.Random(segments))
        self.read = SegmentedRead(division, self.work, self.troubled)


def audited_in_segments(
    stand: Stand, segments: int, *, values: bool
) -> tuple[Audit, Mapping[str, Difference], SegmentedAudit]:
    """An audit of a stand, its differences by image, and how it was done."""
    stores = stand.whole_stores if values else (stand.table, stand.index)
    segmented = SegmentedAudit(stores, stand.clock, segments)
    found: list[Difference] = []
    answer = audit(
        *stores,
        quarantined_images=lambda: stand.quarantined,
        clock=stand.clock,
        on_difference=found.append,
        first_read=segmented.read,
    )
    return answer, {one.image_id: one for one in found}, segmented
