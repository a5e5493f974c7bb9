"""A reader of some images sees these images and attributes, by their ids, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockstep.local.mapping.translation import translated
from lockstep.stack.stack import LOCAL_REGION
from tests.gate.evaluator import Call, allows
from tests.gate.policies import EXAMPLE, rendered
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
