"""The warnings about a table that could be lost, or that grows for ever."""

from collections.abc import Mapping, Sequence
from typing import Any

import boto3
import msgspec
import pytest
from botocore.stub import Stubber

from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.protection import protection_warnings
from tests.builders import deployed_stack

STACK = deployed_stack()


@pytest.fixture
def clients() -> Clients:
    clients = Clients(STACK)
    clients.dynamodb = boto3.client(
        "dynamodb", "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    return clients


GIVEN = "run `lockstep prepare t`"
ON = (
    {"Table": {"DeletionProtectionEnabled": True}},
    {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires_at"}},
    {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED",
            "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"},
        }
    },
)
OPERATIONS = ("describe_table", "describe_time_to_live", "describe_continuous_backups")
UNPROTECTED = (
    "table t has no deletion protection: set TableDeletionProtection=yes, and deploy again; "
    f"if it is a given table (TableName), {GIVEN}"
)
ENDLESS = f"table t has no time to live: tombstones stay for ever; {GIVEN}"
UNRECOVERABLE = (
    f"table t has no point-in-time recovery: DynamoDB cannot restore it to a time; {GIVEN}"
)
NAMES = ("deletion protection", "time to live", "point-in-time recovery")


def _purged(status: str, attribute: str) -> Mapping[str, Any]:
    return {"TimeToLiveDescription": {"TimeToLiveStatus": status, "AttributeName": attribute}}


def _recovery(**found: Any) -> Mapping[str, Any]:
    return {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", **found}}


NOT_ON: Sequence[tuple[int, Mapping[str, Any], str]] = (
    (0, {"Table": {}}, UNPROTECTED),
    (0, {"Table": {"DeletionProtectionEnabled": False}}, UNPROTECTED),
    (1, {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}, ENDLESS),
    (1, _purged("ENABLED", "other"), ENDLESS),
    (1, _purged("DISABLING", "expires_at"), ENDLESS),
    (2, _recovery(), UNRECOVERABLE),
    (
        2,
        _recovery(PointInTimeRecoveryDescription={"PointInTimeRecoveryStatus": "DISABLED"}),
        UNRECOVERABLE,
    ),
)


def _warnings(clients: Clients, answers: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    with Stubber(clients.dynamodb) as stub:
        for operation, answer in zip(OPERATIONS, answers, strict=True):
            if answer:
                stub.add_response(operation, answer, {"TableName": "t"})
            else:
                stub.add_client_error(operation, "AccessDeniedException", "not you")
        return protection_warnings(clients)


def test_a_table_with_all_of_it_is_not_named(clients: Clients) -> None:
    assert _warnings(clients, ON) == []


@pytest.mark.parametrize(("at", "answer", "line"), NOT_ON)
def test_what_is_off_is_named(
    clients: Clients, at: int, answer: Mapping[str, Any], line: str
) -> None:
    answers = [*ON[:at], answer, *ON[at + 1 :]]
    assert _warnings(clients, answers) == [line]


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_read_is_named(clients: Clients, name: str) -> None:
    at = NAMES.index(name)
    (found,) = _warnings(clients, [*ON[:at], {}, *ON[at + 1 :]])
    assert found.startswith(f"the {name} of table t is unknown: ")
    assert "not you" in found


def test_a_table_of_this_machine_needs_none() -> None:
    assert protection_warnings(Clients(msgspec.structs.replace(STACK, state="folder"))) == []
