"""Putting events and importing images into a stack."""

from collections import deque
from collections.abc import Callable, Iterable

from lockstep.producing.backfill import Backfill, Backfilled, PastStamp, Point, RefusedLine
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Pause, Producer, PutProgress, PutReport, Stamp
from lockstep.producing.sources import Converter
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import table_reader
from shared.clock import Clock
from shared.event import Event


def put(
    clients: Clients,
    events: Iterable[Event | Outgoing | Pause],
    on_progress: Callable[[PutProgress], None] = lambda _: None,
    *,
    clock: Clock | None = None,
) -> PutReport:
    """Put events onto the stream, in order per image; see `Producer.put`.

    Args:
        clients: the stack's.
        events: the events.
        on_progress: called after each request.
        clock: the clock that the caller has judged the events by; None: the clients' clock.
    """
    producer = Producer(
        clients.kinesis,
        clients.stack.stream,
        clock=clients.clock if clock is None else clock,
        on_progress=on_progress,
    )
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
    clock = clients.clock
    producer = Producer(clients.kinesis, clients.stack.stream, clock=clock)
    return Backfill(
        table_reader(clients),
        producer.put if apply else lambda events: deque(events, maxlen=0),
        stamp=Stamp(clock.now) if replace else PastStamp(clock.now),
        now=clock.now,
        mapping=mapping,
        replace=replace,
        on_refused=on_refused,
        on_step=on_step,
    )
