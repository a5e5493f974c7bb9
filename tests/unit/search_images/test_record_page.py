"""The page of a record: what people want first, and words for what programs wrote."""

import datetime as dt

import pytest

from functions.search_images.page.moments import moment, moment_in
from functions.search_images.page.record import record_page
from tests.unit.search_images.test_page import Parsed, record


def page(**fields: object) -> Parsed:
    return Parsed(record_page([], record(**fields)))


@pytest.mark.parametrize(
    ("time", "words"),
    [
        ("1979-05-31T12:00:00Z", "31 May 1979, 12:00 UTC"),
        ("1979-05-31T12:00:00.123456Z", "31 May 1979, 12:00 UTC"),
        ("2026-01-02T03:04:05+05:30", "2 January 2026, 03:04 UTC+05:30"),
        ("0850-12-02T00:00:00-00:30", "2 December 850, 00:00 UTC-00:30"),
    ],
)
def test_a_time_is_told_in_words_and_in_its_own_zone(time: str, words: str) -> None:
    assert moment(dt.datetime.fromisoformat(time)).text == words
    assert moment_in(time).text == words
    assert moment_in(time).iso == time


def test_a_text_that_is_no_time_stays_as_it_is() -> None:
    assert moment_in("about 1900").text == "about 1900"


def test_every_time_of_a_record_is_readable_for_programs() -> None:
    its = page(taken_at=dt.datetime(1979, 5, 31, 12, tzinfo=dt.UTC))
    assert [one["datetime"] for one in its.named("time")] == [
        "1979-05-31T12:00:00+00:00",
        "2026-11-21T08:00:00Z",
        "2026-11-21T08:00:00.500Z",
    ]
    assert "31 May 1979, 12:00 UTC" in its.text
    assert "21 November 2026, 08:00 UTC" in its.text


def test_an_attribute_has_the_name_that_the_collection_gave_it() -> None:
    own = {"GPS": "1", "iso": "400", "date_text": "c. 1900", "x-ray": "no"}
    html = record_page([], record(attributes=own))
    for label in ("GPS", "iso", "date text", "x-ray"):
        assert f"<dt>{label}</dt>" in html


def test_rights_and_credit_stand_under_the_picture_whatever_the_collection_calls_them() -> None:
    own = {"artist": "Daniell", "Credit_Line": "Gift of A", "licence": "CC0", "copyright": "none"}
    html = record_page([], record(attributes=own))
    under, beside = html.split("<h1")
    for label in ("Credit Line", "licence", "copyright"):
        assert f"<dt>{label}</dt>" in under
        assert f"<dt>{label}</dt>" not in beside
    assert "<dt>artist</dt>" in beside


def test_an_attribute_that_is_an_address_leads_there_without_a_referrer() -> None:
    licence = "https://creativecommons.org/publicdomain/zero/1.0/"
    its = page(attributes={"license": licence, "source": "javascript:alert(1)"})
    assert {"href": licence, "rel": "noreferrer noopener"} in its.named("a")
    assert its.leads("javascript:alert(1)") == [("attr.source", "javascript:alert(1)")]


def test_the_technical_part_is_folded() -> None:
    html = record_page([], record(checksum="c" * 8, url="s3://b/k", width=4, height=3))
    before, folded = html.split("<details>")
    for label in ("Image ID", "Pixels", "Address", "Checksum", "Version", "Digest", "Arrived"):
        assert f"<dt>{label}</dt>" in folded
        assert f"<dt>{label}</dt>" not in before


def test_a_record_is_downloaded_and_linked_to_without_script() -> None:
    html = record_page([("q", "x"), ("image", "a:1")], record(url="https://p.example/a.jpg"))
    its = Parsed(html)
    assert its.leads("Link to this image") == [("image", "T02680")]
    assert its.links["Download the record (JSON)"] == "images/T02680"
    assert its.links["Download the picture"] == "https://p.example/a.jpg"
    assert "Download the picture" not in page(url="s3://b/k").links


def test_a_shared_link_has_a_title_and_a_description_and_no_picture() -> None:
    description = "A long story. " * 40
    its = page(description=description, url="https://p.example/a.jpg")
    meta = {one.get("property") or one.get("name"): one["content"] for one in its.named("meta")[1:]}
    assert meta["og:title"] == "\u2068Richmond Hill\u2069 · Find images"
    assert meta["og:description"] == meta["description"]
    assert meta["description"] == description[:199] + "…"
    assert "og:image" not in meta
    told = page(attributes={"artist": "Daniell", "date": "1979"}).named("meta")
    assert {"name": "description", "content": "Daniell · 1979"} in told
