"""States of a stack, of which a test says only what it is about."""

import datetime as dt
from typing import Any

from lockstep.watching.seen import (
    AlarmOn,
    Seen,
    SeenAlarms,
    SeenAudit,
    SeenConsumer,
    SeenQuarantine,
    SeenShards,
    SeenStream,
)

NOW = 1_796_000_000.0
MOMENT = dt.datetime.fromtimestamp(NOW - 3600, dt.UTC)
NONE_DISCARDED = {"write_to_dynamodb": 0, "write_to_es": 0}


def consumer(**said: Any) -> SeenConsumer:
    usual: dict[str, Any] = {
        "per_second": 118.4,
        "backlog_records": 60,
        "lag_ms": 400,
        "reads": True,
        "rates": tuple(float(at % 50) for at in range(120)),
        "lags": tuple(float(at % 9) for at in range(120)),
    }
    return SeenConsumer(**usual | said)


def stream(**said: Any) -> SeenStream:
    usual: dict[str, Any] = {
        "until": NOW,
        "period": 1.0,
        "shards": SeenShards(4, "shardId-000000000002", 0.31),
        "arrivals_per_second": 1234.5,
        "consumers": {"write_to_dynamodb": consumer(), "write_to_es": consumer()},
        "arrivals": tuple(float(at % 30) for at in range(120)),
    }
    return SeenStream(**usual | said)


def seen(**said: Any) -> Seen:
    usual: dict[str, Any] = {
        "at": NOW,
        "stream": stream(),
        "quarantine": SeenQuarantine(3, NONE_DISCARDED | {"write_to_es": 2}, 0),
        "audit": SeenAudit("equal", MOMENT, images=69_202, different=0),
        "alarms": SeenAlarms((AlarmOn("quarantine-waiting", "records wait"),), off=12),
    }
    return Seen(**usual | said)
