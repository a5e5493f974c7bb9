"""The custom resource of a given table: CloudFormation gets its answer, and the names to go on."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from functions.write_to_dynamodb import table_on_deployment
from functions.write_to_dynamodb.table_on_deployment import handle
from functions.write_to_dynamodb.table_settings import TableSettings, WantedSettings
from tests.builders import restored_table
from tests.contract.search.test_index_on_deployment import CloudFormation, Context, answering

TABLE, STACK, REGION = "restored", "lockstep-prod", "eu-central-1"


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws(), answering(handle) as waiting:
        yield waiting


@pytest.fixture
def table(cloudformation: CloudFormation) -> Any:
    """A client of DynamoDB, after the restore of the table."""
    assert cloudformation.answers == []
    client = boto3.client("dynamodb", REGION)
    restored_table(client, TABLE)
    return client


def _prepared(client: Any) -> str:
    settings = TableSettings(client, TABLE, WantedSettings(STACK))
    for one in settings.read():
        settings.set(one)
    return str(settings.stream_arn())


def _told(stream: str = "none") -> dict[str, str]:
    return {"TableName": TABLE, "TableStreamArn": stream, "StackName": STACK}


def test_a_prepared_table_is_accepted_and_its_names_are_returned(
    cloudformation: CloudFormation, table: Any
) -> None:
    stream = _prepared(table)
    answer = cloudformation.ask("Create", ResourceProperties=_told(stream))
    assert (answer["Status"], answer["Reason"]) == ("SUCCESS", f"table {TABLE} is prepared")
    assert answer["Data"] == {"TableName": TABLE, "StreamArn": stream}


def test_a_restored_table_fails_the_deployment_with_one_line_that_names_the_command(
    cloudformation: CloudFormation, table: Any
) -> None:
    assert table
    answer = cloudformation.ask("Update", ResourceProperties=_told())
    assert answer["Status"] == "FAILED"
    command = f"`lockstep prepare {TABLE} --stack {STACK} --apply`, then deploy again"
    assert command in answer["Reason"]
    assert "\n" not in answer["Reason"]
    assert "Data" not in answer


def test_a_table_that_is_not_there_fails_the_deployment(cloudformation: CloudFormation) -> None:
    answer = cloudformation.ask("Create", ResourceProperties=_told())
    assert answer["Status"] == "FAILED"
    assert f"table {TABLE}" in answer["Reason"]


def test_a_stack_that_is_deleted_keeps_the_table(
    cloudformation: CloudFormation, table: Any
) -> None:
    answer = cloudformation.ask("Delete", ResourceProperties=_told())
    assert answer["Status"] == "SUCCESS"
    assert table.describe_table(TableName=TABLE)["Table"]["TableStatus"] == "ACTIVE"


def test_a_caller_whose_policy_is_new_is_accepted_on_a_later_attempt(
    cloudformation: CloudFormation, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IAM takes a while. Only what may pass is tried again: a lacking setting does not pass."""
    monkeypatch.setattr("doors.on_deployment.PAUSE_SECONDS", 0)
    stream = _prepared(table)
    refusals = [_denied(), _denied()]
    accept = table_on_deployment.accept

    def after_two(client: Any, properties: Any) -> str:
        if refusals:
            raise refusals.pop()
        return accept(client, properties)

    monkeypatch.setattr(table_on_deployment, "accept", after_two)
    answer = cloudformation.ask("Create", Context(), ResourceProperties=_told(stream))
    assert answer["Status"] == "SUCCESS"
    refusals += [_denied() for _ in range(9)]
    answer = cloudformation.ask("Create", Context(minutes=3), ResourceProperties=_told(stream))
    assert answer["Status"] == "FAILED"
    assert "not authorized" in answer["Reason"]


def _denied() -> ClientError:
    return ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}, "DescribeTable"
    )
