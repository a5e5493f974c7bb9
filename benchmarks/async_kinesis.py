"""Measure async-kinesis: benchmarks.under_fire runs this in a separate environment."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from kinesis import Producer, StringProcessor

from benchmarks.under_fire import measured
from shared.event import Event, encode
from tools.faulty_stream import STREAM, FaultyStream

# So high that the rate limits of async-kinesis, by record and by KiB, never apply.
UNLIMITED = 1_000_000


class Client:
    """The client methods that async-kinesis uses."""

    def __init__(self, stream: FaultyStream) -> None:
        self._stream = stream

    async def put_records(self, **request: Any) -> Any:
        """PutRecords, with failures."""
        return self._stream.put_records(**request)

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""


class UnderFire(Producer):  # type: ignore[misc]  # it has no types
    """The producer of async-kinesis with our client."""

    def __init__(self, stream: FaultyStream) -> None:
        super().__init__(
            STREAM,
            skip_describe_stream=True,
            processor=StringProcessor(),
            put_rate_limit_per_shard=UNLIMITED,
            put_bandwidth_limit_per_shard=UNLIMITED,
        )
        self._stream = stream

    async def get_client(self) -> None:
        """Use our client."""
        self.client = Client(self._stream)


async def put(stream: FaultyStream, given: Sequence[Event]) -> None:
    """Put all events, as the documentation of async-kinesis shows."""
    async with UnderFire(stream) as producer:
        for event in given:
            await producer.put(encode(event).decode(), partition_key=event.image_id)


def main() -> None:
    """Put events, and print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, required=True)
    parser.add_argument("--records", type=int, required=True)
    asked = parser.parse_args()
    logging.disable()
    found = measured(
        lambda stream, given: asyncio.run(put(stream, given)), asked.share, asked.records
    )
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
