"""What a person finds: on 2,000 real records in OpenSearch, as the function wrote them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from opensearchpy.exceptions import NotFoundError

from functions.search_images.ranking import MAX_TOKENS
from functions.search_images.search import Hit, search
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import RECORDS, Images


def the_real_one(hits: Sequence[Hit], image_id: str) -> Hit:
    (hit,) = (hit for hit in hits if hit.image_id == image_id)
    return hit


def test_richmnd_tames_finds_the_thames_at_richmond_hill_with_highlights(images: Images) -> None:
    found = images.found("richmnd tames")
    first_three = {hit.image_id: hit for hit in found[:3]}
    assert set(first_three) == {"D05526", "D22319", "D05514"}
    assert first_three["D22319"].name_html == (
        "The <em>Thames</em> from <em>Richmond</em> Hill; ?Peveril Castle from Castleton"
    )
    assert first_three["D22319"].highlights["tags"] == [
        "<em>Richmond</em>, <em>Richmond</em> Hill",
        "River <em>Thames</em>",
    ]
    assert all(
        "<em>Richmond</em>" in hit.name_html and "<em>Thames</em>" in hit.name_html
        for hit in first_three.values()
    )


@pytest.mark.parametrize(
    ("text", "image_id"),
    [
        ("St Catherine's Chapel, Dorset", "T02680"),
        ("ST CATHERINE’S CHAPEL, DORSET", "T02680"),
        ("Sunrise at Sea", "D25190"),
        ("Kronos", "P11201"),
        (
            (
                "Distant Views of the Aurelian Wall, Rome; Including the Porta San Lorenzo and "
                "the Temple of Minerva Medica"
            ),
            "D15432",
        ),
    ],
)
def test_an_exact_title_is_the_first_hit(images: Images, text: str, image_id: str) -> None:
    assert images.ids(text)[0] == image_id


def test_a_title_that_is_unique_is_the_first_hit_a_hundred_tried(images: Images) -> None:
    by_name: dict[str, list[str]] = {}
    for line in RECORDS.read_bytes().splitlines():
        record = msgspec.json.decode(line)
        by_name.setdefault(record["title"].casefold(), []).append(record["accession"])
    unique = [(name, ids[0]) for name, ids in by_name.items() if len(ids) == 1]
    some = unique[:: len(unique) // 100]
    assert [name for name, image_id in some if images.ids(name, 1) != [image_id]] == []


@pytest.mark.parametrize(
    ("text", "image_id"),
    [
        ("senat", "own-1"),
        ("Sénat", "own-1"),
        ("se\u0301nat", "own-1"),
        ("BESANCON", "own-1"),
        ("cafe de nuit", "own-2"),
        ("café de nuit", "own-2"),
        ("zurich", "own-2"),
        ("smorrebrod", "own-2"),
        ("zolkiewska", "own-3"),
        ("zsofia żółkiewska", "own-3"),
    ],
)
def test_accents_make_no_difference(images: Images, text: str, image_id: str) -> None:
    assert images.ids(text)[0] == image_id


@pytest.mark.parametrize(
    ("one", "other"),
    [("mountain", "mountains"), ("church", "churches"), ("lady", "ladies"), ("tree", "trees")],
)
def test_word_forms_find_the_same_images(images: Images, one: str, other: str) -> None:
    found, found_too = set(images.ids(one, 100)), set(images.ids(other, 100))
    assert len(found & found_too) >= 0.7 * min(len(found), len(found_too)) > 5
    both = " ".join(hit.name.lower() for hit in images.found(one, 100))
    assert one in both.split()
    assert other in both.split()


def test_the_form_that_was_asked_for_comes_first(images: Images) -> None:
    images.put(
        change("form-1", 1, image=image("Blorting")), change("form-2", 1, image=image("Blorts"))
    )
    assert images.ids("blorting")[:2] == ["form-1", "form-2"]
    assert images.ids("blorts")[:2] == ["form-2", "form-1"]


@pytest.mark.parametrize("text", ["chap", "chapl", "CHAPE"])
def test_the_beginning_of_a_word_finds_it(images: Images, text: str) -> None:
    found = images.found(text, 5)
    assert all("<em>Chapel</em>" in hit.name_html for hit in found[:4])


@pytest.mark.parametrize(
    ("text", "image_id", "field", "marked"),
    [
        ("noctilux", "own-3", "attributes.lens", "<em>Noctilux</em>"),
        ("noctilx", "own-3", "attributes.lens", "<em>Noctilux</em>"),
        ("quagga", "own-3", "description", "<em>Quagga</em> at the waterhole"),
        ("quaga watrhole", "own-3", "description", "<em>Quagga</em> at the <em>waterhole</em>"),
        ("smorrebrod", "own-2", "tags", "<em>smørrebrød</em>"),
    ],
)
def test_any_field_is_found_and_says_where(
    images: Images, text: str, image_id: str, field: str, marked: str
) -> None:
    hit = images.found(text)[0]
    assert hit.image_id == image_id
    assert hit.highlights[field] == [marked]


def whole(of: Hit, name: str) -> str:
    """What an image has in a field, as one folded text."""
    return " ".join(of.tags).lower() if name == "tag" else of.attributes[name].lower()


@pytest.mark.parametrize("text", ["date:1805", "acquired:1979", "medium:paint", "tag:boat"])
def test_a_word_in_a_field_that_images_have_finds_no_others(images: Images, text: str) -> None:
    name, _, word = text.partition(":")
    found = images.found(text, 100)
    assert len(found) >= 10
    assert [hit.name for hit in found if word not in whole(hit, name)] == []


@pytest.mark.parametrize(
    ("text", "meant", "field", "marked"),
    [
        ("lens:noctilx", "lens:noctilux", "attributes.lens", "<em>Noctilux</em>"),
        (
            "photographer:zsfia",
            "photographer:zsofia",
            "attributes.photographer",
            "<em>Zsófia</em> Żółkiewska",
        ),
        (
            "description:quaga watrhole",
            "description:quagga waterhole",
            "description",
            "<em>Quagga</em> at the <em>waterhole</em>",
        ),
    ],
)
def test_a_word_in_a_field_that_no_image_has_is_taken_for_the_nearest(
    images: Images, text: str, meant: str, field: str, marked: str
) -> None:
    found = search(images.client, live_alias(images.alias), text)
    assert found.hits[0].highlights[field] == [marked]
    assert found.did_you_mean == meant


@pytest.mark.parametrize(
    "text", ["date:1806", "-lens:noctilx quaga", 'lens:"noctilx"', "lens:nctlx"]
)
def test_a_number_a_phrase_and_what_is_left_out_are_taken_as_they_are(
    images: Images, text: str
) -> None:
    found = search(images.client, live_alias(images.alias), text)
    assert found.did_you_mean in {None, "-lens:noctilx quagga"}
    assert all("1806" in hit.attributes.get("date", "1806") for hit in found.hits)


@pytest.mark.parametrize(
    "text",
    [
        "uploader-117",
        "image/x-peculiar",
        "sha256:cafe0123beef",
        "IMG_20260314_181522.jpg",
        "img_20260314_181522",
        "https://pictures.example/2026/IMG_20260314_181522.jpg",
        "own-3",
    ],
)
def test_an_image_is_found_by_what_identifies_it(images: Images, text: str) -> None:
    assert images.ids(text)[0] == "own-3"


def test_an_artist_is_found_though_no_name_says_so(images: Images) -> None:
    found = images.found("william daniell", 20)
    hit = the_real_one(found, "T02680")
    assert hit.highlights["attributes.artist"] == ["<em>William</em> <em>Daniell</em>"]
    assert hit.attributes["artist"] == "William Daniell"


@pytest.mark.parametrize(
    "text", ["dorset daniell copper", "chapel 1979 williams", "tate catherine copperplate dorset"]
)
def test_words_of_several_fields_find_one_image(images: Images, text: str) -> None:
    assert images.ids(text)[0] == "T02680"


def test_a_name_counts_more_than_a_tag_or_an_attribute(images: Images) -> None:
    images.put(
        change("rank-1", 1, image=image("Something", tags=["zyzzyva"])),
        change("rank-2", 1, image=image("Zyzzyva")),
        change("rank-3", 1, image=image("Else", attributes={"subject": "zyzzyva"})),
    )
    assert images.ids("zyzzyva")[0] == "rank-2"
    assert images.ids("zyzyva")[0] == "rank-2"
    assert set(images.ids("zyzzyva")) == {"rank-1", "rank-2", "rank-3"}


def test_the_same_words_side_by_side_come_first(images: Images) -> None:
    images.put(
        change("near-1", 1, image=image("Wombat under a hat on a xylophone")),
        change("near-2", 1, image=image("A wombat xylophone of old age, brass")),
    )
    assert images.ids("wombat xylophone") == ["near-2", "near-1"]


@pytest.mark.parametrize(("text", "image_id"), [("東京", "own-4"), ("हिन्दी", "own-5")])
def test_other_scripts_are_found(images: Images, text: str, image_id: str) -> None:
    assert images.ids(text)[0] == image_id


def test_a_deleted_image_is_never_found_and_comes_back_with_a_new_version(images: Images) -> None:
    text = "jabberwockiana"
    images.put(change("gone", 1, image=image(text)))
    assert images.ids(text) == ["gone"]
    images.put(change("gone", 2, "image.deleted"))
    assert images.ids(text) == []
    assert "gone" not in images.ids("gone", 100)
    images.put(change("gone", 3, image=image(f"{text} again")))
    assert images.ids(text) == ["gone"]


def test_an_updated_image_is_found_by_its_new_words_only(images: Images) -> None:
    images.put(change("changed", 1, image=image("Frumiousness")))
    images.put(change("changed", 2, image=image("Brilligissimo")))
    assert images.ids("frumiousness") == []
    assert images.ids("brilligissimo") == ["changed"]


def test_what_looks_like_markup_is_text_in_every_highlight(images: Images) -> None:
    hit = images.found("quuxification")[0]
    assert hit.name == "<em>Marked</em> quuxification & more"
    assert hit.name_html == ("&lt;em&gt;Marked&lt;/em&gt; <em>quuxification</em> &amp; more")
    (hit,) = images.found("quuxer")[:1]
    assert hit.highlights["tags"] == ["&lt;b&gt;<em>quuxer</em>&lt;/b&gt;"]


def test_total_counts_all_and_size_limits_the_hits(images: Images) -> None:
    result = search(images.client, live_alias(images.alias), "turner", size=3)
    assert len(result.hits) == 3
    assert result.total > 500


@pytest.mark.parametrize("text", ["", " \n", "-", "?!*", "🎨", "\x00", "\ud800"])
def test_a_text_without_a_word_finds_nothing(images: Images, text: str) -> None:
    result = search(images.client, live_alias(images.alias), text)
    assert (result.total, result.hits) == (0, [])


def _many(word: str) -> str:
    return " ".join(f"{word}{number}" for number in range(MAX_TOKENS * 2))


@example('"unclosed AND (OR NOT title:[* TO')
@example('{"match_all":{}}')
@example("a" * 100_000)
@example("a " * 50_000)
@example("abcdefgh," * 1000)
@example("turner " * 1000)
@example(_many("landscape"))
@example("東" * 5000)
@example("タ" * 5000)
@example("한" * 5000)
@example("ก" * 5000)
@example("e\u0301" * 5000)
@example("हिन्दी" * 1000)
@example("🎨👩🏽‍🎨a" * 1000)
@example("1.2.3.4:5" * 1000)
@example("a'b.c" * 1000)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(st.text(max_size=2000))
def test_no_text_is_a_bad_query(images: Images, text: str) -> None:
    assert search(images.client, live_alias(images.alias), text, size=1).total >= 0


def test_a_missing_alias_is_told(images: Images) -> None:
    with pytest.raises(NotFoundError):
        search(images.client, "nowhere-live", "x")


def test_a_hit_tells_a_person_which_image_it_is(images: Images) -> None:
    hit = the_real_one(images.found("noctilux"), "own-3")
    expected: Mapping[str, Any] = {
        "image_id": "own-3",
        "name": "Plain name",
        "version": 1,
        "description": "Quagga at the waterhole",
        "url": "https://pictures.example/2026/IMG_20260314_181522.jpg",
        "uploaded_by": "uploader-117",
        "content_type": "image/x-peculiar",
        "taken_at": UNSET,
        "tags": [],
        "attributes": {"photographer": "Zsófia Żółkiewska", "lens": "Noctilux"},
    }
    assert {name: getattr(hit, name) for name in expected} == expected
