"""The messages of the queue: each holds one notification of the bucket, as EventBridge sends it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html. Nothing is taken from it but
the bucket and the key: notifications come late, twice and out of order. Keys are not encoded.
"""

from collections.abc import Sequence

import msgspec

from lockstep.console.errors import UserError


class NotANotificationError(UserError):
    """A message is no notification of a bucket."""


class QueueMessage(msgspec.Struct, frozen=True, rename="camel"):
    """A message of SQS, as Lambda delivers it."""

    message_id: str
    body: str


class QueueBatch(msgspec.Struct, frozen=True, rename="pascal"):
    """The messages of one invocation."""

    records: Sequence[QueueMessage]


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Keyed(msgspec.Struct, frozen=True):
    key: str


class NotificationDetail(msgspec.Struct, frozen=True):
    """What a notification is about."""

    bucket: _Named
    object: _Keyed


class _Notification(msgspec.Struct, frozen=True):
    source: str
    detail: NotificationDetail


def told_in(body: str) -> tuple[str, str]:
    """The bucket and the key that a notification tells of.

    Raises:
        NotANotificationError: the message is something else.
    """
    try:
        told = msgspec.json.decode(body, type=_Notification)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise NotANotificationError(f"no notification of a bucket: {error}") from None
    if told.source != "aws.s3":
        raise NotANotificationError(f"no notification of a bucket: its source is {told.source}")
    return told.detail.bucket.name, told.detail.object.key


def notification(bucket: str, key: str, detail_type: str) -> str:
    """The body of a message, as EventBridge would send it: for a local stack, which has none."""
    detail = NotificationDetail(_Named(bucket), _Keyed(key))
    said = {"source": "aws.s3", "detail-type": detail_type, "detail": detail}
    return msgspec.json.encode(said).decode()
