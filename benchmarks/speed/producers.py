"""The programs that are compared as producers: they put events, or a file of them, onto a stream.

    python -m benchmarks.speed.producers NAME EVENTS SEGMENTS

The plain loop is that of the documentation of boto3: 500 records a request, no look at the answers.
async-kinesis runs in an environment of its own (`make .tools/async-kinesis.done`).
"""

import asyncio
import itertools
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.speed.counting import segment
from shared.event import Event, encode

STREAM = "lockstep-images"
WARM_UP = 1_000
# So high that the rate limits of async-kinesis, by record and by KiB, never apply.
UNLIMITED = 1_000_000

type Put = Callable[[Sequence[Event]], object]
type PutFile = Callable[[Sequence[bytes]], object]


def _client(**options: Any) -> Any:
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    return boto3.client("kinesis", config=Config(retries={"total_max_attempts": 1}, **options))


def ours() -> Put:
    """`Producer.put`, with a client as `lockstep put` makes it."""
    from doors.encoding import encode_once  # noqa: PLC0415
    from lockstep.producing.answers import decode_results  # noqa: PLC0415
    from lockstep.producing.producer import Producer  # noqa: PLC0415

    client = _client(parameter_validation=False)
    encode_once(client, "PutRecords")
    client.meta.events.register("before-parse.kinesis.PutRecords", decode_results)
    return Producer(client, STREAM).put


def our_file() -> PutFile:
    """The lines of a file, as `lockstep put` reads, checks and puts them."""
    from lockstep.producing.producer import Stamp  # noqa: PLC0415
    from lockstep.producing.sources import read_ahead, read_checked  # noqa: PLC0415

    put: Any = ours()
    return lambda lines: put(read_ahead(read_checked(lines, Stamp())))


def plain() -> Put:
    """PutRecords in a loop."""
    client = _client()

    def put(given: Sequence[Event]) -> None:
        for some in itertools.batched(given, 500):
            records = [{"Data": encode(one), "PartitionKey": one.image_id} for one in some]
            client.put_records(StreamName=STREAM, Records=records)

    return put


def plain_file() -> PutFile:
    """PutRecords in a loop, of lines that are decoded for their partition key."""
    client = _client()

    def put(lines: Sequence[bytes]) -> None:
        for some in itertools.batched(lines, 500):
            records = [
                {"Data": line, "PartitionKey": json.loads(line)["image_id"]} for line in some
            ]
            client.put_records(StreamName=STREAM, Records=records)

    return put


def async_kinesis() -> Put:
    """The producer of async-kinesis, as its documentation shows."""
    from kinesis import Producer, StringProcessor  # noqa: PLC0415

    logging.disable()

    async def put_all(given: Sequence[Event]) -> None:
        async with Producer(
            STREAM,
            endpoint_url=os.environ["AWS_ENDPOINT_URL_KINESIS"],
            region_name="us-east-1",
            skip_describe_stream=True,
            processor=StringProcessor(),
            put_rate_limit_per_shard=UNLIMITED,
            put_bandwidth_limit_per_shard=UNLIMITED,
        ) as producer:
            for event in given:
                await producer.put(encode(event).decode(), partition_key=event.image_id)

    return lambda given: asyncio.run(put_all(given))


PROGRAMS: Mapping[str, Callable[[], Put]] = {
    "producer": ours,
    "producer, plain loop": plain,
    "producer, async-kinesis": async_kinesis,
}
OF_FILES: Mapping[str, Callable[[], PutFile]] = {
    "producer of a file": our_file,
    "producer of a file, plain loop": plain_file,
}


def main() -> None:
    """Put the events, and write the segment."""
    name, work, to = sys.argv[1:]
    lines = Path(work).read_bytes().splitlines()
    given: Sequence[Any] = lines
    put: Callable[[Sequence[Any]], object]
    if name in OF_FILES:
        put = OF_FILES[name]()
    else:
        put = PROGRAMS[name]()
        given = [msgspec.json.decode(one, type=Event) for one in lines]
    put(given[:WARM_UP])
    measured = given[WARM_UP:]
    segments = [segment("put", len(measured), lambda: put(measured))]
    Path(to).write_bytes(msgspec.json.encode(segments))


if __name__ == "__main__":
    main()
