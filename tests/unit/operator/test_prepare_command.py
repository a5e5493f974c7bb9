"""`lockstep prepare`: shows first, changes with --apply, and says how to use the table."""

from collections.abc import Iterator
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws

from functions.write_to_dynamodb.table_settings import STACK_TAG
from tests.builders import restored_table
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.operator.test_stack import OUTPUTS, REGION, deploy

TABLE, STACK = "restored", "the-stack"
KINESIS = {"IndexFrom": "Kinesis"}


@pytest.fixture
def dynamodb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_REGION", REGION)
    with mock_aws():
        client = boto3.client("dynamodb", REGION)
        restored_table(client, TABLE)
        yield client


def _tags(client: Any) -> dict[str, str]:
    arn = client.describe_table(TableName=TABLE)["Table"]["TableArn"]
    tags = client.list_tags_of_resource(ResourceArn=arn)["Tags"]
    return {one["Key"]: one["Value"] for one in tags}


def test_a_dry_run_changes_nothing_and_says_no(dynamodb: Any) -> None:
    deploy(STACK, OUTPUTS | KINESIS)
    result = lockstep("prepare", TABLE, "--stack", STACK)
    assert result.exit_code == 1, result.output
    assert "nothing is changed yet: add --apply" in result.stdout
    assert "NEW_AND_OLD_IMAGES" in result.stdout
    table = dynamodb.describe_table(TableName=TABLE)["Table"]
    assert "StreamSpecification" not in table
    assert not table["DeletionProtectionEnabled"]


def test_what_is_applied_is_there_and_the_parameters_are_printed(dynamodb: Any) -> None:
    deploy(STACK, OUTPUTS | KINESIS)
    result = lockstep("prepare", TABLE, "--stack", STACK, "--apply")
    assert result.exit_code == 0, result.output
    stream = dynamodb.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]
    printed = "".join(result.stdout.split())  # a long line is folded
    assert f"TableName={TABLE}TableStreamArn={stream}" in printed
    assert _tags(dynamodb) == {STACK_TAG: STACK}
    again = lockstep("prepare", TABLE, "--stack", STACK)
    assert again.exit_code == 0, again.output
    assert f"table {TABLE} is prepared" in again.stdout


def test_a_program_gets_each_setting(dynamodb: Any) -> None:
    assert dynamodb
    deploy(STACK, OUTPUTS | KINESIS)
    found = msgspec.json.decode(lockstep("prepare", TABLE, "--stack", STACK, "--json").stdout)
    assert (found["table"], found["stream_arn"], found["applied"]) == (TABLE, None, False)
    assert {one["name"]: one["now"] for one in found["settings"]} == {
        "stream": "off",
        "time to live": "off",
        "deletion protection": "off",
        "point-in-time recovery": "off",
        "tags": "off",
    }


def test_the_table_of_a_deleted_stack_is_prepared_for_its_successor(dynamodb: Any) -> None:
    result = lockstep("prepare", TABLE, "--stack", "gone", "--apply")
    assert result.exit_code == 0, result.output
    assert "for a new stack of this name" in result.stderr
    assert _tags(dynamodb) == {STACK_TAG: "gone"}


def test_a_table_of_another_stack_and_no_table_are_told_in_one_line(dynamodb: Any) -> None:
    deploy(STACK, OUTPUTS | KINESIS)
    arn = dynamodb.describe_table(TableName=TABLE)["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": STACK_TAG, "Value": "other"}])
    result = lockstep("prepare", TABLE, "--stack", STACK, "--apply")
    assert_one_line(result, TABLE, "belongs to stack other", "untag-resource")
    assert_one_line(lockstep("prepare", "none", "--stack", STACK), "table none")
