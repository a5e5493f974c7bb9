"""The work that is measured: real records of the Tate collection, as Lambda delivers them."""

import base64
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lockstep.producing.producer import Stamp
from lockstep.producing.sources import read_events
from lockstep.source_files.converters import load_mapping
from shared.event import Event, encode
from shared.stamps import time_of

DATA = Path(__file__).parents[2] / "data" / "tate-2000.ndjson"
BATCH = 100
STREAM = "lockstep-images"
_FIRST_VERSION, _STEP = 1_795_248_000_123_456, 1_234
_ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"


class LambdaContext:
    """The context of an invocation."""

    function_name = "lockstep"
    function_version = "$LATEST"
    memory_limit_in_mb = "512"
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:lockstep"
    aws_request_id = "8f5b2c1e-3a64-4d7c-9f0e-6f2b1a7c5d3e"
    log_group_name = "/aws/lambda/lockstep"
    log_stream_name = "2026/11/21/[$LATEST]5f1c"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """The time that is left: all of it."""
        return 60_000


def source_lines(count: int) -> Iterator[bytes]:
    """This many source records: copies of the real ones, each with its own id."""
    records = [msgspec.json.decode(line) for line in DATA.read_bytes().splitlines()]
    for number, record in zip(range(count), itertools.cycle(records), strict=False):
        turn = number // len(records)
        again = f".{turn}" if turn else ""
        yield msgspec.json.encode(record | {"accession": f"{record['accession']}{again}"})


def events(count: int) -> Iterator[Event]:
    """The source records, read as events: uploads, each with a version and a time of its own."""
    read = read_events(source_lines(count), Stamp(lambda: 1_795_248_000), load_mapping("tate"))
    for version, one in zip(itertools.count(_FIRST_VERSION, _STEP), read, strict=False):
        if not isinstance(one, Event):
            raise TypeError(one)
        yield msgspec.structs.replace(one, version=version, occurred_at=time_of(version))


def invocations(given: Sequence[Event], batch: int) -> Iterator[dict[str, Any]]:
    """The events as Lambda passes them to a function, this many at a time."""
    for some in itertools.batched(enumerate(given), batch):
        yield {"Records": [_record(event, number) for number, event in some]}


def _record(event: Event, number: int) -> dict[str, Any]:
    sequence_number = f"4966{number:052d}"
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": event.image_id,
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(encode(event)).decode(),
            "approximateArrivalTimestamp": 1_795_248_007.123,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence_number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/lockstep",
        "awsRegion": "us-east-1",
        "eventSourceARN": _ARN,
    }


def main() -> None:
    """Print the mean size of an event in bytes."""
    sizes = [len(encode(one)) for one in events(2_000)]
    sys.stdout.write(f"{sum(sizes) / len(sizes):.0f} bytes\n")


if __name__ == "__main__":
    main()
