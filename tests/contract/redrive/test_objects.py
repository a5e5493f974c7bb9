"""The bucket that the unit tests use in memory, the simulation's, and the one on S3Proxy keep the
same rules.
"""

import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import ClientError

from lockstep.local.engines.pins import EngineName
from lockstep.simulation.fakes.s3 import S3
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, Stack
from lockstep.stores.objects import BucketObjects, Objects
from lockstep.stores.quick_objects import QuickObjects
from tests.unit.quarantine.stand import MemoryObjects

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# As many keys as a listing shows at once.
PAGE = 1_000
# Linux delays an acknowledgement by 40 ms (TCP_DELACK_MIN in include/net/tcp.h), but not the first
# ones of a connection (TCP_MAX_QUICKACKS, 16).
ACKNOWLEDGED_SECONDS, FIRST = 0.04, 20


@pytest.fixture
def bucket() -> str:
    return f"objects-{uuid.uuid4().hex[:12]}"


def clients_of(endpoint: str) -> Clients:
    nowhere = "http://127.0.0.1:9"
    endpoints = Endpoints(nowhere, nowhere, nowhere, endpoint)
    return Clients(Stack(endpoints, "s", "t", "i", "b", LOCAL_REGION, {}, state="none"))


@pytest.fixture
def clients(engine: Callable[[EngineName], str]) -> Clients:
    return clients_of(engine("s3"))


@pytest.fixture
def real(bucket: str, clients: Clients) -> "S3Client":
    clients.s3.create_bucket(Bucket=bucket)
    return clients.s3


def quick_objects(clients: Clients, bucket: str) -> QuickObjects:
    return QuickObjects(clients.s3, bucket, clients.session, timeout=(1, 5))


@pytest.fixture(params=["fake", "s3"])
def client(request: pytest.FixtureRequest, bucket: str) -> "S3Client":
    if request.param == "fake":
        return cast("S3Client", S3(bucket))
    made: S3Client = request.getfixturevalue("real")
    return made


@pytest.fixture(params=["memory", "fake", "s3", "quick"])
def objects(request: pytest.FixtureRequest, bucket: str) -> Objects:
    match request.param:
        case "memory":
            return MemoryObjects()
        case "fake":
            return BucketObjects(cast("S3Client", S3(bucket)), bucket)
        case "quick":
            request.getfixturevalue("real")
            return quick_objects(request.getfixturevalue("clients"), bucket)
        case _:
            return BucketObjects(request.getfixturevalue("real"), bucket)


def test_a_missing_object_is_none(objects: Objects) -> None:
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
    objects.write_new("redriven/x.json", b"")
    assert objects.read("redriven/x.json") == b""


def test_keys_are_listed_under_their_prefix_in_order(objects: Objects) -> None:
    for key in ("quarantine/b/1.json", "quarantine/a/2.json", "redriven/a:b/1.json"):
        objects.write(key, b"{}")
    assert list(objects.keys("quarantine/")) == ["quarantine/a/2.json", "quarantine/b/1.json"]
    assert objects.read("redriven/a:b/1.json") == b"{}"


def test_more_keys_than_a_page_are_listed_each_once(objects: Objects) -> None:
    keys = [f"quarantine/{number:04}" for number in range(PAGE + 1)]
    for key in keys:
        objects.write(key, b"")
    objects.write("redriven/1", b"")
    assert list(objects.keys("quarantine/")) == keys


def test_many_objects_are_deleted_at_once_whatever_their_keys(objects: Objects) -> None:
    odd = ["q/\x01", "q/<&>'\"", "q/\r\n", "q/ä ö", "q/+%20", "q/\U0001f5bc"]
    for key in [*odd, "q/stays"]:
        objects.write(key, b"{}")
    objects.delete_all([*odd, "q/never there", *(f"q/{number}" for number in range(PAGE))])
    assert list(objects.keys("q/")) == ["q/stays"]
    objects.delete_all([])


def test_a_write_does_not_wait_for_a_delayed_acknowledgement(
    clients: Clients, real: "S3Client", bucket: str
) -> None:
    objects = quick_objects(clients, bucket)
    seconds = []
    for _ in range(2 * FIRST):
        began = time.monotonic()
        objects.write("k", b"x" * 1_000)
        seconds.append(time.monotonic() - began)
    assert min(seconds[FIRST:]) < ACKNOWLEDGED_SECONDS / 2
    assert real.get_object(Bucket=bucket, Key="k")["ContentLength"] == len(b"x" * 1_000)


def test_a_page_lists_the_existing_keys_and_may_be_empty(client: "S3Client", bucket: str) -> None:
    for number in range(3):
        client.put_object(Bucket=bucket, Key=f"a/{number}", Body=b"x" * number)
    there, nothing = (client.list_objects_v2(Bucket=bucket, Prefix=one) for one in ("a/", "b/"))
    assert [one["Key"] for one in there["Contents"]] == ["a/0", "a/1", "a/2"]
    assert "NextContinuationToken" not in set(there)
    assert "Contents" not in set(nothing)


@pytest.mark.parametrize(
    "ask",
    [
        lambda s3: s3.put_object(Bucket="nowhere", Key="k", Body=b""),
        lambda s3: s3.get_object(Bucket="nowhere", Key="k"),
        lambda s3: s3.list_objects_v2(Bucket="nowhere"),
    ],
    ids=["put", "get", "list"],
)
def test_a_missing_bucket_is_an_error(
    client: "S3Client", ask: Callable[["S3Client"], object]
) -> None:
    with pytest.raises(ClientError) as refused:
        ask(client)
    said = {"Code": "NoSuchBucket", "Message": "The specified bucket does not exist"}
    assert _said(refused.value) == (404, said)


def test_a_missing_object_is_an_error(client: "S3Client", bucket: str) -> None:
    with pytest.raises(client.exceptions.NoSuchKey) as refused:
        client.get_object(Bucket=bucket, Key="k")
    said = {"Code": "NoSuchKey", "Message": "The specified key does not exist."}
    assert _said(refused.value) == (404, said)


def test_an_existing_object_is_an_error(client: "S3Client", bucket: str) -> None:
    client.put_object(Bucket=bucket, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        client.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
    said = {
        "Code": "PreconditionFailed",
        "Message": "At least one of the preconditions you specified did not hold.",
    }
    assert _said(refused.value) == (412, said)
    assert client.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def _said(error: ClientError) -> tuple[int, object]:
    return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]
