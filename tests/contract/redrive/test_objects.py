"""The bucket that the unit tests use in memory and the one on S3Proxy keep the same rules."""

import uuid
from collections.abc import Callable

import pytest

from lockstep.connect import Clients
from lockstep.local.engines.pins import EngineName
from lockstep.quarantine.bucket import BucketObjects, Objects
from lockstep.stack import LOCAL_REGION, Endpoints, Stack
from tests.unit.redrive.stand import MemoryObjects


@pytest.fixture(params=["memory", "s3"])
def objects(request: pytest.FixtureRequest, engine: Callable[[EngineName], str]) -> Objects:
    if request.param == "memory":
        return MemoryObjects()
    nowhere = "http://127.0.0.1:9"
    endpoints = Endpoints(nowhere, nowhere, nowhere, engine("s3"))
    stack = Stack(endpoints, "s", "t", "i", "b", LOCAL_REGION, {}, state="none")
    name = f"objects-{uuid.uuid4().hex[:12]}"
    client = Clients(stack).s3
    client.create_bucket(Bucket=name)
    return BucketObjects(client, name)


def test_what_is_not_there_is_not_there(objects: Objects) -> None:
    assert objects.read("quarantine/x") is None
    assert list(objects.keys("quarantine/")) == []
    objects.delete("quarantine/x")


def test_a_new_object_never_replaces_one(objects: Objects) -> None:
    objects.write_new("redriven/x.json", b"first")
    objects.write_new("redriven/x.json", b"second")
    assert objects.read("redriven/x.json") == b"first"
    objects.write("redriven/x.json", b"third")
    assert objects.read("redriven/x.json") == b"third"
    objects.delete("redriven/x.json")
    assert objects.read("redriven/x.json") is None


def test_keys_are_listed_under_their_prefix_in_order(objects: Objects) -> None:
    for key in ("quarantine/b/1.json", "quarantine/a/2.json", "redriven/first-arrival/a:b/1.json"):
        objects.write(key, b"{}")
    assert list(objects.keys("quarantine/")) == ["quarantine/a/2.json", "quarantine/b/1.json"]
    assert objects.read("redriven/first-arrival/a:b/1.json") == b"{}"
