"""Thumbnails in the template: a queue of their own, nothing public, and least privilege."""

from collections.abc import Mapping
from typing import Any

import msgspec

from lockstep.make_thumbnails.outcome import MEMORY_BYTES
from lockstep.stack.stack import PictureStores
from tests.gate.evaluator import Call, allows
from tests.gate.policies import EXAMPLE, rendered
from tests.package.resources import USUAL, arn_of, permissions_of, properties_of
from tools.template.rendering import render

type Template = Mapping[str, Any]

WITH_PICTURES = USUAL | {"HasPictures", "LinksToEncryptedPictures"}
STACK = msgspec.structs.replace(EXAMPLE, pictures=PictureStores("pictures", "rows", "thumbs"))
HEX = "0" * 64


def test_thumbnails_come_with_the_picture_bucket(template: Template) -> None:
    usual, chosen = render(template, {}), render(template, {"Pictures": "yes"})
    added = chosen.keys() - usual.keys()
    assert {"ThumbnailBucket", "ThumbnailNotifications", "MakeThumbnails"} <= added
    assert not [name for name in usual if "Thumbnail" in name]


def test_no_parameter_opens_the_bucket_of_thumbnails(template: Template) -> None:
    bucket = properties_of(template, "ThumbnailBucket")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (tls,) = properties_of(template, "ThumbnailBucketPolicy")["PolicyDocument"]["Statement"]
    assert tls["Effect"] == "Deny"
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    # It tells nobody of its objects, so nothing can loop.
    assert "NotificationConfiguration" not in bucket


def test_each_notification_goes_to_both_queues_and_neither_waits_for_the_other(
    template: Template,
) -> None:
    targets = properties_of(template, "PictureRule")["Targets"]
    assert [(one["Arn"], one["DeadLetterConfig"]["Arn"]) for one in targets] == [
        (arn_of("PictureNotifications"), arn_of("PictureDeadLetters")),
        (arn_of("ThumbnailNotifications"), arn_of("ThumbnailDeadLetters")),
    ]
    queue = properties_of(template, "ThumbnailNotifications")
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == arn_of("ThumbnailDeadLetters")
    policy = properties_of(template, "PictureQueuePolicy")
    assert {one["Ref"] for one in policy["Queues"]} == {
        "PictureNotifications",
        "PictureDeadLetters",
        "ThumbnailNotifications",
        "ThumbnailDeadLetters",
    }
    for statement in policy["PolicyDocument"]["Statement"]:
        assert len(statement["Resource"]) == 4
    assert queue["MessageRetentionPeriod"] == 14 * 86_400
    function = properties_of(template, "MakeThumbnails")
    assert queue["VisibilityTimeout"] == 6 * function["Timeout"]
    mapping = properties_of(template, "MakeThumbnailsNotifications")
    assert mapping["EventSourceArn"] == arn_of("ThumbnailNotifications")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_function_has_room_for_itself_and_for_the_process_that_draws(
    template: Template,
) -> None:
    memory = properties_of(template, "MakeThumbnails")["MemorySize"]
    assert memory - (MEMORY_BYTES >> 20) >= 512


def test_the_function_of_the_thumbnails_may_do_what_it_does_and_no_more(template: Template) -> None:
    assert permissions_of(template, "MakeThumbnails", WITH_PICTURES) == {
        ("kms:Decrypt", "KmsKeyArn"),
        ("kms:GenerateDataKey", "KmsKeyArn"),
        ("logs:CreateLogStream", "MakeThumbnailsLog.Arn"),
        ("logs:PutLogEvents", "MakeThumbnailsLog.Arn"),
        ("s3:DeleteObject", "${ThumbnailBucket.Arn}/*"),
        ("s3:GetObject", "${PictureBucket.Arn}/pictures/*"),
        ("s3:ListBucket", "PictureBucket.Arn"),
        ("s3:ListBucket", "ThumbnailBucket.Arn"),
        ("s3:PutObject", "${ThumbnailBucket.Arn}/*"),
        ("sqs:DeleteMessage", "ThumbnailNotifications.Arn"),
        ("sqs:GetQueueAttributes", "ThumbnailNotifications.Arn"),
        ("sqs:ReceiveMessage", "ThumbnailNotifications.Arn"),
        ("sqs:SendMessage", "ThumbnailDeadLetters.Arn"),
        ("xray:PutTelemetryRecords", "*"),
        ("xray:PutTraceSegments", "*"),
    }


def test_links_lead_to_pictures_and_thumbnails_only(template: Template) -> None:
    """A presigned link can do what the role of the search can."""
    policies = rendered(template, STACK).of_role("SearchImagesRole")
    may = {
        Call("s3:GetObject", "arn:aws:s3:::pictures/pictures/a.jpg"),
        Call("s3:GetObject", f"arn:aws:s3:::thumbs/a.jpg/{HEX}-320.webp"),
    }
    may_not = {
        Call("s3:GetObject", "arn:aws:s3:::pictures/elsewhere/a.jpg"),
        Call("s3:GetObject", "arn:aws:s3:::bucket/quarantine/a.json"),
        Call("s3:PutObject", "arn:aws:s3:::pictures/pictures/a.jpg"),
        Call("s3:DeleteObject", f"arn:aws:s3:::thumbs/a.jpg/{HEX}-320.webp"),
        Call("s3:ListBucket", "arn:aws:s3:::pictures"),
        Call("s3:ListBucket", "arn:aws:s3:::thumbs"),
    }
    assert {call for call in may | may_not if allows(policies, call)} == may


def test_without_pictures_the_search_may_read_no_bucket(template: Template) -> None:
    assert not [one for one in permissions_of(template, "SearchImages") if "s3:" in one[0]]
    role = render(template, {})["SearchImagesRole"]
    assert "s3:" not in str(role)


def test_the_search_links_to_the_regional_addresses(template: Template) -> None:
    variables = properties_of(template, "SearchImages")["Environment"]["Variables"]
    for name, bucket in (("PICTURES", "PictureBucket"), ("THUMBNAILS", "ThumbnailBucket")):
        _, regional, _ = variables[f"{name}_ENDPOINT"]["Fn::If"]
        assert regional == {"Fn::GetAtt": [bucket, "RegionalDomainName"]}


def test_an_eraser_deletes_thumbnails_for_good_and_stores_none(template: Template) -> None:
    policies = rendered(template, STACK, Pictures="yes")
    eraser = [policies.managed("EraserPolicy")]
    bucket, other = "arn:aws:s3:::thumbs", "arn:aws:s3:::others"
    thumbnail = f"/ada.jpg/{HEX}-320.webp"
    assert allows(eraser, Call("s3:ListBucketVersions", bucket))
    assert allows(eraser, Call("s3:DeleteObjectVersion", bucket + thumbnail))
    assert not allows(eraser, Call("s3:DeleteObjectVersion", other + thumbnail))
    for action in ("s3:GetObject", "s3:PutObject"):
        assert not allows(eraser, Call(action, bucket + thumbnail))
    without = str(rendered(template, STACK, Pictures="no").managed("EraserPolicy"))
    assert "thumbs" not in without
