"""Measure what keeping the order costs: our producer, compared with plain put_records of 500.

    python -m benchmarks.producer [--records 20000]

Both put the same events, first on a client that answers at once, which measures only the producer,
then on the local Kinesis endpoint without throttling. Plain put_records loses the order of an image
when a record is throttled.
"""

import argparse
import itertools
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
from botocore.config import Config
from rich.console import Console
from rich.table import Table

from lockstep.producing.producer import Producer, PutRecordsClient, Stamp
from lockstep.producing.sources import read_events
from lockstep.source_files.converters import load_mapping
from shared.event import Event, encode

if TYPE_CHECKING:
    from types_boto3_kinesis.type_defs import PutRecordsRequestEntryTypeDef

STREAM = "lockstep-images"
DATA = Path(__file__).parents[1] / "data" / "tate-2000.ndjson"


class Instant:
    """A stream that accepts everything at once and keeps nothing."""

    def put_records(
        self,
        *,
        StreamName: str,  # noqa: ARG002, N803 - Kinesis's own names
        Records: Sequence["PutRecordsRequestEntryTypeDef"],  # noqa: N803 - Kinesis's own name
    ) -> dict[str, Any]:
        """Accept every record."""
        return {"Records": [{"SequenceNumber": "1", "ShardId": "0"} for _ in Records]}


def source_lines(count: int) -> Iterator[bytes]:
    """This many source records: copies of the real ones, each with its own id."""
    records = [msgspec.json.decode(line) for line in DATA.read_bytes().splitlines()]
    for number, record in zip(range(count), itertools.cycle(records), strict=False):
        turn = number // len(records)
        yield msgspec.json.encode(record | {"accession": f"{record['accession']}.{turn}"})


def events(count: int) -> Iterator[Event]:
    """The source records, read as events."""
    for read in read_events(source_lines(count), Stamp(), load_mapping("tate")):
        if not isinstance(read, Event):
            raise TypeError(read)
        yield read


def plain(stream: PutRecordsClient, given: Sequence[Event]) -> None:
    """As documented: 500 records per request, and no look at the answers."""
    for chunk in itertools.batched(given, 500):
        records: list[PutRecordsRequestEntryTypeDef] = [
            {"Data": encode(one), "PartitionKey": one.image_id} for one in chunk
        ]
        stream.put_records(StreamName=STREAM, Records=records)


def measure(stream: PutRecordsClient, given: Sequence[Event]) -> Iterator[tuple[str, float]]:
    """Put the same events in each way; return its name and its seconds."""
    yield "plain put_records of 500", seconds(lambda: plain(stream, given))
    yield "Producer.put", seconds(lambda: Producer(stream, STREAM).put(given))
    yield (
        "convert, read, Producer.put",
        seconds(lambda: Producer(stream, STREAM).put(events(len(given)))),
    )


def seconds(work: Callable[[], object]) -> float:
    """The shortest of three runs, in seconds."""
    best = float("inf")
    for _ in range(3):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Compare the producer with plain put_records.")
    parser.add_argument("--records", type=int, default=20_000)
    count: int = parser.parse_args().records
    given = list(events(count))
    table = Table("stream", "way", "records/s", "us/record", title=f"{count:,} records")
    for way, took in measure(Instant(), given):
        table.add_row("instant", way, f"{count / took:,.0f}", f"{took / count * 1e6:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lockstep.local.kinesis"]
        command += ["--database", f"{folder}/kinesis.db"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as endpoint:
            try:
                if endpoint.stdout is None:
                    raise TypeError("the endpoint has no stdout pipe")
                client = boto3.client(
                    "kinesis",
                    endpoint_url=endpoint.stdout.readline().split()[-1],
                    region_name="us-east-1",
                    aws_access_key_id="local",
                    aws_secret_access_key="local",  # noqa: S106 - the local endpoint accepts any key
                    config=Config(retries={"total_max_attempts": 1}),
                )
                client.create_stream(StreamName=STREAM, ShardCount=2)
                client.get_waiter("stream_exists").wait(StreamName=STREAM)
                for way, took in measure(client, given):
                    table.add_row("local", way, f"{count / took:,.0f}", f"{took / count * 1e6:.1f}")
            finally:
                endpoint.send_signal(signal.SIGTERM)
    Console().print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console().print(f"peak memory {peak:.0f} MiB, including the {count:,} events")


if __name__ == "__main__":
    main()
