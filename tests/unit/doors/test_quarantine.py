"""The quarantine in a bucket: durable, or an error; the first reason stays."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ConnectTimeoutError

from doors.quarantine import BucketQuarantine
from shared.quarantine import QuarantineError, quarantined
from tests.builders import change, record

ENTRY = quarantined(
    record(), function="f", change=change(), reason="conflict", detail="d", at="2026-11-21"
)


class Bucket:
    """Takes one answer, or one error, and remembers the request."""

    def __init__(self, answer: Mapping[str, Any] | Exception) -> None:
        self.request: dict[str, Any] = {}
        self._answer = answer

    def put_object(self, **request: Any) -> Mapping[str, Any]:
        self.request = request
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def put(answer: Mapping[str, Any] | Exception) -> Bucket:
    bucket = Bucket(answer)
    BucketQuarantine(bucket.put_object, "b", longest_put=1).put(ENTRY)
    return bucket


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "PutObject")


def test_a_record_is_put_whole_under_its_place_unless_it_is_there() -> None:
    request = put({"ETag": "e"}).request
    assert (request["Bucket"], request["Key"], request["IfNoneMatch"]) == ("b", ENTRY.key, "*")
    assert msgspec.json.decode(request["Body"]) == msgspec.to_builtins(ENTRY)


def test_a_record_that_is_there_already_is_durable() -> None:
    put(refusal("PreconditionFailed"))


@pytest.mark.parametrize(
    "answer",
    [
        refusal("AccessDenied"),
        refusal("ConditionalRequestConflict"),
        ConnectTimeoutError(endpoint_url="http://s3"),
        ConnectionClosedError(endpoint_url="http://s3"),
        {},
    ],
)
def test_whatever_else_happens_the_record_is_not_durable(
    answer: Mapping[str, Any] | Exception,
) -> None:
    with pytest.raises(QuarantineError, match="s3://b/quarantine/f/"):
        put(answer)
