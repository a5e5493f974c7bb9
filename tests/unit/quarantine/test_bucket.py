"""The bucket's keys tell who set an object aside; its text never does."""

import datetime as dt
from collections.abc import Iterator

import boto3
import msgspec
import pytest
from moto import mock_aws

from lockstep.quarantine import QuarantineCounts, count, images
from lockstep.stores.objects import BucketObjects
from tests.builders import CHANGES_STREAM, change, image_event, kinesis_record, table_record
from tests.unit.quarantine.stand import TABLE_MAPPING, Stand, document

DAY = dt.timedelta(days=1)


@pytest.mark.parametrize("function", ["write_to_dynamodb", "write_to_es"])
def test_a_quarantined_image_is_its_keys_consumers_whatever_the_body_says(function: str) -> None:
    stand = Stand()
    (key,) = stand.set_aside(image_event("T1"), functions=["write_to_es"])
    body = msgspec.json.decode(stand.objects.kept.pop(key)) | {"function": function}
    stand.objects.kept[key] = msgspec.json.encode(body)
    assert list(images(stand.objects, TABLE_MAPPING)) == [("write_to_es", "T1")]


@pytest.mark.parametrize(
    ("mapping", "consumer"),
    [
        (TABLE_MAPPING, "write_to_dynamodb"),
        ("of-the-index", "write_to_es"),
        (f"{TABLE_MAPPING}-and-more", "write_to_es"),
        ("", "write_to_es"),
    ],
)
@pytest.mark.parametrize("said", ["Table-1", "Index-1", "Other"])
def test_each_record_of_a_failure_document_is_its_mappings(
    mapping: str, consumer: str, said: str
) -> None:
    stand = Stand()
    records = [kinesis_record(image_event(f"T{at}"), position=at) for at in (1, 2)]
    body = msgspec.json.encode(document(*records, function=said))
    stand.objects.kept[f"aws/lambda/{mapping}/shard/x"] = body
    found = list(images(stand.objects, TABLE_MAPPING))
    assert found == [(consumer, "T1"), (consumer, "T2")]


def test_a_stack_whose_mapping_is_unknown_has_no_document_of_the_table() -> None:
    stand = Stand()
    body = msgspec.json.encode(document(kinesis_record(image_event("T1"))))
    stand.objects.kept["aws/lambda//shard/x"] = body
    assert list(images(stand.objects, "")) == [("write_to_es", "T1")]


def test_a_change_of_the_table_in_a_document_names_its_image() -> None:
    stand = Stand()
    said = document(kinesis_record(), function="Index-1")
    said["payload"] = {"Records": [table_record(change("T7", 4))]}
    stand.objects.kept["aws/lambda/m/s/d"] = msgspec.json.encode(said)
    found = list(images(stand.objects, TABLE_MAPPING, CHANGES_STREAM))
    assert found == [("write_to_es", "T7")]


def test_an_object_of_no_consumer_names_no_image() -> None:
    stand = Stand()
    (key,) = stand.set_aside(image_event("T1"), functions=["write_to_es"])
    stand.objects.kept["quarantine/elsewhere.json"] = stand.objects.kept.pop(key)
    assert list(images(stand.objects, TABLE_MAPPING)) == []


@pytest.fixture
def objects() -> Iterator[BucketObjects]:
    with mock_aws():
        client = boto3.client("s3", "us-east-1")
        client.create_bucket(Bucket="quarantine")
        yield BucketObjects(client, "quarantine")


def test_objects_and_documents_are_counted_by_their_keys_and_by_age(
    objects: BucketObjects,
) -> None:
    for key in (
        "quarantine/write_to_dynamodb/s/shard/1.json",
        "quarantine/write_to_es/s/shard/1.json",
        "quarantine/write_to_es/s/shard/2.json",
        f"aws/lambda/{TABLE_MAPPING}/shard/x",
        "aws/lambda/other/shard/x",
        "aws/lambda/another/shard/x",
        "redriven/write_to_es/s/shard/3.json",
    ):
        objects.write(key, b"{}")
    now = dt.datetime.now(dt.UTC)
    discarded = {"write_to_dynamodb": 1, "write_to_es": 2}
    young = QuarantineCounts(objects=3, records=2, discarded=discarded, over_60_days=0)
    assert count(objects, TABLE_MAPPING, now + 59 * DAY) == young
    old = msgspec.structs.replace(young, over_60_days=6)
    assert count(objects, TABLE_MAPPING, now + 61 * DAY) == old
