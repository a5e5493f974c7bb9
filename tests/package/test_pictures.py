"""Pictures in the template: nothing public, nothing lost, and least privilege."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lockstep.pictures.bucket.rows import KEY, PURGED_BY
from lockstep.pictures.reading import KEPT_BYTES
from lockstep.pictures_to_events import handler
from lockstep.stack.stack import PictureStores
from shared.picture_ids import PREFIX
from tests.gate.evaluator import Call, allows
from tests.gate.policies import EXAMPLE, rendered
from tests.package.resources import USUAL, arn_of, permissions_of, properties_of, resources_of
from tools.template.rendering import render

type Template = Mapping[str, Any]

WITH_PICTURES = USUAL | {"HasPictures"}
BUCKET, OTHER = "arn:aws:s3:::pictures", "arn:aws:s3:::bucket"
STACK = msgspec.structs.replace(EXAMPLE, pictures=PictureStores("pictures", "rows"))


def test_a_stack_has_pictures_only_if_somebody_wants_them(template: Template) -> None:
    assert template["Parameters"]["Pictures"]["Default"] == "no"
    usual, chosen = render(template, {}), render(template, {"Pictures": "yes"})
    added = chosen.keys() - usual.keys()
    assert {"PictureBucket", "PictureRows", "PicturesToEvents", "UploaderPolicy"} <= added
    assert not [name for name in usual if "Picture" in name]
    # The search links to pictures, and people may audit and erase them; nothing else changes.
    assert {name for name in usual if chosen[name] != usual[name]} == {
        "AuditorPolicy",
        "EraserPolicy",
        "SearchImages",
        "SearchImagesRole",
    }


def test_no_parameter_opens_the_picture_bucket(template: Template) -> None:
    bucket = properties_of(template, "PictureBucket")
    assert bucket["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    document = properties_of(template, "PictureBucketPolicy")["PolicyDocument"]
    assert {one["Effect"] for one in document["Statement"]} == {"Deny"}
    tls, keys = document["Statement"]
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    customer = "s3:x-amz-server-side-encryption-customer-algorithm"
    assert keys["Condition"] == {"Null": {customer: "false"}}
    assert {name for name, its in resources_of(template, "AWS::S3::BucketPolicy").items()} == {
        "PictureBucketPolicy",
        "QuarantineBucketPolicy",
        "ThumbnailBucketPolicy",
    }


def test_a_mistaken_deletion_can_be_undone_for_a_month_and_parts_do_not_pile_up(
    template: Template,
) -> None:
    bucket = properties_of(template, "PictureBucket")
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    versions, parts = bucket["LifecycleConfiguration"]["Rules"]
    assert versions["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert versions["ExpiredObjectDeleteMarker"] is True
    assert parts["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    # A picture that nobody replaced or deleted never expires.
    assert not any("ExpirationInDays" in rule for rule in (versions, parts))


@pytest.mark.parametrize(
    ("chosen", "bucket", "rows"),
    [
        ({}, {"SSEAlgorithm": "AES256"}, {"SSEEnabled": True}),
        (
            {"KmsKeyArn": "arn:key", "TableKmsKeyArn": "arn:other"},
            {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:key"},
            {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": "arn:other"},
        ),
    ],
)
def test_pictures_and_rows_are_encrypted_also_with_keys_of_your_own(
    template: Template, chosen: Mapping[str, str], bucket: Any, rows: Any
) -> None:
    resources = render(template, {"Pictures": "yes", **chosen})
    (rule,) = resources["PictureBucket"]["Properties"]["BucketEncryption"][
        "ServerSideEncryptionConfiguration"
    ]
    assert rule["ServerSideEncryptionByDefault"] == bucket
    assert resources["PictureRows"]["Properties"]["SSESpecification"] == rows


def test_the_table_of_rows_has_the_key_that_the_code_writes_and_forgets_what_is_gone(
    template: Template,
) -> None:
    table = properties_of(template, "PictureRows")
    assert table["KeySchema"] == [{"AttributeName": KEY, "KeyType": "HASH"}]
    assert table["TimeToLiveSpecification"] == {"AttributeName": PURGED_BY, "Enabled": True}
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["BillingMode"] == "PAY_PER_REQUEST"


def test_each_change_below_the_prefix_is_told_to_one_queue_and_nobody_else_may_tell(
    template: Template,
) -> None:
    bucket = properties_of(template, "PictureBucket")
    assert bucket["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    rule = properties_of(template, "PictureRule")
    assert rule["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": {
            "bucket": {"name": [{"Ref": "PictureBucket"}]},
            "object": {"key": [{"prefix": PREFIX}]},
        },
    }
    assert {"Fn::GetAtt": ["PictureNotifications", "Arn"]} in [
        one["Arn"] for one in rule["Targets"]
    ]
    allowed, denied = properties_of(template, "PictureQueuePolicy")["PolicyDocument"]["Statement"]
    assert allowed["Principal"] == {"Service": "events.amazonaws.com"}
    assert allowed["Condition"] == {"ArnEquals": {"aws:SourceArn": arn_of("PictureRule")}}
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_notification_waits_as_long_as_sqs_allows_and_comes_again(template: Template) -> None:
    queue = properties_of(template, "PictureNotifications")
    letters = properties_of(template, "PictureDeadLetters")
    assert queue["MessageRetentionPeriod"] == letters["MessageRetentionPeriod"] == 14 * 86_400
    assert queue["SqsManagedSseEnabled"] is letters["SqsManagedSseEnabled"] is True
    assert queue["RedrivePolicy"] == {
        "deadLetterTargetArn": arn_of("PictureDeadLetters"),
        "maxReceiveCount": 100,
    }
    function = properties_of(template, "PicturesToEvents")
    # https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    # Of a deployment that is broken, no message is set aside before somebody is there.
    assert queue["VisibilityTimeout"] * 100 >= 2 * 86_400
    assert function["Timeout"] > handler.LONGEST_LOOK_SECONDS * 2
    mapping = properties_of(template, "PicturesToEventsNotifications")
    assert mapping == {
        "FunctionName": {"Ref": "PicturesToEvents"},
        "EventSourceArn": arn_of("PictureNotifications"),
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "ScalingConfig": {"MaximumConcurrency": 10},
    }


def test_the_function_has_room_for_what_it_keeps_of_a_picture(template: Template) -> None:
    """Lambda's own size of /tmp is 512 MB, and the library needs at most 400 MiB of memory."""
    function = properties_of(template, "PicturesToEvents")
    assert "EphemeralStorage" not in function
    assert KEPT_BYTES < 512_000_000
    assert function["MemorySize"] >= 1024


