"""What is seen as one line: as text where there is no terminal, as JSON for programs."""

import datetime as dt
from collections.abc import Mapping

import msgspec

from lockstep.console.text import printable
from lockstep.watching import words
from lockstep.watching.seen import Seen, SeenAlarms, SeenAudit, SeenQuarantine, SeenShards


class LineConsumer(msgspec.Struct, frozen=True):
    """A consumer, as JSON. None: unknown."""

    per_second: float | None
    backlog_records: int | None
    lag_ms: int | None
    reads: bool


class Line(msgspec.Struct, frozen=True):
    """One line of `lockstep watch --json`. None: unknown; `errors` says why.

    `metrics_until` is the time up to which rates and lags are known.
    """

    at: dt.datetime
    stack: str
    metrics_until: dt.datetime | None
    shards: SeenShards | None
    arrivals_per_second: float | None
    consumers: Mapping[str, LineConsumer]
    quarantine: SeenQuarantine | None
    audit: SeenAudit | None
    alarms: SeenAlarms | None
    errors: Mapping[str, str]


def json_line(seen: Seen, stack: str) -> Line:
    """What is seen, for programs: without histories, because a program has the lines before."""
    stream = seen.stream
    consumers = {} if stream is None else stream.consumers
    return Line(
        at=_moment(seen.at),
        stack=stack,
        metrics_until=None if stream is None else _moment(stream.until),
        shards=None if stream is None else stream.shards,
        arrivals_per_second=None if stream is None else stream.arrivals_per_second,
        consumers={
            name: LineConsumer(one.per_second, one.backlog_records, one.lag_ms, one.reads)
            for name, one in consumers.items()
        },
        quarantine=seen.quarantine,
        audit=seen.audit,
        alarms=seen.alarms,
        errors=seen.errors,
    )


def text_line(seen: Seen) -> str:
    """What is seen, as one line of text."""
    parts = []
    if seen.stream is not None:
        stream = seen.stream
        parts.append(f"arrivals {words.rate(stream.arrivals_per_second)}")
        parts.append(f"shards {words.shards(stream.shards)}")
        parts += [
            f"{name} {words.rate(one.per_second)}, lag {words.lag(one.lag_ms)}"
            + ("" if one.reads else ", does not read")
            for name, one in stream.consumers.items()
        ]
    if seen.quarantine is not None:
        parts.append(f"in quarantine {words.quarantine(seen.quarantine)}")
    if seen.audit is not None:
        parts.append(f"last audit {words.audit(seen.audit)}")
    if seen.alarms is not None:
        on = "".join(f" {one.name}" for one in seen.alarms.on)
        parts.append(f"alarms {words.alarms(seen.alarms)}{on and ':'}{on}")
    parts += [f"{names} unknown: {why}" for why, names in words.causes(seen.errors).items()]
    return printable(f"{words.moment(seen.at)} {'; '.join(parts)}")


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(round(seconds, 3), dt.UTC)
