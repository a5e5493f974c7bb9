"""The endpoint emits the metrics that AWS has of a stream.

https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
"""

from typing import NamedTuple

import pytest

from lockstep.local.kinesis.endpoint import Endpoint
from lockstep.local.kinesis.limits import PerShard
from lockstep.local.kinesis.store import Store
from lockstep.local.metrics import EmittedMetric
from tests.unit.kinesis.client import Clock, Kinesis
from tests.unit.kinesis.test_limits import batch


class Measured(NamedTuple):
    kinesis: Kinesis
    emitted: list[tuple[EmittedMetric, float]]

    def values(self, name: str) -> list[float]:
        """The values of this metric of the stream."""
        metric = EmittedMetric("AWS/Kinesis", name, (("StreamName", "pictures"),))
        return [value for found, value in self.emitted if found == metric]


@pytest.fixture
def measured(store: Store) -> Measured:
    clock = Clock()
    emitted: list[tuple[EmittedMetric, float]] = []

    def emit(metric: EmittedMetric, value: float) -> None:
        emitted.append((metric, value))

    endpoint = Endpoint(store, clock, PerShard(), "us-east-1", "000000000000", emit=emit)
    made = Measured(Kinesis(endpoint, clock), emitted)
    made.kinesis.stream()
    return made


def test_records_that_came_and_records_that_were_refused_are_counted(measured: Measured) -> None:
    large = batch(2, size=600 * 1024)
    measured.kinesis("PutRecords", StreamName="pictures", Records=[*batch(2), *large])
    measured.kinesis.refusal(
        "PutRecord", StreamName="pictures", Data=large[0]["Data"], PartitionKey="k"
    )
    measured.kinesis("PutRecord", StreamName="pictures", Data="", PartitionKey="k")
    assert measured.values("IncomingRecords") == [3, 0, 1]
    assert measured.values("WriteProvisionedThroughputExceeded") == [1, 1, 0]


def test_reads_that_are_refused_are_counted(measured: Measured) -> None:
    iterator = measured.kinesis.iterator("TRIM_HORIZON")
    for _ in range(5):
        measured.kinesis("GetRecords", ShardIterator=iterator)
    measured.kinesis.refusal("GetRecords", ShardIterator=iterator)
    assert measured.values("ReadProvisionedThroughputExceeded") == [0, 0, 0, 0, 0, 1]
