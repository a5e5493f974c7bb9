"""Mapping files make times, IDs and attribute names of what people have."""

import datetime as dt
import hashlib
import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.source_files.converters import FieldMapping, MappingError
from lockstep.source_files.mapped_ids import id_of
from shared.event import MAX_OFFSET, Event
from tests.unit.source_files.test_converters import converted, image_of, mapping, refusal

AMSTERDAM = "Europe/Amsterdam"


def timed(*formats: str, **rule: Any) -> FieldMapping:
    said = {"to": ["taken_at", "attributes.at"], "formats": list(formats), **rule}
    return mapping({"at": said})


@pytest.mark.parametrize(
    ("written", "formats", "zone", "taken_at"),
    [
        ("2022-07-05 14:37:41-04", ["iso"], None, "2022-07-05T14:37:41-04:00"),
        ("2022-07-05 14:37:41-04", ["%Y-%m-%d %H:%M:%S%z"], None, "2022-07-05T14:37:41-04:00"),
        ("2022-07-05 14:37:41 +0530", ["%Y-%m-%d %H:%M:%S %z"], None, "2022-07-05T14:37:41+05:30"),
        ("2022:07:05 14:37:41", ["%Y:%m:%d %H:%M:%S"], "-04:00", "2022-07-05T14:37:41-04:00"),
        ("2022-07-05 14:37:41-04", [], "Asia/Tokyo", "2022-07-05T14:37:41-04:00"),
        ("2022-07-05 14:37", [], "Asia/Tokyo", "2022-07-05T14:37:00+09:00"),
        ("5.7.2022", ["iso", "%d.%m.%Y"], AMSTERDAM, "2022-07-05T00:00:00+02:00"),
        (" 5 Jul 2022 ", ["%d %b %Y"], "UTC", "2022-07-05T00:00:00Z"),
        (20220705, ["%Y%m%d"], "Europe/Berlin", "2022-07-05T00:00:00+02:00"),
        ("1930-05-06 12:00", [], "Africa/Monrovia", "1930-05-06T12:44:30Z"),
        ("1930-05-06 12:00:00+00:19:32", ["iso"], None, "1930-05-06T11:40:28Z"),
        ("2022-10-30 02:30", [], AMSTERDAM, "2022-10-30T02:30:00+02:00"),
        ("20220705T143741Z", ["iso"], None, "2022-07-05T14:37:41Z"),
        ("2022-W27-2", [], "UTC", "2022-07-05T00:00:00Z"),
        (1657031861, ["iso", "unix"], None, "2022-07-05T14:37:41Z"),
        ("1657031861.5", ["unix"], "Asia/Tokyo", "2022-07-05T14:37:41.500000Z"),
        (-1251459540, ["unix"], None, "1930-05-06T12:21:00Z"),
        (1657031861123, ["iso", "unix_ms"], None, "2022-07-05T14:37:41.123000Z"),
    ],
)
def test_a_time_is_read_by_the_given_formats(
    written: Any, formats: list[str], zone: str | None, taken_at: str
) -> None:
    by = timed(*formats, zone=zone)
    assert image_of(by, at=written) == {
        "name": "Thames",
        "taken_at": taken_at,
        "attributes": {"at": str(written)},
    }


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("05.07.22", "does not have the form `iso` or `%d.%m.%Y`"),
        ("2022-07-05 14:37", "`2022-07-05 14:37` has no zone: set `zone` for this field"),
        ("5.7.2022", "has no zone"),
        (["2022-07-05", "2023-01-01"], "does not have the form"),
        ("9999-12-31T23:59:59-01:00", "after 9999 in UTC"),
        # Python's `fromisoformat` reads these as times of the year 1657, and of 2022.
        (1657031861000, "the time `1657031861000` does not have the form"),
        ("16570318612", "does not have the form"),
        ("2022-07-05x14:37Z", "does not have the form"),
    ],
)
def test_a_time_that_cannot_be_read_is_refused_by_its_field(written: Any, says: str) -> None:
    said = refusal(timed("iso", "%d.%m.%Y"), {"id": "A", "title": "T", "at": written})
    assert said.startswith("schema: field `at`: ")
    assert says in said


@pytest.mark.parametrize("written", ["", "now", "1e9", "1,657", "9" * 16, "300000000000", "NaN"])
def test_a_number_since_1970_that_is_none_is_refused_by_its_field(written: str) -> None:
    said = refusal(timed("unix"), {"id": "A", "title": "T", "at": written})
    assert said == f"schema: field `at`: the time `{written}` does not have the form `unix`"


def test_a_time_that_a_zone_skips_is_refused() -> None:
    by = timed(zone=AMSTERDAM)
    said = refusal(by, {"id": "A", "title": "T", "at": "2022-03-27 02:30"})
    assert said == (
        f"schema: field `at`: no `2022-03-27 02:30` in {AMSTERDAM}: its clocks went forward then"
    )


# Without a zone, as a record has them.
YEARS = st.datetimes(
    dt.datetime.fromisoformat("0002-01-01"), dt.datetime.fromisoformat("9998-12-31")
)


