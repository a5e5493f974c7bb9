"""What a stack of template-tablestore.yaml says of its replica; wrong stacks are one line."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from functions.write_to_tablestore.settings import Credentials
from lockstep.stack.replica import read_local_replica, read_replica, replica_load
from lockstep.stack.stack import Endpoints, LocalReplica, Stack, StackNotFoundError
from lockstep.tablestore.load import ReadsNotYetError, StreamReader
from shared.sink import MisconfiguredError
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
    account: Any = Account(READS, table=table)
    with pytest.raises(ReadsNotYetError, match="does not write to the stream") as refused:
        replica_load(
            account,
            read(account),
            begun=None,
            segments=1,
            rate=None,
            write_rate=None,
            applies=True,
            on_refused=lambda _: None,
            on_step=lambda _: None,
        )
    assert "\n" not in str(refused.value)


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
