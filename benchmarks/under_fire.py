"""Three producers under the same fire: ours, async-kinesis, and the plain resend loop.

    make .tools/async-kinesis.done
    python -m benchmarks.under_fire [--records 10000]

On the simulation's fake of Kinesis, by one seed: that share of requests fails as a whole, and that
share of the records in the others; answers are lost, requests land late, the stream is resharded.
async-kinesis runs as it is published, in an environment of its own, with that fake in its client's
place; its limit of 1,000 records a second and shard is lifted, its pauses are real. The time is CPU
time, the fake's part in it included.

What it printed last is in docs/guides/producing.md.
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
from tools.faulty_stream import STREAM, FaultyStream, Toll, events

SHARES = (0.0, 0.01, 0.1, 0.5)
IMAGES, SEED = 500, 1
ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".tools/async-kinesis/bin/python"


class Result(msgspec.Struct, frozen=True):
    """What came of it, and the CPU seconds it took."""

    toll: Toll
    seconds: float


def ours(stream: FaultyStream, given: Sequence[Event]) -> None:
    """Producer.put."""
    Producer(stream, STREAM, clock=stream.clock, patience=math.inf).put(given)


def resend_loop(stream: FaultyStream, given: Sequence[Event]) -> None:
    """As documentation shows it: 500 at a time, what failed goes again, with what is next."""
    records: list[dict[str, Any]] = []
    for chunk in batched(given, 500):
        records += [{"Data": encode(one), "PartitionKey": one.image_id} for one in chunk]
        while len(records) >= 500:  # noqa: PLR2004 - a full request
            records = [*_failed(stream, records[:500]), *records[500:]]
    while records:
        records = [*_failed(stream, records[:500]), *records[500:]]


def _failed(stream: FaultyStream, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a request that are to go again: all, where it failed as a whole."""
    try:
        answer = stream.put_records(StreamName=STREAM, Records=records)
    except (ClientError, BotoCoreError):
        return records
    told = zip(records, answer["Records"], strict=True)
    return [one for one, entry in told if "ErrorCode" in entry]


def measured(
    way: Callable[[FaultyStream, Sequence[Event]], object], share: float, count: int
) -> Result:
    """One way to put so many events while that share fails."""
    stream = FaultyStream(share, SEED)
    given = list(events(count, images=IMAGES, seed=SEED))
    began = time.process_time()
    way(stream, given)
    return Result(stream.toll(given), time.process_time() - began)


def async_kinesis(share: float, count: int) -> Result:
    """The same in the environment of async-kinesis."""
    module = "benchmarks.async_kinesis"
    command = [PYTHON, "-m", module, "--share", str(share), "--records", str(count)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(done.stdout, type=Result)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Three producers under the same fire.")
    parser.add_argument("--records", type=int, default=10_000)
    count: int = parser.parse_args().records
    if not PYTHON.exists():
        sys.exit("async-kinesis is not there yet: make .tools/async-kinesis.done")
    print("| fail | producer | inversions | losses | duplicates | records/s |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    for share in SHARES:
        for name, found in (
            ("Lockstep", measured(ours, share, count)),
            ("async-kinesis", async_kinesis(share, count)),
            ("resend loop", measured(resend_loop, share, count)),
        ):
            toll = found.toll
            cells = f"{toll.inversions:,} | {toll.losses:,} | {toll.duplicates:,}"
            print(f"| {share:.0%} | {name} | {cells} | {count / found.seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
