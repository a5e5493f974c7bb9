"""What the catch-up benchmark predicts for more shards, from a run with one."""

import pytest

from benchmarks.catch_up import Drain, predicted
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER

ONE = {
    TABLE_CONSUMER: Drain(events_per_second=500, processor_ms=1.0, batches=200, batch_ms=150),
    INDEX_CONSUMER: Drain(events_per_second=900, processor_ms=2.0, batches=40, batch_ms=400),
}


@pytest.mark.parametrize(
    ("shards", "table", "index"),
    [(1, 500, 900), (2, 1_000, 1_000), (4, 2_000, 1_000), (16, 2_000, 1_000)],
)
def test_lanes_add_up_until_two_processors_are_busy(
    shards: int, table: float, index: float
) -> None:
    assert predicted(shards, ONE, 2) == {TABLE_CONSUMER: table, INDEX_CONSUMER: index}
