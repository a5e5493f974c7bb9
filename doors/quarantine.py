"""The quarantine in an S3 bucket."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from shared.quarantine import QuarantinedRecord, QuarantineError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


def disable_expect_header(client: "S3Client") -> None:
    """Stop the client from sending `Expect: 100-continue`.

    With that header, botocore waits without a timeout if the connection ends during the answer.
    """
    client.meta.events.register_last("before-call.s3", _drop_expect_header)


def _drop_expect_header(params: Mapping[str, Any], **_: object) -> None:
    params["headers"].pop("Expect", None)


class BucketQuarantine:
    """A quarantine that stores each record as an object.

    `put_object` is the method of an S3 client. `longest_put`, in seconds, follows from the timeouts
    and retries of that client.
    """

    def __init__(
        self, put_object: Callable[..., Mapping[str, Any]], bucket: str, *, longest_put: float
    ) -> None:
        self._put_object = put_object
        self._bucket = bucket
        self.longest_put = longest_put

    def put(self, record: QuarantinedRecord) -> None:
        """Store the record, unless an object with its key exists.

        Raises:
            QuarantineError: the client failed; it is unknown whether the record is durable.
        """
        where = f"s3://{self._bucket}/{record.key}"
        try:
            answer = self._put_object(
                Bucket=self._bucket,
                Key=record.key,
                Body=msgspec.json.encode(record),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except Exception as error:
            # botocore sets `response` to None when the connection is lost.
            refusal = getattr(error, "response", None) or {}
            if refusal.get("Error", {}).get("Code") == "PreconditionFailed":
                return
            raise QuarantineError(f"{where}: {error}") from error
        # botocore parses a truncated answer as an empty success.
        if "ETag" not in answer:
            raise QuarantineError(f"{where}: the answer has no ETag")
