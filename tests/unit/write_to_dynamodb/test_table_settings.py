"""The settings of a given table: read as they are, set one by one, refused if one is missing."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from functions.write_to_dynamodb.table_on_deployment import accept
from functions.write_to_dynamodb.table_settings import (
    STACK_TAG,
    Setting,
    SettingName,
    TableSettings,
    UnpreparedTableError,
    WantedSettings,
)
from shared.sink import MisconfiguredError
from tests.builders import restored_table

TABLE, STACK = "restored", "lockstep-prod"
STREAM = "arn:aws:kinesis:eu-central-1:123456789012:stream/lockstep-prod-table-changes"
ALL: set[SettingName] = {
    "stream",
    "time to live",
    "deletion protection",
    "point-in-time recovery",
    "tags",
    "Kinesis destination",
}


class WithDestinations:
    """A client of moto, which has no Kinesis destinations of tables, with them."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.destinations: list[dict[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def describe_kinesis_streaming_destination(self, *, TableName: str) -> Any:  # noqa: N803
        return {"TableName": TableName, "KinesisDataStreamDestinations": self.destinations}

    def enable_kinesis_streaming_destination(
        self,
        *,
        TableName: str,  # noqa: N803
        StreamArn: str,  # noqa: N803
        EnableKinesisStreamingConfiguration: dict[str, str],  # noqa: N803
    ) -> Any:
        # The precision of template.yaml: the order of changes in the index depends on it.
        assert EnableKinesisStreamingConfiguration == {
            "ApproximateCreationDateTimePrecision": "MILLISECOND"
        }
        self.destinations.append({"StreamArn": StreamArn, "DestinationStatus": "ENABLING"})
        return {"TableName": TableName}


@pytest.fixture
def client() -> Iterator[Any]:
    """A client, and a table as DynamoDB restores it: with its key and its items only."""
    with mock_aws():
        made = WithDestinations(boto3.client("dynamodb", "eu-central-1"))
        restored_table(made, TABLE)
        yield made


def settings(client: Any, wanted: WantedSettings, table: str = TABLE) -> TableSettings:
    return TableSettings(client, table, wanted)


def lacking(client: Any, wanted: WantedSettings) -> set[SettingName]:
    return {one.name for one in settings(client, wanted).read() if not one.is_set}


def prepare(client: Any, wanted: WantedSettings, *, but: SettingName | None = None) -> None:
    of_table = settings(client, wanted)
    for one in of_table.read():
        if not one.is_set and one.name != but:
            of_table.set(one)


def test_a_restored_table_lacks_every_setting_until_each_is_set(client: Any) -> None:
    wanted = WantedSettings(STACK, STREAM, {"team": "images"})
    assert lacking(client, wanted) == ALL
    prepare(client, wanted)
    assert lacking(client, wanted) == set()
    arn = client.describe_table(TableName=TABLE)["Table"]["TableArn"]
    tags = client.list_tags_of_resource(ResourceArn=arn)["Tags"]
    assert {one["Key"]: one["Value"] for one in tags} == {"team": "images", STACK_TAG: STACK}


def test_a_tag_of_another_value_is_not_set_and_a_foreign_tag_does_not_matter(client: Any) -> None:
    arn = client.describe_table(TableName=TABLE)["Table"]["TableArn"]
    foreign = [{"Key": "team", "Value": "maps"}, {"Key": "cost", "Value": "1"}]
    client.tag_resource(ResourceArn=arn, Tags=foreign)
    (tags,) = [
        one
        for one in settings(client, WantedSettings(STACK, tags={"team": "images"})).read()
        if one.name == "tags"
    ]
    assert tags == Setting("tags", "team=maps", "lockstep:stack=lockstep-prod, team=images")


def test_a_stack_without_a_second_stream_needs_no_destination(client: Any) -> None:
    assert lacking(client, WantedSettings(STACK)) == ALL - {"Kinesis destination"}


