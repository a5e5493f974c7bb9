"""What becomes of each message of a batch."""

from collections.abc import Callable

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from lockstep.console.errors import UserError
from lockstep.pictures.alignment import Alignment, CountedVersionError
from lockstep.pictures.bucket.aligner import ForeignKeyError
from lockstep.pictures.bucket.answers import CutAnswerError
from lockstep.pictures_to_events.batch import Looked, NotificationWork, SetAside
from lockstep.pictures_to_events.notifications import QueueMessage, notification
from shared.sink import MisconfiguredError

# As EventBridge sends it: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
FROM_AWS = """
{"version": "0", "id": "17793124-05d4-b198-2fde-7ededc63b103", "detail-type": "Object Created",
 "source": "aws.s3", "account": "111122223333", "time": "2021-11-12T00:00:00Z",
 "region": "ca-central-1", "resources": ["arn:aws:s3:::pictures"],
 "detail": {"version": "0", "bucket": {"name": "pictures"},
  "object": {"key": "pictures/été 1.jpg", "size": 5, "etag": "b1946ac92492d2347c6235b4d2611184",
   "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e", "sequencer": "617f08299329d189"},
  "request-id": "N4N7GDK58NMKJ12R", "requester": "123456789012",
  "source-ip-address": "1.2.3.4", "reason": "PutObject"}}
"""


def message(number: int, key: str = "pictures/a.jpg") -> QueueMessage:
    return QueueMessage(f"m{number}", notification("pictures", key, "Object Created"))


def refusal(code: str, operation: str, status: int = 400) -> ClientError:
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, operation)  # type: ignore[arg-type]  # the parts that are read


class Stage:
    """What a batch is settled with, and what it did."""

    def __init__(self, align: Callable[[str], Alignment]) -> None:
        self.letters: list[SetAside] = []
        self.looked: list[Looked] = []
        self.keys: list[str] = []
        self.letters_fail: Exception | None = None
        self._align = align

    def settle(self, *messages: QueueMessage, has_time: bool = True) -> list[str]:
        work = NotificationWork(
            bucket="pictures", align=self._look, set_aside=self._keep, tell=self.looked.append
        )
        answer = work.settle(messages, lambda: has_time)
        return [one["itemIdentifier"] for one in answer["batchItemFailures"]]

    def _look(self, key: str) -> Alignment:
        self.keys.append(key)
        return self._align(key)

    def _keep(self, letter: SetAside) -> None:
        if self.letters_fail is not None:
            raise self.letters_fail
        self.letters.append(letter)


def put(_: str) -> Alignment:
    return "put"


def failing(error: Exception) -> Stage:
    def align(key: str) -> Alignment:
        if key.endswith("bad"):
            raise error
        return "put"

    return Stage(align)


BAD, GOOD = message(1, "pictures/bad"), message(2)


def test_a_notification_of_aws_names_its_key_as_it_is() -> None:
    stage = Stage(put)
    assert stage.settle(QueueMessage("m1", FROM_AWS)) == []
    assert stage.keys == ["pictures/été 1.jpg"]


def test_a_key_is_looked_at_once_for_all_its_messages() -> None:
    stage = Stage(put)
    assert stage.settle(message(1), message(2, "pictures/b"), message(3)) == []
    assert stage.keys == ["pictures/a.jpg", "pictures/b"]
    assert [one.messages for one in stage.looked] == [2, 1]


def test_of_a_key_that_failed_all_messages_come_again_and_no_others() -> None:
    stage = failing(EndpointConnectionError(endpoint_url="https://s3"))
    assert stage.settle(BAD, GOOD, message(3, "pictures/bad")) == ["m1", "m3"]
    assert [one.outcome for one in stage.looked] == ["failed", "put"]
    assert stage.letters == []


