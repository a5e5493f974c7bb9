"""A stack is found: a local one in its folder, a deployed one through its outputs."""

import json
from pathlib import Path

import boto3
import msgspec
import pytest
from moto import mock_aws

from functions.write_to_es.settings import IndexSettings
from lockstep.stack.clients import Clients
from lockstep.stack.sam import env_vars
from lockstep.stack.stack import (
    Endpoints,
    PictureStores,
    Stack,
    StackNotFoundError,
    read_deployed,
    read_local,
    write_local,
)

REGION = "eu-central-1"
OUTPUTS = {
    "StreamName": "the-stream",
    "TableName": "the-table",
    "OpenSearchEndpoint": "https://search.example",
    "IndexAlias": "images",
    "QuarantineBucket": "the-bucket",
    "HorizonDays": "121",
    "WriteToDynamodbName": "f1",
    "WriteToEsName": "f2",
    "SearchApi": "https://api.example",
    "IndexFrom": "KinesisDataStreamsForDynamoDB",
    "TableChangesStreamName": "the-changes",
    "TableMappingId": "the-uuid",
    "MappingSha256": "ab12",
    "MetricsNamespace": "Lockstep/the-stack",
    "IndexShards": "5",
    "IndexReplicas": "auto",
    "RefreshInterval": "500ms",
    "WriteToDynamodbLogName": "l1",
    "WriteToEsLogName": "l2",
    "LogHashSecretArn": "the-secret",
    "SearchFacets": "artist,medium",
}
LOCAL = Stack(
    endpoints=Endpoints("http://k", "http://d", "http://o", "http://s"),
    stream="s",
    table="t",
    index="i",
    bucket="b",
    region=REGION,
    functions={"write_to_dynamodb": "f1", "write_to_es": "f2"},
    state="/state",
)


def deploy(name: str, outputs: dict[str, str]) -> None:
    template = {
        "Resources": {"Bucket": {"Type": "AWS::S3::Bucket"}},
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation = boto3.client("cloudformation", REGION)
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))


@mock_aws
def test_a_deployed_stack_is_found_through_its_outputs() -> None:
    deploy("lockstep", OUTPUTS)
    found = read_deployed(boto3.client("cloudformation", REGION), "lockstep", REGION)
    assert found == Stack(
        endpoints=Endpoints(None, None, "https://search.example", None, "https://api.example"),
        stream="the-stream",
        table="the-table",
        index="images",
        bucket="the-bucket",
        region=REGION,
        functions={"write_to_dynamodb": "f1", "write_to_es": "f2"},
        horizon_days=121,
        index_from="KinesisDataStreamsForDynamoDB",
        changes_stream="the-changes",
        table_mapping="the-uuid",
        definition_sha256="ab12",
        metrics_namespace="Lockstep/the-stack",
        # A release without this output signed requests to each domain.
        opensearch_signing="yes",
        index_settings=IndexSettings(5, "auto", "500ms"),
        log_groups={"write_to_dynamodb": "l1", "write_to_es": "l2"},
        log_hash_secret="the-secret",
        search_facets=("artist", "medium"),
    )
    assert found.live == "images-live"


@mock_aws
def test_a_stack_of_an_earlier_release_has_its_index_fed_from_kinesis() -> None:
    later = {"IndexFrom", "TableChangesStreamName", "HorizonDays"}
    later |= {"IndexShards", "IndexReplicas", "RefreshInterval"}
    later |= {"WriteToDynamodbLogName", "WriteToEsLogName", "LogHashSecretArn", "SearchFacets"}
    deploy("lockstep", {name: value for name, value in OUTPUTS.items() if name not in later})
    found = read_deployed(boto3.client("cloudformation", REGION), "lockstep", REGION)
    assert (found.index_from, found.changes_stream, found.horizon_days) == ("Kinesis", "", 0)
    assert found.index_settings == IndexSettings()
    assert (found.log_groups, found.log_hash_secret) == ({}, "")
    assert found.search_facets == ()
    assert found.pictures is None


@mock_aws
def test_a_stack_that_is_not_there_is_named() -> None:
    with pytest.raises(StackNotFoundError, match="'nowhere' in eu-central-1"):
        read_deployed(boto3.client("cloudformation", REGION), "nowhere", REGION)


@mock_aws
def test_a_stack_that_is_not_ours_is_told_by_what_it_lacks() -> None:
    deploy("other", {key: value for key, value in OUTPUTS.items() if key != "TableName"})
    with pytest.raises(StackNotFoundError, match="no output 'TableName'"):
        read_deployed(boto3.client("cloudformation", REGION), "other", REGION)


@mock_aws
@pytest.mark.parametrize("thumbnails", ["", "the-thumbnails"])
def test_a_deployed_stack_may_have_pictures_and_thumbnails(thumbnails: str) -> None:
    outputs = OUTPUTS | {"PictureBucketName": "the-pictures", "PictureRowsTableName": "the-rows"}
    if thumbnails:
        outputs["ThumbnailBucketName"] = thumbnails
    deploy("lockstep", outputs)
    found = read_deployed(boto3.client("cloudformation", REGION), "lockstep", REGION)
    assert found.pictures == PictureStores("the-pictures", "the-rows", thumbnails)


def test_a_local_stack_is_read_as_it_was_written(tmp_path: Path) -> None:
    pictures = PictureStores("p", "r", "t")
    for stack in (LOCAL, msgspec.structs.replace(LOCAL, pictures=pictures)):
        write_local(stack, tmp_path)
        assert read_local(tmp_path) == stack


def test_the_local_stack_of_an_earlier_release_has_no_picture_bucket(tmp_path: Path) -> None:
    fields = msgspec.to_builtins(LOCAL)
    del fields["pictures"]
    (tmp_path / "stack.json").write_text(json.dumps(fields))
    assert read_local(tmp_path).pictures is None


def test_without_a_local_stack_the_message_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(StackNotFoundError, match="lockstep up"):
        read_local(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b'{"stream": 1}', b"\xff"])
def test_a_damaged_description_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stack.json").write_bytes(content)
    with pytest.raises(StackNotFoundError, match="damaged"):
        read_local(tmp_path)


def test_the_environment_for_sam_names_each_function_as_the_template_does() -> None:
    made = env_vars(LOCAL)
    assert made["WriteToDynamodb"]["TABLE_NAME"] == "t"
    assert made["WriteToEs"]["OPENSEARCH_ENDPOINT"] == "http://o"


def test_local_stacks_share_a_session_and_deployed_ones_do_not() -> None:
    assert Clients(LOCAL).session is Clients(LOCAL).session
    deployed = msgspec.structs.replace(LOCAL, state=None)
    assert Clients(deployed).session is not Clients(deployed).session
