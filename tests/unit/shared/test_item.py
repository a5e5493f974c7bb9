"""The item's typed form, to the letter, and back."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.change import digest_of
from shared.event import MAX_VERSION
from shared.item import (
    ATTRIBUTE_TYPES,
    IMAGE_ATTRIBUTES,
    KEY,
    TOMBSTONE_ATTRIBUTES,
    MalformedItemError,
    change_in_item,
    item_from,
)
from tests.builders import change, image
from tests.images import images

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

type Value = AttributeValueTypeDef


@pytest.mark.parametrize("event_type", ["image.uploaded", "image.deleted"])
def test_each_attribute_is_of_the_type_that_its_table_is_checked_for(event_type: str) -> None:
    for name, value in item_from(change("T1", 1, event_type)).items():
        assert list(value) == [ATTRIBUTE_TYPES[name]], name


def test_an_image_is_stored_as_in_the_event() -> None:
    fields = image(
        "Chapel",
        description="",
        width=1536,
        taken_at="1814-01-01T00:00:00Z",
        tags=["landscape", "sea"],
        attributes={"artist": "William Daniell"},
    )
    one = change("T02680", 7, image=fields)
    assert item_from(one) == {
        "image_id": {"S": "T02680"},
        "version": {"N": "7"},
        "deleted": {"BOOL": False},
        "digest": {"S": digest_of(one)},
        "event_type": {"S": "image.uploaded"},
        "occurred_at": {"S": "2026-11-21T08:00:00.123456Z"},
        "arrived_at": {"N": "1795248000500"},
        "image": {
            "M": {
                "name": {"S": "Chapel"},
                "description": {"S": ""},
                "width": {"N": "1536"},
                "taken_at": {"S": "1814-01-01T00:00:00Z"},
                "tags": {"L": [{"S": "landscape"}, {"S": "sea"}]},
                "attributes": {"M": {"artist": {"S": "William Daniell"}}},
            }
        },
        "shard_id": {"S": "shardId-000000000000"},
        "sequence_number": {"S": one.sequence_number},
    }


def test_a_tombstone_has_no_image_and_an_end() -> None:
    one = change("T02680", 7, "image.deleted")
    after_the_horizon = 1_795_248_000 + 121 * 24 * 60 * 60
    assert item_from(one) == {
        "image_id": {"S": "T02680"},
        "version": {"N": "7"},
        "deleted": {"BOOL": True},
        "event_type": {"S": "image.deleted"},
        "occurred_at": {"S": "2026-11-21T08:00:00.123456Z"},
        "arrived_at": {"N": "1795248000500"},
        "expires_at": {"N": str(after_the_horizon)},
        "shard_id": {"S": "shardId-000000000000"},
        "sequence_number": {"S": one.sequence_number},
    }


def test_the_named_attributes_are_all_that_an_item_has() -> None:
    assert set(item_from(change())) == {KEY, *IMAGE_ATTRIBUTES}
    assert set(item_from(change(event_type="image.deleted"))) == {KEY, *TOMBSTONE_ATTRIBUTES}


@given(version=st.integers(1, MAX_VERSION), fields=images())
def test_an_item_gives_back_the_image_that_made_it(version: int, fields: dict[str, object]) -> None:
    one = change("T1", version, image=fields)
    assert change_in_item(item_from(one)) == one


@given(version=st.integers(1, MAX_VERSION))
def test_an_item_gives_back_the_deletion_that_made_it(version: int) -> None:
    one = change("T1", version, "image.deleted")
    assert change_in_item(item_from(one)) == one


def test_attributes_of_others_do_not_matter() -> None:
    foreign: dict[str, Value] = {"a": {"B": b"bytes"}, "b": {"NULL": True}, "c": {"SS": ["x"]}}
    assert change_in_item(item_from(change()) | foreign) == change()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("expires_at", {"N": "1"}, "an image: unexpected expires_at"),
        (
            "deleted",
            {"BOOL": True},
            "a tombstone: unexpected digest, image; missing expires_at",
        ),
        ("deleted", {"S": "no"}, "deleted"),
        ("deleted", {"N": "0"}, "deleted"),
        ("version", {"S": "7"}, "version"),
        ("version", {"N": "7.5"}, "7.5"),
        ("version", {"NULL": True}, "NULL"),
        ("image", {"M": {}}, "name"),
        ("image", {"M": {"name": {"S": "x"}, "artist": {"S": "y"}}}, "artist"),
        ("image", {"M": {"name": {"SS": ["x"]}}}, "SS"),
        ("event_type", {"S": "image.moved"}, "event_type"),
    ],
)
def test_an_item_that_we_never_wrote_is_told_apart(name: str, value: "Value", says: str) -> None:
    with pytest.raises(MalformedItemError, match=says):
        change_in_item(item_from(change()) | {name: value})


@pytest.mark.parametrize("name", ["version", "deleted", "digest", "image", "image_id"])
def test_an_item_that_lacks_something_is_told_apart(name: str) -> None:
    item = item_from(change())
    del item[name]
    with pytest.raises(MalformedItemError, match=f"missing {name}"):
        change_in_item(item)
