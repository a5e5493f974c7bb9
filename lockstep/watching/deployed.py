"""What is read of a deployed stack: metrics, alarms, and listings of its bucket.

Each request costs money (docs/guides/watch.md says how much), so little is asked, and seldom.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lockstep.stack.alarms import read_alarms
from lockstep.stack.clients import Clients
from lockstep.stack.deployed import (
    DeployedMapping,
    Metric,
    Series,
    Window,
    iterator_age,
    polled_events,
    read_series,
)
from lockstep.stack.progress import METRICS_DELAY, progress
from lockstep.stack.skew import rule_says
from lockstep.stack.status import Behind, deployed_consumers
from lockstep.stack.use_cases.consumers import arrivals_for
from lockstep.stack.use_cases.losses import deployed_mappings
from lockstep.stores.objects import BucketObjects
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import StreamUnavailableError
from lockstep.watching.audits import LastAudit
from lockstep.watching.look import counted_quarantine
from lockstep.watching.parts import Part, Start, in_thread
from lockstep.watching.seen import (
    POINTS,
    AlarmOn,
    History,
    SeenAlarms,
    SeenAudit,
    SeenConsumer,
    SeenQuarantine,
    SeenShards,
    SeenStream,
)
from shared.quarantine import TABLE_CONSUMER

MINUTE = 60
# In seconds: listings of the bucket, which change seldom.
SLOW_SECONDS = 300.0


class DeployedStack:
    """A deployed stack."""

    def __init__(self, clients: Clients, name: str) -> None:
        self._clients = clients
        self._name = name
        self._audit = LastAudit()

    def parts(
        self, every: float, elapsed: Callable[[], float], start: Start = in_thread
    ) -> Sequence[Part]:
        """What to read, and how often.

        Args:
            every: the seconds between two looks at metrics and alarms.
            elapsed: seconds that never go back.
            start: see `Part`.
        """
        slow = max(every, SLOW_SECONDS)
        read: dict[str, tuple[Callable[[], Any], float]] = {
            "stream": (self.stream, every),
            "alarms": (self.alarms, every),
            "quarantine": (self.quarantine, slow),
            "audit": (self.audit, slow),
        }
        if self._clients.stack.shard_rule is not None:
            read["shards"] = (self.busiest, slow)
        return [
            Part(name, reads, every=seconds, elapsed=elapsed, start=start)
            for name, (reads, seconds) in read.items()
        ]

    def stream(self) -> SeenStream:
        """The stream and its consumers, by the metrics of the last minutes.

        A consumer is as far as `lockstep status` says, but by the last two hours only.

        Raises:
            UnknownBacklogError: the stream does not answer.
        """
        clients = self._clients
        mappings = deployed_mappings(clients)
        arrivals = arrivals_for(clients.stack, mappings)
        window = self._window()
        series = read_series(clients.cloudwatch, metrics_of(mappings, arrivals), window)
        complete = int(window.end)
        behind = deployed_consumers(
            mappings,
            {
                name: progress(
                    series[iterator_age(mapping.function)],
                    series[arrivals[name]],
                    complete=complete,
                    period=MINUTE,
                )
                for name, mapping in mappings.items()
                if mapping.reads
            },
        )
        came = _history(series[arrivals[TABLE_CONSUMER]], window, missing=0.0)
        return SeenStream(
            until=window.end,
            period=MINUTE,
            shards=SeenShards(self._open_shards()),
            arrivals_per_second=_last_rate(came),
            consumers={
                name: _consumer(mapping, behind[name], series, window)
                for name, mapping in mappings.items()
            },
            arrivals=_a_second(came),
        )

    def busiest(self) -> SeenShards | None:
        """The busiest shard of the last minutes, as the table's consumer counts records.

        None if nothing arrived. `open` is not known here.
        """
        clients = self._clients
        rule = clients.stack.shard_rule or ""
        found = rule_says(clients.cloudwatch, rule, self._window().end)
        return None if found is None else SeenShards(0, found.shard_id, found.share)

    def alarms(self) -> SeenAlarms:
        """The alarms of the stack, also the composite one."""
        clients = self._clients
        found = read_alarms(clients.cloudformation, clients.cloudwatch, self._name)
        states = Counter(one.state for one in found)
        on = tuple(
            AlarmOn(one.short, f"{one.severity}: {one.says}", one.since)
            for one in found
            if one.state == "ALARM"
        )
        return SeenAlarms(on, off=states["OK"], unknown=states["INSUFFICIENT_DATA"])

    def quarantine(self) -> SeenQuarantine:
        """What waits in the bucket."""
        return counted_quarantine(self._clients)

    def audit(self) -> SeenAudit:
        """The last audit that ran by itself."""
        stack = self._clients.stack
        return self._audit.look(BucketObjects(self._clients.s3, stack.bucket))

    def _window(self) -> Window:
        """The last two hours, without the minutes whose metrics are not complete."""
        complete = (self._clients.clock.now() - METRICS_DELAY) // MINUTE * MINUTE
        return Window(complete - POINTS * MINUTE, complete, MINUTE)

    def _open_shards(self) -> int:
        stack = self._clients.stack
        try:
            return len(KinesisStream(self._clients.kinesis, stack.stream).open_shards())
        except StreamUnavailableError as error:
            raise UnknownBacklogError(f"the shards are unknown: {error}") from error


def alarms(parts: Sequence[Part]) -> SeenAlarms | None:
    """The alarms of a deployed stack, as AWS told them last."""
    (part,) = [one for one in parts if one.name == "alarms"]
    seen: SeenAlarms | None = part.value
    return seen


def metrics_of(
    mappings: Mapping[str, DeployedMapping], arrivals: Mapping[str, Metric]
) -> Sequence[Metric]:
    """The metrics of one look. AWS takes money for each."""
    wanted = dict.fromkeys(arrivals.values())
    for mapping in mappings.values():
        wanted[iterator_age(mapping.function)] = None
        if mapping.uuid is not None:
            wanted[polled_events(mapping.uuid)] = None
    return list(wanted)


def _consumer(
    mapping: DeployedMapping, behind: Behind, series: Mapping[Metric, Series], window: Window
) -> SeenConsumer:
    polled = series[polled_events(mapping.uuid)] if mapping.uuid is not None else {}
    read = _history(polled, window)
    return SeenConsumer(
        per_second=_last_rate(read),
        backlog_records=behind.backlog_records,
        lag_ms=behind.lag_ms,
        reads=behind.reads,
        rates=_a_second(read),
        lags=_history(series[iterator_age(mapping.function)], window),
    )


def _history(series: Series, window: Window, missing: float | None = None) -> History:
    starts = range(int(window.start), int(window.end), window.period)
    return tuple(series.get(start, missing) for start in starts)


def _a_second(counts: History) -> History:
    return tuple(None if count is None else count / MINUTE for count in counts)


def _last_rate(counts: History) -> float | None:
    last = counts[-1]
    return None if last is None else last / MINUTE
