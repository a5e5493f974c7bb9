"""The real producer, while up to half of the requests and records fail: in order, no loss."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from lockstep.producing.producer import Producer
from shared.event import Event, encode
from tools.faulty_stream import STREAM, Counts, FaultyStream, events

RECORDS = 50_000  # unless --records says otherwise
SHARES = [0.0, 0.01, 0.1, 0.25, 0.5]


@pytest.fixture
def count(request: pytest.FixtureRequest) -> int:
    """The number of events: a few, or those of the nightly run."""
    given: int = request.config.getoption("--records", RECORDS)
    return given // len(SHARES)


@pytest.mark.parametrize("share", SHARES)
def test_every_event_arrives_in_order_and_twice_only_after_a_lost_answer(
    share: float, count: int
) -> None:
    stream = FaultyStream(share, seed=int(share * 100))
    given = list(events(count, images=2_000, seed=1))
    report = Producer(stream, STREAM, clock=stream.clock, patience=math.inf).put(given)
    counts = stream.counts(given)
    print(f"{share:.0%} fail: {counts}")  # noqa: T201 - shown by -rP
    assert report.put == count
    assert (counts.records, counts.inversions, counts.losses, counts.unprovoked) == (count, 0, 0, 0)
    assert (counts.duplicates > 0) == (share > 0)
    assert len(stream.shards) > 4, "the stream was resharded meanwhile"


def resend_what_failed(stream: FaultyStream, given: Sequence[Event]) -> Counts:
    for chunk in itertools.batched(given, 500):
        records = [{"Data": encode(one), "PartitionKey": one.image_id} for one in chunk]
        while records:
            answer = stream.put_records(StreamName=STREAM, Records=records)
            told = zip(records, answer["Records"], strict=True)
            records = [one for one, entry in told if "ErrorCode" in entry]
    return stream.counts(given)


def test_the_faults_are_enough_to_disorder_the_plain_resend_loop() -> None:
    class OnlyThrottled(FaultyStream):
        """No request fails as a whole, as the loop expects."""

        def __init__(self) -> None:
            super().__init__(0.02, seed=1)
            self.faults.send = lambda apply: apply()  # type: ignore[method-assign] # fewer faults

    counts = resend_what_failed(OnlyThrottled(), list(events(5_000, images=200, seed=1)))
    assert counts.inversions > 0
    assert counts.losses == counts.duplicates == 0


def test_an_event_that_is_wrongly_taken_for_accepted_counts_as_lost() -> None:
    class Trusting(FaultyStream):
        """Takes a lost answer for a success."""

        def put_records(self, **request: Any) -> dict[str, Any]:
            try:
                return super().put_records(**request)
            except EndpointConnectionError:
                return {"Records": [{"SequenceNumber": "1"} for _ in request["Records"]]}

    stream = Trusting(0.5, seed=1)
    given = list(events(5_000, images=200, seed=1))
    Producer(stream, STREAM, clock=stream.clock, patience=math.inf).put(given)
    assert stream.counts(given).losses > 0
