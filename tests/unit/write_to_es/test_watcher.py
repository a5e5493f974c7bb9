"""The watcher: what it looks at, and what it publishes when something cannot be read."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
    AmazonCloudWatchEMFProvider,
)

from functions.write_to_es import watcher
from functions.write_to_es.watcher import bucket_metrics
from shared.quarantine import FAILURE_DOCUMENTS, PREFIX
from shared.sink import RequestFailedError
from tests.simulation.rewired import rewired

NOW = dt.datetime(2026, 11, 29, tzinfo=dt.UTC)


class Bucket:
    """A bucket with pages of objects."""

    def __init__(self, **days: Sequence[float]) -> None:
        self.days = {
            PREFIX: days.get("objects", ()),
            FAILURE_DOCUMENTS: days.get("documents", ()),
        }

    def get_paginator(self, operation: str) -> "Bucket":
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[Mapping[str, Any]]:  # noqa: N803 - as in boto3
        assert Bucket == "bucket"
        ages = self.days[Prefix]
        yield {"KeyCount": 0}
        yield {"Contents": [{"LastModified": NOW - dt.timedelta(days=one)} for one in ages]}


def values(found: watcher.Looked) -> dict[str, float]:
    return {name: value for name, (_, value) in found.items()}


def test_what_waits_is_counted_and_the_oldest_of_all_has_an_age() -> None:
    bucket = Bucket(objects=[1, 2], documents=[61])
    assert values(bucket_metrics(bucket, "bucket", NOW)) == {
        "QuarantinedObjects": 2,
        "FailureDocuments": 1,
        "OldestQuarantined": 61 * 86_400,
    }


def test_an_empty_bucket_has_no_age() -> None:
    assert values(bucket_metrics(Bucket(), "bucket", NOW)) == {
        "QuarantinedObjects": 0,
        "FailureDocuments": 0,
        "OldestQuarantined": 0,
    }


class Table:
    """A table whose first page has items with these times of expiry; None: no such time."""

    def __init__(self, *expire_at: int | None) -> None:
        self.items = [{} if one is None else {"expires_at": {"N": str(one)}} for one in expire_at]

    def scan(self, **_: object) -> Mapping[str, Any]:
        return {"Items": self.items}


@pytest.mark.parametrize(
    ("expire_at", "filled"),
    [((), False), ((None,), True), ((1,), False), ((1, 3_000_000_000), True), ((1, None), True)],
)
def test_expired_tombstones_do_not_fill_a_table(
    expire_at: Sequence[int | None], *, filled: bool
) -> None:
    assert watcher.is_filled(Table(*expire_at), "table", NOW.timestamp()) == filled


def published(capsys: pytest.CaptureFixture[str], *looks: Any) -> dict[str, Any]:
    metrics = AmazonCloudWatchEMFProvider(namespace="Lockstep/tests", service="stack_watcher")
    rewired(watcher.publish, metrics=metrics)(*looks)
    metrics.flush_metrics()
    (line,) = [one for one in capsys.readouterr().out.splitlines() if "CloudWatchMetrics" in one]
    found: dict[str, Any] = json.loads(line)
    return found


def test_all_that_is_found_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    found = published(capsys, lambda: {"A": ("Count", 3)}, lambda: {"B": ("Seconds", 5)})
    assert (found["A"], found["B"], found["Watched"]) == ([3], [5], [1])


def test_what_cannot_be_read_hides_nothing_else_and_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails() -> watcher.Looked:
        raise RequestFailedError("no answer")

    found = published(capsys, fails, lambda: {"B": ("Count", 5)})
    assert (found["B"], found["Watched"]) == ([5], [0])