@given(YEARS, st.sampled_from([AMSTERDAM, "America/New_York", "Asia/Kathmandu", "Africa/Monrovia"]))
def test_a_time_with_a_zone_keeps_its_instant(naive: dt.datetime, zone: str) -> None:
    found = converted(timed(zone=zone), {"id": "A", "title": "T", "at": naive.isoformat(" ")})
    meant = naive.replace(tzinfo=ZoneInfo(zone))
    if meant.astimezone(dt.UTC).astimezone(meant.tzinfo).replace(tzinfo=None) != naive:
        assert "clocks went forward" in str(found)
        return
    assert isinstance(found, Event), found
    assert isinstance(taken_at := getattr(found.image, "taken_at", None), dt.datetime)
    assert taken_at.astimezone(dt.UTC) == meant.astimezone(dt.UTC)
    assert abs(taken_at.utcoffset() or dt.timedelta()) < MAX_OFFSET


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"to": "attributes.at", "formats": ["iso"]}, "only for occurred_at and taken_at"),
        ({"to": "taken_at", "formats": ["%d/%m"]}, "format `%d/%m` has no year"),
        ({"to": "taken_at", "formats": [""]}, "format `` has no year"),
        ({"to": "taken_at", "formats": ["%Y %Q"]}, "format `%Y %Q`: 'Q' is a bad directive"),
        ({"to": "taken_at", "formats": ["%Y %Y"]}, "format `%Y %Y`: redefinition"),
        ({"to": "taken_at", "formats": ["%Y %Z"]}, "%Z is not read"),
        ({"to": "taken_at", "zone": "Europe/Atlantis"}, "no time zone `Europe/Atlantis` here"),
        ({"to": "taken_at", "zone": "../x"}, "no time zone"),
        ({"to": "taken_at", "zone": ""}, "no time zone"),
        ({"to": "taken_at", "zone": "+25:00"}, "no time zone"),
        ({"to": "taken_at", "id": "hash"}, "`id` is only for `image_id`"),
        ({"to": []}, "`to` has no event field"),
        ({"to": ["taken_at", "taken_at"]}, "2 fields are mapped to `taken_at`"),
        ({"to": ["taken_at", "taken"]}, "no event field `taken`"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(MappingError) as caught:
        mapping({"at": rule})
    assert says in str(caught.value)
    assert str(caught.value).startswith("mapping mine.json: ")


def with_ids(**rule: Any) -> FieldMapping:
    return mapping({"id": {"to": ["image_id", "attributes.number"]} | rule})


@pytest.mark.parametrize(
    ("text", "image_id"),
    [
        ("1982/12 a", "1982:2F12:20a"),
        ("IMG_0042-b.jpg", "IMG_0042-b.jpg"),
        ("oai:1", "oai:3A1"),
        ("/a", "x:::2Fa"),
        ("-5", "x::-5"),
        ("é", "x:::C3:A9"),
        (4711, "4711"),
    ],
)
def test_an_id_is_made_from_any_text_by_a_reversible_rule(text: Any, image_id: str) -> None:
    found = converted(with_ids(id="escape"), {"id": text, "title": "T"})
    assert isinstance(found, Event), found
    assert found.image_id == image_id
    assert text_of(image_id) == str(text)


def text_of(image_id: str) -> str:
    """As docs/guides/producing.md describes it."""
    escaped = image_id.removeprefix("x::").encode()
    return re.sub(rb":(..)", lambda found: bytes.fromhex(found[1].decode()), escaped).decode()


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_every_text_gives_an_id_and_the_id_gives_the_text(text: str) -> None:
    found = converted(with_ids(id="escape"), {"id": text, "title": "T"})
    assert isinstance(found, Event), found
    assert text_of(found.image_id) == text
    hashed = converted(with_ids(id="hash"), {"id": text, "title": "T"})
    assert isinstance(hashed, Event), hashed
    assert hashed.image_id == hashlib.sha256(text.encode()).hexdigest()
    assert "number" in str(hashed.image)


@pytest.mark.parametrize("text", ["", "é" * 86])
def test_an_id_that_is_empty_or_too_long_is_refused_by_its_field(text: str) -> None:
    said = refusal(with_ids(id="escape"), {"id": text, "title": "T"})
    assert said.endswith("(field `id` of the record)")
    assert len(id_of("é" * 86, "hash")) == 64


def test_a_hash_keeps_the_text_somewhere() -> None:
    with pytest.raises(MappingError, match="keep the text in an attribute"):
        mapping({"id": {"to": "image_id", "id": "hash"}})


NORMALIZED = mapping(rest="attributes", normalize_names=True)


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("Height (cm)", "Height_cm"),
        ("tms:id", "tms_id"),
        ("Détails d’œuvre", "Details_d_uvre"),
        ("3d", "x_3d"),
        ("_id", "id"),
        ("dc:title@en", "dc_title_en"),
        ("plain-name_1", "plain-name_1"),
    ],
)
def test_attribute_names_are_normalized_on_wish(name: str, attribute: str) -> None:
    found = converted(NORMALIZED, {"id": "A", "title": "T", name: "c"})
    assert isinstance(found, Event), found
    assert f"attributes={{'{attribute}': 'c'}}" in str(found.image)
    by = mapping(rest="attributes")
    if name != attribute:
        said = refusal(by, {"id": "A", "title": "T", name: "c"})
        assert "normalize_names = true" in said or name == "_id"


def test_names_that_become_equal_are_refused_by_both_names() -> None:
    said = refusal(NORMALIZED, {"id": "A", "title": "T", "Height (cm)": 1, "Height [cm]": 2})
    assert (
        "fields `Height (cm)` and `Height [cm]` are both mapped to `attributes.Height_cm`" in said
    )


@pytest.mark.parametrize("name", ["高さ", "()", "x" * 65])
def test_a_name_that_has_no_normal_form_is_refused_by_its_name(name: str) -> None:
    said = refusal(NORMALIZED, {"id": "A", "title": "T", name: 1})
    assert f"field `{name}` cannot be the name of an attribute" in said
    assert said.endswith("add the field under [fields] or to `ignore`")
