"""One batch of notifications: look at each key that they name, once.

A message is settled when the bucket and the stream agree about its key, or when it is set aside
with a reason, because no attempt can succeed. Everything else comes again: a message is dropped in
no other case. If the deployment is broken, the whole batch comes again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Final, Literal

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from lockstep.console.errors import UserError
from lockstep.pictures.alignment import CountedVersionError
from lockstep.pictures.bucket.aligner import ForeignKeyError, RestlessKeyError
from lockstep.pictures.bucket.answers import CutAnswerError
from lockstep.pictures_to_events.notifications import (
    NotANotificationError,
    QueueMessage,
    told_in,
)
from shared.batch import BatchResponse
from shared.sink import MisconfiguredError

# Why a message is set aside: no later attempt can succeed.
SetAsideReason = Literal["not a notification", "counted version", "unreadable object"]

# Of the object itself, whoever asks: it is archived
# (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html).
_UNREADABLE: Final = "InvalidObjectState"
# S3 may refuse one object alone, for example because of its key.
_OF_ONE_OBJECT: Final = frozenset({"HeadObject", "GetObject"})
# Also the answer of HeadBucket, which has no other code.
_MISSING_CODES: Final = frozenset(
    {
        "404",
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchBucket",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_DENIED_STATUSES: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


# The clients of a function that works through notifications.
CLIENTS: Final = Config(
    connect_timeout=2,
    read_timeout=20,
    retries={"mode": "standard", "total_max_attempts": 3},
)


class SetAside(msgspec.Struct, frozen=True):
    """A message that can never be settled by a look at its key."""

    message: QueueMessage
    reason: SetAsideReason
    detail: str


class Looked(msgspec.Struct, frozen=True):
    """What became of a key.

    Attributes:
        key: the whole key; None of a message that names none.
        messages: how many messages named it.
        outcome: `failed`: it comes again. `set aside`: it does not. `foreign`: it is no key of a
            picture. Otherwise what `align` says.
        detail: why; empty if nothing was wrong.
    """

    key: str | None
    messages: int
    outcome: str
    detail: str = ""


class NotificationWork:
    """What a batch needs: how to look, where to set aside, whom to tell."""

    def __init__(
        self,
        *,
        bucket: str,
        align: Callable[[str], str],
        set_aside: Callable[[SetAside], None],
        tell: Callable[[Looked], None],
    ) -> None:
        """Set it up.

        Args:
            bucket: the name of the picture bucket.
            align: brings a key in line, and says in a word what it did; raises what
                `KeyAligner.align` raises.
            set_aside: keeps a message with its reason. Raises what boto3 raises.
            tell: gets what became of each key.
        """
        self._bucket = bucket
        self._align = align
        self._set_aside = set_aside
        self._tell = tell

    def settle(
        self, messages: Sequence[QueueMessage], has_time: Callable[[], bool] = lambda: True
    ) -> BatchResponse:
        """Settle what can be settled; the answer names the messages that must come again.

        Args:
            messages: those of the batch.
            has_time: whether there is time for another look. The first one always begins.

        Raises:
            MisconfiguredError: no message can be settled until the deployment is corrected.
        """
        by_key, strange = self._sorted(messages)
        failed = [one for one, why in strange if not self._kept_strange(one, why)]
        for number, (key, group) in enumerate(by_key.items()):
            if number and not has_time():
                self._tell(Looked(key, len(group), "failed", "no time is left"))
                failed += group
            elif not self._settled(key, group):
                failed += group
        return {"batchItemFailures": [{"itemIdentifier": one.message_id} for one in failed]}

    def _sorted(
        self, messages: Iterable[QueueMessage]
    ) -> tuple[Mapping[str, Sequence[QueueMessage]], Sequence[tuple[QueueMessage, str]]]:
        """The messages by their keys, and those that name none, each with what is wrong with it.

        One look at a key is the answer to all messages that came before it.
        """
        by_key: dict[str, list[QueueMessage]] = {}
        strange: list[tuple[QueueMessage, str]] = []
        for message in messages:
            try:
                bucket, key = told_in(message.body)
            except NotANotificationError as error:
                strange.append((message, str(error)))
                continue
            if bucket != self._bucket:
                raise MisconfiguredError(
                    f"a notification of bucket {bucket}, but the picture bucket is {self._bucket}: "
                    "correct the rule of EventBridge or the variable PICTURE_BUCKET"
                )
            by_key.setdefault(key, []).append(message)
        return by_key, strange

    def _kept_strange(self, message: QueueMessage, why: str) -> bool:
        return self._is_set_aside(None, [message], "not a notification", why)

    def _settled(self, key: str, group: Sequence[QueueMessage]) -> bool:
        try:
            outcome = self._align(key)
        except ForeignKeyError as error:
            self._tell(Looked(key, len(group), "foreign", str(error)))
            return True
        except CountedVersionError as error:
            return self._is_set_aside(key, group, "counted version", str(error))
        except (CutAnswerError, RestlessKeyError) as error:
            self._tell(Looked(key, len(group), "failed", str(error)))
            return False
        except UserError as error:
            return self._is_set_aside(key, group, "unreadable object", str(error))
        except (ClientError, BotoCoreError, OSError) as error:
            if is_unreadable(error):
                return self._is_set_aside(key, group, "unreadable object", str(error))
            refuse_if_broken(error)
            self._tell(Looked(key, len(group), "failed", str(error)))
            return False
        self._tell(Looked(key, len(group), outcome))
        return True

    def _is_set_aside(
        self, key: str | None, group: Sequence[QueueMessage], reason: SetAsideReason, detail: str
    ) -> bool:
        """Whether one message of the group is kept: the others say the same."""
        try:
            self._set_aside(SetAside(group[0], reason, detail))
        except (ClientError, BotoCoreError, OSError) as error:
            refuse_if_broken(error)
            self._tell(Looked(key, len(group), "failed", str(error)))
            return False
        self._tell(Looked(key, len(group), "set aside", f"{reason}: {detail}"))
        return True


def is_unreadable(error: Exception) -> bool:
    """Whether no later attempt can read this object as it is."""
    return isinstance(error, ClientError) and error.response["Error"]["Code"] == _UNREADABLE


def refuse_if_broken(error: Exception) -> None:
    """Tell a broken deployment from a failure that may pass.

    Raises:
        MisconfiguredError: a resource is missing, or the role may not use it.
    """
    if isinstance(error, NoCredentialsError):
        raise MisconfiguredError(str(error)) from error
    if not isinstance(error, ClientError):
        return
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    is_denied = code.startswith("AccessDenied") or status in _DENIED_STATUSES
    if code in _MISSING_CODES or (is_denied and error.operation_name not in _OF_ONE_OBJECT):
        raise MisconfiguredError(str(error)) from error
