"""The sample events, in turn, through the handler: a row is there, is changed, is gone.

The handler sends its requests to a Table Store of this machine, and an official SDK reads the row.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tablestore import (
    CapacityUnit,
    ComparatorType,
    OTSClient,
    ReservedThroughput,
    SingleColumnCondition,
    TableMeta,
    TableOptions,
)

from doors import stream
from functions.write_to_tablestore import handler
from lockstep.local.replica import ensure_replica
from lockstep.local.tablestore.server import LocalTableStore
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import Endpoints, LocalReplica, Stack
from shared.sink import MisconfiguredError

# After a failure there are none.
pytestmark = pytest.mark.filterwarnings("ignore:No application metrics to publish:UserWarning")

EVENTS = Path(__file__).parents[3] / "events"
KEY = [("customer", "Ada"), ("order", 1842)]
LIVING = SingleColumnCondition(
    column_name="lockstep_deleted",
    column_value=False,
    comparator=ComparatorType.EQUAL,
    pass_if_missing=False,
)


@pytest.fixture(scope="module")
def store() -> Iterator[LocalTableStore]:
    with LocalTableStore() as running:
        yield running


@pytest.fixture
def client(store: LocalTableStore) -> Iterator[Any]:
    account = store.account
    client = OTSClient(store.address, account.key_id, account.secret, account.instance)
    meta = TableMeta("orders", [("customer", "STRING"), ("order", "INTEGER")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))
    yield client
    client.delete_table("orders")


@pytest.fixture
def environment(
    store: LocalTableStore, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Sets the environment of the function; the next invocation reads it."""
    account = store.account
    # Otherwise it comes from the environment, when the module is imported.
    monkeypatch.setattr(stream.metrics.provider, "namespace", "Lockstep/test")

    def settings(**more: str) -> None:
        variables = {
            "AWS_DEFAULT_REGION": "us-east-1",
            "QUARANTINE_BUCKET": "quarantine",
            "OTS_ID": account.key_id,
            "OTS_SECRET": account.secret,
            "OTS_INSTANCE": account.instance,
            "OTS_ENDPOINT": store.address,
            "TABLE_NAME": "orders",
            "PRIMARY_KEY": "customer,order",
        }
        for name, value in (variables | more).items():
            monkeypatch.setenv(name, value)

    yield settings
    for cached in handler.settings, handler.table:
        cached.cache_clear()


def invoke(name: str) -> Any:
    context: Any = SimpleNamespace(
        get_remaining_time_in_millis=lambda: 60_000,
        function_name="write_to_tablestore",
        memory_limit_in_mb=512,
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:f",
        aws_request_id="1",
    )
    event = json.loads((EVENTS / f"{name}.json").read_bytes())
    return handler.handle(event, context)


def row(client: Any, column_filter: Any = None) -> dict[str, Any] | None:
    _, found, _ = client.get_row("orders", KEY, column_filter=column_filter, max_version=1)
    return None if found is None else {name: cell for name, cell, *_ in found.attribute_columns}


def test_a_row_is_put_changed_and_gone_for_readers_that_filter(
    client: Any, environment: Callable[..., None]
) -> None:
    environment()
    assert invoke("tablestore-put") == {"batchItemFailures": []}
    put = row(client, LIVING)
    assert put is not None
    of_item = {name: cell for name, cell in put.items() if not name.startswith("lockstep_")}
    assert of_item == {
        "total": 99.95,
        "items": '[{"count":2,"name":"ink"}]',
        "paid": False,
        "note": "",
        "tags": '["gift","urgent"]',
        "sizes": "[-2.5,10]",
        "label": bytearray(b"\x89PNG"),
        "parts": bytearray(b"\0\0\0\2\0\1\0\0\0\1\2"),
        "price_x0020_in_x0020_EUR": 1234567890123456789,
    }
    assert put["lockstep_version"] == "2026-11-20T08:00:00.000/" + "7000000000000000011000".zfill(
        40
    )

    invoke("tablestore-update")
    changed = row(client, LIVING)
    assert changed is not None
    assert (changed["paid"], changed["note"]) == (True, "thank you")
    assert "tags" not in changed

    invoke("tablestore-delete")
    assert row(client, LIVING) is None
    tombstone = row(client)
    assert tombstone is not None
    assert {*tombstone} == {
        "lockstep_version",
        "lockstep_at",
        "lockstep_deleted",
        "lockstep_purge_at",
    }

    # Whatever is delivered again changes nothing.
    for name in "put", "update", "delete", "put":
        assert invoke(f"tablestore-{name}") == {"batchItemFailures": []}
        assert row(client) == tombstone


def test_the_replica_of_a_local_stack_takes_the_changes_of_the_images(
    store: LocalTableStore, client: Any, environment: Callable[..., None]
) -> None:
    """With the variables of `lockstep status --env-vars`."""
    endpoints = Endpoints(None, None, "", None, tablestore=store.address)
    stack = Stack(
        endpoints,
        stream="unused",
        table="unused",
        index="unused",
        bucket="unused",
        region="us-east-1",
        functions={},
        replica=LocalReplica("images", "quarantine"),
    )
    ensure_replica(stack)
    environment(**env_vars(stack)["WriteToTablestore"])
    assert invoke("table-stream") == {"batchItemFailures": []}
    _, found, _ = client.get_row("images", [("image_id", "sample-T01739")], max_version=1)
    assert ("lockstep_deleted", False) in [
        (name, cell) for name, cell, *_ in found.attribute_columns
    ]
    client.delete_table("images")


def test_with_deletions_row_the_row_is_gone_for_every_reader(
    client: Any, environment: Callable[..., None]
) -> None:
    environment(DELETIONS="row", OTS_REGION="eu-central-1")
    for name in "put", "update":
        invoke(f"tablestore-{name}")
        assert row(client) is not None
    invoke("tablestore-delete")
    assert row(client) is None


def test_a_wrong_secret_stops_in_one_line_and_the_right_one_then_works(
    client: Any,
    environment: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    environment(OTS_SECRET="wrong")
    with pytest.raises(MisconfiguredError, match="OTSAuthFailed: Signature mismatch"):
        invoke("tablestore-put")
    (error,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert error.getMessage() == "misconfigured: no record of this batch is acknowledged"
    assert "\n" not in str(vars(error)["cause"])
    assert row(client) is None

    environment()
    assert invoke("tablestore-put") == {"batchItemFailures": []}
    assert row(client) is not None


def test_a_missing_setting_stops_in_one_line(
    client: Any,
    environment: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment()
    monkeypatch.delenv("TABLE_NAME")
    with pytest.raises(MisconfiguredError, match="set TABLE_NAME"):
        invoke("tablestore-put")
    assert row(client) is None
