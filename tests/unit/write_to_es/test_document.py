"""The index document and the index mapping: both have every field of an image."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_es.document import (
    FIELDS,
    MalformedDocumentError,
    Pair,
    change_in_document,
    document_from,
)
from functions.write_to_es.index import definition
from shared.change import Put, change_from, digest_of
from shared.event import Image, digest
from tests.builders import change, decoded, image, record
from tests.images import TIMES, images, whole_image


def test_the_index_mapping_has_every_field_of_the_document_and_no_other() -> None:
    properties = definition()["mappings"]["properties"]
    assert set(FIELDS) == properties.keys() - {"everything"}
    assert set(Pair.__struct_fields__) == set(properties["attributes"]["properties"])


def test_the_document_of_a_whole_image_has_every_field_of_an_image() -> None:
    document = document_from(change("T1", 7, image=whole_image()))
    assert document.keys() == set(FIELDS) - {"expires_at"}
    assert set(Image.__struct_fields__) <= document.keys()


def test_a_document_is_indexed_as_these_very_bytes() -> None:
    one = change("T1", 7, image=image("x", width=3, tags=["a"], attributes={"artist": "y"}))
    assert msgspec.json.encode(document_from(one)).decode() == (
        '{"image_id":"T1","version":7,"deleted":false,"event_type":"image.uploaded",'
        '"occurred_at":"2026-11-21T08:00:00.123456Z","arrived_at":1795248000500,'
        f'"digest":"{digest_of(one)}","name":"x","width":3,"tags":["a"],'
        '"attributes":[{"name":"artist","value":"y"}]}'
    )


def test_no_field_is_added_by_itself() -> None:
    mappings = definition()["mappings"]
    assert mappings["dynamic"] == mappings["properties"]["attributes"]["dynamic"] == "strict"


def test_the_fields_of_an_image_are_at_the_top_and_attributes_become_pairs() -> None:
    fields = whole_image()
    del fields["attributes"]
    attributes = {"artist": "y", "name": "z"}
    made = document_from(change("T1", 7, image={**fields, "attributes": attributes}))
    document = msgspec.json.decode(msgspec.json.encode(made))
    pairs = [{"name": "artist", "value": "y"}, {"name": "name", "value": "z"}]
    assert {name: document[name] for name in fields} == fields
    assert document["attributes"] == pairs
    assert "expires_at" not in document


def test_absent_and_empty_stay_apart() -> None:
    absent = document_from(change("T1", 1, image=image("x")))
    empty = document_from(change("T1", 1, image=image("x", tags=[], attributes={}, url="")))
    assert not absent.keys() & {"tags", "attributes", "url"}
    assert (empty["url"], list(empty["tags"]), empty["attributes"]) == ("", [], [])


def test_a_tombstone_keeps_id_and_version_and_nothing_of_the_image() -> None:
    tombstone = document_from(change("T1", 7, "image.deleted"))
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
    return document_from(change("T1", 3, "image.deleted"))


def of_an_image(**fields: Any) -> dict[str, Any]:
    return document_from(change("T1", 3, image=image("n", **fields)))


HEADS = {
    "image_id": st.just("T1"),
    "version": st.integers(1, 10**15),
    "occurred_at": TIMES,
}
EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["image.uploaded", "image.updated"]), **HEADS, "image": images()}
) | st.fixed_dictionaries({"type": st.just("image.deleted"), **HEADS})


@given(EVENTS)
def test_a_document_gives_back_the_whole_change_but_for_its_place_in_the_stream(
    event: dict[str, Any],
) -> None:
    """So a table that lost an image can get it from the index; with the very same digest."""
    before = change_from(decoded(event), record())
    after = change_in_document(msgspec.json.decode(msgspec.json.encode(document_from(before))))
    there = {"shard_id": before.shard_id, "sequence_number": before.sequence_number}
    assert msgspec.structs.replace(after, **there) == before
    if isinstance(after, Put):
        assert digest(after.image) == after.digest
    assert (after.shard_id, after.sequence_number) == ("restored-from-the-index", "0")


def test_fields_of_others_beside_ours_do_not_matter() -> None:
    assert change_in_document(of_an_image() | {"embedding": [0.1]}) == change_in_document(
        of_an_image()
    )


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({}, "image_id"),
        (of_an_image() | {"version": "3"}, "version"),
        (of_an_image() | {"name": ""}, ">= 1"),
        (of_an_image() | {"taken_at": "yesterday"}, "RFC3339"),
        (of_an_image() | {"attributes": [{"name": "a"}]}, "value"),
        (of_an_image() | {"expires_at": 1}, "an image: unexpected expires_at"),
        (tombstone() | {"name": "n"}, "a tombstone: unexpected name"),
        (tombstone() | {"digest": "d"}, "unexpected digest"),
        ({**of_an_image(), "digest": None}, "digest"),
        ({name: value for name, value in of_an_image().items() if name != "digest"}, "digest"),
        ({name: value for name, value in of_an_image().items() if name != "name"}, "name"),
        (
            {name: value for name, value in tombstone().items() if name != "expires_at"},
            "missing expires_at",
        ),
    ],
)
def test_what_no_change_of_ours_makes_is_malformed(source: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedDocumentError, match=re.escape(says)):
        change_in_document(source)
