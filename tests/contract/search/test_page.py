"""The language, filters, facets, paging and suggestions: on real images in OpenSearch."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from functions.search_images.cursor import InvalidCursorError
from functions.search_images.facets import FacetValue
from functions.search_images.filters import Filters
from functions.search_images.search import (
    SearchRequest,
    SearchResult,
    TooSlowError,
    page,
)
from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import Images

ALL = SearchRequest(text=None, sort="newest")


def found(images: Images, asked: SearchRequest | str, size: int = 10) -> SearchResult:
    what = SearchRequest(text=asked) if isinstance(asked, str) else asked
    return page(images.client, live_alias(images.alias), what, size=size)


def ids(images: Images, asked: SearchRequest | str, size: int = 100) -> Sequence[str]:
    return [hit.image_id for hit in found(images, asked, size).hits]


@pytest.fixture(scope="module")
def herons(images: Images) -> Images:
    """A handful of images that only their own words find."""

    def heron(number: int, name: str, **fields: Any) -> Any:
        return change(f"heron-{number}", 1, image=image(name, **fields))

    images.put(
        heron(1, "Grey heronry at dawn", tags=["Wetland"], width=800, height=600),
        heron(2, "Dawn over the heronry", uploaded_by="u-1", attributes={"painter": "Zsigmondy"}),
        heron(3, "Heronry, view: West", uploaded_by="u-2", attributes={"owner": "Zsigmondy"}),
        heron(
            4,
            "Heronry -moonlit",
            content_type="image/png",
            taken_at="1979-12-31T23:30:00Z",
            attributes={"painter": "Zsigmondy", "sha256": "other"},
        ),
        heron(5, "Heronries", content_type="image/png", taken_at="1980-01-01T01:00:00+01:00"),
    )
    return images


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [
        ("heronry dawn", {1, 2}),
        ('"heronry at dawn"', {1}),
        ('"dawn heronry"', set()),
        ("heronry -dawn", {3, 4, 5}),
        ("heronry -heronries", set()),  # in any word form
        ('heronry -"over the"', {1, 3, 4, 5}),
        ("heronry -wetland -painter:zsigmondy", {3, 5}),
        ("painter:zsigmondy", {2, 4}),
        ("PAINTER:zsigmondi", {2, 4}),
        ('painter:"zsigmondy"', {2, 4}),
        ("painter:zsig*", {2, 4}),
        ("painter:zsig", set()),
        ("heronry zsigmondy", {2, 3, 4}),
        ("tag:wetland heronr*", {1}),
        ("tag:heronry", set()),
        ("name:heronry tag:wetland", {1}),
        ("heronr* uploaded_by:U-2", {3}),
        ("heronr* content_type:png", {4, 5}),
        ("id:heron-3", {3}),
        ("id:heron-*", {1, 2, 3, 4, 5}),
        # What looks like the language, but is a whole name.
        ("Heronry -moonlit", {1, 2, 3, 4, 5}),
        ("Heronry, view: West", {3}),
        # Never a field that no reader may ask in.
        ("heronry deleted:false", set()),
        ("_id:heron-1", set()),
        ("*ronry", set()),
        ("/her.*qry/", set()),
        ("heronry)) AND (*:*", set()),
        ("heronry)) (*:*", {1, 2, 3, 4, 5}),
    ],
)
def test_a_person_finds_what_the_language_says(
    herons: Images, typed: str, numbers: set[int]
) -> None:
    assert set(ids(herons, typed)) == {f"heron-{number}" for number in numbers}


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        (Filters(tags=("Wetland",)), {1}),
        (Filters(tags=("wetland",)), set()),
        (Filters(uploaded_by=("u-1", "u-2")), {2, 3}),
        (Filters(content_types=("image/png",)), {4, 5}),
        (Filters(attributes=(("painter", "Zsigmondy"),)), {2, 4}),
        (Filters(attributes=(("painter", "Zsigmondy"), ("sha256", "other"))), {4}),
        (Filters(attributes=(("owner", "other"),)), set()),
        (Filters(min_width=800, max_height=600), {1}),
        (Filters(min_width=801), set()),
        (Filters(taken_to="1979-12-31T23:59:59.999Z"), {4}),
        (Filters(taken_from="1980-01-01T00:00:00Z"), {5}),
    ],
)
def test_filters_leave_what_they_say(herons: Images, filters: Filters, numbers: set[int]) -> None:
    asked = SearchRequest(text="heronry", filters=filters)
    assert set(ids(herons, asked)) == {f"heron-{number}" for number in numbers}


def test_facets_count_all_images_found_whatever_the_page(herons: Images) -> None:
    facets = found(herons, "heronry", size=1).facets
    assert facets.tags == [FacetValue("Wetland", 1)]
    assert facets.content_type == [FacetValue("image/png", 2)]
    assert facets.uploaded_by == [FacetValue("u-1", 1), FacetValue("u-2", 1)]
    assert facets.year == [FacetValue("1979", 1), FacetValue("1980", 1)]


def test_a_misspelled_word_is_mended_as_the_best_hit_has_it(images: Images) -> None:
    assert found(images, "richmnd tames -castle").did_you_mean == "richmond thames -castle"
    assert found(images, "richmond thames").did_you_mean is None


@pytest.mark.parametrize("typed", ["richmnd tames", "tunrer", "windosr casle", "cathedrl -rome"])
def test_what_was_meant_always_finds_something(images: Images, typed: str) -> None:
    meant = found(images, typed).did_you_mean
    assert meant is not None
    assert found(images, meant).total > 0


def _pages(images: Images, asked: SearchRequest, size: int, most: int = 1000) -> list[list[str]]:
    shown, after = [], None
    for _ in range(most):
        one = page(images.client, live_alias(images.alias), asked, size=size, after=after)
        shown.append([hit.image_id for hit in one.hits])
        after = one.next
        if after is None:
            break
    return shown


@pytest.mark.parametrize(
    "asked",
    [
        SearchRequest(text="turner sea"),
        SearchRequest(text="turner sea", sort="newest"),
        SearchRequest(text="-sea"),
    ],
)
def test_pages_are_the_whole_in_pieces(images: Images, asked: SearchRequest) -> None:
    whole = found(images, asked, size=100)
    pages = _pages(images, asked, size=17, most=5)
    assert [one for shown in pages for one in shown] == [
        hit.image_id for hit in whole.hits[: 17 * 5]
    ]


def test_the_last_page_has_no_next(herons: Images) -> None:
    assert [len(shown) for shown in _pages(herons, SearchRequest(text="id:heron-*"), size=2)] == [
        2,
        2,
        1,
    ]
    assert [len(shown) for shown in _pages(herons, SearchRequest(text="id:heron-*"), size=5)] == [5]


@pytest.mark.parametrize("sort", ["relevance", "newest"])
def test_pages_hold_while_images_come_go_and_change(images: Images, sort: Any) -> None:
    asked = SearchRequest(text="egretta", sort=sort)
    there = [f"egret-{sort}-{at:02}" for at in range(30)]
    images.put(*(change(one, 1, image=image("Egretta alba")) for one in there))
    first = found(images, asked, size=10)
    shown = [hit.image_id for hit in first.hits]
    # All scores move: the word is now in many more images. Some of them sort before, one shown and
    # one not yet shown are deleted, and so are others.
    images.put(*(change(f"egret-{sort}-0{at:02}", 1, image=image("Egretta")) for at in range(25)))
    unseen = sorted({*there} - {*shown})
    images.put(change(shown[0], 2, "image.deleted"), change(unseen[0], 2, "image.deleted"))
    rest: list[str] = []
    after = first.next
    while after is not None:
        one = page(images.client, live_alias(images.alias), asked, size=10, after=after)
        rest += [hit.image_id for hit in one.hits]
        after = one.next
    assert len(set(rest)) == len(rest)
    assert not set(rest) & set(shown)
    assert set(unseen[1:]) <= set(rest)
    assert unseen[0] not in rest
    images.put(*(change(one, 3, "image.deleted") for one in {*ids(images, asked)}))


def test_a_page_goes_on_though_its_last_hit_is_gone(images: Images) -> None:
    asked = SearchRequest(text="spoonbillia", sort="newest")
    images.put(*(change(f"spoon-{at}", 1, image=image("Spoonbillia")) for at in range(4)))
    first = found(images, asked, size=2)
    images.put(change(first.hits[-1].image_id, 2, "image.deleted"))
    after = first.next
    rest = page(images.client, live_alias(images.alias), asked, size=2, after=after)
    assert [hit.image_id for hit in (*first.hits, *rest.hits)] == [f"spoon-{at}" for at in range(4)]


def test_a_cursor_of_another_query_is_refused(images: Images) -> None:
    after = found(images, "turner", size=1).next
    with pytest.raises(InvalidCursorError):
        page(
            images.client, live_alias(images.alias), SearchRequest(text="sea"), size=1, after=after
        )


def test_newest_is_what_was_put_or_changed_last(images: Images) -> None:
    late = 2_000_000_000_000
    images.put(
        msgspec.structs.replace(change("late-1", 5, image=image("Late")), arrived_at=late + 1),
        msgspec.structs.replace(change("late-2", 1, image=image("Later")), arrived_at=late + 2),
    )
    assert ids(images, ALL, 2) == ["late-2", "late-1"]


def test_a_page_of_huge_images_is_cut_and_goes_on(images: Images) -> None:
    huge = ["<" * 8000] * 20
    images.put(
        *(change(f"huge-{at}", 1, image=image("Hugeosaurus", tags=huge)) for at in range(20))
    )
    asked = SearchRequest(text="hugeosaurus")
    pages = _pages(images, asked, size=20)
    assert len(pages) > 1
    assert sorted(one for shown in pages for one in shown) == sorted(
        f"huge-{at}" for at in range(20)
    )
    one = found(images, asked, size=20)
    assert len(msgspec.json.encode(one)) < 3 * 1024 * 1024


def test_names_are_suggested_as_somebody_types_each_once(herons: Images) -> None:
    herons.put(change("heron-6", 1, image=image("Heronry, view: West")))
    for typed in ("heronry, vi", "view heronr", "heronri view wes"):
        (one,) = suggest(herons.client, live_alias(herons.alias), typed).suggestions
        assert one.name == "Heronry, view: West"
    assert one.name_html == "<em>Heronry</em>, <em>view</em>: <em>West</em>"
    herons.put(change("heron-6", 2, "image.deleted"))


@pytest.mark.parametrize("typed", ["", "-", "qqqqzzzz"])
def test_without_a_name_that_begins_so_nothing_is_suggested(images: Images, typed: str) -> None:
    assert suggest(images.client, live_alias(images.alias), typed).suggestions == []


def test_a_part_of_an_answer_is_none() -> None:
    class Slow:
        def search(self, **_: Any) -> dict[str, Any]:
            return {"timed_out": True}

    client: Any = Slow()
    with pytest.raises(TooSlowError):
        page(client, "images-live", ALL, size=1)