@pytest.mark.parametrize(
    "error",
    [
        CutAnswerError("table rows: an empty answer"),
        refusal("ProvisionedThroughputExceededException", "PutRecord"),
        refusal("InternalServerError", "GetItem", 500),
        refusal("SlowDown", "GetObject", 503),
        # Of one object: others may be read.
        refusal("403", "HeadObject", 403),
        refusal("AccessDenied", "GetObject", 403),
    ],
    ids=str,
)
def test_what_may_pass_comes_again(error: Exception) -> None:
    stage = failing(error)
    assert stage.settle(BAD, GOOD) == ["m1"]
    assert stage.letters == []


@pytest.mark.parametrize(
    "error",
    [
        NoCredentialsError(),
        refusal("AccessDeniedException", "PutRecord"),
        refusal("AccessDeniedException", "GetItem"),
        refusal("ResourceNotFoundException", "PutItem"),
        refusal("NoSuchBucket", "GetObject", 404),
        refusal("404", "HeadBucket", 404),
        refusal("403", "HeadBucket", 403),
        refusal("UnrecognizedClientException", "GetItem", 401),
    ],
    ids=str,
)
def test_a_broken_deployment_stops_the_whole_batch(error: Exception) -> None:
    stage = failing(error)
    with pytest.raises(MisconfiguredError):
        stage.settle(GOOD, BAD)
    assert stage.letters == []


def test_a_broken_queue_of_dead_letters_stops_the_whole_batch() -> None:
    stage = failing(CountedVersionError("image bad has version 12"))
    stage.letters_fail = refusal("AWS.SimpleQueueService.NonExistentQueue", "SendMessage")
    with pytest.raises(MisconfiguredError):
        stage.settle(BAD)


def test_a_notification_of_another_bucket_stops_the_whole_batch() -> None:
    stage = Stage(put)
    with pytest.raises(MisconfiguredError, match="PICTURE_BUCKET"):
        stage.settle(GOOD, QueueMessage("m9", notification("other", "a", "Object Created")))
    assert stage.keys == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (CountedVersionError("image bad has version 12"), "counted version"),
        (refusal("InvalidObjectState", "GetObject", 403), "unreadable object"),
        (UserError("reading it ended the process"), "unreadable object"),
    ],
    ids=str,
)
def test_what_no_attempt_can_settle_is_set_aside_once_with_its_reason(
    error: Exception, reason: str
) -> None:
    stage = failing(error)
    assert stage.settle(BAD, GOOD, message(3, "pictures/bad")) == []
    (letter,) = stage.letters
    assert (letter.message, letter.reason, letter.detail) == (BAD, reason, str(error))
    assert [one.outcome for one in stage.looked] == ["set aside", "put"]


def test_what_cannot_be_set_aside_now_comes_again() -> None:
    stage = failing(CountedVersionError("image bad has version 12"))
    stage.letters_fail = EndpointConnectionError(endpoint_url="https://sqs")
    assert stage.settle(BAD, GOOD) == ["m1"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"source": "aws.s3"}',
        '{"source": "aws.s3", "detail": {"bucket": {"name": 1}, "object": {"key": "a"}}}',
        msgspec.json.encode(
            {"source": "mine", "detail": {"bucket": {"name": "b"}, "object": {"key": "a"}}}
        ).decode(),
    ],
)
def test_what_is_no_notification_is_set_aside_and_holds_up_nobody(body: str) -> None:
    stage = Stage(put)
    assert stage.settle(QueueMessage("m1", body), GOOD) == []
    (letter,) = stage.letters
    assert letter.reason == "not a notification"
    assert letter.message.body == body
    assert stage.keys == ["pictures/a.jpg"]


def test_an_object_above_the_prefix_is_left_alone() -> None:
    stage = failing(ForeignKeyError("bad is not below pictures/"))
    assert stage.settle(BAD) == []
    assert stage.letters == []


def test_without_time_only_the_first_key_is_looked_at_and_the_others_come_again() -> None:
    stage = Stage(put)
    assert stage.settle(message(1), message(2, "pictures/b"), has_time=False) == ["m2"]
    assert stage.keys == ["pictures/a.jpg"]
