"""What the lines of the real handlers tell of an image, in files and in CloudWatch Logs."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.stub import Stubber

from doors.logged_ids import HashedIds
from lockstep.trace.events import Place
from lockstep.trace.logs import (
    MOST_PAGES,
    MOST_RECORDS,
    WITHIN_SECONDS,
    CloudWatchLogs,
    LocalLogs,
    read_logs,
)
from shared.outcome import Failed
from shared.quarantine import CONSUMERS, TABLE_CONSUMER
from tests.builders import ARRIVED_AT, SHARD_ID, image_event, kinesis_records, sequence_number
from tests.emitted import consumed, logging_as
from tests.memory_sink import MemorySink

KEY = "0123456789abcdef"


def place(position: int) -> Place:
    return Place("lockstep-images", SHARD_ID, sequence_number(position))


def written(*events: Any, key: str | None = None, sink: MemorySink | None = None) -> str:
    """What the table's consumer writes of a batch."""
    store = sink or MemorySink()
    with logging_as(TABLE_CONSUMER) as (logger, into):
        consumed(kinesis_records(*events), lambda: store, logger, key=key)
        return into.text


def of_files(tmp_path: Path, text: str, shown: str, *places: Place) -> list[tuple[str, str]]:
    (tmp_path / f"{TABLE_CONSUMER}.log").write_text(text)
    source = LocalLogs(tmp_path, CONSUMERS)
    read = read_logs(source, shown, dict.fromkeys(places, ARRIVED_AT / 1000))
    assert read.complete
    return [(told.what, told.detail) for told in read.told]


def test_a_batch_tells_the_fate_of_its_records_only_if_they_all_have_it(tmp_path: Path) -> None:
    text = written(image_event("a"), image_event("b"))
    assert of_files(tmp_path, text, "a", place(1)) == [("settled", "applied")]
    assert of_files(tmp_path, text, "a", place(3)) == []
    mixed = written(image_event("a"), image_event("a"))
    told = of_files(tmp_path, mixed, "a", place(1))
    assert told == [("settled", "in a batch of 2 records: 1 applied, 1 duplicate")]


def test_a_record_that_is_not_settled_has_the_cause_of_its_invocation(tmp_path: Path) -> None:
    sink = MemorySink(always={"b": Failed("throttled")})
    text = written(image_event("a"), image_event("b"), sink=sink)
    assert of_files(tmp_path, text, "b", place(2)) == [("not_settled", "throttled")]
    ((what, _),) = of_files(tmp_path, text, "a", place(1))
    assert what == "settled"


def test_beyond_the_numbers_that_a_line_names_nobody_knows(tmp_path: Path) -> None:
    images = [f"T{at}" for at in range(60)]
    sink = MemorySink(always=dict.fromkeys(images, Failed("throttled")))
    text = written(*map(image_event, images), sink=sink)
    assert of_files(tmp_path, text, "T59", place(60)) == [("not_settled", "perhaps, throttled")]


def test_an_invalid_record_is_found_by_its_place_and_a_valid_one_by_its_id(tmp_path: Path) -> None:
    text = written(b"\xff", image_event("a"))
    ((what, detail), *_) = of_files(tmp_path, text, "unknown", place(1))
    assert (what, detail.partition(":")[0]) == ("quarantined", "not_utf8")
    late = image_event("late", 1_787_000_000_000_000, occurred_at="2026-08-17T20:00:00Z")
    ((what, _),) = of_files(tmp_path, written(late), "late")
    assert what == "late"


def test_hashed_lines_are_found_by_the_hash(tmp_path: Path) -> None:
    late = image_event("late", 1_787_000_000_000_000, occurred_at="2026-08-17T20:00:00Z")
    text = written(late, key=KEY)
    assert of_files(tmp_path, text, "late") == []
    shown = HashedIds(KEY).shown("late")
    assert [what for what, _ in of_files(tmp_path, text, shown)] == ["late"]


