"""Converters: records of any shape become events, and no field is lost silently."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.converters import (
    FieldMapping,
    MappingError,
    load_mapping,
    parse_mapping,
)
from lockstep.source_files.records import lines
from shared.event import MAX_TAGS, Event
from tests.unit.producer.scripted_stream import NOON

TATE = Path(__file__).parents[3] / "data" / "tate-2000.ndjson"


def mapping(fields: dict[str, Any] | None = None, **rest: Any) -> FieldMapping:
    tree = {"fields": {"id": "image_id", "title": "name"} | (fields or {}), **rest}
    return parse_mapping(msgspec.json.encode(tree), "mine.json", is_json=True)


def converted(by: FieldMapping, record: dict[str, Any] | bytes) -> Event | BadLine:
    given = record if isinstance(record, bytes) else msgspec.json.encode(record)
    (found,) = read_events([given], Stamp(lambda: NOON), by)
    return found


def image_of(mapping_: FieldMapping, /, **record: Any) -> dict[str, Any]:
    """The image that a record is converted into, as JSON."""
    found = converted(mapping_, {"id": "A", "title": "Thames"} | record)
    assert isinstance(found, Event), found
    tree: dict[str, Any] = msgspec.to_builtins(found.image)
    return tree


def refusal(by: FieldMapping, record: dict[str, Any] | bytes) -> str:
    found = converted(by, record)
    assert isinstance(found, BadLine), found
    assert found.line == 1
    return f"{found.reason}: {found.detail}"


@pytest.mark.parametrize(
    ("record", "field"),
    [
        ({"accession": "A 1", "title": "T"}, "accession"),
        ({"title": "T"}, "accession"),
        ({"accession": "A", "title": ""}, "title"),
        ({"accession": "A", "title": None}, "title"),
        ({"accession": "A", "title": "é" * 5000}, "title"),
        ({"accession": "A", "title": "T", "subjects": ["sea", "é" * 5000]}, "subjects"),
        ({"accession": "A", "title": "T", "medium": "é" * 5000}, "medium"),
    ],
)
def test_an_error_names_the_field_of_the_record(record: dict[str, Any], field: str) -> None:
    assert refusal(load_mapping("tate"), record).endswith(f"(field `{field}` of the record)")


def test_an_error_names_no_field_where_none_is_wrong() -> None:
    rest = mapping(rest="attributes")
    assert refusal(rest, b"[]").endswith("send one JSON object per record")


def test_all_tate_records_become_events_with_every_field() -> None:
    tate = load_mapping("tate")
    with TATE.open("rb") as file:
        events = list(read_events(lines(file), Stamp(), tate))
    records = [msgspec.json.decode(line) for line in TATE.read_bytes().splitlines()]
    assert len(events) == len(records) == 2000
    for event, record in zip(events, records, strict=True):
        assert isinstance(event, Event), event
        assert event.type == "image.uploaded"
        found = msgspec.to_builtins(event)["image"]
        assert event.image_id == record.pop("accession")
        assert found.pop("name") == record.pop("title")
        assert found.pop("url", None) == record.pop("thumbnail", None)
        assert list(found.pop("tags", [])) == record.pop("subjects", [])
        assert found.pop("attributes") == {name: str(value) for name, value in record.items()}
        assert found == {}


def test_tags_over_the_limit_go_to_an_attribute() -> None:
    subjects = [f"subject {number}" for number in range(70)]
    found = converted(load_mapping("tate"), {"accession": "A", "title": "T", "subjects": subjects})
    assert isinstance(found, Event)
    tree = msgspec.to_builtins(found)["image"]
    assert list(tree["tags"]) == subjects[:64]
    assert tree["attributes"]["more_subjects"].split("; ") == subjects[64:]


def test_the_limit_on_tags_is_the_validators() -> None:
    full = converted(
        mapping({"words": "tags"}), {"id": "A", "title": "T", "words": ["x"] * MAX_TAGS}
    )
    assert isinstance(full, Event)
    assert "$.image.tags: 65 tags, at most 64: remove some" in refusal(
        mapping({"words": "tags"}), {"id": "A", "title": "T", "words": ["x"] * (MAX_TAGS + 1)}
    )


def test_a_title_with_newlines_and_quotes_is_unchanged() -> None:
    title = '‘So’,\n"she" said\t— \u2028 é'
    assert image_of(mapping(), title=title)["name"] == title


def test_values_become_strings_unchanged() -> None:
    fields = {"a": "attributes.a", "b": "attributes.b", "c": "attributes.c", "d": "attributes.d"}
    record = b'{"id":12,"title":1.10,"a":123456789012345678901234567890,"b":true,"c":[1,null,"x"]}'
    found = converted(mapping(fields), record)
    assert isinstance(found, Event)
    assert found.image_id == "12"
    tree = msgspec.to_builtins(found)["image"]
    assert tree["name"] == "1.10"
    assert tree["attributes"] == {"a": "123456789012345678901234567890", "b": "true", "c": "1; x"}


SIZED = mapping({"w": "width", "revision": "version"})


@pytest.mark.parametrize(
    ("written", "width"),
    [("640", 640), ("\u00a0640\n", 640), ("0640", 640), ("640.0", 640), ("640.00", 640), ("+7", 7)],
)
def test_a_number_may_be_a_string(written: str, width: int) -> None:
    found = converted(SIZED, {"id": "A", "title": "T", "w": written, "revision": "7"})
    assert isinstance(found, Event)
    assert found.version == 7
    assert msgspec.to_builtins(found)["image"]["width"] == width


@pytest.mark.parametrize(
    "written",
    [
        *("1,024", "1.024", "1.000", "1 024", "1\u202f024", "1'024", "640 px", "640.5", "640,0"),
        *("1e3", "NULL", "\\N", "#N/A", "-", "", " ", "٣", "9" * 5000, "wide"),
    ],
)
def test_a_string_that_is_no_whole_number_is_refused_by_its_field(written: str) -> None:
    said = refusal(SIZED, {"id": "A", "title": "T", "w": written})
    assert said.startswith(f"schema: field `w`: `{written[:20]}")
    assert said.endswith(
        "is not a whole number: write only digits, without separators, unit or fraction (1024); if "
        "there is no number, write nothing"
    )


def test_a_number_that_is_no_whole_number_is_refused_by_the_validator() -> None:
    decimal = refusal(SIZED, {"id": "A", "title": "T", "w": 1.0})
    assert decimal.startswith("decimal_point: $.image.width: the number is not written as an")
    negative = refusal(SIZED, {"id": "A", "title": "T", "w": "-3"})
    assert "$.image.width: -3 is out of range: write at least 0" in negative


@pytest.mark.parametrize("rest", ["refuse", "attributes", "ignore"])
def test_an_object_around_the_records_is_named(rest: str) -> None:
    whole = {"total": 1, "data": {"images": [{"id": "A", "title": "T"}]}}
    said = refusal(mapping(rest=rest), whole)
    assert said == (
        "schema: the record has no field of the mapping file: if the records are the objects "
        "inside `data.images`, give each object as a record, or an array of them"
    )
    constant = mapping(rest="ignore", defaults={"image_id": "A", "name": "T"})
    assert isinstance(converted(constant, whole), Event)


def test_an_absent_field_and_null_take_the_default() -> None:
    by = mapping({"by": "uploaded_by"}, defaults={"uploaded_by": "nobody", "width": 3})
    assert image_of(by)["uploaded_by"] == "nobody"
    assert image_of(by, by=None)["uploaded_by"] == "nobody"
    assert image_of(by, by="me") == {"name": "Thames", "uploaded_by": "me", "width": 3}


def test_fields_inside_objects_have_dotted_names() -> None:
    by = mapping({"exif.at": "taken_at", "exif.lens.maker": "attributes.lens"}, rest="attributes")
    found = image_of(
        by, exif={"at": "2026-01-01T00:00:00Z", "lens": {"maker": "Z", "mm": 50}, "iso": 100}
    )
    assert found["taken_at"] == "2026-01-01T00:00:00Z"
    assert found["attributes"] == {"lens": "Z", "exif_lens_mm": "50", "exif_iso": "100"}


def test_a_single_string_is_one_tag() -> None:
    assert list(image_of(mapping({"word": "tags"}), word="sea")["tags"]) == ["sea"]


def test_an_unmapped_field_is_refused_unless_the_mapping_file_says_otherwise() -> None:
    record = {"id": "A", "title": "Thames", "colour": "red"}
    assert "schema: field `colour` is not in the mapping file: add it under" in refusal(
        mapping(), record
    )
    assert image_of(mapping(rest="attributes"), colour="red")["attributes"] == {"colour": "red"}
    assert image_of(mapping(rest="ignore"), colour="red") == {"name": "Thames"}


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (b"[1]", "schema: the record is an array"),
        (b"no", "not_json: "),
        (b'{"id":"\xff"}', "not_utf8: "),
        (rb'{"id":"\ud800"}', "not_json: "),
        (b'{"title":"T"}', "missing required field `image_id`: add it"),
        (b'{"id":"A"}', "missing required field `name`"),
        (b'{"id":"a b","title":"T"}', "id_characters: $.image_id: "),
        (b'{"id":"A","title":[[{}]]}', "field `title` has objects in a list of lists"),
        (b'{"id":"A","title":"T","creator":"x"}', "both mapped to `attributes.creator`"),
        (
            b'{"id":"A","title":"T","a b":"x"}',
            "field `a b` cannot be the name of an attribute (first a Latin",
        ),
        (b'{"id":"A","title":"T","x":' + b'{"x":' * 50 + b"1" + b"}" * 51, "nested deeper than"),
    ],
)
def test_the_error_says_why_a_record_cannot_be_converted(record: bytes, says: str) -> None:
    by = mapping({"artist": "attributes.creator"}, rest="attributes", defaults={})
    if b"creator" in record:
        record = record[:-1] + b',"artist":"y"}'
    assert says in refusal(by, record)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "there is no table [fields]: add it"),
        (b"[fields", "mapping mine.toml: "),
        (b'fields = "x"', "`fields` must be a table"),
        (b'ignore = "etag"\n[fields]\n', '`ignore` must be a list of texts: ["a", "b"]'),
        (b"absent = [1]\n[fields]\n", '`absent` must be a list of texts: ["a", "b"]'),
        (b'normalize_names = "yes"\n[fields]\n', "`normalize_names` must be true or false"),
        (b"more_tags = 1\n[fields]\n", "`more_tags` must be a text in quotes"),
        (b'[fields]\nt={to="taken_at",formats="iso"}', "field `t`: `formats` must be a list of te"),
        (b'[fields]\nt={to="taken_at",zone=1}', "field `t`: `zone` must be a text in quotes"),
        (b"[fields]\nt={to=1}", "field `t`: `to` must be a text in quotes or a list of texts"),
        (b"[fields]\nt = name\n", 'line 2, column 5: write a text in double quotes: "name"'),
        (b'[fields]\nt="a"\nt="b"\n', "a name is there twice: keep one of them"),
        (b"[fields]\n[fields]\n", "a table is there twice: keep one of them"),
        ('[fields]\nGröße="width"\n'.encode(), "with quotes around a name that has other signs"),
        (b'[fields]\nHeight (cm)="height"\n', "line 2, column 8: write NAME = "),
        (b'[fields]\nNo. = "image_id"\n', "with quotes around a name"),
        (b'[fields]\n= "image_id"\n', "write NAME = "),
        (b'absent = ["\\N"]\n', "write a text with a backslash in single quotes: '\\N'"),
        (b'[fields]\nt="name', "end of the file: a text has no quotation mark at its end"),
        (b'ignore = ["a"', "a bracket is not closed: close it"),
        (b'[fields]\nt="name",\n', "line 2, column 9: write one setting per line"),
        (b"\xff", "mapping mine.toml: "),
        (b'[fields]\nid="image_id"\n', "nothing sets `name`"),
        (b'[fields]\nt="name"\n', "nothing sets `image_id`"),
        (b'[fields]\nid="image_id"\nt="title"\n', "no event field `title`; use "),
        (b'[fields]\nid="image_id"\nt="name"\nu="name"\n', "2 fields are mapped to `name`"),
        (b'[fields]\nid="image_id"\nexif.t="name"\n', 'in quotes: "exif.t" = ...'),
        (b'[fields]\nid="image_id"\nt={}\n', 'in quotes: "t.NAME" = ...'),
        (b'[fields]\nid="image_id"\nt={to="title"}\n', "no event field `title`; use "),
        (
            b'[fields]\nid="image_id"\nt={to="name",cut=1}\n',
            "field `t`: there is no option `cut`: use ",
        ),
        (b'[fields]\nid="image_id"\nt="title"\n', "field `t`: no event field `title`; use "),
        (b'[fields]\nt="name"\n[defaults]\nid=1\n', "[defaults]: no event field `id`; use "),
        (b'rset="ignore"\n[fields]\n', "no setting `rset`: use fields, defaults, "),
        (b'[fields]\nid={to="image_id",id="md5"}\n', '`id` is \'md5\': use "escape" or "hash"'),
        (b'[fields]\nt="name"\nignore=["x"]\n', "`ignore` is under [fields]: write it above "),
        (b'[fields]\nt="name"\nrest="attributes"\n', "`rest` is under [fields]: write it above "),
        (b"[fields]\nt=5\n", "field `t`: write the event field in quotes"),
        (b'[fields]\nid="image_id"\nt={to="name",split=","}\n', "only for `tags`"),
        (b'[fields]\nid="image_id"\nt="name"\nk={to="tags",split=""}\n', "field `k`: `split`"),
        (b'[fields]\nid="image_id"\nt="name"\nk="attributes.a b"\n', "`a b` cannot be the name"),
        (b'more_tags="a b"\n[fields]\nid="image_id"\nt="name"\n', "`a b` cannot be the name"),
        (b'ignore=["t"]\n[fields]\nid="image_id"\nt="name"\n', "`t` is under [fields] and in `ig"),
        (b'rest="drop"\n[fields]\nid="image_id"\nt="name"\n', "`rest` is 'drop': use \"refuse\", "),
    ],
)
def test_the_error_says_in_one_line_why_a_mapping_file_is_invalid(text: bytes, says: str) -> None:
    with pytest.raises(MappingError) as caught:
        parse_mapping(text, "mine.toml", is_json=False)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("default", "says"),
    [
        ('width = "x"', "$.image.width: expected an integer, got a string: write an integer"),
        ('width = "7"', '$.image.width: the number is in quotes: write 7 instead of "7"'),
        ("height = -1", "$.image.height: -1 is out of range: write at least 0"),
        ("version = 0", "$.version: 0 is out of range: write at least 1"),
        ('taken_at = "2022-07-05"', '$.image.taken_at: "2022-07-05" is not a time: write a time'),
        ('tags = "sea"', "$.image.tags: expected an array, got a string: write an array"),
        ("name = 7", "$.image.name: expected a string, got an integer: write a string"),
        ('image_id = "a b"', '$.image_id: "a b" has " ": use only Latin letters'),
        ('type = "image.new"', '$.type: "image.new" is unknown: use image.uploaded'),
        ('"attributes.note" = 3', "$.image.attributes.note: expected a string, got an integer"),
        ('uploaded_by = ["a"]', "$.image.uploaded_by: expected a string, got an array"),
        ("width = 1.5", "the value of `width` must be a text in quotes, an integer, or a list of"),
        ("width = true", "the value of `width` must be a text in quotes, an integer, or a list of"),
        ("tags = [1]", "the value of `tags` must be a text in quotes, an integer, or a list of te"),
        ("taken_at = 2022-07-05T00:00:00Z", "the value of `taken_at` must be a text in quotes"),
    ],
)
def test_a_default_that_no_event_can_have_is_refused_with_the_mapping_file(
    default: str, says: str
) -> None:
    """Before, each record was refused, without a word about [defaults]."""
    text = f'[fields]\nid = "image_id"\nt = "name"\n[defaults]\n{default}\n'
    with pytest.raises(MappingError, match=r"^mapping mine\.toml: \[defaults\]: ") as caught:
        parse_mapping(text.encode(), "mine.toml", is_json=False)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[]", r" is no JSON object: write \{\.\.\.\}"),
        (b'"x"', r" is no JSON object: write \{\.\.\.\}"),
        (b'{"fields": {', r": the JSON ends too early \(byte 12, near .*\): complete it"),
        (b'{"fields": {"a": "name",}}', ": a comma has nothing after it"),
        (b"{'fields': {}}", ": a name is not in double quotes"),
    ],
)
def test_a_mapping_file_in_json_is_an_object(text: bytes, says: str) -> None:
    with pytest.raises(MappingError, match=f"^mapping mine{says}"):
        parse_mapping(text, "mine", is_json=True)


def test_a_mapping_file_is_built_in_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[fields]\nid = "image_id"\ntitle = "name"\n')
    assert load_mapping(str(path)) == mapping()
    path.with_suffix(".json").write_text('{"fields": {"id": "image_id", "title": "name"}}')
    assert load_mapping(str(path.with_suffix(".json"))) == mapping()
    assert load_mapping("tate").fields["accession"] == "image_id"
    for missing in ("tete", "gone.toml", "../mappings/tate", ""):
        with pytest.raises(MappingError, match=r"use .*the path of a \.toml or"):
            load_mapping(missing)


def test_the_example_in_the_documentation_gives_the_documented_event() -> None:
    text = (Path(__file__).parents[3] / "docs" / "guides" / "producing.md").read_text()
    record, toml = (
        text.partition(f"```{language}\n")[2].partition("```")[0] for language in ("json", "toml")
    )
    found = converted(parse_mapping(toml.encode(), "docs", is_json=False), record.encode())
    assert isinstance(found, Event)
    assert (found.image_id, found.version) == ("4711", 3)
    assert msgspec.to_builtins(found.image) == {
        "name": "Low tide",
        "content_type": "image/jpeg",
        "tags": ("sea", "sand"),
        "attributes": {"camera": "Z", "camera_iso": "100", "etag": "x"},
    }
