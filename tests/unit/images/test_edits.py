"""Edits of an image: what they change, what they leave, and what they refuse in one line."""

import pytest

from lockstep.images.edits import Edit, EditError
from shared.event import Image

WAS = Image(
    name="Low tide",
    description="d",
    width=3,
    tags=("a", "b"),
    attributes={"artist": "X", "medium": "oil"},
)


def test_fields_tags_and_attributes_are_set_and_removed_and_all_else_stays() -> None:
    edit = Edit(
        {"name": "High tide", "width": "12", "attributes.artist": "Y=Z", "attributes.year": ""},
        unset=["description", "attributes.medium"],
        add_tags=["c", "a", "c"],
        remove_tags=["b", "never there"],
    )
    assert edit.edited(WAS) == Image(
        name="High tide", width=12, tags=("a", "c"), attributes={"artist": "Y=Z", "year": ""}
    )


def test_all_tags_or_attributes_are_removed_with_their_field() -> None:
    plain = Image(name="Low tide", description="d", width=3)
    assert Edit(unset=["tags", "attributes"]).edited(WAS) == plain
    one_by_one = Edit(unset=["attributes.artist", "attributes.medium"], remove_tags=["a", "b"])
    assert one_by_one.edited(WAS) == plain


def test_an_edit_of_what_is_so_already_changes_nothing() -> None:
    edit = Edit({"name": "Low tide"}, unset=["url", "attributes.none"], add_tags=["a"])
    assert edit.edited(WAS) == WAS
    empty = Image(name="Low tide", tags=(), attributes={})
    assert Edit({"name": "Low tide"}).edited(empty) == empty


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"values": {"nam": "x"}}, "an image has no field 'nam'"),
        ({"values": {"attributes.": "x"}}, "an image has no field 'attributes.'"),
        ({"unset": ["attribute.artist"]}, "and attributes.NAME"),
        ({"values": {"tags": "x"}}, "use --add-tag"),
        ({"values": {"attributes": "x"}}, "write attributes.NAME=VALUE"),
        ({"values": {"name": "x"}, "unset": ["name"]}, "name: set and removed at once"),
        ({"values": {"attributes.a": "x"}, "unset": ["attributes"]}, "attributes.a: set and"),
        ({"add_tags": ["x"], "remove_tags": ["x"]}, "x: set and removed at once"),
        ({"add_tags": ["x"], "unset": ["tags"]}, "tags: set and removed at once"),
    ],
)
def test_what_contradicts_itself_or_names_no_field_is_refused(
    edit: dict[str, object], says: str
) -> None:
    with pytest.raises(EditError, match=says):
        Edit(**edit)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (Edit({"name": ""}), "name: .*empty"),
        (Edit({"width": "12.5"}), "width: expected an integer"),
        (Edit({"width": "-1"}), "width: -1 is out of range"),
        (Edit({"width": "٣"}), "width: expected an integer"),
        (Edit({"width": str(2**53)}), "width: .*write at most 9007199254740991"),
        (Edit({"width": "9" * 5_000}), "width: expected an integer"),
        (Edit({"taken_at": "yesterday"}), r"taken_at: .*: 2026-11-21T08:00:00Z$"),
        (Edit({"attributes.1x": "y"}), '"1x" cannot be the name of an attribute'),
        (Edit(unset=["name"]), "missing required field `name`"),
        (Edit({"url": "x" * 8_193}), "url.*8192|8193"),
        (Edit({"url": "\u00e4" * 5_000}), "10000 bytes of UTF-8, at most 8192"),
        (Edit({"name": "\udce9"}), "lone surrogate"),
        (Edit(add_tags=[str(number) for number in range(63)]), "tags"),
    ],
)
def test_the_rules_for_events_refuse_a_bad_value_and_say_why(edit: Edit, says: str) -> None:
    with pytest.raises(EditError, match=says):
        edit.edited(WAS)
