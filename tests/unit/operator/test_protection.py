"""The warning about a table without deletion protection."""

import boto3
import msgspec
import pytest
from botocore.stub import Stubber

from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints, Stack
from lockstep.stack.use_cases.protection import protection_warnings

STACK = Stack(
    endpoints=Endpoints(None, None, "https://o", None),
    stream="s",
    table="t",
    index="i",
    bucket="b",
    region="eu-central-1",
    functions={},
)


@pytest.fixture
def clients() -> Clients:
    clients = Clients(STACK)
    clients.dynamodb = boto3.client(
        "dynamodb", "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    return clients


@pytest.mark.parametrize(
    ("table", "is_warned"),
    [
        ({"DeletionProtectionEnabled": True}, False),
        ({"DeletionProtectionEnabled": False}, True),
        ({}, True),
    ],
)
def test_a_table_that_can_be_deleted_is_named(
    clients: Clients, *, table: dict[str, bool], is_warned: bool
) -> None:
    with Stubber(clients.dynamodb) as stub:
        stub.add_response("describe_table", {"Table": table}, {"TableName": "t"})
        found = protection_warnings(clients)
    line = (
        "table t has no deletion protection: set TableDeletionProtection=yes, and deploy again; "
        "if it is a given table (TableName), run `lockstep prepare t`"
    )
    assert list(found) == ([line] if is_warned else [])


def test_a_table_that_does_not_say_is_named(clients: Clients) -> None:
    with Stubber(clients.dynamodb) as stub:
        stub.add_client_error("describe_table", "AccessDeniedException", "not you")
        (found,) = protection_warnings(clients)
    assert found.startswith("the deletion protection of table t is unknown: ")
    assert "not you" in found


def test_a_table_of_this_machine_needs_none() -> None:
    assert protection_warnings(Clients(msgspec.structs.replace(STACK, state="folder"))) == []
