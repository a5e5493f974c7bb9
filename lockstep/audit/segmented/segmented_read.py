"""The first read of an audit, by tasks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from lockstep.audit.segmented.tasks import Division, ReadSegment, Task, Work, rounds
from lockstep.audit.suspects import Suspect


class DoTasks(Protocol):
    """Does all tasks of a round, in any order, several at the same time."""

    def __call__(
        self, tasks: Sequence[Task], check: Callable[[], None], /
    ) -> Iterator[tuple[Task, int]]:
        """Each task with the result of `Work.do`, when it is done; `check`: see `FirstRead`.

        Raises:
            StoreUnreadableError: a task could not be done.
        """
        ...


class SegmentedRead:
    """See `FirstRead`. The entries and the results of the tasks are in objects."""

    def __init__(self, division: Division, work: Work, do_tasks: DoTasks) -> None:
        """Prepare to read.

        Args:
            division: how the first read is divided.
            work: reads the results of the tasks.
            do_tasks: does the tasks of a round.
        """
        self._division = division
        self._work = work
        self._do_tasks = do_tasks

    def suspects(
        self,
        *,
        now: Callable[[], float],  # noqa: ARG002 - each task takes its own time
        on_read: Callable[[str, int], None],
        check: Callable[[], None],
    ) -> Iterator[Suspect]:
        """See `FirstRead`."""
        reads, comparisons = rounds(self._division)
        for task, entries in self._do_tasks(reads, check):
            if isinstance(task, ReadSegment):
                on_read(task.store, entries)
        for _ in self._do_tasks(comparisons, check):
            check()
        for comparison in comparisons:
            yield from self._work.suspects(comparison)