def test_the_local_engine_is_asked_only_for_what_it_knows(client: Any) -> None:
    assert lacking(client, WantedSettings(None)) == {
        "stream",
        "time to live",
        "deletion protection",
    }


def test_a_destination_of_another_stream_or_one_that_failed_does_not_count(client: Any) -> None:
    client.destinations = [
        {"StreamArn": f"{STREAM}-2", "DestinationStatus": "ACTIVE"},
        {"StreamArn": STREAM, "DestinationStatus": "ENABLE_FAILED"},
    ]
    assert "Kinesis destination" in lacking(client, WantedSettings(STACK, STREAM))
    client.destinations.append({"StreamArn": STREAM, "DestinationStatus": "ACTIVE"})
    assert "Kinesis destination" not in lacking(client, WantedSettings(STACK, STREAM))


def test_a_stream_of_another_kind_is_named_with_the_command_that_turns_it_off(client: Any) -> None:
    keys_only = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
    client.update_table(TableName=TABLE, StreamSpecification=keys_only)
    with pytest.raises(UnpreparedTableError, match=r"KEYS_ONLY.*StreamEnabled=false"):
        prepare(client, WantedSettings(STACK))


def test_no_stack_takes_the_table_of_another(client: Any) -> None:
    prepare(client, WantedSettings("lockstep-dev"))
    with pytest.raises(
        UnpreparedTableError, match=r"belongs to stack lockstep-dev.*untag-resource"
    ):
        settings(client, WantedSettings(STACK)).read()


def test_a_table_with_another_key_or_none_at_all_is_named(client: Any) -> None:
    restored_table(client, "other", key="id")
    with pytest.raises(MisconfiguredError, match="table other: the key is id S HASH"):
        settings(client, WantedSettings(STACK), "other").read()
    with pytest.raises(MisconfiguredError, match="table none"):
        settings(client, WantedSettings(STACK), "none").read()


def properties(client: Any, **more: str) -> dict[str, str]:
    """What CloudFormation tells the custom resource."""
    stream = client.describe_table(TableName=TABLE)["Table"].get("LatestStreamArn", "none")
    return {"TableName": TABLE, "TableStreamArn": stream, "StackName": STACK} | more


@pytest.mark.parametrize("missing", sorted(ALL - {"Kinesis destination"}))
def test_a_deployment_refuses_a_table_that_lacks_one_setting(
    client: Any, missing: SettingName
) -> None:
    prepare(client, WantedSettings(STACK), but=missing)
    with pytest.raises(UnpreparedTableError) as refused:
        accept(client, properties(client))
    assert str(refused.value) == (
        f"table {TABLE} is not prepared ({missing}): run `lockstep prepare {TABLE} --stack {STACK} "
        "--apply`, then deploy again"
    )
    prepare(client, WantedSettings(STACK))
    assert accept(client, properties(client)) == f"table {TABLE} is prepared"


def test_a_deployment_refuses_the_stream_of_another_table(client: Any) -> None:
    prepare(client, WantedSettings(STACK))
    actual = properties(client)["TableStreamArn"]
    with pytest.raises(UnpreparedTableError) as refused:
        accept(client, properties(client, TableStreamArn=actual.replace(TABLE, "images")))
    assert str(refused.value).endswith(f"set TableStreamArn={actual}")


def test_a_deployment_that_made_the_second_stream_sends_the_tables_changes_to_it(
    client: Any,
) -> None:
    prepare(client, WantedSettings(STACK))
    for _ in range(2):
        accept(client, properties(client, ChangesStreamArn=STREAM))
        assert [one["StreamArn"] for one in client.destinations] == [STREAM]


def test_a_deployment_that_refuses_a_table_changes_nothing(client: Any) -> None:
    prepare(client, WantedSettings(STACK), but="stream")
    with pytest.raises(UnpreparedTableError):
        accept(client, properties(client, ChangesStreamArn=STREAM))
    assert client.destinations == []
    assert lacking(client, WantedSettings(STACK, STREAM)) == {"stream", "Kinesis destination"}
