"""The metrics that AWS has of a deployed stack, for a local one: by AWS's names and dimensions.

The event source mappings, the Kinesis endpoint and the API Gateway write them into a file of the
stack's folder, minute by minute. The functions write theirs into their logs, in CloudWatch's
embedded metric format, as in Lambda.
"""

import logging
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import msgspec

FILE = "metrics.db"
MINUTE = 60
# As long as CloudWatch keeps data points of a minute.
KEPT_SECONDS = 15 * 24 * 3600
FLUSH_SECONDS = 1.0

_TABLE = """
CREATE TABLE IF NOT EXISTS points (
  minute INTEGER, metric TEXT, value REAL, count INTEGER, PRIMARY KEY (minute, metric, value)
) WITHOUT ROWID
"""
_ADD = """
INSERT INTO points VALUES (?, ?, ?, ?)
ON CONFLICT (minute, metric, value) DO UPDATE SET count = count + excluded.count
"""
_EMBEDDED = b'{"_aws":'

log = logging.getLogger(__name__)


class EmittedMetric(msgspec.Struct, frozen=True, array_like=True):
    """A metric of CloudWatch; `dimensions` are pairs of name and value, ordered by name."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


type Emit = Callable[[EmittedMetric, float], None]
"""Emits a value of a metric."""


def emit_nothing(_metric: EmittedMetric, _value: float) -> None:
    """Ignore the value."""


def of_function(name: str, function: str) -> EmittedMetric:
    """A metric of a function."""
    return EmittedMetric("AWS/Lambda", name, (("FunctionName", function),))


class MetricPoint(NamedTuple):
    """A value that was emitted `times` times in the minute that begins at `at` (Unix seconds)."""

    metric: EmittedMetric
    at: int
    value: float
    times: int


class MetricRecorder:
    """Collects the metrics of one process, and adds them to the file each second.

    Threads may share it. If the file cannot be written, the points are lost, and a line in the log
    says so: a metric must not stop what it measures.

    Args:
        state: the stack's folder.
        now: the time, in seconds since 1970.
    """

    def __init__(self, state: Path, *, now: Callable[[], float] = time.time) -> None:
        self._file = state / FILE
        self._now = now
        self._lock = threading.Lock()
        self._waiting: Counter[tuple[int, EmittedMetric, float]] = Counter()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def emit(self, metric: EmittedMetric, value: float) -> None:
        """Emit a value of a metric."""
        minute = int(self._now()) // MINUTE * MINUTE
        with self._lock:
            self._waiting[minute, metric, float(value)] += 1

    def close(self) -> None:
        """Write what is left, and stop."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write now what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, Counter()
        if not waiting:
            return
        rows = [
            (minute, msgspec.json.encode(metric).decode(), value, count)
            for (minute, metric, value), count in waiting.items()
        ]
        try:
            with closing(sqlite3.connect(self._file)) as database, database:
                database.execute(_TABLE)
                database.executemany(_ADD, rows)
                oldest = min(minute for minute, *_ in rows) - KEPT_SECONDS
                database.execute("DELETE FROM points WHERE minute < ?", (oldest,))
        except sqlite3.Error as error:
            log.warning("metrics: %s cannot be written: %s", self._file, error)


class _MetricName(msgspec.Struct):
    name: str = msgspec.field(name="Name")


class _Directive(msgspec.Struct):
    namespace: str = msgspec.field(name="Namespace")
    dimensions: list[list[str]] = msgspec.field(name="Dimensions")
    metrics: list[_MetricName] = msgspec.field(name="Metrics")


class _Embedded(msgspec.Struct):
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html."""

    timestamp: int = msgspec.field(name="Timestamp")
    directives: list[_Directive] = msgspec.field(name="CloudWatchMetrics")


def read_points(state: Path) -> list[MetricPoint]:
    """All data points of a local stack.

    Args:
        state: the stack's folder.
    """
    return [*_measured(state / FILE), *_embedded(state / "logs")]


def _measured(file: Path) -> Iterator[MetricPoint]:
    if not file.exists():
        return
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT metric, minute, value, count FROM points").fetchall()
    for metric, minute, value, count in rows:
        yield MetricPoint(
            msgspec.json.decode(metric, type=EmittedMetric), minute, float(value), count
        )


def _embedded(logs: Path) -> Iterator[MetricPoint]:
    for file in sorted(logs.glob("*.log")):
        with file.open("rb") as lines:
            for line in lines:
                # A line without its end is being written.
                if line.startswith(_EMBEDDED) and line.endswith(b"\n"):
                    yield from _points_of(msgspec.json.decode(line))


def _points_of(line: Mapping[str, object]) -> Iterator[MetricPoint]:
    """The data points of one line: each metric has a number or a list of them."""
    said = msgspec.convert(line["_aws"], _Embedded)
    at = said.timestamp // 1000 // MINUTE * MINUTE
    for directive in said.directives:
        for names in directive.dimensions:
            dimensions = tuple((name, str(line[name])) for name in sorted(names))
            for one in directive.metrics:
                metric = EmittedMetric(directive.namespace, one.name, dimensions)
                for value in msgspec.convert(line[one.name], list[float], strict=False):
                    yield MetricPoint(metric, at, value, 1)
