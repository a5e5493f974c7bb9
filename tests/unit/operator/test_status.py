"""The status: how far each consumer is behind, and when that counts as caught up."""

import datetime as dt
from collections.abc import Sequence

import boto3
import msgspec
import pytest
from botocore.stub import Stubber

from lockstep.commands.status import show_status
from lockstep.quarantine import QuarantineCounts
from lockstep.stack.stack import Endpoints, Stack
from lockstep.stack.status import Behind, behind_table, deployed_consumers, status_of, wait_until
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.stream import (
    AfterSequenceNumber,
    ListedShard,
    Position,
    Records,
    StreamRecord,
    StreamUnavailableError,
)

NOW = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)
STACK = Stack(
    endpoints=Endpoints(None, None, "https://o", None),
    stream="s",
    table="t",
    index="i",
    bucket="b",
    region="eu-central-1",
    functions={"write_to_es": "f"},
)


def by_ages(*ages: float) -> Behind:
    """What is said of a deployed consumer with these iterator ages, minute by minute."""
    client = boto3.client(
        "cloudwatch", "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    points = [
        {"Timestamp": NOW - dt.timedelta(minutes=len(ages) - at), "Maximum": age}
        for at, age in enumerate(ages)
    ]
    with Stubber(client) as stub:
        stub.add_response("get_metric_statistics", {"Datapoints": points[::-1]})
        return deployed_consumers(client, {"write_to_es": "f"}, now=NOW)["write_to_es"]


@pytest.mark.parametrize(
    ("ages", "behind_ms", "caught_up"),
    [
        ([5000, 900, 0], 0, True),
        ([900, 5000, 0], 0, False),
        ([0, 0, 1000], 1000, False),
        ([0], 0, False),
        ([], None, False),
    ],
)
def test_a_deployed_consumer_has_caught_up_after_two_young_minutes(
    ages: Sequence[float], behind_ms: int | None, *, caught_up: bool
) -> None:
    assert by_ages(*ages) == Behind(None, behind_ms, caught_up=caught_up)


class Shards:
    """A table's stream: of each shard, when the records after each position arrived."""

    def __init__(self, **arrivals: list[int]) -> None:
        self._arrivals = arrivals

    def retention(self) -> float:
        raise NotImplementedError

    def shards(self) -> list[ListedShard]:
        return [ListedShard(name, frozenset(), "1") for name in self._arrivals]

    def reader(self, shard_id: str, position: Position) -> "Shards":
        done = int(position.sequence_number) if isinstance(position, AfterSequenceNumber) else 0
        return Shards(left=self._arrivals[shard_id][done:])

    def read(self, limit: int) -> Records:
        left = self._arrivals["left"]
        if left == [0]:
            raise StreamUnavailableError("no answer")
        found = [StreamRecord(str(at), "T1", b"", at) for at in left[:limit]]
        return Records(found, behind=bool(found), ended=False)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, Behind(None, 1000, caught_up=False)),
        ({"a": "1", "b": "1"}, Behind(None, 500, caught_up=False)),
        ({"a": "2", "b": "1"}, Behind(0, 0, caught_up=True)),
    ],
)
def test_what_reads_a_tables_stream_is_as_far_behind_as_the_oldest_record_left(
    after: dict[str, str], expected: Behind
) -> None:
    now = NOW.timestamp()
    early, late = round(now * 1000) - 1000, round(now * 1000) - 500
    assert behind_table(Shards(a=[early, late], b=[late]), after, now) == expected


def test_a_tables_stream_that_does_not_answer_leaves_the_backlog_unknown() -> None:
    with pytest.raises(UnknownBacklogError, match="no answer"):
        behind_table(Shards(a=[0]), {}, NOW.timestamp())


def test_a_stack_has_caught_up_when_every_consumer_has() -> None:
    done, late = Behind(0, 0, caught_up=True), Behind(3, 9, caught_up=False)
    nothing = QuarantineCounts(0, 0, {}, 0)
    assert status_of(STACK, {"a": done, "b": done}, nothing).caught_up
    assert not status_of(STACK, {"a": done, "b": late}, nothing).caught_up


def test_waiting_looks_until_it_is_done() -> None:
    looks = iter([1, 2, 3])
    slept: list[float] = []
    seen = wait_until(
        lambda: next(looks),
        lambda one: one == 3,
        seconds=10,
        every=0.5,
        elapsed=lambda: 0,
        sleep=slept.append,
    )
    assert (seen, slept) == (3, [0.5, 0.5])


def test_waiting_ends_with_its_time_and_says_what_was_seen_last() -> None:
    times = iter([0, 1, 2, 3])
    seen = wait_until(
        lambda: "late",
        lambda _: False,
        seconds=2,
        every=1,
        elapsed=lambda: next(times),
        sleep=lambda _: None,
    )
    assert seen == "late"


def test_what_is_quarantined_is_told_with_its_age(capsys: pytest.CaptureFixture[str]) -> None:
    found = status_of(STACK, {}, QuarantineCounts(3, 2, {}, over_60_days=1))
    assert (found.quarantined, found.quarantined_records) == (3, 2)
    assert found.quarantined_over_60_days == 1
    show_status(found, "`lockstep quarantine list`")
    told = capsys.readouterr().out
    assert "in quarantine: 2 (`lockstep quarantine list` lists them)" in told
    assert "over 60 days old: 1 objects; at 90 days" in told
    show_status(msgspec.structs.replace(found, quarantined_over_60_days=0), "")
    assert "60 days" not in capsys.readouterr().out
