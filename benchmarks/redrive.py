"""Measure how many quarantined records a second the local stack reads, and puts back.

    python -m benchmarks.redrive [--records 5000] [--batch 100] [--runs 1] [--latency MILLISECONDS]

The records are quarantined by the table's consumer: first as objects, then in failure documents,
each of a discarded batch. The consumers run meanwhile, and get what is put back.

With a latency there is no stack: a bucket in memory answers each request after that time, as S3
does, and the stream accepts 100 records after that time.

With several runs, the table has the median, the lowest and the highest figure.

The last results are in docs/guides/quarantine.md.
"""

import argparse
import datetime as dt
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import Any

import msgspec

from doors.clock import SYSTEM_CLOCK
from lockstep.local.mapping.failure import failure_document
from lockstep.local.mapping.invocation import EventSource, entry, function_arn, stream_arn
from lockstep.local.mapping.steps import Discard
from lockstep.producing.outbox import Outgoing
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.finding import find
from lockstep.quarantine.redrive import Redrive
from lockstep.stack.clients import S3_CONNECTIONS, Clients
from lockstep.stack.stack import Endpoints, Stack, read_local
from lockstep.stream.stream import StreamRecord
from shared.change import Change
from shared.clock import Clock
from shared.event import Event, Image, encode
from shared.outcome import Outcome
from shared.quarantine import FAILURE_DOCUMENTS, TABLE_CONSUMER, quarantined
from shared.record import Record
from shared.stamps import stamp_at, time_of

SHARD = "shardId-000000000000"
WRITERS = 8
PAGE = 1_000
type Written = Iterable[tuple[str, bytes]]


def records(count: int) -> Iterator[StreamRecord]:
    """This many records, each of its own image, as the stream delivers them."""
    first = stamp_at(time.time()) - count
    for version in range(first, first + count):
        image_id = str(uuid.uuid4())
        image = Image(name=image_id, description="An oil painting on canvas. " * 20)
        yield StreamRecord(
            sequence_number=f"4966{version:052}",
            partition_key=image_id,
            arrived_at=version // 1000,
            data=encode(Event("image.uploaded", image_id, version, time_of(version), image)),
        )


def objects(stack: Stack, count: int) -> Written:
    """The records as the table's consumer quarantines them, by key."""
    at = dt.datetime.now(dt.UTC).isoformat()
    for one in records(count):
        record = Record(
            stream=stack.stream,
            shard_id=SHARD,
            sequence_number=one.sequence_number,
            partition_key=one.partition_key,
            arrived_at=one.arrived_at,
            data=one.data,
        )
        held = quarantined(
            record,
            function=TABLE_CONSUMER,
            change=None,
            reason="refused_by_store",
            detail="for a measurement",
            at=at,
        )
        yield held.key, msgspec.json.encode(held)


def documents(stack: Stack, count: int, batch: int) -> Written:
    """The failure documents of batches of these records, by key."""
    arn = stream_arn(stack.stream, stack.region)
    source = EventSource(
        arn, SHARD, stack.region, function_arn(TABLE_CONSUMER, stack.region), "role"
    )
    for some in batched(records(count), batch):
        entries = tuple(entry(one, source) for one in some)
        discard = Discard(entries, "RecordAgeExceeded", 1, None, None)
        now = dt.datetime.now(dt.UTC)
        document = failure_document(discard, source, at=now, new_id=lambda: str(uuid.uuid4()))
        folder = f"{FAILURE_DOCUMENTS}{stack.table_mapping}/{SHARD}/{now:%Y/%m/%d}"
        key = f"{folder}/{now:%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"
        yield key, msgspec.json.encode(document)


def write(stack: Stack, clients: Clients, written: Written) -> None:
    """Put these objects into the bucket."""

    def put(one: tuple[str, bytes]) -> None:
        clients.s3.put_object(Bucket=stack.bucket, Key=one[0], Body=one[1])

    with ThreadPoolExecutor(WRITERS) as pool:
        deque(pool.map(put, written), maxlen=0)


def run(state: Path, *words: str) -> tuple[float, bytes]:
    """Run a `lockstep` command; return its time in seconds, and its output."""
    command = [sys.executable, "-m", "lockstep", *words, "--state", str(state)]
    began = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return time.monotonic() - began, done.stdout


type Seconds = tuple[float, float, float]


def measure(state: Path, count: int) -> Seconds:
    """Read the quarantine, then redrive it.

    Returns:
        The seconds of the reading, of the redrive alone, and of the whole command.

    Raises:
        RuntimeError: not all records were redriven.
    """
    reading, _ = run(state, "quarantine", "stats", "--json")
    whole, printed = run(state, "redrive", "--apply", "--json")
    report = msgspec.json.decode(printed)["report"]
    if report["redriven"] != count:
        raise RuntimeError(str(report))
    # Else the consumers would work off these records during the next measurement.
    run(state, "status", "--wait", "300")
    return reading, report["seconds"], whole


