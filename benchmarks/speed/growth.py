"""How instructions and memory grow: 100, 1,000, 10,000 and 100,000 records through each part.

    python -m benchmarks.speed.growth [--most 100000]

Each part runs in a process of its own for each number of records. A part is linear if twice the
records need twice the instructions: the exponent of the fit, log(instructions) over log(records),
is 1. Instructions are counted up to 10,000 records; above, the processor time says the same, and
the peak of the memory is that of the whole process.
"""

import argparse
import base64
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks.speed.counting import counted, run, segment
from doors.clock import SYSTEM_CLOCK
from lockstep.producing.producer import Producer
from shared.change import Change
from shared.deliver import deliver
from shared.event import Event, Image, encode
from shared.outcome import Applied, Outcome
from shared.quarantine import QuarantinedRecord
from shared.stamps import time_of

SIZES = (100, 1_000, 10_000, 100_000)
MOST_COUNTED = 10_000
FIRST = 1_795_248_000_000_000
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/lockstep-images"


class Memory:
    """A sink that accepts each change."""

    longest_send = 1.0

    def requests(self, changes: Sequence[Change]) -> Sequence[Sequence[Change]]:
        """All of them."""
        return [changes]

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        """Accept them."""
        del within
        return [Applied()] * len(changes)

    def check(self) -> None:
        """Nothing is refused."""


class NoQuarantine:
    """No record belongs there."""

    longest_put = 0.0

    def put(self, record: QuarantinedRecord) -> None:
        """Fail."""
        raise AssertionError(record)


class Instant:
    """A stream that accepts everything."""

    def put_records(self, **request: Any) -> Mapping[str, Any]:
        """Accept every record."""
        return {"Records": [{"SequenceNumber": "1", "ShardId": "0"} for _ in request["Records"]]}


def event(number: int, version: int) -> Event:
    """An upload of an image."""
    image = Image(name=f"Image {number}", attributes={"artist": "William Daniell"})
    return Event("image.uploaded", f"image-{number}", FIRST + version, time_of(FIRST), image)


def records(given: Sequence[Event]) -> list[dict[str, Any]]:
    """The events, as Lambda delivers them."""
    return [
        {
            "eventID": f"shardId-000000000000:{number}",
            "eventSourceARN": ARN,
            "kinesis": {
                "data": base64.b64encode(encode(one)).decode(),
                "partitionKey": one.image_id,
                "sequenceNumber": f"{number}",
                "approximateArrivalTimestamp": 1_795_248_007.0,
            },
        }
        for number, one in enumerate(given, start=1)
    ]


def delivery(given: Sequence[Event]) -> Callable[[], object]:
    """Deliver the events in one batch."""
    return delivery_of(records(given))


def delivery_of(batch: Sequence[Mapping[str, Any]]) -> Callable[[], object]:
    """Deliver these records, which are all valid, in one batch."""

    def work() -> None:
        found = deliver(
            batch,
            to=Memory(),
            quarantine=NoQuarantine(),
            function="measured",
            clock=SYSTEM_CLOCK,
            remaining=lambda: 1e9,
        )
        if found.checkpoint is not None or sum(found.counts.values()) != len(batch):
            raise AssertionError(found.counts)

    return work


def production(given: Sequence[Event]) -> Callable[[], object]:
    """Put the events."""
    return lambda: Producer(Instant(), "lockstep-images").put(given)


def mapping(given: list[Event]) -> Callable[[], object]:
    """Take the events through the local event source mapping."""
    from benchmarks.speed.mapping import through  # noqa: PLC0415 - others need no memory for it

    return through(given)


def audited(ids: int) -> Callable[[], object]:
    """Compare the versions of so many images in both stores."""
    from benchmarks.audit import prepared  # noqa: PLC0415 - others need no memory for it

    return prepared(ids)


PARTS: Mapping[str, Callable[[int], Callable[[], object]]] = {
    "fold and delivery, all duplicates": lambda n: delivery([event(0, 0)] * n),
    "fold and delivery, all of one image": lambda n: delivery([event(0, at) for at in range(n)]),
    "fold and delivery, all of other images": lambda n: delivery([event(at, 0) for at in range(n)]),
    "producer": lambda n: production([event(at, 0) for at in range(n)]),
    "producer, all of one image": lambda n: production([event(0, at) for at in range(n)]),
    "event source mapping, one shard": lambda n: mapping([event(at, 0) for at in range(n)]),
    "audit, versions": audited,
}


class Point(NamedTuple):
    """What a number of records takes: instructions if they are counted, seconds, peak in MiB."""

    records: int
    instructions: float | None
    seconds: float
    peak: float


def point(part: str, size: int) -> Point:
    """Measure a part with this many records."""
    words = ["-m", "benchmarks.speed.growth", "--part", part, "--records", str(size)]
    python = Path(sys.executable)
    (timed,) = run(python, words, {})
    counts = counted(python, words, {})["part"] if size <= MOST_COUNTED else None
    return Point(size, counts, timed.seconds, timed.peak)


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """The slope of the line through the logarithms (least squares)."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    middle_x = sum(x for x, _ in logs) / len(logs)
    middle_y = sum(y for _, y in logs) / len(logs)
    over = sum((x - middle_x) * (y - middle_y) for x, y in logs)
    return over / sum((x - middle_x) ** 2 for x, _ in logs)


def duplicates(size: int = 2_000) -> float:
    """Instructions of a record, if this many are duplicates of one event."""
    (part, *_) = PARTS
    words = ["-m", "benchmarks.speed.growth", "--part", part, "--records", str(size)]
    python = Path(sys.executable)
    run(python, words, {})
    return round(counted(python, words, {})["part"])


def table(most: int = SIZES[-1], parts: Sequence[str] = tuple(PARTS)) -> str:
    """Each part, with what a record takes at each size, and the fit, in Markdown."""
    sizes = [size for size in SIZES if size <= most]
    heads = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"| part | {heads} | exponent | peak MiB |",
        f"| --- |{' ---: |' * len(sizes)} ---: | ---: |",
    ]
    for part in parts:
        points = [point(part, size) for size in sizes]
        cells = " | ".join(
            f"{one.seconds / one.records * 1e6:.1f} us"
            if one.instructions is None
            else f"{one.instructions / 1000:.0f} k"
            for one in points
        )
        total = [
            (one.records, one.instructions * one.records)
            for one in points
            if one.instructions is not None
        ]
        peaks = " to ".join(f"{one.peak:.0f}" for one in (points[0], points[-1]))
        lines.append(f"| {part} | {cells} | {exponent(total):.3f} | {peaks} |")
    return "\n".join(lines)


def _measure(part: str, size: int, to: Path) -> None:
    """Measure one part in this process."""
    PARTS[part](100)()  # the interpreter specializes its instructions
    work = PARTS[part](size)
    to.write_bytes(msgspec.json.encode([segment("part", size, work)]))


def main() -> None:
    """Print the table, or measure one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.growth", description=__doc__)
    parser.add_argument("--most", type=int, default=SIZES[-1])
    parser.add_argument("--part", choices=[*PARTS])
    parser.add_argument("--records", type=int, default=0)
    parser.add_argument("to", type=Path, nargs="?")
    given = parser.parse_args()
    if given.part is None:
        began = time.monotonic()
        print(table(given.most))
        print(f"{time.monotonic() - began:.0f} s")
        return
    _measure(given.part, given.records, given.to)


if __name__ == "__main__":
    main()
