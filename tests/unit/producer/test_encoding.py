"""The body of PutRecords: the same for the stream, whoever encodes it."""

import base64
from collections.abc import Mapping
from typing import Any

import boto3
import msgspec
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from doors.encoding import encode_once
from lockstep.producing.producer import Producer
from tests.builders import decoded, image, image_event

ACCEPTED = {"SequenceNumber": "1", "ShardId": "shardId-000000000000"}
EVENTS = [
    decoded(image_event(f"T{number}", number + 1, image=image(f"Thames “{number}” Ω 🖼")))
    for number in range(3)
]


class Body:
    """The body of an answer."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, **_: object) -> list[bytes]:
        return [self._content]


class Stream:
    """Answers the requests of a client, and keeps them."""

    def __init__(self, answer: Mapping[str, Any], status: int = 200, *, once: bool) -> None:
        self.requests: list[Any] = []
        self._answer, self._status = answer, status
        self.client = boto3.client(
            "kinesis",
            region_name="us-east-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=not once),
        )
        send: Any = self._send
        self.client.meta.events.register("before-send.kinesis", send)
        if once:
            encode_once(self.client, "PutRecords")

    def _send(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        self.requests.append(request)
        raw: Any = Body(msgspec.json.encode(self._answer))
        headers: Any = {"content-type": "application/x-amz-json-1.1"}
        return AWSResponse(request.url, self._status, headers, raw)

    @property
    def bodies(self) -> list[Any]:
        return [msgspec.json.decode(request.body) for request in self.requests]


def put(*, once: bool) -> Stream:
    stream = Stream({"FailedRecordCount": 0, "Records": [ACCEPTED] * len(EVENTS)}, once=once)
    assert Producer(stream.client, "lockstep-images").put(EVENTS).put == len(EVENTS)
    return stream


def test_a_request_says_the_same_as_one_that_botocore_encodes() -> None:
    ours, botocores = put(once=True), put(once=False)
    assert ours.bodies == botocores.bodies
    (body,) = ours.bodies
    assert [one["PartitionKey"] for one in body["Records"]] == ["T0", "T1", "T2"]
    data = [base64.b64decode(one["Data"]) for one in body["Records"]]
    assert [msgspec.json.decode(one)["version"] for one in data] == [1, 2, 3]
    (request,), (other,) = ours.requests, botocores.requests
    assert request.url == other.url
    kept = {"x-amz-target", "content-type", "host"}
    assert [
        {name.lower(): text for name, text in one.headers.items() if name.lower() in kept}
        for one in (request, other)
    ] == [{name.lower(): text for name, text in other.headers.items() if name.lower() in kept}] * 2
    assert int(request.headers["Content-Length"]) == len(request.body)


def test_other_operations_of_the_client_are_encoded_by_botocore() -> None:
    stream = Stream({"Shards": []}, once=True)
    stream.client.list_shards(StreamName="lockstep-images")
    assert stream.bodies == [{"StreamName": "lockstep-images"}]


def test_a_refusal_is_the_error_that_botocore_makes_of_it() -> None:
    refusal = {"__type": "ResourceNotFoundException", "message": "no such stream"}
    stream = Stream(refusal, 400, once=True)
    with pytest.raises(ClientError, match="no such stream"):
        stream.client.put_records(StreamName="s", Records=[{"Data": b"", "PartitionKey": "k"}])