class NoSink:
    """A sink for no changes: all records are the table's."""

    def requests(self, changes: Sequence[Change]) -> Sequence[Sequence[Change]]:
        """See `Sink.requests`."""
        return [changes] if changes else []

    def send(self, request: Sequence[Change], within: float | None) -> Sequence[Outcome]:
        """See `Sink.send`."""
        raise NotImplementedError


class SlowBucket:
    """A bucket in memory: each request takes `seconds`."""

    def __init__(self, seconds: float, written: Written) -> None:
        self._kept = dict(written)
        self._seconds = seconds

    def keys(self, prefix: str) -> Iterator[str]:
        """See `Objects.keys`."""
        found = sorted(key for key in self._kept if key.startswith(prefix))
        for page in batched(found, PAGE) if found else [()]:
            time.sleep(self._seconds)
            yield from page

    def read(self, key: str) -> bytes | None:
        """See `Objects.read`."""
        time.sleep(self._seconds)
        return self._kept.get(key)

    def write(self, key: str, body: bytes) -> None:
        """See `Objects.write`."""
        time.sleep(self._seconds)
        self._kept[key] = body

    def write_new(self, key: str, body: bytes) -> None:
        """See `Objects.write_new`."""
        time.sleep(self._seconds)
        self._kept.setdefault(key, body)

    def delete(self, key: str) -> None:
        """See `Objects.delete`."""
        self.delete_all([key])

    def delete_all(self, keys: Sequence[str]) -> None:
        """See `Objects.delete_all`."""
        time.sleep(self._seconds)
        for key in keys:
            self._kept.pop(key, None)


def measure_slow(stack: Stack, seconds: float, count: int, written: Written) -> Seconds:
    """As `measure`, with a slow bucket that has this."""
    bucket = SlowBucket(seconds, written)

    def put(events: Iterable[Event | Outgoing], _: Clock) -> None:
        deque(events, maxlen=0)
        time.sleep(seconds)

    sink: Any = NoSink()
    index = DirectIndexing(sink, sink, sink)
    with ThreadPoolExecutor(S3_CONNECTIONS) as pool:
        redrive = Redrive(
            bucket, put, stack.table_mapping, index=index, clock=SYSTEM_CLOCK, executor=pool
        )
        began = time.monotonic()
        now = dt.datetime.now(dt.UTC)
        found = find(bucket, stack.table_mapping, now=now, executor=pool)
        reading = time.monotonic() - began
        report = redrive.put_back(found.cases, found.fetched)
    if report.redriven != count:
        raise RuntimeError(str(report))
    return reading, report.seconds, time.monotonic() - began


def show(name: str, count: int, runs: Sequence[Seconds]) -> None:
    """Print a line of the table: records per second."""
    cells = []
    for took in zip(*runs, strict=True):
        rates = [count / one for one in took]
        spread = f" ({min(rates):,.0f} to {max(rates):,.0f})" if len(runs) > 1 else ""
        cells.append(f"{statistics.median(rates):,.0f}{spread}")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure both forms, and print a table of records per second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.redrive", description=__doc__)
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=100, help="records of a failure document")
    parser.add_argument("--runs", type=int, default=1, help="of each form, in turn")
    parser.add_argument("--latency", type=float, help="milliseconds of each request")
    options = parser.parse_args()
    count: int = options.records
    forms: Mapping[str, Callable[[Stack], Written]] = {
        "objects": lambda stack: objects(stack, count),
        f"failure documents of {options.batch}": (
            lambda stack: documents(stack, count, options.batch)
        ),
    }
    found: dict[str, list[Seconds]] = {name: [] for name in forms}
    if options.latency is not None:
        nowhere = Endpoints("", "", "", "")
        stack = Stack(nowhere, "s", "t", "i", "b", "us-east-1", {}, table_mapping="uuid")
        for name in list(forms) * options.runs:
            seconds = options.latency / 1000
            found[name].append(measure_slow(stack, seconds, count, forms[name](stack)))
    else:
        with tempfile.TemporaryDirectory(prefix="lockstep-redrive-") as folder:
            state = Path(folder) / "state"
            run(state, "up", "--detach")
            try:
                stack = read_local(state)
                clients = Clients(stack)
                for name in list(forms) * options.runs:
                    write(stack, clients, forms[name](stack))
                    found[name].append(measure(state, count))
            finally:
                run(state, "down")
    print("| quarantined as | reading | the redrive alone | `redrive --apply` |")
    print("| --- | ---: | ---: | ---: |")
    for name, runs in found.items():
        show(name, count, runs)


if __name__ == "__main__":
    main()
