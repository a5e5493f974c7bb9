"""What a store holds, as fields: the same for an item and a document, readable if malformed."""

from typing import Any

import msgspec
import pytest

from functions.write_to_es.document import document_from
from lockstep.images.held import fields_of, held_in_document, held_in_item, side_by_side
from shared.change import Change
from shared.horizon import HORIZON
from shared.item import item_from
from tests.builders import ARRIVED_AT, change, image

NOW = ARRIVED_AT / 1000 + 60
WHOLE = image("Low tide", tags=["a", "b"], width=3, attributes={"artist": "X", "medium": "oil"})


def document_of(one: Change, **fields: Any) -> dict[str, Any]:
    source = msgspec.json.decode(msgspec.json.encode(document_from(one))) | fields
    return {"_id": one.image_id, "_version": one.version, "found": True, "_source": source}


def test_an_item_and_its_document_have_the_same_fields_but_for_the_provenance() -> None:
    one = change("i-1", 7, image=WHOLE)
    in_table = fields_of(held_in_item(item_from(one), now=NOW))
    in_index = fields_of(held_in_document(document_of(one), now=NOW))
    assert in_table.keys() - in_index.keys() == {"shard_id", "sequence_number"}
    assert in_table | in_index == in_table
    assert in_index["attributes.artist"] == "X"
    assert (in_index["state"], in_index["tags"], in_index["width"]) == ("image", ["a", "b"], 3)


def test_stores_that_saw_two_records_of_one_event_are_equal_and_nothing_is_marked() -> None:
    first = change("i-1", 7, image=WHOLE)
    second = msgspec.structs.replace(first, arrived_at=ARRIVED_AT + 5, sequence_number="9")
    found = side_by_side(item_from(first), document_of(second), now=NOW)
    assert (found.difference, found.differs) == (None, [])


def test_each_field_that_differs_is_named_and_no_other() -> None:
    ours = change("i-1", 7, image=WHOLE)
    other = WHOLE | {"width": 4, "attributes": {"artist": "Y", "medium": "oil"}}
    theirs = change("i-1", 7, "image.updated", image=other)
    found = side_by_side(item_from(ours), document_of(theirs), now=NOW)
    assert found.difference == "conflict"
    assert set(found.differs) == {"event_type", "digest", "width", "attributes.artist"}


def test_in_a_malformed_document_only_what_differs_is_marked() -> None:
    one = change("i-1", 7, image=WHOLE)
    found = side_by_side(item_from(one), document_of(one, name="by hand"), now=NOW)
    assert found.difference == "malformed"
    assert set(found.differs) == {"state", "malformed", "name"}


def test_a_moved_version_is_shown_although_each_field_is_equal() -> None:
    one = change("i-1", 7, image=WHOLE)
    found = side_by_side(item_from(one), document_of(one) | {"_version": 8}, now=NOW)
    assert (found.difference, found.differs) == ("index_version_moved", ["checked_version"])


def test_if_one_store_has_nothing_only_the_state_differs() -> None:
    one = change("i-1", 7, image=WHOLE)
    found = side_by_side(item_from(one), None, now=NOW)
    assert (found.difference, found.differs) == ("missing_in_index", ["state"])
    ended = change("i-1", 7, "image.deleted")
    later = NOW + HORIZON.total_seconds()
    found = side_by_side(item_from(ended), document_of(one), now=later)
    assert (found.difference, found.differs) == ("missing_in_table", ["state"])
    assert found.table is not None
    assert found.table.state == "expired_tombstone"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ({"M": {"name": {"N": "12"}, "width": {"N": "1.5"}}}, {"name": 12, "width": "1.5"}),
        ({"M": {"tags": {"SS": ["b", "a"]}}}, {"tags": ["a", "b"]}),
        ({"M": {"name": {"B": b"\x00"}}}, {"name": "AA=="}),
        ({"M": {"attributes": {"L": [{"BOOL": True}]}}}, {"attributes": [True]}),
        ({"S": "a text"}, {"image": "a text"}),
    ],
)
def test_what_is_in_a_malformed_item_can_be_read_and_printed(
    stored: dict[str, Any], shown: dict[str, Any]
) -> None:
    item: dict[str, Any] = {**item_from(change("i-1", 7)), "image": stored}
    held = held_in_item(item, now=NOW)
    assert (held.state, held.version) == ("malformed", 7)
    printed = msgspec.json.decode(msgspec.json.encode(fields_of(held)))
    assert shown.items() <= printed.items()


def test_the_arrival_of_a_document_that_states_none_is_unknown() -> None:
    written_by_hand = {"_id": "T1", "_version": 3, "_source": {"name": "Sunset"}}
    assert fields_of(held_in_document(written_by_hand, now=NOW))["arrived_at"] == "unknown"


def test_attributes_of_a_malformed_document_that_are_no_pairs_are_shown_as_they_are() -> None:
    one = change("i-1", 7, image=WHOLE)
    held = held_in_document(document_of(one, attributes=[{"name": "artist"}]), now=NOW)
    assert held.state == "malformed"
    assert fields_of(held)["attributes"] == [{"name": "artist"}]
    pairs = [{"name": "artist", "value": 1}]
    assert (
        fields_of(held_in_document(document_of(one, attributes=pairs), now=NOW))[
            "attributes.artist"
        ]
        == 1
    )