def test_other_lines_of_a_log_and_a_missing_log_tell_nothing(tmp_path: Path) -> None:
    assert list(LocalLogs(tmp_path, CONSUMERS).lines("a", {place(1): 0.0})) == []
    text = '[ERROR] "a"\nSTART "a"\n{"message": "batch", "a"\n{"message": 1, "image_id": "a"}\n'
    assert of_files(tmp_path, text, "a", place(1)) == []


def asked_of_cloudwatch(
    text: str, shown: str, places: Mapping[Place, float]
) -> tuple[list[dict[str, Any]], Any]:
    """The requests, which botocore has validated, and what is told."""
    client = boto3.client(
        "logs",
        "us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    asked: list[dict[str, Any]] = []
    client.meta.events.register(
        "provide-client-params.logs.FilterLogEvents",
        lambda params, **_: asked.append(params),
    )
    events = [{"message": line} for line in text.splitlines()]
    with Stubber(client) as stub:
        for _ in range(1 + min(len(places), MOST_RECORDS)):
            stub.add_response("filter_log_events", {"events": events})
        source = CloudWatchLogs(client, ["the-group"], since=1.0)
        return asked, read_logs(source, shown, places)


def test_cloudwatch_is_asked_for_the_image_and_for_the_batches_of_its_records() -> None:
    arrived = ARRIVED_AT / 1000
    asked, read = asked_of_cloudwatch(written(image_event("a")), "a", {place(1): arrived})
    assert [(told.what, told.detail) for told in read.told] == [("settled", "applied")]
    named, batches = asked
    assert named == {
        "logGroupName": "the-group",
        "filterPattern": '{ $.image_id = "a" }',
        "startTime": 1_000,
    }
    assert batches["startTime"] == ARRIVED_AT
    assert batches["endTime"] == ARRIVED_AT + WITHIN_SECONDS * 1000
    kinds = re.findall(r'\$\.message = "([^"]*)"', batches["filterPattern"])
    assert kinds == ["batch", "not settled, Lambda retries", "quarantined"]
    assert f'&& $.shard_id = "{SHARD_ID}"' in batches["filterPattern"]


def test_an_id_cannot_leave_its_quotes() -> None:
    asked, _ = asked_of_cloudwatch("", 'x" || $.image_id = "*', {})
    assert asked[0]["filterPattern"] == r'{ $.image_id = "x\" || $.image_id = \"*" }'


def test_of_very_many_records_the_newest_are_looked_up_and_that_is_told() -> None:
    places = {place(at): float(at) for at in range(1, MOST_RECORDS + 6)}
    asked, read = asked_of_cloudwatch("", "a", places)
    assert not read.complete
    assert [one["startTime"] for one in asked[1:]] == [
        1000 * at for at in range(6, MOST_RECORDS + 6)
    ]


class Endless:
    """A log group whose pages never end."""

    def get_paginator(self, _: str) -> Any:
        return self

    def paginate(self, **_: object) -> Any:
        while True:
            yield {"events": []}


def test_a_log_group_without_end_is_left_after_many_pages() -> None:
    source = CloudWatchLogs(Endless(), ["the-group"], since=0.0)
    assert read_logs(source, "a", {}).complete is False
    assert MOST_PAGES == 200  # so many requests take about a minute


def test_the_same_line_tells_once(tmp_path: Path) -> None:
    text = written(image_event("a"))
    assert of_files(tmp_path, text + text, "a", place(1)) == [("settled", "applied")]


@pytest.mark.parametrize("shown", ["a", HashedIds(KEY).shown("a")])
def test_an_id_in_a_detail_is_not_a_line_of_the_image(tmp_path: Path, shown: str) -> None:
    line = {"message": "quarantined", "timestamp": "2026-11-21T08:00:00Z", "service": "s"}
    text = msgspec.json.encode(line | {"detail": shown}).decode()
    assert of_files(tmp_path, text, shown) == []
