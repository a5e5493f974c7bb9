"""What a stack of template-tablestore.yaml says of its replica; wrong stacks are one line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.write_to_tablestore.settings import Credentials
from lockstep.stack.replica import read_local_replica, read_replica, replica_load
from lockstep.stack.stack import Endpoints, LocalReplica, Stack, StackNotFoundError
from lockstep.tablestore.load import Load, ReadsNotYetError, StreamReader
from lockstep.tablestore.progress import LoadProgress
from shared.sink import PATIENCE_SECONDS, MisconfiguredError
from tests.builders import clock

LABEL = "2026-11-30T01:23:45.678"
ARN = f"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/{LABEL}"
VARIABLES = {
    "OTS_ID": "key",
    "OTS_SECRET": "secret",
    "OTS_INSTANCE": "local",
    "OTS_REGION": "eu-central-1",
    "TABLE_NAME": "orders",
    "PRIMARY_KEY": "id",
}
READS = {"State": "Enabled", "LastProcessingResult": "OK", "EventSourceArn": ARN}


class Account:
    """The clients of a stack, with these outputs, variables and mappings."""

    def __init__(
        self,
        *mappings: dict[str, Any],
        outputs: tuple[str, ...] = ("FunctionName",),
        variables: dict[str, str] | None = None,
        table: dict[str, Any] | None = None,
    ) -> None:
        self.region = "us-east-1"
        self.clock = clock()
        self.session = SimpleNamespace(client=lambda *_, **__: pytest.fail("there is no secret"))
        named = [{"OutputKey": name, "OutputValue": "function"} for name in outputs]
        self.cloudformation = SimpleNamespace(
            describe_stacks=lambda **_: {"Stacks": [{"Outputs": named}]},
            exceptions=SimpleNamespace(ClientError=ZeroDivisionError),
        )
        pages = SimpleNamespace(
            paginate=lambda **_: [{"EventSourceMappings": [one]} for one in mappings]
        )
        environment = {"Variables": VARIABLES if variables is None else variables}
        self.lambda_ = SimpleNamespace(
            get_function_configuration=lambda **_: {"Environment": environment},
            get_paginator=lambda _: pages,
        )
        self.dynamodb = SimpleNamespace(describe_table=lambda **_: {"Table": table})


def read(account: Any) -> Any:
    return read_replica(account, "replica")


def test_the_stack_says_what_is_read_and_what_is_written() -> None:
    other = READS | {"State": "Disabled"}
    found = read(Account({"State": "Enabled", "EventSourceArn": "arn:aws:sqs:"}, other, READS))
    assert (found.table, found.label) == ("orders", LABEL)
    assert found.reader == StreamReader("Enabled", "OK")
    assert found.credentials == Credentials("key", "secret")
    assert found.settings.endpoint == "https://local.eu-central-1.ots.aliyuncs.com"


def test_another_stack_is_refused() -> None:
    with pytest.raises(StackNotFoundError, match="give the stack of template-tablestore"):
        read(Account(READS, outputs=("TableName",)))


def test_a_function_that_reads_no_table_is_refused() -> None:
    with pytest.raises(ReadsNotYetError, match="function function reads no stream of a table"):
        read(Account())


def test_a_function_without_settings_is_refused() -> None:
    with pytest.raises(MisconfiguredError, match="set OTS_INSTANCE, TABLE_NAME, PRIMARY_KEY"):
        read(Account(READS, variables={}))


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"LatestStreamLabel": LABEL, "StreamSpecification": {"StreamEnabled": False}},
        {
            "LatestStreamLabel": "2026-12-01T00:00:00.000",
            "StreamSpecification": {"StreamEnabled": True},
        },
    ],
)
def test_a_consumer_of_an_earlier_stream_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(ReadsNotYetError, match="does not write to the stream") as refused:
        load_of(table)
    assert "\n" not in str(refused.value)


def load_of(table: dict[str, Any], **given: Any) -> tuple[Load, LoadProgress]:
    account: Any = Account(READS, table=table)
    usual: dict[str, Any] = {"begun": None, "segments": 3, "rate": None, "write_rate": None}
    return replica_load(
        account,
        read(account),
        applies=True,
        on_refused=lambda _: None,
        on_step=lambda _: None,
        **(usual | given),
    )


SOURCE = {
    "LatestStreamLabel": LABEL,
    "StreamSpecification": {"StreamEnabled": True},
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "by_name", "AttributeType": "N"},
        {"AttributeName": "id", "AttributeType": "S"},
    ],
}


def test_a_load_begins_or_goes_on_with_the_segments_of_its_progress() -> None:
    _, new = load_of(SOURCE)
    assert (len(new.segments), new.stream, new.target) == (
        3,
        f"orders/stream/{LABEL}",
        "local/orders",
    )
    _, resumed = load_of(SOURCE, begun=new, segments=5)
    assert resumed is new


def test_a_patient_write_takes_longer_than_a_usual_one() -> None:
    """Otherwise, a store that is slow for one row would never get the time for it."""
    load, _ = load_of(SOURCE)
    assert load._parts.sink.longest_send <= PATIENCE_SECONDS  # noqa: SLF001


@pytest.mark.parametrize(("write_rate", "rows"), [(None, 200), (1.5, 1), (50, 50), (5_000, 200)])
def test_a_slow_load_writes_few_rows_at_once(write_rate: float | None, rows: int) -> None:
    load, _ = load_of(SOURCE, write_rate=write_rate)
    assert load._parts.rows_at_once == rows  # noqa: SLF001


class OnThisMachine:
    """The clients of a local stack, with a replica or without."""

    def __init__(self, replica: LocalReplica | None) -> None:
        at = Endpoints("http://k", "http://d", "http://o", "http://s", tablestore="http://t")
        self.stack = Stack(at, "s", "orders", "i", "b", "us-east-1", {}, state="x", replica=replica)
        described = {"LatestStreamArn": ARN}
        self.dynamodb = SimpleNamespace(describe_table=lambda **_: {"Table": described})


def test_the_local_stack_says_the_same(tmp_path: Path) -> None:
    clients: Any = OnThisMachine(LocalReplica("lockstep_images", "bucket"))
    found = read_local_replica(clients, tmp_path)
    assert (found.table, found.label) == ("orders", LABEL)
    assert (found.settings.table, found.settings.endpoint) == ("lockstep_images", "http://t")
    assert found.reader == StreamReader("Enabled", "No records processed")


def test_a_local_stack_without_a_replica_is_one_line(tmp_path: Path) -> None:
    clients: Any = OnThisMachine(None)
    with pytest.raises(StackNotFoundError, match="up --replicate-to tablestore"):
        read_local_replica(clients, tmp_path)
