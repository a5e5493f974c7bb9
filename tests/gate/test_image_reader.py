"""A reader of some images sees these images and attributes, by their ids, and nothing else."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tests.gate.evaluator import Call, allows
from tests.gate.policies import EXAMPLE, rendered
from tests.gate.requests import Asked, calls_of
from tests.package.tools import TEMPLATE

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/table"


@pytest.fixture(scope="module")
def policy() -> Mapping[str, Any]:
    """The policy of a stack whose reader may see the images A1 and all that begin with B-."""
    template = translated(Path(TEMPLATE), LOCAL_REGION)
    return rendered(template, EXAMPLE, ReaderImages="A1,B-*").managed("ImageReaderPolicy")


def _may(policy: Mapping[str, Any], action: str, **context: str | tuple[str, ...]) -> bool:
    """The keys of a request: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html"""
    keys = tuple((f"dynamodb:{name}", value) for name, value in context.items())
    return allows([policy], Call(f"dynamodb:{action}", TABLE, keys))


FIELDS = ("image_id", "image")


@pytest.mark.parametrize("action", ["GetItem", "BatchGetItem", "Query"])
@pytest.mark.parametrize("ids", [("A1",), ("B-7",), ("A1", "B-9")])
def test_its_own_images_are_read(
    policy: Mapping[str, Any], action: str, ids: tuple[str, ...]
) -> None:
    assert _may(policy, action, LeadingKeys=ids, Attributes=FIELDS)


@pytest.mark.parametrize("ids", [("A2",), ("A1", "A2"), ("A10",), ("b-7",)])
def test_another_image_is_not_read_also_not_beside_its_own(
    policy: Mapping[str, Any], ids: tuple[str, ...]
) -> None:
    assert not _may(policy, "BatchGetItem", LeadingKeys=ids, Attributes=FIELDS)


def test_another_attribute_is_not_read(policy: Mapping[str, Any]) -> None:
    asked = (*FIELDS, "sequence_number")
    assert not _may(policy, "GetItem", LeadingKeys=("A1",), Attributes=asked)


def test_a_request_without_a_projection_is_denied(policy: Mapping[str, Any]) -> None:
    assert not _may(policy, "GetItem", LeadingKeys=("A1",))
    assert not _may(
        policy, "Query", LeadingKeys=("A1",), Attributes=FIELDS, Select="ALL_ATTRIBUTES"
    )


@pytest.mark.parametrize("action", ["Scan", "PartiQLSelect", "PutItem", "DeleteItem"])
def test_nothing_but_reading_by_id_is_allowed(policy: Mapping[str, Any], action: str) -> None:
    assert not _may(policy, action, LeadingKeys=("A1",), Attributes=FIELDS)


def test_a_request_without_an_id_is_denied(policy: Mapping[str, Any]) -> None:
    assert not _may(policy, "Query", Attributes=FIELDS)


CHOSEN = ["image_id", "version"]


@pytest.fixture(scope="module")
def of_chosen_fields(template: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    chosen = {"ReaderImages": "mine-*,A1", "ReaderFields": ",".join(CHOSEN)}
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
        (get("mine-1", *CHOSEN), True),
        (get("mine-1", "version"), True),
        (get("A1", "version"), True),
        (get("others-1", *CHOSEN), False),
        (get("A10", *CHOSEN), False),
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
    of_chosen_fields: Sequence[Mapping[str, Any]], request_: Asked, *, is_allowed: bool
) -> None:
    (call,) = calls_of(request_, EXAMPLE)
    assert allows(of_chosen_fields, call) == is_allowed
