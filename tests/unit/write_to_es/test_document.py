"""The index document and its mapping: everything an image may carry has its place."""

from typing import Any

import msgspec

from functions.write_to_es.document import Attribute, Document, document_from
from functions.write_to_es.index import definition
from shared.event import Image
from tests.builders import change, image


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
