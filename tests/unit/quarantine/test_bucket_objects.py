"""Answers of S3 that S3Proxy does not give: they never count as success."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError

from lockstep.simulation.fakes.s3 import S3
from lockstep.stores.objects import (
    CONFLICTS,
    BucketObjects,
    UnfinishedDeleteError,
    UnfinishedReadError,
)

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


class Answering(S3):
    """A bucket whose next requests of one operation get these answers, or do as they should."""

    def __init__(self, operation: str, *answers: dict[str, Any] | ClientError) -> None:
        super().__init__("b")
        self._answers = list(answers)
        really = getattr(self, operation)
        setattr(self, operation, lambda **request: self._answered(really, request))

    def _answered(self, really: Callable[..., Any], request: dict[str, Any]) -> Any:
        if not self._answers:
            return really(**request)
        answer = self._answers.pop(0)
        if isinstance(answer, ClientError):
            raise answer
        return answer


class Cut(S3):
    """A bucket whose listings botocore reads as empty."""

    def list_objects_v2(self, **_: Any) -> Any:
        return {}


def bucket(client: S3) -> BucketObjects:
    return BucketObjects(cast("S3Client", client), "b")


def conflict() -> ClientError:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
    error = {"Code": "ConditionalRequestConflict", "Message": "conflicting operation"}
    return ClientError({"Error": error}, "PutObject")  # type: ignore[typeddict-item]


def test_of_two_who_write_a_new_object_at_the_same_moment_one_tries_again() -> None:
    client = Answering("put_object", conflict(), conflict())
    bucket(client).write_new("k", b"x")
    assert client.objects == {"k": b"x"}


def test_a_conflict_that_lasts_is_an_error() -> None:
    client = Answering("put_object", *(conflict() for _ in range(CONFLICTS)))
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        bucket(client).write_new("k", b"x")
    assert client.objects == {}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({}, "s3://b/1: not deleted: the response was truncated"),
        (
            # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
            {
                "Deleted": [{"Key": "1"}],
                "Errors": [{"Key": "2", "Code": "AccessDenied", "Message": "no"}],
            },
            "s3://b/2: not deleted: AccessDenied: no",
        ),
    ],
)
def test_an_object_that_may_still_exist_is_an_error(answer: dict[str, Any], why: str) -> None:
    with pytest.raises(UnfinishedDeleteError, match=why):
        bucket(Answering("delete_objects", answer)).delete_all(["1", "2"])


def test_a_listing_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(UnfinishedReadError, match="s3://b/redriven/: the response was truncated"):
        list(bucket(Cut("b")).keys("redriven/"))
