"""An import and a put have one clock each, which may be set back on the machine."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from lockstep.producing.backfill import Backfilled, sources
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import read_events
from lockstep.simulation.components import STREAM, TABLE
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import Kinesis
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.put import backfill, put
from shared.clock import Clock
from shared.event import Event, decode
from shared.record import MAX_AHEAD_US
from tests.builders import clock, image_event

NOW = 1_795_248_000.0
HOUR = 3_600.0
# The producer accepts it from NOW on.
AHEAD = int(NOW * 1_000_000) + MAX_AHEAD_US
LINE = msgspec.json.encode(image_event("T1", AHEAD))


def machine() -> Clock:
    """The clock of a machine that is set back by an hour after it was read once."""
    times: Iterator[float] = iter([NOW])
    return clock(now=lambda: next(times, NOW - HOUR), chance=lambda: 0.5)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Clients:
    monkeypatch.setattr("lockstep.stack.clients.SYSTEM_CLOCK", machine())
    its = Clients(cast("Any", SimpleNamespace(stream=STREAM, table=TABLE)))
    its.__dict__ |= {
        "producing": Kinesis(STREAM, shards=1, now=lambda: NOW),
        "dynamodb": DynamoDB(TABLE),
    }
    return its


def versions(clients: Clients) -> list[int]:
    stream = cast("Kinesis", clients.producing)
    return [decode(one.data).version for one in stream.accepted]


def test_what_an_import_has_accepted_is_put(clients: Clients, tmp_path: Path) -> None:
    file = tmp_path / "images.ndjson"
    file.write_bytes(LINE)
    done = backfill(
        clients,
        mapping=None,
        replaces="all",
        apply=True,
        on_refused=lambda one, _: pytest.fail(one.detail),
        on_step=lambda *_: None,
    ).run(sources(str(file), lambda: pytest.fail("no object")))
    assert done == Backfilled(1, 0, {}, 0)
    assert versions(clients) == [AHEAD]


def test_what_a_put_has_accepted_is_put(clients: Clients) -> None:
    read = [*read_events([LINE], Stamp(clients.clock.now))]
    put(clients, [one for one in read if isinstance(one, Event)])
    assert versions(clients) == [AHEAD]
