"""The index document and its mapping: everything an image may carry has its place."""

import datetime as dt
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from functions.write_to_es.document import (
    Attribute,
    Document,
    MalformedDocumentError,
    change_in,
    document_from,
)
from functions.write_to_es.index import definition
from shared.change import Put, change_from
from shared.event import MAX_VERSION, Event, Image, decode, digest, encode
from tests.builders import HORIZON, change, image, record


def test_the_mapping_knows_every_field_of_the_document_and_no_other() -> None:
    properties = definition()["mappings"]["properties"]
    assert set(Document.__struct_fields__) == properties.keys() - {"everything"}
    assert set(Attribute.__struct_fields__) == set(properties["attributes"]["properties"])


def test_the_document_has_a_place_for_every_field_of_an_image() -> None:
    assert set(Image.__struct_fields__) <= set(Document.__struct_fields__)


def test_no_field_ever_comes_by_itself() -> None:
    mappings = definition()["mappings"]
    assert mappings["dynamic"] == mappings["properties"]["attributes"]["dynamic"] == "strict"


def test_what_the_image_says_is_said_at_the_top_and_users_fields_become_pairs() -> None:
    fields: dict[str, Any] = {
        "description": "d",
        "url": "s3://pictures/T1.jpg",
        "content_type": "image/jpeg",
        "size_bytes": 2**53 - 1,
        "width": 0,
        "height": 1,
        "checksum": "sha256:00",
        "uploaded_by": "u-117",
        "taken_at": "1831-07-01T12:00:00+01:15",
        "tags": ["landscape"],
    }
    one = change("T1", 7, image=image("x", **fields, attributes={"artist": "y", "name": "z"}))
    document = msgspec.to_builtins(document_from(one))
    pairs = [{"name": "artist", "value": "y"}, {"name": "name", "value": "z"}]
    assert {name: document[name] for name in fields} == fields | {"tags": ("landscape",)}
    assert list(document["attributes"]) == pairs
    assert document["name"] == "x"
    assert "expires_at" not in document


def test_absent_and_empty_stay_apart() -> None:
    absent = document_from(change("T1", 1, image=image("x")))
    empty = document_from(change("T1", 1, image=image("x", tags=[], attributes={}, url="")))
    assert not msgspec.to_builtins(absent).keys() & {"tags", "attributes", "url"}
    assert msgspec.json.decode(msgspec.json.encode(empty)).items() >= {"url": ""}.items()
    assert (empty.tags, empty.attributes) == ((), ())


def test_a_tombstone_keeps_what_guards_and_nothing_of_the_image() -> None:
    tombstone = msgspec.to_builtins(document_from(change("T1", 7, "image.deleted")))
    assert tombstone.keys() == {
        "image_id",
        "version",
        "deleted",
        "event_type",
        "occurred_at",
        "arrived_at",
        "expires_at",
    }
    assert tombstone["deleted"] is True


def tombstone() -> dict[str, Any]:
    return dict(msgspec.to_builtins(document_from(change("T1", 3, "image.deleted"))))


def of_an_image(**fields: Any) -> dict[str, Any]:
    return dict(msgspec.to_builtins(document_from(change("T1", 3, image=image("n", **fields)))))


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ZONES = st.integers(-14 * 60, 14 * 60).map(
    lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))
)
TIMES = st.datetimes(timezones=ZONES)
IMAGES = st.builds(
    Image,
    name=TEXT.filter(bool),
    **{name: TEXT | st.just(UNSET) for name in ("description", "url", "content_type", "checksum")},
    **dict.fromkeys(
        ("size_bytes", "width", "height"), st.integers(0, MAX_VERSION) | st.just(UNSET)
    ),
    uploaded_by=TEXT | st.just(UNSET),
    taken_at=TIMES | st.just(UNSET),
    tags=st.lists(TEXT, max_size=4).map(tuple) | st.just(UNSET),
    attributes=st.dictionaries(
        st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,9}", fullmatch=True), TEXT, max_size=4
    )
    | st.just(UNSET),
)
EVENTS = st.builds(
    Event,
    type=st.sampled_from(["image.uploaded", "image.updated"]),
    image_id=st.just("T1"),
    version=st.integers(1, 10**15),
    occurred_at=TIMES,
    image=IMAGES,
) | st.builds(
    Event,
    type=st.just("image.deleted"),
    image_id=st.just("T1"),
    version=st.integers(1, 10**15),
    occurred_at=TIMES,
)


@given(EVENTS)
def test_a_document_gives_back_the_whole_change_but_for_its_place_in_the_stream(
    event: Event,
) -> None:
    """So a table that lost an image can get it from the index; with the very same digest."""
    before = change_from(decode(encode(event)), record(), horizon=HORIZON)
    after = change_in(msgspec.json.decode(msgspec.json.encode(document_from(before))))
    there = {"shard_id": before.shard_id, "sequence_number": before.sequence_number}
    assert msgspec.structs.replace(after, **there) == before
    if isinstance(after, Put):
        assert digest(after.image) == after.digest
    assert (after.shard_id, after.sequence_number) == ("restored-from-the-index", "0")


def test_fields_of_others_beside_ours_do_not_matter() -> None:
    assert change_in(of_an_image() | {"embedding": [0.1]}) == change_in(of_an_image())


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "image_id"),
        (of_an_image() | {"version": "3"}, "version"),
        (of_an_image() | {"name": ""}, ">= 1"),
        (of_an_image() | {"taken_at": "yesterday"}, "RFC3339"),
        (of_an_image() | {"attributes": [{"name": "a"}]}, "value"),
        (of_an_image() | {"expires_at": 1}, "expires_at too much"),
        (tombstone() | {"name": "n"}, "a tombstone, with name too much"),
        (tombstone() | {"digest": "d"}, "digest too much"),
        ({**of_an_image(), "digest": None}, "digest"),
        ({name: value for name, value in of_an_image().items() if name != "digest"}, "digest"),
        ({name: value for name, value in of_an_image().items() if name != "name"}, "name"),
        (
            {name: value for name, value in tombstone().items() if name != "expires_at"},
            "expires_at is missing",
        ),
    ],
)
def test_what_no_change_of_ours_makes_is_malformed(source: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedDocumentError, match=re.escape(says)):
        change_in(source)
