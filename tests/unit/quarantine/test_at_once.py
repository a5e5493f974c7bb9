"""Many records at a time: how many requests, how many at once, and still in order per image."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from lockstep.quarantine.bucket import AT_ONCE
from lockstep.quarantine.notes import NOTES
from tests.builders import ARRIVED_AT, image_event, kinesis_record
from tests.memory_sink import MemorySink
from tests.unit.quarantine.stand import MemoryObjects, Stand, document

WORKERS = 8
RECORDS, IMAGES = 2 * AT_ONCE, 7
FUNCTIONS = ("write_to_dynamodb",)
# Only a failing test waits so long.
PATIENCE_SECONDS = 5.0


class BusyObjects(MemoryObjects):
    """A bucket whose requests wait until several run at once; counts them by their kind."""

    def __init__(self, at_once: int = 1) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.most = Counter[str]()
        self._running = Counter[str]()
        self._at_once = at_once
        self._lock = threading.Lock()
        self._met: dict[str, threading.Event] = {}
        self._patience = PATIENCE_SECONDS

    def read(self, key: str) -> bytes | None:
        return self._busy("read", lambda: MemoryObjects.read(self, key))

    def write(self, key: str, body: bytes) -> None:
        if key.startswith(NOTES):  # one for many records
            self.asked["note"] += 1
            super().write(key, body)
            return
        self._busy("write", lambda: MemoryObjects.write(self, key, body))

    def write_new(self, key: str, body: bytes) -> None:
        self._busy("write_new", lambda: MemoryObjects.write_new(self, key, body))

    def delete_all(self, keys: Sequence[str]) -> None:
        self.asked["delete_all"] += 1
        super().delete_all(keys)

    def keys(self, prefix: str) -> Iterator[str]:
        self.asked[f"listing of {prefix}"] += 1
        return super().keys(prefix)

    def _busy[T](self, kind: str, ask: Callable[[], T]) -> T:
        with self._lock:
            self.asked[kind] += 1
            self._running[kind] += 1
            self.most[kind] = max(self.most[kind], self._running[kind])
            met = self._met.setdefault(kind, threading.Event())
            if self._running[kind] >= self._at_once:
                met.set()
        if not met.wait(self._patience):
            self._patience = 0.0
        try:
            return ask()
        finally:
            with self._lock:
                self._running[kind] -= 1


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(WORKERS) as pool:
        yield pool


def set_many_aside(stand: Stand, functions: Sequence[str] = FUNCTIONS) -> None:
    """Quarantine records of few images, not in the order of their versions."""
    for position in range(1, RECORDS + 1):
        event = image_event(f"T{position % IMAGES}", 1 + (position * 37) % RECORDS)
        stand.set_aside(event, functions=functions, position=position)


def give_up(stand: Stand, documents: int, records: int) -> None:
    """Discard batches of so many records each."""
    for number in range(documents):
        first = 1 + number * records
        batch = [
            kinesis_record(image_event(f"T{at}"), position=at)
            for at in range(first, first + records)
        ]
        key = f"aws/lambda/uuid/shardId-000000000000/2026/11/21/{number:03}"
        stand.objects.kept[key] = msgspec.json.encode(document(*batch))


def test_objects_are_read_copied_and_noted_many_at_once(pool: ThreadPoolExecutor) -> None:
    objects = BusyObjects(at_once=WORKERS)
    stand = Stand(objects=objects, executor=pool)
    set_many_aside(stand)
    assert stand.apply().redriven == RECORDS
    assert objects.most == {"read": WORKERS, "write": WORKERS}
    assert stand.under("quarantine/") == []


def test_failure_documents_are_read_and_split_many_at_once(pool: ThreadPoolExecutor) -> None:
    objects = BusyObjects(at_once=WORKERS)
    stand = Stand(objects=objects, executor=pool)
    give_up(stand, documents=2 * WORKERS, records=1)
    assert stand.apply().redriven == 2 * WORKERS
    assert objects.most == {"read": WORKERS, "write": WORKERS, "write_new": WORKERS}
    assert (stand.under("aws/"), stand.under("quarantine/")) == ([], [])


def test_the_events_of_an_image_go_back_in_the_order_of_their_versions(
    pool: ThreadPoolExecutor,
) -> None:
    stand = Stand(executor=pool)
    set_many_aside(stand)
    stand.apply()
    versions: dict[str, list[int]] = {}
    for event in stand.stream:
        versions.setdefault(event.image_id, []).append(event.version)
    assert len(versions) == IMAGES
    assert all(some == sorted(some) for some in versions.values())
    assert stand.puts == [AT_ONCE] * (RECORDS // AT_ONCE)


def test_the_changes_of_an_image_reach_the_index_in_the_order_of_their_versions(
    pool: ThreadPoolExecutor,
) -> None:
    sink = MemorySink()
    stand = Stand(sink=sink, executor=pool)
    set_many_aside(stand, functions=["write_to_es"])
    report = stand.apply()
    assert (report.redriven, report.indexed, report.put) == (RECORDS, RECORDS, 0)
    written = [(one.image_id, one.version) for request in sink.sent for one in request]
    assert sorted(written, key=lambda one: one[0]) == sorted(written)
    # A request has a change of each image.
    assert len(sink.sent) < RECORDS // IMAGES * 2


@pytest.mark.parametrize(
    ("rate", "chunks_read"), [(None, [2, 3, 4, 4]), (float(AT_ONCE), [1, 2, 3, 4])]
)
def test_the_next_records_are_read_while_these_go_back_but_not_earlier(
    rate: float | None, chunks_read: list[int]
) -> None:
    objects = BusyObjects()
    stand = Stand(objects=objects)
    for position in range(1, len(chunks_read) * AT_ONCE + 1):
        stand.set_aside(image_event("T1", position), functions=FUNCTIONS, position=position)
    found = stand.find()
    objects.asked.clear()
    read = []
    write = objects.write

    def count_reads(key: str, body: bytes) -> None:
        if key.startswith(NOTES):  # the first request about a chunk after it was read
            read.append(objects.asked["read"])
        write(key, body)

    objects.write = count_reads  # type: ignore[method-assign]  # of this stand only
    stand.apply(found, rate=rate)
    assert read == [chunks * AT_ONCE for chunks in chunks_read]
    assert [event.version for event in stand.stream] == list(range(1, len(stand.stream) + 1))


def test_a_record_costs_two_reads_and_a_write() -> None:
    objects = BusyObjects()
    stand = Stand(objects=objects)
    set_many_aside(stand)
    stand.apply()
    chunks = RECORDS // AT_ONCE
    assert objects.asked == {
        "read": 2 * RECORDS,
        "write": RECORDS,
        "note": chunks,
        "delete_all": chunks,
        "listing of quarantine/": 1,
        "listing of aws/lambda/": 1,
        "listing of redriven/notes/": 1,
    }


def test_a_record_of_a_failure_document_costs_a_read_and_two_writes() -> None:
    objects = BusyObjects()
    stand = Stand(objects=objects)
    give_up(stand, documents=2, records=AT_ONCE)
    stand.apply()
    assert objects.asked == {
        "read": RECORDS + 2 * 2,  # and each document twice
        "write": RECORDS + 2,  # and each document
        "note": 2,
        "write_new": RECORDS,
        "delete_all": 2 + 1,
        "listing of quarantine/": 1,
        "listing of aws/lambda/": 1,
        "listing of redriven/notes/": 1 + 2,  # and before and after the split
    }


def test_a_record_that_cannot_be_moved_stays_and_the_others_of_its_chunk_too(
    pool: ThreadPoolExecutor,
) -> None:
    stand = Stand(executor=pool)
    set_many_aside(stand)
    refused = stand.under("quarantine/")[AT_ONCE // 2]
    write = stand.objects.write

    def refuse(key: str, body: bytes) -> None:
        if key == refused.replace("quarantine/", "redriven/"):
            raise OSError(key)
        write(key, body)

    stand.objects.write = refuse  # type: ignore[method-assign]  # of this stand only
    with pytest.raises(OSError, match="redriven/"):
        stand.apply()
    assert refused in stand.under("quarantine/")
    stand.objects.write = write  # type: ignore[method-assign]
    stand.apply()
    assert stand.under("quarantine/") == []
    assert len({(one.image_id, one.version) for one in stand.stream}) == RECORDS


def test_what_was_redriven_before_costs_no_request_for_a_record() -> None:
    stand = Stand()
    set_many_aside(stand)
    stand.apply()
    objects = BusyObjects()
    objects.kept = stand.objects.kept
    later = Stand(objects=objects)
    for position in range(1, AT_ONCE + 1):
        later.set_aside(image_event(f"U{position}"), functions=FUNCTIONS, position=position + 9_000)
    later.find()
    assert objects.asked["read"] == AT_ONCE + RECORDS // AT_ONCE


def test_the_first_arrival_of_two_records_of_one_event_is_that_of_the_first() -> None:
    stand = Stand()
    event = image_event("T1", 7)
    for position, later in ((1, 5_000), (2, 0), (3, 9_000)):
        stand.set_aside(event, position=position, arrived_at=ARRIVED_AT + later)
    assert stand.apply().put == 3
    stand.set_aside(event, position=4, arrived_at=ARRIVED_AT + 20_000)
    assert stand.only().arrived_at == ARRIVED_AT
