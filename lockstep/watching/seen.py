"""What is seen of a stack at one moment: the same for a local and a deployed one. Pure data."""

import datetime as dt
from collections.abc import Mapping

import msgspec

# The values of the last periods, the oldest first; None: unknown.
type History = tuple[float | None, ...]

# The longest history: more than a wide terminal shows.
POINTS = 120


class SeenShards(msgspec.Struct, frozen=True):
    """The open shards of the image stream.

    `busiest` is the shard that got most records of late, and `busiest_share` its share of them,
    from 0 to 1. Both are None if nothing arrived, or if it is unknown. On AWS, only the share is
    known.
    """

    open: int
    busiest: str | None = None
    busiest_share: float | None = None


class SeenConsumer(msgspec.Struct, frozen=True):
    """One consumer: records a second, its backlog, and its lag in milliseconds.

    None: unknown. `reads` is false if its event source mapping does not read.
    """

    per_second: float | None
    backlog_records: int | None
    lag_ms: int | None
    reads: bool
    rates: History = ()
    lags: History = ()


class SeenStream(msgspec.Struct, frozen=True):
    """The image stream and its consumers, as of `until`, in seconds since 1970.

    `period` is the time between two values of a history, in seconds.
    """

    until: float
    period: float
    shards: SeenShards
    arrivals_per_second: float | None
    consumers: Mapping[str, SeenConsumer]
    arrivals: History = ()


class SeenQuarantine(msgspec.Struct, frozen=True):
    """What waits in the bucket: records, failure documents by consumer, and what is old there."""

    records: int
    discarded: Mapping[str, int]
    over_60_days: int


class SeenIndex(msgspec.Struct, frozen=True):
    """What is wrong with the aliases and the index, one line each; and whether it is empty."""

    problems: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


class SeenLosses(msgspec.Struct, frozen=True):
    """The consumers that cannot read some records any more, without acknowledged losses."""

    consumers: tuple[str, ...] = ()


class SeenAudit(msgspec.Struct, frozen=True):
    """The last audit that ran by itself; all are None if none has ended.

    `images` counts the entries of the table. `running` is the step of an audit that is under way.
    """

    result: str | None = None
    ended: dt.datetime | None = None
    images: int | None = None
    different: int | None = None
    running: str | None = None


class AlarmOn(msgspec.Struct, frozen=True):
    """An alarm that is on: its name without that of the stack, what it says, and since when."""

    name: str
    says: str
    since: dt.datetime | None = None


class SeenAlarms(msgspec.Struct, frozen=True):
    """The alarms that are on; how many are off, and of how many the state is unknown."""

    on: tuple[AlarmOn, ...]
    off: int
    unknown: int = 0


class Seen(msgspec.Struct, frozen=True):
    """All that is seen of a stack. What could not be read is None, and `errors` says why.

    `at` is the time in seconds since 1970. `errors` are by the names of the fields.
    """

    at: float
    stream: SeenStream | None = None
    quarantine: SeenQuarantine | None = None
    audit: SeenAudit | None = None
    alarms: SeenAlarms | None = None
    errors: Mapping[str, str] = {}
