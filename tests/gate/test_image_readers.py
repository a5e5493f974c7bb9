"""The policy of readers who see some images and fields only, evaluated for their requests."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from tests.gate.evaluator import allows
from tests.gate.policies import EXAMPLE, rendered
from tests.gate.requests import Asked, calls_of

FIELDS = ["image_id", "version"]


@pytest.fixture(scope="module")
def policies(template: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    chosen: Any = {"ReaderImages": ["mine-*"], "ReaderFields": FIELDS}
    return [rendered(template, EXAMPLE, **chosen).managed("ImageReaderPolicy")]


def asked(operation: str, **body: Any) -> Asked:
    headers = {"x-amz-target": f"DynamoDB_20120810.{operation}"}
    return Asked("dynamodb", "POST", "/", headers, msgspec.json.encode(body))


def get(image_id: str, *fields: str) -> Asked:
    more = {"ProjectionExpression": ", ".join(fields)} if fields else {}
    return asked("GetItem", TableName=EXAMPLE.table, Key={"image_id": {"S": image_id}}, **more)


@pytest.mark.parametrize(
    ("request_", "is_allowed"),
    [
        (get("mine-1", *FIELDS), True),
        (get("mine-1", "version"), True),
        (get("others-1", *FIELDS), False),
        (get("mine-1", "image_id", "image"), False),
        # Without a projection, it would return all fields.
        (get("mine-1"), False),
        (asked("Scan", TableName=EXAMPLE.table, ProjectionExpression="version"), False),
        (asked("DeleteItem", TableName=EXAMPLE.table, Key={"image_id": {"S": "mine-1"}}), False),
        (
            asked(
                "BatchGetItem",
                RequestItems={
                    EXAMPLE.table: {
                        "Keys": [{"image_id": {"S": "mine-1"}}, {"image_id": {"S": "others-1"}}],
                        "ProjectionExpression": "version",
                    }
                },
            ),
            False,
        ),
    ],
)
def test_a_reader_of_some_images_sees_these_fields_of_these_images(
    policies: Sequence[Mapping[str, Any]], request_: Asked, *, is_allowed: bool
) -> None:
    (call,) = calls_of(request_, EXAMPLE)
    assert allows(policies, call) == is_allowed
