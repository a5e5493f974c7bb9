"""Filters: periods in full, ranges with both ends, values as written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.filters import Filters, by_facet, clauses, instant


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("1979", "1979-01-01T00:00:00Z", "1979-12-31T23:59:59.999Z"),
        ("1980-02", "1980-02-01T00:00:00Z", "1980-02-29T23:59:59.999Z"),
        ("1979-05-31", "1979-05-31T00:00:00Z", "1979-05-31T23:59:59.999Z"),
        ("9999", "9999-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"),
        ("10000", "+10000-01-01T00:00:00Z", "+10000-12-31T23:59:59.999Z"),
        ("0000-02", "0000-02-01T00:00:00Z", "0000-02-29T23:59:59.999Z"),
        ("0001-01-01T00:00:00+18:00",) + 2 * ("0001-01-01T00:00:00+18:00",),
        ("9999-12-31T23:59:59-12:00",) + 2 * ("9999-12-31T23:59:59-12:00",),
        (
            "1979-05-31T12:00:00+02:00",
            "1979-05-31T10:00:00+00:00",
            "1979-05-31T10:00:00+00:00",
        ),
    ],
)
def test_a_period_has_a_first_and_a_last_moment(text: str, first: str, last: str) -> None:
    assert (instant(text, last=False), instant(text, last=True)) == (first, last)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "79",
            "1979-13",
            "1979-00",
            "1979-02-30",
            "1979-01-00",
            "10001",
            "10000-13",
            "now-1d",
            "1979||/y",
            "19790",
        ),
        *("1979-05-31T12:00:00", "1979-05-31 ", "0001-01-01T00:00:00+18:01", "١٩٧٩-05-31x"),
    ],
)
def test_what_is_no_time_is_refused_with_what_would_be_one(text: str) -> None:
    with pytest.raises(ValueError, match="expected a year, a month, a day or a time"):
        instant(text, last=False)


@given(st.text())
def test_whatever_comes_is_a_moment_or_refused(text: str) -> None:
    try:
        found = instant(text, last=True)
    except ValueError:
        return
    assert len(found) <= len("1979-05-31T12:00:00.123456+00:00")


def test_an_image_has_all_tags_and_one_value_of_each_other_facet() -> None:
    assert clauses(Filters()) == []
    assert by_facet(Filters()) == {}
    several = Filters(
        tags=("a", "b"),
        uploaded_by=("u", "v"),
        attributes=(("artist", "x"), ("artist", "y")),
        min_width=5,
        max_height=0,
        taken_to="t",
    )
    assert clauses(several) == [
        {"term": {"tags.keyword": "a"}},
        {"term": {"tags.keyword": "b"}},
        {"range": {"width": {"gte": 5}}},
        {"range": {"height": {"lte": 0}}},
    ]
    found = by_facet(several)
    assert found.pop("attr.artist")["nested"]["query"]["bool"]["filter"] == [
        {"term": {"attributes.name": "artist"}},
        {"terms": {"attributes.value.keyword": ["x", "y"]}},
    ]
    assert found == {
        "uploaded_by": {"terms": {"uploaded_by": ("u", "v")}},
        "year": {"range": {"taken_at": {"lte": "t"}}},
    }
