"""The skeleton of both stream handlers: what it makes when, what it logs and measures."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from doors import stream
from doors.batch import hottest_of, image_ids_of, place_of
from doors.logged_ids import HASH_MARK, LOG_HASH_KEY
from shared.batch import BatchResponse
from shared.clock import Clock
from shared.deliver import deliver
from shared.outcome import Failed
from shared.shortened import shortened
from shared.sink import MisconfiguredError, Sink
from shared.stamps import LATE_EVENT
from tests.builders import (
    ARRIVED_AT,
    SHARD_ID,
    TABLE_STREAM_ARN,
    change,
    image_event,
    kinesis_record,
    kinesis_records,
    sequence_number,
    table_record,
)
from tests.memory_sink import MemorySink
from tests.simulation.rewired import rewired


class Log:
    """A logger and metrics that keep what they are told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []
        self.batches: list[dict[str, Any]] = []
        self.keys: dict[str, Any] = {}
        self.metrics: dict[str, tuple[str, float]] = {}

    def append_keys(self, **keys: Any) -> None:
        self.keys |= keys

    def info(self, message: str, *, extra: dict[str, Any]) -> None:
        assert message == "batch"
        self.batches.append(extra)

    def warning(self, message: str, *, extra: dict[str, Any]) -> None:
        self.lines.append((message, extra))

    def error(self, message: str, *, extra: dict[str, Any]) -> None:
        self.lines.append((message, extra))

    def add_metric(self, name: str, unit: str, value: float) -> None:
        self.metrics[name] = (unit, value)


class Shelf:
    """A quarantine that takes everything."""

    longest_put = 1.0

    def put(self, record: object) -> None:
        pass


def consumed(records: list[dict[str, Any]], sink: Callable[[], Sink], log: Log) -> BatchResponse:
    consume = rewired(
        inspect.unwrap(stream.consume_with),
        quarantine=Shelf,
        SYSTEM_CLOCK=Clock(
            now=lambda: 1_795_248_001.0,
            elapsed=lambda: 0.0,
            sleep=lambda _: None,
            chance=lambda: 0.5,
        ),
        report=rewired(stream.report, logger=log, metrics=log),
        log_batch=rewired(stream.log_batch, logger=log),
        logger=log,
    )
    context: Any = SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000)
    response: BatchResponse = consume(
        {"Records": records}, context, sink=sink, function="write_to_es", deliver=deliver
    )
    return response


def test_a_late_event_is_a_metric_and_a_line_that_names_the_image() -> None:
    log = Log()
    late = image_event("a", 1_787_000_000_000_000, occurred_at="2026-08-17T20:00:00Z")
    consumed(kinesis_records(late, image_event("b")), MemorySink, log)
    assert log.metrics["Late"][1] == 1
    ((message, fields),) = log.lines
    assert message == LATE_EVENT
    assert fields == {
        "image_id": "a",
        "image_version": 1_787_000_000_000_000,
        "sequence_number": sequence_number(1),
        "occurred_at": "2026-08-17T20:00:00Z",
        "arrived_at": ARRIVED_AT,
    }


def test_the_line_of_a_batch_names_its_hottest_images_and_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [
        image_event(image_id, version)
        for image_id, count in (("cool", 9), ("hot", 30), ("warm", 11), ("w2", 12), ("w3", 10))
        for version in range(1, count + 1)
    ]
    log = Log()
    consumed(kinesis_records(*events), MemorySink, log)
    assert log.batches[0]["hottest"] == [
        {"image_id": "hot", "records": 30},
        {"image_id": "w2", "records": 12},
        {"image_id": "warm", "records": 11},
    ]
    consumed(kinesis_records(*events[:9]), MemorySink, log)
    assert "hottest" not in log.batches[1]
    monkeypatch.setenv(LOG_HASH_KEY, "key")
    consumed(kinesis_records(*events), MemorySink, log)
    assert [one["image_id"][0] for one in log.batches[2]["hottest"]] == [HASH_MARK] * 3
    assert [one["records"] for one in log.batches[2]["hottest"]] == [30, 12, 11]


def test_rows_of_a_table_with_a_sort_key_are_no_images() -> None:
    keys = {"artist": {"S": "Turner"}, "work": {"S": "1"}}
    assert hottest_of([{"dynamodb": {"Keys": keys}}] * 20) == ()
    assert hottest_of([{"dynamodb": {"Keys": {"image_id": {"S": "a"}}}}] * 20) == [("a", 20)]


def test_an_outrun_event_is_counted_besides_the_quarantined_ones() -> None:
    log, sink = Log(), MemorySink()
    stamped = kinesis_record(image_event("a", 1_795_000_000_000_000))
    counted = kinesis_record(image_event("a", 7), position=2, arrived_at=ARRIVED_AT + 1)
    consumed([stamped], lambda: sink, log)
    log.metrics.clear()
    consumed([counted, kinesis_record(b"\xff", position=3)], lambda: sink, log)
    assert log.metrics == {"Quarantined": ("Count", 2), "Outrun": ("Count", 1)}


def test_counts_and_lag_are_metrics_and_each_quarantined_record_is_a_line() -> None:
    log = Log()
    event = image_event("a", occurred_at="2026-11-21T08:00:00Z")
    response = consumed(kinesis_records(event, b"\xff"), MemorySink, log)
    assert response == {"batchItemFailures": []}
    assert log.metrics == {
        "Applied": ("Count", 1),
        "Quarantined": ("Count", 1),
        "Lag": ("Milliseconds", 1000),
    }
    ((message, fields),) = log.lines
    assert message == "quarantined"
    assert fields["reason"] == "not_utf8"
    assert fields["quarantine_key"].startswith("quarantine/write_to_es/")


