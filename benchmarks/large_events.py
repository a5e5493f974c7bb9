"""Write valid events of the permitted size to the index, beside processes that take the CPU.

    python -m benchmarks.large_events [--events 80] [--busy 8] [--invocations 40]

Each event has about 240 KB and all fields full. The events are delivered in batches of 20, as many
as fit in the payload of an invocation, by the index consumer's `deliver`, client and sink, in
invocations of 60 seconds. Every run has an index of its own. First each request that runs into its
timeout is sent again as it is, then in halves. The OpenSearch is that of `lockstep up`.
"""

import argparse
import base64
import multiprocessing
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch
from rich.console import Console
from rich.table import Table

from doors.clock import SYSTEM_CLOCK
from functions.write_to_es.connect import REQUEST_SECONDS, connect
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from shared.change import Change
from shared.deliver import deliver
from shared.event import encode
from shared.outcome import Outcome
from shared.quarantine import QuarantinedRecord
from shared.sink import RequestFailedError, RequestTimedOutError
from tools.engines import engines_for_tests
from tools.large_events import large_events

INVOCATION_SECONDS, BATCH = 60.0, 20


class Counted(ImageIndex):
    """The sink, which counts its requests, and those that ran into their timeout."""

    def __init__(self, client: OpenSearch, alias: str, *, longest_request: float) -> None:
        super().__init__(client, alias, longest_request=longest_request)
        self.requests_sent = self.timeouts = 0

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        """Send a request."""
        self.requests_sent += 1
        try:
            return super().send(changes, within)
        except RequestTimedOutError:
            self.timeouts += 1
            raise


class Whole(Counted):
    """A sink whose timeouts are failures as any other: the whole request is sent again."""

    def requests(self, changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
        """Split the changes into requests, each as large as one may be."""
        yield changes

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        """Send a request."""
        try:
            return super().send(changes, within)
        except RequestTimedOutError as error:
            raise RequestFailedError(str(error)) from error


class NoQuarantine:
    """No record belongs there."""

    longest_put = 0.0

    def put(self, record: QuarantinedRecord) -> None:
        """Fail."""
        raise AssertionError(record)


def records(count: int) -> Sequence[dict[str, Any]]:
    """The events as Lambda delivers them."""
    return [
        {
            "eventSource": "aws:kinesis",
            "eventID": f"shardId-000000000000:{number}",
            "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/lockstep-images",
            "kinesis": {
                "data": base64.b64encode(encode(event)).decode(),
                "partitionKey": event.image_id,
                "sequenceNumber": f"{number}",
                "approximateArrivalTimestamp": time.time(),
            },
        }
        for number, event in enumerate(large_events(count), start=1)
    ]


def run(client: OpenSearch, sink: type[Counted], events: int, most: int) -> Sequence[str]:
    """Deliver all events in at most so many invocations; return a row of the report."""
    alias = f"images-{uuid.uuid4()}"
    ensure_index(client, alias)
    left = list(records(events))
    to = sink(client, alias, longest_request=REQUEST_SECONDS)
    began, invocations = time.monotonic(), 0
    while left and invocations < most:
        invocations += 1
        end = time.monotonic() + INVOCATION_SECONDS
        batch = left[:BATCH]
        checkpoint = deliver(
            batch,
            to=to,
            quarantine=NoQuarantine(),
            function="write_to_es",
            clock=SYSTEM_CLOCK,
            remaining=lambda end=end: end - time.monotonic(),  # type: ignore[misc]
        ).checkpoint
        numbers = [one["kinesis"]["sequenceNumber"] for one in batch]
        del left[: numbers.index(checkpoint) if checkpoint else len(batch)]
    seconds = time.monotonic() - began
    client.indices.delete(index=f"{alias}-*", request_timeout=60)
    return (
        "whole" if sink is Whole else "halves",
        f"{events - len(left)} of {events}",
        f"{seconds:.1f}",
        f"{invocations}",
        f"{to.requests_sent}",
        f"{to.timeouts}",
    )


def burn() -> None:
    """Take a CPU."""
    while True:
        pass


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that take the CPU."""
    burning = [multiprocessing.Process(target=burn, daemon=True) for _ in range(count)]
    for one in burning:
        one.start()
    try:
        yield
    finally:
        for one in burning:
            one.kill()


def main() -> None:
    """Run each way, first idle, then beside the busy processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[21, 80])
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 8])
    parser.add_argument("--invocations", type=int, default=20)
    given = parser.parse_args()
    report = Table("busy", "way", "stored", "seconds", "invocations", "requests", "timeouts")
    with engines_for_tests() as endpoint:
        client = connect(endpoint("opensearch"), None, None)
        run(client, Counted, 5, 20)  # a JVM that has just started is slow
        for others in given.busy:
            for events in given.events:
                for sink in (Whole, Counted):
                    with busy(others):
                        row = run(client, sink, events, given.invocations)
                    report.add_row(f"{others}", *row)
                    print(others, *row, flush=True)
    Console().print(report)


if __name__ == "__main__":
    main()
