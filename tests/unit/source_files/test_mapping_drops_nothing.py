"""Mapping files drop nothing: what cannot be kept is refused, and names the record's field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.source_files.converters import FieldMapping, MappingError, parse_mapping
from shared.event import Event
from tests.unit.source_files.test_converters import converted, image_of, mapping, refusal


def of(by: FieldMapping, rest: bytes) -> Event:
    """The event of a record with an ID, a title, and this JSON."""
    found = converted(by, record(rest))
    assert isinstance(found, Event), found
    return found


def record(rest: bytes) -> bytes:
    return b'{"id":"A","title":"Thames",' + rest + b"}"


REST = mapping(rest="attributes")


@pytest.mark.parametrize(
    ("rest", "name"),
    [
        (b'"camera.maker": "Outer", "camera": {"maker": "Inner"}', "camera.maker"),
        (b'"camera": {"maker": "Inner"}, "camera.maker": "Outer"', "camera.maker"),
        (b'"colour": "red", "colour": "blue"', "colour"),
        (b'"colour" : "red",\t"col\\u006fur":"red"', "colour"),
        (b'"camera": {"maker": "A"}, "camera": {"lens": "B"}', "camera"),
        (b'"camera": {"maker": "A", "maker": "B"}', "camera.maker"),
        (b'"a": {"b.c": 1, "b": {"c": 2}}', "a.b.c"),
        (b'"people[].name": "A", "people": [{"name": "B"}]', "people[].name"),
        (b'"people": [{"name": "A", "name": "B"}]', "people[].name"),
        (b'"people": [{"a.b": "A", "a": {"b": "B"}}]', "people[].a.b"),
    ],
)
def test_a_field_that_is_there_twice_is_refused_by_its_name(rest: bytes, name: str) -> None:
    said = f"schema: field `{name}` is in the record twice, and only one value can be kept"
    assert refusal(REST, record(rest)).startswith(said)
    assert refusal(mapping(), record(rest)).startswith(said)
    mapped = mapping({name: "attributes.kept"}, rest="ignore")
    assert refusal(mapped, record(rest)).startswith(said)
    assert of(mapping(rest="ignore"), rest).image_id == "A"


def test_a_repeated_field_that_is_ignored_is_no_matter() -> None:
    assert of(mapping(ignore=["colour"]), b'"colour": "red", "colour": "blue"').image_id == "A"
    said = refusal(REST, b'{"id":"A","id":"B","title":"T"}')
    assert said.startswith("schema: field `id` is in the record twice")


@pytest.mark.parametrize(
    ("rest", "names"),
    [
        (b'"a.b": 1, "a_b": 2', "`a.b` and `a_b`"),
        (b'"a": {"b": 1}, "a_b": 2', "`a.b` and `a_b`"),
        (b'"a": {"b": 1}, "a[].b": 2', "`a.b` and `a[].b`"),
        (b'"a.b": 1, "a": [{"b": 1}]', "`a.b` and `a[].b`"),
    ],
)
def test_two_fields_that_become_one_attribute_are_refused_by_both_names(
    rest: bytes, names: str
) -> None:
    said = refusal(REST, record(rest))
    assert f"fields {names} are both mapped to `attributes.a_b`" in said


def test_a_field_of_the_rest_does_not_replace_a_mapped_one() -> None:
    by = mapping({"maker": "attributes.camera"}, rest="attributes")
    said = refusal(by, record(b'"maker": "Z", "camera": "Y"'))
    assert "fields `maker` and `camera` are both mapped to `attributes.camera`" in said
    by = mapping({"words": "tags"}, rest="attributes", more_tags="more")
    said = refusal(by, {"id": "A", "title": "T", "words": ["x"] * 65, "more": "y"})
    assert "fields `more` and `words` are both mapped to `attributes.more`" in said


@pytest.mark.parametrize("name", ["tms:id", "Height (cm)", "3d", "高さ", "", "x" * 65])
def test_a_field_that_cannot_name_an_attribute_is_refused_by_its_name(name: str) -> None:
    given: dict[str, Any] = {"id": "A", "title": "T", name: "c"}
    assert refusal(REST, given).startswith(f"schema: field `{name}` cannot be the name of an attri")
    assert isinstance(converted(mapping({name: "attributes.c"}), given), Event)
    assert isinstance(converted(mapping(ignore=[name]), given), Event)


@pytest.mark.parametrize(("name", "value"), [("note", "x" * 9000), ("a.note", "é" * 5000)])
def test_a_value_of_the_rest_that_is_too_long_is_refused_by_the_name_of_its_field(
    name: str, value: str
) -> None:
    said = refusal(REST, {"id": "A", "title": "T", "ok": "", name: value})
    assert "bytes of UTF-8, at most 8192" in said
    assert said.endswith(f"(field `{name}` of the record)")


def test_a_field_is_ignored_with_all_that_is_in_it() -> None:
    by = mapping(ignore=["etag", "camera", "people", "a.b"], rest="attributes")
    found = image_of(
        by, etag="x", camera={"maker": "Z"}, people=[{"name": "A"}], a={"b": 1, "c": 2}, cameras=3
    )
    assert found["attributes"] == {"a_c": "2", "cameras": "3"}
    assert "field `etags` is not in the mapping file" in refusal(
        mapping(ignore=["etag"]), {"id": "A", "title": "T", "etag": 1, "etags": 2}
    )


def test_a_mapped_field_inside_an_ignored_one_is_kept() -> None:
    by = mapping({"camera.maker": "attributes.maker"}, ignore=["camera"])
    assert image_of(by, camera={"maker": "Z", "lens": 1})["attributes"] == {"maker": "Z"}


def test_a_text_is_split_into_tags() -> None:
    by = mapping({"words": {"to": "tags", "split": ","}})
    assert list(image_of(by, words="sea, sand ,,harbour at dusk,")["tags"]) == [
        "sea",
        "sand",
        "harbour at dusk",
    ]
    assert list(image_of(by, words=["a,b", None, 3])["tags"]) == ["a", "b", "3"]
    assert list(image_of(by, words="")["tags"]) == []


def test_split_tags_over_the_limit_go_to_the_attribute() -> None:
    by = mapping({"words": {"to": "tags", "split": "|"}}, more_tags="more")
    found = image_of(by, words="|".join(map(str, range(66))))
    assert (len(found["tags"]), found["attributes"]) == (64, {"more": "64; 65"})


def test_a_field_of_the_objects_in_a_list_has_brackets() -> None:
    by = mapping({"people[].name": "tags"}, rest="attributes")
    people = [{"name": "Ann", "born": 1900}, {"name": None}, {"name": "Bo", "at": {"x": 1}}, "?"]
    found = image_of(by, people=people)
    assert list(found["tags"]) == ["Ann", "Bo"]
    assert found["attributes"] == {"people_born": "1900", "people_at_x": "1", "people": "?"}


def test_lists_in_the_objects_of_a_list_become_one_list() -> None:
    by = mapping({"makers[].roles[].name": "tags", "makers[].known_as": "attributes.names"})
    makers = [{"roles": [{"name": "a"}, {"name": "b"}]}, {"known_as": ["x", "y"]}, {"roles": []}]
    found = image_of(by, makers=makers)
    assert (list(found["tags"]), found["attributes"]) == (["a", "b"], {"names": "x; y"})


@pytest.mark.parametrize("people", [None, [], {}])
def test_a_list_without_objects_lacks_their_fields(people: Any) -> None:
    assert image_of(mapping({"people[].name": "tags"}), people=people) == {"name": "Thames"}


@pytest.mark.parametrize(("given", "name"), [({"a": {}}, "a"), ({"a": {"b": {}}}, "a.b")])
def test_an_empty_object_is_not_dropped(given: Any, name: str) -> None:
    attributes = {name.replace(".", "_"): ""}
    assert image_of(REST, **given)["attributes"] == attributes
    refused = refusal(mapping(), {"id": "A", "title": "T"} | given)
    assert f"field `{name}` is not in the mapping file" in refused
    # It has no value of a field that is mapped.
    assert image_of(mapping({f"{name}.c": "tags"}), **given) == {"name": "Thames"}


@pytest.mark.parametrize("held", [{"name": "A"}, [{"name": "A"}, {"name": "B"}]])
def test_objects_are_not_dropped_where_a_text_is_mapped(held: Any) -> None:
    given = {"id": "A", "title": "T", "people": held}
    inner = "people.name" if isinstance(held, dict) else "people[].name"
    by = {"people": "attributes.people"}
    assert f"map a field inside it, as `{inner}`" in refusal(mapping(by, rest="ignore"), given)
    assert f"field `{inner}` is not in the mapping file" in refusal(mapping(by), given)
    assert image_of(mapping(by, rest="attributes"), people=held)["attributes"] == {
        "people_name": "A" if isinstance(held, dict) else "A; B"
    }


def test_null_in_a_field_that_is_not_mapped_is_absent() -> None:
    assert image_of(mapping(), colour=None) == {"name": "Thames"}


def test_a_text_that_means_no_value_is_absent_on_wish() -> None:
    r"""Databases write `\N` (MySQL, PostgreSQL) or `NULL`."""
    record = {"w": "NULL", "at": "\\N", "words": "NULL", "note": "null", "other": "\\N"}
    fields = {"w": "width", "at": "taken_at", "words": "tags", "note": "attributes.note"}
    by = mapping(fields, absent=["NULL", "\\N"], defaults={"width": 3})
    assert image_of(by, **record) == {
        "name": "Thames",
        "width": 3,
        "attributes": {"note": "null"},
    }
    rest = mapping({"w": "width"}, absent=["NULL", "\\N"], rest="attributes")
    assert image_of(rest, **record)["attributes"] == {"note": "null"}
    kept = mapping(rest="attributes")
    assert image_of(kept, **record)["attributes"] == record


def test_lists_of_objects_have_the_same_limit_of_depth() -> None:
    deep: Any = {"x": 1}
    for _ in range(20):
        deep = [{"x": deep}]
    said = refusal(REST, msgspec.json.encode({"id": "A", "title": "T", "x": deep}))
    assert "nested deeper than 16" in said


@pytest.mark.parametrize(
    "text",
    [
        b'{"fields": {"id": "image_id", "t": "name", "t": "url"}}',
        b'{"fields": {}, "fields": {"id": "image_id", "t": "name"}}',
        b'{"fields": {"id": "image_id", "t": "name"}, "defaults": {"t": "a", "t": "b"}}',
    ],
)
def test_a_mapping_file_in_json_says_nothing_twice(text: bytes) -> None:
    with pytest.raises(MappingError, match=r"mapping mine: `(t|fields)` is there twice"):
        parse_mapping(text, "mine", is_json=True)


NAMES = st.sampled_from(["a", "b", "a.b", "a_b", "a[]", "a[].b", "Ä", "a b", "高", "id", "title"])
TEXTS = st.integers(1000, 9999).map(str) | st.integers(1000, 9999) | st.none()
OBJECTS = st.recursive(
    st.dictionaries(NAMES, TEXTS | st.lists(TEXTS), max_size=3),
    lambda inner: st.dictionaries(NAMES, TEXTS | inner | st.lists(inner | TEXTS), max_size=3),
    max_leaves=8,
)


@given(given_=OBJECTS, normalizes=st.booleans())
def test_every_value_of_a_record_is_kept_or_the_record_is_refused_by_a_field(
    given_: dict[str, Any], *, normalizes: bool
) -> None:
    by = mapping({"a.b": "tags"}, rest="attributes", normalize_names=normalizes)
    found = converted(by, {"id": "I", "title": "T"} | given_)
    if isinstance(found, Event):
        kept = str(msgspec.json.encode(found))
        assert [value for value in values_of(given_) if value not in kept] == []
    else:
        assert "field" in found.detail


def values_of(tree: Any) -> list[str]:
    """The numbers and texts in a tree."""
    match tree:
        case None:
            return []
        case dict():
            return [value for inner in tree.values() for value in values_of(inner)]
        case list():
            return [value for inner in tree for value in values_of(inner)]
        case _:
            return [str(tree)]