def test_each_cause_of_failure_is_a_line_with_the_checkpoint() -> None:
    log = Log()
    sink = MemorySink(always={"a": Failed("throttled")})
    response = consumed(kinesis_records(image_event("a")), lambda: sink, log)
    assert response == {"batchItemFailures": [{"itemIdentifier": sequence_number(1)}]}
    ((_, fields),) = log.lines
    assert fields == {
        "cause": "throttled",
        "unsettled_records": 1,
        "checkpoint": sequence_number(1),
    }


def test_a_batch_is_one_line_whatever_its_size() -> None:
    log = Log()
    records = [
        kinesis_record(image_event(f"T{at}"), position=at, arrived_at=ARRIVED_AT + at)
        for at in range(1, 101)
    ]
    consumed(records, MemorySink, log)
    assert log.lines == []
    (line,) = log.batches
    assert line == {
        "applied": 100,
        "duplicate": 0,
        "stale": 0,
        "quarantined": 0,
        "failed": 0,
        "checkpoint": None,
        "unsettled": None,
        "age_ms": 499,  # of the first record; it is 500 ms after ARRIVED_AT
        "lag_ms": 877,
        "duration_ms": 0,
    }
    assert log.keys == {
        "stream": "lockstep-images",
        "shard_id": SHARD_ID,
        "first_sequence_number": sequence_number(1),
        "last_sequence_number": sequence_number(100),
        "records": 100,
    }


def test_the_line_of_a_batch_names_the_first_records_that_are_not_settled() -> None:
    log = Log()
    images = [f"T{at}" for at in range(stream.MOST_NAMED + 2)]
    sink = MemorySink(always=dict.fromkeys(images[1:], Failed("throttled")))
    consumed(kinesis_records(*map(image_event, images)), lambda: sink, log)
    (line,) = log.batches
    assert (line["applied"], line["failed"]) == (1, stream.MOST_NAMED + 1)
    assert line["checkpoint"] == sequence_number(2)
    first = [sequence_number(at) for at in range(2, stream.MOST_NAMED + 2)]
    assert list(line["unsettled"]) == first


def test_a_batch_of_a_tables_stream_has_no_shard_and_an_empty_one_no_place() -> None:
    records = [table_record(change("a"), position=at) for at in (1, 2)]
    assert place_of(records) == {
        "stream": TABLE_STREAM_ARN.partition(":table/")[2],
        "shard_id": None,
        "first_sequence_number": records[0]["dynamodb"]["SequenceNumber"],
        "last_sequence_number": records[1]["dynamodb"]["SequenceNumber"],
        "records": 2,
    }
    assert set(place_of([]).values()) == {None}
    assert place_of([]).keys() == place_of(records).keys()
    assert list(image_ids_of(records)) == ["a", "a"]


def test_a_misconfiguration_found_while_a_client_is_made_is_logged_and_raised() -> None:
    log = Log()

    def unsigned() -> Sink:
        raise MisconfiguredError("set AWS credentials")

    with pytest.raises(MisconfiguredError, match="set AWS credentials"):
        consumed(kinesis_records(image_event("a")), unsigned, log)
    ((message, extra),) = log.lines
    assert message.startswith("misconfigured: ")
    assert extra == {"cause": "set AWS credentials"}


def test_the_cause_of_a_misconfiguration_is_logged_in_short() -> None:
    log = Log()

    def unsigned() -> Sink:
        raise MisconfiguredError("x" * 100_000)

    with pytest.raises(MisconfiguredError):
        consumed(kinesis_records(image_event("a")), unsigned, log)
    assert [extra["cause"] for _, extra in log.lines] == [shortened("x" * 100_000)]


@pytest.mark.parametrize("function", ["write_to_dynamodb", "write_to_es", "search_images"])
def test_a_handler_makes_no_client_and_reads_no_setting_at_import(function: str) -> None:
    program = (
        "import boto3, boto3.session\n"
        "def fail(*_, **__): raise SystemExit('a client at import')\n"
        "boto3.client = boto3.Session = boto3.session.Session.client = fail\n"
        f"import functions.{function}.handler\n"
    )
    run = subprocess.run([sys.executable, "-c", program], env={}, check=False, capture_output=True)
    assert run.returncode == 0, run.stderr.decode()


def test_the_client_of_the_quarantine_is_made_for_the_first_record() -> None:
    program = """
import os, sys
os.environ |= {"QUARANTINE_BUCKET": "b", "POWERTOOLS_METRICS_NAMESPACE": "n"}
os.environ |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "a"}
os.environ |= {"AWS_SECRET_ACCESS_KEY": "s", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}
from doors import stream
from shared.quarantine import QuarantineError
quarantine = stream.quarantine()
assert quarantine.longest_put > 11
assert "boto3" not in sys.modules
from tests.unit.doors.test_quarantine import ENTRY
try:
    quarantine.put(ENTRY)
except QuarantineError as error:
    print(error)
assert "boto3" in sys.modules
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert run.stdout.startswith("s3://b/quarantine/"), run.stderr
    assert "Could not connect to the endpoint URL" in run.stdout


def test_without_a_region_a_record_is_not_in_the_quarantine() -> None:
    """The client cannot be made. The record is not acknowledged, as if S3 did not answer."""
    program = """
import os
os.environ |= {"QUARANTINE_BUCKET": "b", "POWERTOOLS_METRICS_NAMESPACE": "n"}
from doors import stream
from shared.quarantine import QuarantineError
from tests.unit.doors.test_quarantine import ENTRY
try:
    stream.quarantine().put(ENTRY)
except QuarantineError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={"AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.startswith("s3://b/quarantine/"), run.stderr
