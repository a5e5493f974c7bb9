"""Measure how fast a local stack drains a backlog with one shard, and predict 4 and 16 shards.

    python -m benchmarks.catch_up [--records 20000] [--shards 1 4 16]

The mappings of both consumers are stopped (SIGSTOP), the records are put, then one consumer goes on
alone, and after it the other one. So each drain has the machine for itself. From the run with one
shard come what a lane processes in a second, and the processor time of all processes of the stack
for a record. The formulas of `lockstep plan` then predict the other runs: lanes add up until the
processors of the machine, which all processes share, are busy. They take the place of the limits of
table and domain on AWS.

The last results are in docs/internals/catch-up.md.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.batch_lines import BatchLine, batch_lines, lockstep
from benchmarks.speed.workload import events
from benchmarks.volume import Run
from lockstep.plan.bounds import RECOVERY
from lockstep.plan.formulas import Known, value_of
from lockstep.stack.clients import Clients
from lockstep.stack.stack import read_local
from shared.event import encode
from shared.quarantine import CONSUMERS, INDEX_CONSUMER, TABLE_CONSUMER

POLL_SECONDS = 0.1
LONGEST_SECONDS = 1_800
# A local stack limits neither reads nor the units of a table.
NO_LIMIT = 1e12


class Drain(NamedTuple):
    """How a consumer processed a backlog: records a second, and what a record took."""

    events_per_second: float
    processor_ms: float
    batches: int
    batch_ms: float


def mapping_of(state: Path, consumer: str) -> psutil.Process:
    """The process of the event source mapping of a consumer."""
    (found,) = [
        process
        for process in psutil.process_iter(["cmdline"])
        for words in [process.info["cmdline"] or []]
        if "lockstep.local.mapping" in words and str(state) in words and words[-1] == consumer
    ]
    return found


def drain(state: Path, consumer: str, records: int) -> Drain:
    """Let a stopped consumer go on until it has processed so many records."""
    before, began = _processor_seconds(state), time.time()
    mapping_of(state, consumer).send_signal(signal.SIGCONT)
    while sum(one.records for one in batch_lines(state, consumer, since=began)) < records:
        if time.time() - began > LONGEST_SECONDS:
            raise TimeoutError(f"{consumer} has not caught up")
        time.sleep(POLL_SECONDS)
    lines: Sequence[BatchLine] = [*batch_lines(state, consumer, since=began)]
    took = max(one.at for one in lines) - began
    spent = _processor_seconds(state) - before
    milliseconds = sum(one.duration_ms for one in lines) / len(lines)
    return Drain(records / took, spent / records * 1000, len(lines), milliseconds)


def _processor_seconds(state: Path) -> float:
    run = Run()
    run.sample(state)
    return sum(run.processor.values())


def seen(shards: int, records: int) -> Mapping[str, Drain]:
    """Make a stack with so many shards, and drain a backlog of each consumer."""
    with tempfile.TemporaryDirectory(prefix="lockstep-catch-up-") as folder:
        state = Path(folder) / "state"
        lockstep(state, "up", "--detach", "--shards", str(shards))
        try:
            clients = Clients(read_local(state))
            stopped = [mapping_of(state, consumer) for consumer in CONSUMERS]
            for one in stopped:
                one.send_signal(signal.SIGSTOP)
            try:
                for some in batched(events(records), 500):
                    clients.kinesis.put_records(
                        StreamName=clients.stack.stream,
                        Records=[
                            {"Data": encode(one), "PartitionKey": one.image_id} for one in some
                        ],
                    )
                return {consumer: drain(state, consumer, records) for consumer in CONSUMERS}
            finally:
                for one in stopped:
                    one.send_signal(signal.SIGCONT)
        finally:
            lockstep(state, "down")


def predicted(shards: int, one_shard: Mapping[str, Drain], cores: int) -> Mapping[str, float]:
    """The events a second that the formulas of a plan say for so many shards."""
    text = {one.name: one.text for one in RECOVERY}
    most = {name: cores * 1000 / one.processor_ms for name, one in one_shard.items()}
    values: dict[str, Known] = {
        "shards": shards,
        "parallelization": 1,
        "table_lane_events_per_second": one_shard[TABLE_CONSUMER].events_per_second,
        "index_lane_events_per_second": one_shard[INDEX_CONSUMER].events_per_second,
        "read_events_per_second": NO_LIMIT,
        "table_write_units": most[TABLE_CONSUMER],
        "units_per_write": 1,
        "table_capacity": "on-demand",
        "domain_events_per_second": most[INDEX_CONSUMER],
    }
    return {
        consumer: float(value_of(text[f"{store}_drain_events_per_second"], values))
        for consumer, store in ((TABLE_CONSUMER, "table"), (INDEX_CONSUMER, "index"))
    }


def rows(runs: Mapping[int, Mapping[str, Drain]], cores: int) -> Iterator[str]:
    """A line for each number of shards and consumer, in Markdown."""
    yield (
        "| shards | consumer | predicted, events/s | seen, events/s | difference | batches "
        "| ms a batch | processor ms an event |"
    )
    yield "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    base = runs[1]
    for shards, drains in runs.items():
        said = predicted(shards, base, cores)
        for consumer, one in drains.items():
            off = said[consumer] / one.events_per_second - 1
            yield (
                f"| {shards} | {consumer} | {said[consumer]:,.0f} | {one.events_per_second:,.0f} "
                f"| {'measured' if shards == 1 else f'{off:+.0%}'} | {one.batches} "
                f"| {one.batch_ms:.0f} | {one.processor_ms:.2f} |"
            )


def main() -> None:
    """Measure one shard, print what is predicted, then measure the others."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catch_up")
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--shards", type=int, nargs="+", default=[4, 16])
    given = parser.parse_args()
    cores = psutil.cpu_count() or 1
    print(f"{cores} cores, load {os.getloadavg()[0]:.1f}")
    runs = {1: seen(1, given.records)}
    for shards in given.shards:
        for consumer, value in predicted(shards, runs[1], cores).items():
            print(f"predicted for {shards} shards: {consumer} {value:,.0f} events/s", flush=True)
    for shards in given.shards:
        runs[shards] = seen(shards, given.records)
    print("\n".join(rows(runs, cores)))
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
