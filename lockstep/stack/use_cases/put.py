"""Putting events and importing images into a stack."""

from collections import deque
from collections.abc import Callable, Iterable

from doors.clock import SYSTEM_CLOCK
from lockstep.producing.backfill import Backfill, Backfilled, PastStamp, Point, RefusedLine
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Pause, Producer, PutProgress, PutReport, Stamp
from lockstep.producing.sources import Converter
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import table_reader
from shared.event import Event


def put(
    clients: Clients,
    events: Iterable[Event | Outgoing | Pause],
    on_progress: Callable[[PutProgress], None] = lambda _: None,
) -> PutReport:
    """Put events onto the stream, in order per image; see `Producer.put`."""
    producer = Producer(clients.kinesis, clients.stack.stream, on_progress=on_progress)
    return producer.put(events)


def backfill(
    clients: Clients,
    *,
    mapping: Converter | None,
    replace: bool,
    apply: bool,
    on_refused: Callable[[RefusedLine, bytes], None],
    on_step: Callable[[Point, Backfilled], None],
) -> Backfill:
    """The import of images that were never on the stream; see `Backfill`."""
    producer = Producer(clients.kinesis, clients.stack.stream)
    return Backfill(
        table_reader(clients),
        producer.put if apply else lambda events: deque(events, maxlen=0),
        stamp=Stamp() if replace else PastStamp(SYSTEM_CLOCK.now),
        now=SYSTEM_CLOCK.now,
        mapping=mapping,
        replace=replace,
        on_refused=on_refused,
        on_step=on_step,
    )
