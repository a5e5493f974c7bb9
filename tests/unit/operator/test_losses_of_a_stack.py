"""The losses of a deployed stack, from the answers of four services to their acknowledgement.

No test calls AWS: botocore's stubs check each request and each answer against its service model.
"""

import datetime as dt
import io
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import boto3
import msgspec
import pytest
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from lockstep.audit.acknowledgements import AcknowledgementError
from lockstep.stack.clients import Clients
from lockstep.stack.deployed import HOUR
from lockstep.stack.progress import METRICS_DELAY
from lockstep.stack.stack import IndexFrom
from lockstep.stack.use_cases.consumers import consumers, settled_until, written_until
from lockstep.stack.use_cases.losses import acknowledge, unread
from lockstep.stream.losses import Acknowledgement, Loss, StoppedConsumer
from tests.builders import deployed_stack

DAY = 24 * HOUR
NOW = dt.datetime.fromtimestamp(time.time() // HOUR * HOUR, dt.UTC)
CREATED = NOW - dt.timedelta(days=30)
UUIDS = {"table": "a" * 36, "index": "b" * 36}


class Account:
    """One deployed stack, and what its account answers."""

    def __init__(self, stubs: ExitStack, index_from: IndexFrom = "Kinesis") -> None:
        self.stack = deployed_stack(
            stream="images",
            functions={"write_to_dynamodb": "table", "write_to_es": "index"},
            index_from=index_from,
            changes_stream="changes",
        )
        self.clients = Clients(self.stack)
        self.stubs: dict[str, Stubber] = {}
        for name, service in (
            ("lambda_", "lambda"),
            ("cloudwatch", "cloudwatch"),
            ("kinesis", "kinesis"),
            ("s3", "s3"),
        ):
            client = self._client(service)
            setattr(self.clients, name, client)
            self.stubs[name] = stubs.enter_context(Stubber(client))

    @staticmethod
    def _client(service: Any) -> Any:
        return boto3.client(
            service, "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
        )

    def mappings(self, *, table: str = "Enabled", index: str | None = "Enabled") -> None:
        """The event source mappings, by their state; None: there is none."""
        arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/images"
        for function, state in (("table", table), ("index", index)):
            found = [
                {
                    "UUID": UUIDS[function],
                    "State": state,
                    "EventSourceArn": arn,
                    "LastModified": NOW,
                }
            ]
            self.stubs["lambda_"].add_response(
                "list_event_source_mappings",
                {"EventSourceMappings": found if state else []},
                {"FunctionName": function},
            )

    def stream(self) -> None:
        summary = {
            "StreamName": "images",
            "StreamARN": "arn:aws:kinesis:eu-central-1:123456789012:stream/images",
            "StreamStatus": "ACTIVE",
            "RetentionPeriodHours": 168,
            "StreamCreationTimestamp": CREATED,
            "EnhancedMonitoring": [],
            "OpenShardCount": 1,
        }
        self.stubs["kinesis"].add_response(
            "describe_stream_summary",
            {"StreamDescriptionSummary": summary},
            {"StreamName": "images"},
        )

    def metrics(self, *series: dict[int, float]) -> None:
        """The data points of the metrics, in the order of the request, by hours since CREATED."""
        results = [
            {
                "Id": f"m{at}",
                "Timestamps": [CREATED + dt.timedelta(hours=hour) for hour in points],
                "Values": list(points.values()),
            }
            for at, points in enumerate(series)
        ]
        self.stubs["cloudwatch"].add_response(
            "get_metric_data", {"MetricDataResults": results}, None
        )

    def bucket(self, *acknowledged: Acknowledgement) -> None:
        keys = [f"acknowledged/{at}.json" for at in range(len(acknowledged))]
        self.stubs["s3"].add_response(
            "list_objects_v2",
            {"IsTruncated": False, "Contents": [{"Key": key} for key in keys]},
            {"Bucket": "b", "Prefix": "acknowledged/"},
        )
        for key, one in zip(keys, acknowledged, strict=True):
            body = msgspec.json.encode(one)
            self.stubs["s3"].add_response(
                "get_object",
                {"Body": StreamingBody(io.BytesIO(body), len(body)), "ContentLength": len(body)},
                {"Bucket": "b", "Key": key},
            )


@pytest.fixture
def stubs() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def account(stubs: ExitStack) -> Account:
    return Account(stubs)


def hours(begin: int, end: int, value: float) -> dict[int, float]:
    """One value for each hour of these days."""
    return dict.fromkeys(range(begin * 24, end * 24), value)


BUSY = hours(0, 30, 5.0)
# Both mappings were off for the same ten days.
OFF = hours(0, 10, 5.0) | hours(20, 30, 5.0)
LOST = tuple(
    Loss(name, CREATED + dt.timedelta(days=10), CREATED + dt.timedelta(days=13))
    for name in ("write_to_dynamodb", "write_to_es")
)


def with_losses(account: Account) -> None:
    account.mappings()
    account.stream()
    # IncomingRecords, both iterator ages, PolledEventCount of both.
    account.metrics(BUSY, {}, {}, OFF, OFF)


def test_both_mappings_were_off_for_longer_than_the_retention(account: Account) -> None:
    with_losses(account)
    account.bucket()
    found = unread(account.clients)
    assert (found.losses, found.stopped) == (LOST, ())
    assert found.since == CREATED + dt.timedelta(days=10)


def test_an_acknowledgement_ends_it_and_is_kept_in_the_bucket(account: Account) -> None:
    since = CREATED + dt.timedelta(days=10)
    with_losses(account)
    account.bucket()
    written = {
        "Bucket": "b",
        "Key": ANY,
        "Body": ANY,
        "ContentType": "application/json",
        "IfNoneMatch": "*",
    }
    account.stubs["s3"].add_response("put_object", {"ETag": "e"}, written)
    made = acknowledge(account.clients, since, "imported again")
    assert (made.since, made.reason, made.losses) == (since, "imported again", LOST)

    with_losses(account)
    account.bucket(made)
    assert not unread(account.clients)


def test_a_time_that_nobody_printed_is_refused(account: Account) -> None:
    with_losses(account)
    account.bucket()
    with pytest.raises(AcknowledgementError, match=r"not since 2026-01-01T00:00:00Z: see"):
        acknowledge(account.clients, dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "x")


def test_a_stack_that_read_everything_has_no_loss_and_reads_no_acknowledgement(
    account: Account,
) -> None:
    account.mappings()
    account.stream()
    account.metrics(BUSY, {}, {}, BUSY, BUSY)
    assert not unread(account.clients)


def test_a_disabled_and_a_missing_mapping_are_told_and_cannot_be_acknowledged(
    account: Account,
) -> None:
    for _ in range(2):
        account.mappings(table="Disabled", index=None)
        account.stream()
        # The missing mapping has no metric of its own.
        account.metrics(BUSY, BUSY, BUSY, BUSY)
    found = unread(account.clients)
    assert found.stopped == (
        StoppedConsumer("write_to_dynamodb", "disabled", NOW),
        StoppedConsumer("write_to_es", "missing", None),
    )
    assert found.since == NOW
    with pytest.raises(AcknowledgementError, match="no loss to acknowledge; write_to_dynamodb is"):
        acknowledge(account.clients, NOW, "x")


def test_the_mapping_of_the_index_is_that_of_its_source(stubs: ExitStack) -> None:
    """It reads the table's changes here, so a mapping of the image stream is none of its own."""
    account = Account(stubs, "KinesisDataStreamsForDynamoDB")
    account.mappings()
    account.stream()
    account.metrics(BUSY, BUSY, BUSY, BUSY)
    assert unread(account.clients).stopped == (StoppedConsumer("write_to_es", "missing", None),)


def test_a_mapping_that_does_not_read_holds_up_no_rebuild_and_settles_nothing(
    account: Account,
) -> None:
    for _ in range(3):
        account.mappings(index="Disabled")
        account.stream()
        account.stubs["cloudwatch"].add_response("get_metric_data", {"MetricDataResults": []})
    seen = consumers(account.clients)
    assert {name: one.caught_up for name, one in seen.items()} == {
        "write_to_dynamodb": True,
        "write_to_es": False,
    }
    now = time.time()
    assert written_until(account.clients) == pytest.approx(now - METRICS_DELAY - 30.0, abs=31.0)
    assert settled_until(account.clients, 3600.0) == pytest.approx(now - 3600.0, abs=30.0)


def test_a_backlog_that_is_unknown_holds_up_a_rebuild(account: Account) -> None:
    for _ in range(2):
        account.mappings()
        account.stubs["kinesis"].add_client_error("describe_stream_summary", "LimitExceeded")
    assert written_until(account.clients) == float("-inf")
    now = time.time()
    assert settled_until(account.clients, 3600.0) == pytest.approx(now - 3600.0, abs=30.0)
