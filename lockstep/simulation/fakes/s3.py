"""A fake of boto3's S3 client, with one bucket."""

import io
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from lockstep.simulation.fakes.boto3_requests import client_error
from lockstep.simulation.fakes.cut_answers import boto3_body, boto3_document, boto3_put
from lockstep.simulation.fakes.network import (
    PERFECT,
    AnswerError,
    Connection,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
)

PAGE = 1_000
_NO_SUCH_BUCKET = "NoSuchBucket: The specified bucket does not exist"
_NO_SUCH_KEY = "NoSuchKey: The specified key does not exist."
_PRECONDITION_FAILED = (
    "PreconditionFailed: At least one of the preconditions you specified did not hold."
)


class _NoSuchKeyError(ClientError):
    """The exception of boto3 for a missing object."""

    def __reduce__(self) -> tuple[type["_NoSuchKeyError"], tuple[Any, str]]:
        """Copies are of this class, too; botocore makes them a plain `ClientError`."""
        return type(self), (self.response, self.operation_name)


class _Exceptions:
    NoSuchKey = _NoSuchKeyError


class S3:
    """A client and its bucket: `objects` by key.

    `overwritten` has the keys of objects that were replaced by different ones.
    """

    exceptions = _Exceptions

    def __init__(self, bucket: str, *, connection: Connection = PERFECT) -> None:
        self.objects: dict[str, bytes] = {}
        self.overwritten: list[str] = []
        self._bucket = bucket
        self._connection = connection

    def put_object(self, **request: Any) -> dict[str, Any]:
        """Write an object; with `If-None-Match: *`, only if there is none."""
        key, body = request["Key"], request["Body"]

        def put() -> dict[str, Any]:
            self._check_bucket(request)
            if request.get("IfNoneMatch") == "*" and key in self.objects:
                raise AnswerError(412, _PRECONDITION_FAILED)
            if self.objects.get(key, body) != body:
                self.overwritten.append(key)
            self.objects[key] = bytes(body)
            return {"ETag": '"etag"'}

        return self._send("PutObject", put)

    def get_object(self, **request: Any) -> dict[str, Any]:
        """Read an object."""

        def got() -> dict[str, Any]:
            self._check_bucket(request)
            if request["Key"] not in self.objects:
                raise AnswerError(404, _NO_SUCH_KEY)
            body = self.objects[request["Key"]]
            return {"Body": io.BytesIO(body), "ContentLength": len(body)}

        return self._send("GetObject", got)

    def delete_object(self, **request: Any) -> dict[str, Any]:
        """Delete an object, if it exists."""

        def deleted() -> dict[str, Any]:
            self._check_bucket(request)
            self.objects.pop(request["Key"], None)
            return {}

        return self._send("DeleteObject", deleted)

    def delete_objects(self, **request: Any) -> dict[str, Any]:
        """Delete objects, as far as they exist."""
        keys = [one["Key"] for one in request["Delete"]["Objects"]]

        def deleted() -> dict[str, Any]:
            self._check_bucket(request)
            for key in keys:
                self.objects.pop(key, None)
            return {"Deleted": [{"Key": key} for key in keys]}

        return self._send("DeleteObjects", deleted)

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        """List the keys under a prefix, in order, a page at a time."""

        def listed() -> dict[str, Any]:
            self._check_bucket(request)
            after = request.get("ContinuationToken", "")
            prefix = request.get("Prefix", "")
            keys = sorted(one for one in self.objects if one.startswith(prefix) and one > after)
            page = keys[:PAGE]
            answer: dict[str, Any] = {"IsTruncated": len(keys) > PAGE}
            if page:
                answer["Contents"] = [{"Key": key} for key in page]
            if len(keys) > PAGE:
                answer["NextContinuationToken"] = page[-1]
            return answer

        return self._send("ListObjectsV2", listed)

    def get_paginator(self, operation: str) -> "_ListingPages":
        """The paginator of a listing."""
        if operation != "list_objects_v2":
            raise NotImplementedError(operation)
        return _ListingPages(self)

    def _check_bucket(self, request: dict[str, Any]) -> None:
        if request["Bucket"] != self._bucket:
            raise AnswerError(404, _NO_SUCH_BUCKET)

    def _send(self, operation: str, apply: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._connection.send(apply)
        except NoAnswerInTimeError as error:
            raise ReadTimeoutError(endpoint_url="s3", error=error) from error
        except NoAnswerError as error:
            raise ConnectionClosedError(endpoint_url="s3", error=error) from error
        except CutOffError as cut:
            return _cut_off(operation, cut)
        except AnswerError as error:
            raised = client_error(operation, error.status, error.code)
            if error.code == _NO_SUCH_KEY:
                raise _NoSuchKeyError(raised.response, operation) from error
            raise raised from error
        return answer


def _cut_off(operation: str, cut: CutOffError) -> dict[str, Any]:
    match operation:
        case "PutObject":
            return dict(boto3_put(cut))
        case "GetObject":
            return boto3_body(cut, cut.answer["Body"].getvalue())
        case _:
            return boto3_document(cut)


class _ListingPages:
    """The paginator of a listing."""

    def __init__(self, client: S3) -> None:
        self._client = client

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        while True:
            page = self._client.list_objects_v2(**request)
            yield page
            if "NextContinuationToken" not in page:
                return
            request["ContinuationToken"] = page["NextContinuationToken"]
