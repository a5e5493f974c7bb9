"""Putting events and importing images into a stack."""

from collections import deque
from collections.abc import Callable, Iterable

from lockstep.producing.backfill import (
    Backfill,
    Backfilled,
    PastStamp,
    Point,
    RecordSource,
    RefusedLine,
    Replaces,
    sources,
)
from lockstep.producing.checked import CheckedEvent
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Pause, Producer, PutProgress, PutReport, Stamp
from lockstep.producing.sources import Converter
from lockstep.producing.table_source import TABLE, TableSource
from lockstep.source_files.text import SourceError
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.stores import table_reader
from lockstep.stores.table import TableReader
from shared.clock import Clock
from shared.event import Event


def put(
    clients: Clients,
    events: Iterable[Event | CheckedEvent | Outgoing | Pause],
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
        clients.producing,
        clients.stack.stream,
        clock=clients.clock if clock is None else clock,
        on_progress=on_progress,
    )
    return producer.put(events)


def backfill(
    clients: Clients,
    *,
    mapping: Converter | None,
    replaces: Replaces,
    apply: bool,
    on_refused: Callable[[RefusedLine, bytes], None],
    on_step: Callable[[Point, Backfilled], None],
) -> Backfill:
    """The import of images that were never on the stream; see `Backfill`."""
    clock = clients.clock
    producer = Producer(clients.producing, clients.stack.stream, clock=clock)
    return Backfill(
        table_reader(clients),
        producer.put if apply else lambda events: deque(events, maxlen=0),
        stamp=PastStamp(clock.now) if replaces == "nothing" else Stamp(clock.now),
        now=clock.now,
        mapping=mapping,
        replaces=replaces,
        on_refused=on_refused,
        on_step=on_step,
    )


def import_sources(clients: Clients, name: str) -> Iterable[RecordSource]:
    """The sources of an import: a table, or as `lockstep.producing.backfill.sources` says.

    Raises:
        SourceError: there is no such object or bucket name, or it is the table of this stack.
    """
    if not name.startswith(TABLE):
        return sources(name, lambda: clients.s3)
    table = name.removeprefix(TABLE)
    if table == clients.stack.table:
        raise SourceError(f"{name} is the table of this stack: name a restored copy of it")
    return [TableSource(name, TableReader(clients.dynamodb, table).pages(None))]
