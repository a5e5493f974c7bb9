"""The model delivers as the real code does: every small batch, over the memory and real sinks.

Each batch is delivered without faults, with a crash after each write and each quarantined record,
with the quarantine down, and with the store failing. What is then stored, quarantined and
acknowledged must be what the model says.
"""

import base64
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast, override

import pytest

from lockstep.simulation.components import INDEX, TABLE, image_index, image_table
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.store_views import IndexView, TableView
from shared.change import Change, change_from, digest_of
from shared.deliver import deliver
from shared.event import Image, decode, digest
from shared.outcome import Applied, Outcome, Refused
from shared.quarantine import QuarantinedRecord, QuarantineError
from shared.record import event_in
from shared.sink import RequestFailedError, Sink
from tests.builders import clock, image, image_event, kinesis_record, record
from tests.memory_sink import MemorySink
from tests.model.model import GONE, SETTLED, Bounds, Event, Held, Record, Rules, Store

IMAGE = "T02680"
# All versions are counts, and all records have the same time and arrival, so none is outrun.
EVENTS = [Event(1, "A"), Event(1, GONE), Event(2, "A"), Event(2, "B"), Event(2, GONE)]
CONTENTS = {digest(Image(letter)): letter for letter in "AB"} | {None: GONE}

type Refuses = Callable[[Event], bool]


class CrashedError(BaseException):
    """A crash. A `BaseException`, so that our code does not catch it."""


class End(NamedTuple):
    """The result of a delivery: the stored event, the quarantined ones, how many are settled."""

    held: Event | None
    quarantined: frozenset[Event]
    position: int


class Fixture(NamedTuple):
    """A sink, and a function that reads what it holds."""

    sink: Sink
    held: Callable[[], Event | None]


class RefusingMemory(MemorySink):
    def __init__(self, refuses: Refuses) -> None:
        super().__init__()
        self._refuses = refuses

    @override
    def write(self, change: Change) -> Outcome:
        return Refused("simulated error") if self._refuses(said(change)) else super().write(change)

    def held(self) -> Event | None:
        stored = self.stored.get(IMAGE)
        return None if stored is None else said(stored)


def memory(refuses: Refuses) -> Fixture:
    sink = RefusingMemory(refuses)
    return Fixture(sink, sink.held)


def table(refuses: Refuses) -> Fixture:
    def refuses_item(item: Any) -> bool:
        return refuses(Event(int(item["version"]["N"]), CONTENTS[item.get("digest", {}).get("S")]))

    client = DynamoDB(TABLE, refuses=refuses_item)
    seen = TableView(client)

    def held() -> Event | None:
        there = seen.stored_version(IMAGE)
        return Event(there.version, CONTENTS[there.digest]) if there else None

    return Fixture(image_table(cast("Any", client)), held)


def index(refuses: Refuses) -> Fixture:
    client = OpenSearch(
        INDEX,
        now=lambda: 0.0,
        refuses=lambda one: refuses(Event(one["version"], CONTENTS[one.get("digest")])),
    )
    seen = IndexView(client)

    def held() -> Event | None:
        there = seen.stored_version(IMAGE)
        return Event(there.version, CONTENTS[there.digest]) if there else None

    return Fixture(image_index(cast("Any", client)), held)


class Faulty:
    """A sink and a quarantine that crash after some steps, or fail."""

    longest_put = 0.0

    def __init__(
        self, sink: Sink, *, steps: int = 99, fails: bool = False, quarantine_fails: bool = False
    ) -> None:
        self.quarantined: set[Event] = set()
        self._sink = sink
        self._steps = steps
        self._fails = fails
        self._quarantine_fails = quarantine_fails
        self.longest_send = 0.0

    def requests(self, changes: Sequence[Change]) -> Any:
        return self._sink.requests(changes)

    def check(self) -> None:
        self._sink.check()

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        if self._fails:
            raise RequestFailedError("simulated error")
        outcomes = self._sink.send(changes, within)
        if Applied() in outcomes:
            self._step()
        return outcomes

    def put(self, record: QuarantinedRecord) -> None:
        if self._quarantine_fails:
            raise QuarantineError("simulated error")
        entry = decode(base64.b64decode(record.payload))
        self.quarantined.add(Event(entry.version, _content(entry.image)))
        self._step()

    def _step(self) -> None:
        self._steps -= 1
        if not self._steps:
            raise CrashedError


def _content(there: Any) -> str:
    return there.name if isinstance(there, Image) else GONE


def said(change: Change) -> Event:
    return Event(change.version, CONTENTS[digest_of(change)])


def document(event: Event) -> dict[str, Any]:
    if event.content == GONE:
        return image_event(IMAGE, event.version, "image.deleted")
    return image_event(IMAGE, event.version, "image.updated", image=image(event.content))


def really(
    fixture: Callable[[Refuses], Fixture],
    held: Event | None,
    batch: Sequence[Event],
    refused: Event | None,
    **faults: Any,
) -> tuple[End, bool]:
    """The result of a batch with the code that runs in Lambda, and whether it crashed."""
    refusing = {refused}
    store = fixture(lambda event: event in refusing)
    if held is not None:
        refusing.clear()
        read = record(document(held))
        store.sink.send([change_from(event_in(read), read)])
        refusing.add(refused)
    records = [kinesis_record(document(one), position=at) for at, one in enumerate(batch)]
    faulty = Faulty(store.sink, **faults)
    try:
        delivery = deliver(
            records,
            to=faulty,
            quarantine=faulty,
            function="write_to_dynamodb",
            clock=clock(),
            remaining=lambda: 99.0,
        )
    except CrashedError:
        return End(store.held(), frozenset(faulty.quarantined), 0), True
    numbers = [one["kinesis"]["sequenceNumber"] for one in records]
    settled = len(numbers) if delivery.checkpoint is None else numbers.index(delivery.checkpoint)
    return End(store.held(), frozenset(faulty.quarantined), settled), False


def crashes(*case: Any) -> Iterator[End]:
    for steps in itertools.count(1):
        end, crashed = really(*case, steps=steps)
        if not crashed:
            return
        yield end


def end(store: Store) -> End:
    return End(
        store.held and store.held.event,
        frozenset(one.event for one in store.quarantine),
        store.position,
    )


@pytest.mark.parametrize(("fixture", "longest"), [(memory, 3), (table, 2), (index, 2)])
def test_a_delivery_ends_as_the_model_says(
    fixture: Callable[[Refuses], Fixture], longest: int
) -> None:
    rules = Rules(Bounds(check_first=fixture is table))
    for length in range(1, longest + 1):
        for batch in itertools.product(EVENTS, repeat=length):
            for held in (None, *EVENTS) if length < 3 else (None, Event(1, "A"), Event(2, "B")):
                for refused in (None, *sorted(set(batch))):
                    case = fixture, held, batch, refused
                    before = Store(held and Held(held, 0), held, 0, frozenset(), refused)
                    records = [Record(event, 0, 0) for event in batch]
                    ends = [(what, end(one)) for what, one in rules.ends("table", before, records)]
                    [settled] = [one for what, one in ends if what.endswith(SETTLED)]
                    down = [one for what, one in ends if "quarantine is down" in what]
                    crashed = {one for what, one in ends if what.endswith("crashes")}
                    assert really(*case) == (settled, False), case
                    assert set(crashes(*case)) == crashed, case
                    assert really(*case, quarantine_fails=True)[0] == (down or [settled])[0], case
                    assert really(*case, fails=True)[0] == End(held, frozenset(), 0), case
