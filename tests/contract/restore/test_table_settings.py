"""A restored table on DynamoDB Local: refused as it is, accepted when it is prepared."""

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from functions.write_to_dynamodb.table_settings import (
    TableSettings,
    UnpreparedTableError,
    WantedSettings,
)
from lockstep.stack.use_cases.prepare import prepare_table
from tests.builders import restored_table

LOCAL = WantedSettings(stack=None)


@pytest.fixture
def client(dynamodb_endpoint: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=dynamodb_endpoint,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


@pytest.fixture
def restored(client: Any) -> Iterator[str]:
    name = f"restored-{uuid.uuid4()}"
    restored_table(client, name)
    yield name
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)


def test_the_local_stack_refuses_a_restored_table_until_it_is_prepared(
    client: Any, restored: str
) -> None:
    settings = TableSettings(client, restored, LOCAL)
    with pytest.raises(UnpreparedTableError) as refused:
        settings.check()
    assert str(refused.value) == (
        f"table {restored} is not prepared (stream, time to live, deletion protection): run "
        f"`lockstep prepare {restored} --apply`, then start again"
    )
    shown = prepare_table(client, restored, LOCAL, apply=False)
    assert shown.stream_arn is None
    with pytest.raises(UnpreparedTableError):
        settings.check()

    done = prepare_table(client, restored, LOCAL, apply=True)
    assert done.lacking == shown.lacking
    assert done.stream_arn is not None
    assert settings.check() == []
    assert prepare_table(client, restored, LOCAL, apply=True).lacking == []


def test_the_engine_does_what_each_setting_says(client: Any, restored: str) -> None:
    prepare_table(client, restored, LOCAL, apply=True)
    purge = client.describe_time_to_live(TableName=restored)["TimeToLiveDescription"]
    assert (purge["TimeToLiveStatus"], purge["AttributeName"]) == ("ENABLED", "expires_at")
    stream = client.describe_table(TableName=restored)["Table"]["StreamSpecification"]
    assert stream == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    with pytest.raises(ClientError, match="protect"):
        client.delete_table(TableName=restored)
