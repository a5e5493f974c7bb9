"""Three producers under the same faults: ours, async-kinesis, and the plain resend loop.

    make .tools/async-kinesis.done
    python -m benchmarks.under_fire [--records 10000]

They use the simulation's fake of Kinesis, from one seed. A share of the requests fails. In the
other requests, the same share of the records fails. Answers are lost, requests arrive late, the
stream is resharded. async-kinesis is the published package in its own environment, with the fake as
its client. Its limit of 1,000 records per second and shard is switched off; its pauses are real.
Times are CPU time, including the fake.

The last results are in docs/guides/producing.md.
"""

import argparse
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from lockstep.producing.producer import Producer
from shared.event import Event, encode
from tools.faulty_stream import STREAM, Counts, FaultyStream, events

SHARES = (0.0, 0.01, 0.1, 0.5)
IMAGES, SEED = 500, 1
ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".tools/async-kinesis/bin/python"


class Result(msgspec.Struct, frozen=True):
    """The counts, and the CPU time in seconds."""

    counts: Counts
    seconds: float


def ours(stream: FaultyStream, given: Sequence[Event]) -> None:
    """Our producer."""
    Producer(stream, STREAM, clock=stream.clock, patience=math.inf).put(given)


def resend_loop(stream: FaultyStream, given: Sequence[Event]) -> None:
    """The loop of the AWS documentation: send 500 records, and resend those that failed."""
    records: list[dict[str, Any]] = []
    for chunk in batched(given, 500):
        records += [{"Data": encode(one), "PartitionKey": one.image_id} for one in chunk]
        while len(records) >= 500:  # noqa: PLR2004 - a full request
            records = [*_failed(stream, records[:500]), *records[500:]]
    while records:
        records = [*_failed(stream, records[:500]), *records[500:]]


def _failed(stream: FaultyStream, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records to send again; all of them if the whole request failed."""
    try:
        answer = stream.put_records(StreamName=STREAM, Records=records)
    except (ClientError, BotoCoreError):
        return records
    told = zip(records, answer["Records"], strict=True)
    return [one for one, entry in told if "ErrorCode" in entry]


def measured(
    way: Callable[[FaultyStream, Sequence[Event]], object], share: float, count: int
) -> Result:
    """Put this many events with one of the producers, while this share fails."""
    stream = FaultyStream(share, SEED)
    given = list(events(count, images=IMAGES, seed=SEED))
    began = time.process_time()
    way(stream, given)
    return Result(stream.counts(given), time.process_time() - began)


def async_kinesis(share: float, count: int) -> Result:
    """Measure async-kinesis in its own environment."""
    module = "benchmarks.async_kinesis"
    command: list[str | Path] = [
        PYTHON,
        "-m",
        module,
        "--share",
        str(share),
        "--records",
        str(count),
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Result)


def main() -> None:
    """Measure all producers, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.under_fire", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    count: int = parser.parse_args().records
    if not PYTHON.exists():
        sys.exit("async-kinesis is not installed: run make .tools/async-kinesis.done")
    print("| fail | producer | inversions | losses | duplicates | records/s |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for share in SHARES:
        for name, found in (
            ("Lockstep", measured(ours, share, count)),
            ("async-kinesis", async_kinesis(share, count)),
            ("resend loop", measured(resend_loop, share, count)),
        ):
            counts = found.counts
            cells = f"{counts.inversions:,} | {counts.losses:,} | {counts.duplicates:,}"
            print(f"| {share:.0%} | {name} | {cells} | {count / found.seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
