"""Skew: the busiest shard, and the images with the most records, in bounded memory."""

import datetime as dt
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import msgspec
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from lockstep.stack.skew import (
    HOT_SECONDS,
    MOST_SHOWN,
    BusiestShard,
    HotImage,
    SpaceSaving,
    busiest_of,
    busiest_shard,
    hot_images,
)
from lockstep.stack.stack import StackNotFoundError
from shared.clock import Clock
from tests.builders import deployed_stack

NOW = 1_796_000_000.0
CLOCK = Clock(lambda: NOW, lambda: 0.0, lambda _: None, lambda: 0.0)


def line(ago: float, **records: int) -> bytes:
    """A line of a batch, written so many seconds ago."""
    at = dt.datetime.fromtimestamp(NOW - ago, dt.UTC).isoformat()
    hottest = [{"image_id": image_id, "records": count} for image_id, count in records.items()]
    return msgspec.json.encode({"message": "batch", "timestamp": at, "hottest": hottest})


def local(folder: Path, *lines: bytes) -> Any:
    (folder / "logs").mkdir()
    (folder / "logs" / "write_to_dynamodb.log").write_bytes(b"\n".join(lines) + b"\n")
    return SimpleNamespace(clock=CLOCK, stack=deployed_stack(state=str(folder)))


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 50))), st.integers(1, 6))
def test_counts_in_bounded_memory_are_within_their_bounds(
    counted: list[tuple[str, int]], counters: int
) -> None:
    sketch, exact = SpaceSaving(counters), Counter[str]()
    for name, times in counted:
        sketch.add(name, times)
        exact[name] += times
    found = {one.image_id: one for one in sketch.most(len("abcdefgh"))}
    assert len(found) <= counters
    bound = exact.total() / counters
    for name, one in found.items():
        assert exact[name] <= one.records <= exact[name] + one.at_most_too_many
        assert one.at_most_too_many <= bound
    assert {name for name, times in exact.items() if times > bound} <= found.keys()


def test_the_busiest_shard_is_the_one_with_most_records() -> None:
    assert busiest_of({"s-0": 10, "s-1": 30}) == BusiestShard("s-1", 0.75, 2)
    assert busiest_of({"s-0": 0}) is None
    assert busiest_of({}) is None


@pytest.mark.parametrize(
    ("share", "shards", "is_skewed"),
    [(1.0, 1, False), (1.0, 2, False), (0.7, 3, True), (0.66, 3, False), (0.5, 9, False)],
)
def test_a_shard_with_much_more_than_its_part_is_skew(
    *, share: float, shards: int, is_skewed: bool
) -> None:
    assert BusiestShard("s", share, shards).is_skewed == is_skewed


def test_hot_images_are_those_of_the_last_minutes(tmp_path: Path) -> None:
    clients = local(
        tmp_path,
        line(HOT_SECONDS + 1, old=400),
        line(100, a=300, b=20),
        b'{"message": "batch", "hottest": [{"image',
        b'{"message": "batch", "hottest": [{}], "timestamp": "today"}',
        line(1, a=100, c=30),
    )
    assert hot_images(clients) == [
        HotImage("a", 400, 0),
        HotImage("c", 30, 0),
        HotImage("b", 20, 0),
    ]


def test_few_images_are_shown(tmp_path: Path) -> None:
    clients = local(tmp_path, *(line(1, **{f"i{at}": 10 + at}) for at in range(40)))
    shown = hot_images(clients)
    assert [one.image_id for one in shown] == [f"i{at}" for at in range(39, 39 - MOST_SHOWN, -1)]


def test_a_stack_without_a_log_has_no_hot_images(tmp_path: Path) -> None:
    clients = SimpleNamespace(clock=CLOCK, stack=deployed_stack(state=str(tmp_path)))
    assert hot_images(clients) == []  # type: ignore[arg-type]  # what it uses of the clients


def test_of_a_deployed_stack_its_log_is_asked_for_lines_with_hot_images() -> None:
    logs = boto3.client(
        "logs", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b"
    )
    stack = deployed_stack(log_groups={"write_to_dynamodb": "WriteToDynamodbLog"})
    clients: Any = SimpleNamespace(clock=CLOCK, stack=stack, logs=logs)
    with Stubber(logs) as stub:
        stub.add_response(
            "filter_log_events",
            {"events": [{"message": line(5, a=12).decode()}]},
            {
                "logGroupName": "WriteToDynamodbLog",
                "filterPattern": '{ $.message = "batch" && $.hottest[0].records > 0 }',
                "startTime": round((NOW - HOT_SECONDS) * 1000),
            },
        )
        assert hot_images(clients) == [HotImage("a", 12, 0)]
    clients.stack = deployed_stack()
    with pytest.raises(StackNotFoundError, match="deploy this release"):
        hot_images(clients)


def test_a_stack_without_alarms_counts_no_shards() -> None:
    clients: Any = SimpleNamespace(stack=deployed_stack())
    assert busiest_shard(clients) is None