def test_the_function_of_the_pictures_may_do_what_it_does_and_no_more(template: Template) -> None:
    assert permissions_of(template, "PicturesToEvents", WITH_PICTURES) == {
        ("dynamodb:GetItem", "ImageTable.Arn"),
        ("dynamodb:GetItem", "PictureRows.Arn"),
        ("dynamodb:PutItem", "PictureRows.Arn"),
        ("kinesis:PutRecord", "ImageStream.Arn"),
        ("kms:Decrypt", "KmsKeyArn"),
        ("kms:GenerateDataKey", "KmsKeyArn"),
        ("logs:CreateLogStream", "PicturesToEventsLog.Arn"),
        ("logs:PutLogEvents", "PicturesToEventsLog.Arn"),
        ("s3:GetObject", "${PictureBucket.Arn}/pictures/*"),
        ("s3:ListBucket", "PictureBucket.Arn"),
        ("sqs:DeleteMessage", "PictureNotifications.Arn"),
        ("sqs:GetQueueAttributes", "PictureNotifications.Arn"),
        ("sqs:ReceiveMessage", "PictureNotifications.Arn"),
        ("sqs:SendMessage", "PictureDeadLetters.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_an_uploader_stores_below_the_prefix_and_deletes_nothing(template: Template) -> None:
    policy = rendered(template, STACK).managed("UploaderPolicy")
    tables = "arn:aws:dynamodb:us-east-1:000000000000:table"
    rows, images = f"{tables}/rows", f"{tables}/table"
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/stream"
    may = {
        Call("s3:PutObject", f"{BUCKET}/{PREFIX}a.jpg"),
        Call("dynamodb:PutItem", rows),
        Call("dynamodb:GetItem", images),
        Call("kinesis:PutRecord", stream),
    }
    may_not = {
        Call("s3:PutObject", f"{BUCKET}/a.jpg"),
        Call("s3:PutObject", f"{OTHER}/{PREFIX}a.jpg"),
        Call("s3:DeleteObject", f"{BUCKET}/{PREFIX}a.jpg"),
        Call("s3:DeleteObjectVersion", f"{BUCKET}/{PREFIX}a.jpg"),
        Call("dynamodb:PutItem", images),
        Call("dynamodb:DeleteItem", rows),
        Call("dynamodb:Scan", images),
        Call("kinesis:GetRecords", stream),
    }
    assert {call for call in may | may_not if allows([policy], call)} == may


def test_without_a_key_for_hashes_and_with_one_the_function_sees_what_it_needs(
    template: Template,
) -> None:
    variables = properties_of(template, "PicturesToEvents")["Environment"]["Variables"]
    assert variables.keys() == {
        "PICTURE_BUCKET",
        "PICTURE_ROWS_TABLE",
        "PICTURE_DEAD_LETTERS",
        "PICTURE_CHECKSUM_MIB",
        "PICTURE_TIME_ZONE",
        "PICTURE_POSITIONS",
        "STREAM_NAME",
        "TABLE_NAME",
        "STACK_NAME",
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_LOG_LEVEL",
        "LOG_HASH_KEY",
    }
    # The position tells where people live.
    assert template["Parameters"]["PicturePositions"]["Default"] == "no"
