"""An audit in pieces on the fakes: a bucket that a process may die at, and one invocation."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat

import msgspec

from lockstep.audit.pieces.ending import PiecesReport, close, ended
from lockstep.audit.pieces.pieces import Pieces, PiecesOfIndex, PiecesOfTable
from lockstep.audit.pieces.schedule import Every, next_audit
from lockstep.audit.pieces.state import REPORTS, HeldState, hold, read_state
from lockstep.audit.report import ReportLine
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexPoint, IndexReader
from lockstep.stores.table import EntryPage, TableReader
from shared.clock import Clock
from tests.unit.audit.stand import Stand
from tests.unit.audit.traffic import Moving, Traffic
from tests.unit.quarantine.stand import Crash, MemoryObjects

# As long as an invocation may run.
LEASE = 600.0


class Bucket(MemoryObjects):
    """A bucket with ETags. `crash_after`: the process dies instead of the write after so many."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self._tags: dict[str, str] = {}
        self._numbers = count(1)

    def write(self, key: str, body: bytes) -> None:
        super().write(key, body)
        self.written.append(key)
        self._tags[key] = f"tag-{next(self._numbers)}"

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        return (self.kept[key], self._tags[key]) if key in self.kept else None

    def replace(self, key: str, body: bytes, tag: str | None) -> str | None:
        if (self._tags.get(key) if key in self.kept else None) != tag:
            return None
        self.write(key, body)
        return self._tags[key]

    def read_part(self, key: str, start: int, end: int) -> bytes:
        return self.kept[key][start:end]


class MovingTable(Moving):
    """The table, read while the traffic goes on."""

    def __init__(self, store: TableReader, traffic: Traffic) -> None:
        super().__init__(store, traffic)
        self._table = store

    def entry_pages(self, position: str | None) -> Iterator[EntryPage]:
        for page in self._table.entry_pages(position):
            self._traffic.move()
            yield page


class MovingIndex(Moving):
    """The index, read while the traffic goes on."""

    def __init__(self, store: IndexReader, traffic: Traffic) -> None:
        super().__init__(store, traffic)
        self._index = store

    def open_point(self, keep_alive: str) -> IndexPoint:
        return self._index.open_point(keep_alive)

    def entry_pages(self, point: IndexPoint) -> Iterator[tuple[Sequence[Entry], IndexPoint]]:
        for page in self._index.entry_pages(point):
            self._traffic.move()
            yield page

    def close_point(self, point: IndexPoint) -> None:
        self._index.close_point(point)


class Invocations:
    """Invocations that audit one stack in pieces, one after another.

    `checks` is how often an invocation looks at its time before it is over; `pause` is the time
    between two.
    """

    def __init__(
        self,
        clock: Clock,
        pass_time: Callable[[float], None],
        stores: Callable[[bool], tuple[PiecesOfTable, PiecesOfIndex]],
        *,
        settled: Callable[[], float],
        in_memory: int = 50,
        parts: int = 4,
    ) -> None:
        self.bucket = Bucket()
        self.count = 0
        self.crashes = 0
        self.checks = 1_000_000
        self.pause = 300.0
        self.kills: Iterator[int | None] = repeat(None)
        self._clock = clock
        self._pass_time = pass_time
        self._stores = stores
        self._settled = settled
        self._in_memory = in_memory
        self._parts = parts

    def hold(self) -> HeldState | None:
        now = self._clock.now()
        return hold(
            self.bucket,
            now=now,
            until=now + LEASE,
            begin=lambda before: next_audit(
                before, Every(3600.0), now=now, parts=lambda: self._parts
            ),
        )

    def one(self) -> PiecesReport | None:
        """One invocation; the report if the audit has ended."""
        self.count += 1
        held = self.hold()
        assert held is not None
        left = iter(range(self.checks))
        audit = self.pieces(held, lambda: 100.0 if next(left, None) is not None else 0.0).go_on()
        if audit is None:
            held.release()
            return None
        report = ended(held, audit, self._clock.now())
        close(held, report, self._clock.now())
        return report

    def pieces(self, held: HeldState, remaining: Callable[[], float]) -> Pieces:
        table, index = self._stores(held.state.values)
        return Pieces(
            held,
            table,
            index,
            quarantined_images=list,
            clock=self._clock,
            remaining=remaining,
            settled=self._settled,
            in_memory=self._in_memory,
        )

    def run(self, *, most: int = 5_000) -> PiecesReport:
        """Invocations until the audit ends; `kills` says after how many writes each one dies."""
        for _ in range(most):
            self.bucket.crash_after = next(self.kills)
            try:
                report = self.one()
            except Crash:
                self.crashes += 1
                self._pass_time(LEASE)
                report = self._ended()
            if report is not None:
                return report
            self._pass_time(self.pause)
        raise AssertionError("the audit does not end")

    def _ended(self) -> PiecesReport | None:
        """The report of an audit that ended although its last invocation was killed."""
        self.bucket.crash_after = None
        state, _ = read_state(self.bucket)
        if state is None or state.step != "ended":
            return None
        body = self.bucket.kept[f"{REPORTS}{state.run}.json"]
        return msgspec.json.decode(body, type=PiecesReport)

    def lines(self, report: PiecesReport) -> Sequence[ReportLine]:
        """The differences that a report lists."""
        if report.differences is None:
            return []
        lines = self.bucket.kept[report.differences].splitlines()
        return [msgspec.json.decode(line, type=ReportLine) for line in lines]


def of_stand(stand: Stand) -> Invocations:
    """Invocations on fakes whose clock moves only when somebody waits."""

    def stores(values: bool) -> tuple[PiecesOfTable, PiecesOfIndex]:  # noqa: FBT001 - a callback
        return stand.whole_stores if values else (stand.table, stand.index)

    return Invocations(stand.clock, stand.pass_time, stores, settled=lambda: stand.at, in_memory=5)
