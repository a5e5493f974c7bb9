"""The scheduled purge against a Table Store of this machine and S3Proxy, by parts and whole."""

import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3
import msgspec
import pytest
from aws_lambda_powertools import Logger, Metrics
from tablestore import (
    CapacityUnit,
    Condition,
    OTSClient,
    ReservedThroughput,
    Row,
    TableMeta,
    TableOptions,
)

from functions.write_to_tablestore import purge_handler
from functions.write_to_tablestore.purge import PurgedTombstones
from functions.write_to_tablestore.purge_handler import MARGIN_SECONDS, POSITION
from lockstep.local.tablestore.faults import SERVER_BUSY, Attempt, Fault
from lockstep.local.tablestore.server import LocalTableStore
from shared.sink import MisconfiguredError, RequestFailedError
from tests.builders import clock

NOW = 1_800_000_000
VERSION = f"2026-11-30T01:23:45.678/{1:040d}"


class Deployed:
    """What the function has: settings, a bucket, and a table with tombstones."""

    def __init__(self, store: LocalTableStore, s3: Any, make: Callable[..., Any]) -> None:
        account = store.account
        self.sdk = OTSClient(store.address, account.key_id, account.secret, account.instance)
        self.table, self.bucket = f"t{uuid.uuid4().hex}", f"purge-{uuid.uuid4()}"
        meta = TableMeta(self.table, [("id", "STRING")])
        self.sdk.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
        s3.create_bucket(Bucket=self.bucket)
        self.s3 = s3
        self._make = make
        self.environment = {
            "OTS_ID": account.key_id,
            "OTS_SECRET": account.secret,
            "OTS_INSTANCE": account.instance,
            "OTS_ENDPOINT": store.address,
            "TABLE_NAME": self.table,
            "PRIMARY_KEY": "id",
            "PURGE_READ_UNITS": "1000000",
            "QUARANTINE_BUCKET": self.bucket,
        }
        self.metrics = Metrics(namespace="Lockstep/test", service="purge")
        self.metrics.provider.clear_metrics()

    def put(self, key: str, *, expired: bool) -> None:
        columns = [
            ("lockstep_version", VERSION),
            ("lockstep_at", 1),
            ("lockstep_deleted", True),
            ("lockstep_purge_at", NOW - 1 if expired else NOW + 1),
        ]
        self.sdk.put_row(self.table, Row([("id", key)], columns), Condition("IGNORE"))

    def rows(self) -> set[str]:
        _, after, rows, _ = self.sdk.get_range(
            self.table, "FORWARD", [("id", "")], [("id", "z")], max_version=1
        )
        assert after is None
        return {row.primary_key[0][1] for row in rows}

    def purge(self, *, pages: float = 1_000, **environment: str) -> PurgedTombstones:
        """One invocation that has time for so many pages and requests."""
        left = [MARGIN_SECONDS + 1.0] * int(pages)
        return purge_handler.purge(
            self.environment | environment,
            self._make,
            clock(now=lambda: NOW),
            remaining=lambda: left.pop() if left else 0,
            logger=Logger(service="purge"),
            metrics=self.metrics,
        )

    def kept(self) -> Any:
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=POSITION)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return msgspec.json.decode(body)


@pytest.fixture(scope="module")
def faults() -> dict[str, Fault]:
    return {}


@pytest.fixture(scope="module")
def store(faults: dict[str, Fault]) -> Iterator[LocalTableStore]:
    def fault_of(attempt: Attempt) -> Fault | None:
        return faults.get(attempt.operation)

    with LocalTableStore(faults=fault_of) as running:
        yield running


@pytest.fixture
def deployed(store: LocalTableStore, s3_endpoint: str) -> Deployed:
    make = partial(
        boto3.client,
        endpoint_url=s3_endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )
    return Deployed(store, make("s3"), make)


def test_it_deletes_what_is_expired_and_counts_it(deployed: Deployed) -> None:
    for at in range(5):
        deployed.put(f"expired-{at}", expired=True)
    deployed.put("later", expired=False)
    assert deployed.purge() == PurgedTombstones(expired=5, purged=5, finished=True)
    assert deployed.rows() == {"later"}
    assert deployed.kept() is None
    counted = deployed.metrics.provider.metric_set
    assert {name: one["Value"] for name, one in counted.items()} == {
        "Purged": [5.0],
        "PurgeFailed": [0.0],
        "MalformedTombstones": [0.0],
    }


def test_the_next_invocation_goes_on_where_the_time_was_over(deployed: Deployed) -> None:
    """A limited purge looks at 100 rows at once."""
    for at in range(250):
        deployed.put(f"k{at:03d}", expired=True)
    first = deployed.purge(pages=2)  # one page, and its request
    assert (first.purged, first.finished) == (100, False)
    assert deployed.kept() == {"table": deployed.table, "position": '[{"id":{"S":"k100"}}]'}
    # What expires before that position meanwhile is for a later purge.
    deployed.put("k000", expired=True)
    second = deployed.purge()
    assert (second.purged, second.finished) == (150, True)
    assert deployed.kept() is None
    assert deployed.purge() == PurgedTombstones(expired=1, purged=1, finished=True)
    assert deployed.rows() == set()


def test_after_an_outage_the_next_invocation_goes_on(
    deployed: Deployed, faults: dict[str, Fault]
) -> None:
    for at in range(150):
        deployed.put(f"k{at:03d}", expired=True)
    assert deployed.purge(pages=2).purged == 100
    faults["GetRange"] = Fault(SERVER_BUSY)
    with pytest.raises(RequestFailedError, match="OTSServerBusy"):
        deployed.purge()
    faults.clear()
    assert deployed.kept() == {"table": deployed.table, "position": '[{"id":{"S":"k100"}}]'}
    assert deployed.purge() == PurgedTombstones(expired=50, purged=50, finished=True)


def test_the_position_in_another_table_does_not_count(deployed: Deployed) -> None:
    deployed.put("a", expired=True)
    kept = {"table": "other", "position": '[{"id":{"S":"b"}}]'}
    deployed.s3.put_object(Bucket=deployed.bucket, Key=POSITION, Body=msgspec.json.encode(kept))
    assert deployed.purge().purged == 1
    assert deployed.kept() is None


def test_a_position_that_no_longer_fits_the_key_is_forgotten(deployed: Deployed) -> None:
    deployed.put("a", expired=True)
    kept = {"table": deployed.table, "position": '[{"other":{"N":"1"}}]'}
    deployed.s3.put_object(Bucket=deployed.bucket, Key=POSITION, Body=msgspec.json.encode(kept))
    with pytest.raises(MisconfiguredError, match="OTSInvalidPK"):
        deployed.purge()
    assert deployed.purge().purged == 1


def test_a_wrong_secret_stops_it_in_one_line(deployed: Deployed) -> None:
    deployed.put("a", expired=True)
    with pytest.raises(MisconfiguredError, match="OTSAuthFailed") as stopped:
        deployed.purge(OTS_SECRET="wrong")
    assert "\n" not in str(stopped.value)
    assert deployed.rows() == {"a"}
