"""Years and numbers are found as people type them, and short names find no others."""

from collections.abc import Sequence
from typing import Any

import pytest

from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import Images


@pytest.fixture(scope="module")
def numbered(own_images: Images) -> Images:
    """Images with years and numbers in their names, addresses and dates."""
    names: dict[str, dict[str, Any]] = {
        "zeros": {"name": "IMG_0242.jpg"},
        "joined": {"name": "DSC00242"},
        "other": {"name": "IMG_9420.jpg"},
        "cyrillic": {"name": "Кадр_0031.jpg"},
        "address": {"name": "Harbour", "url": "https://pictures.example/a/PIC_0077.jpg"},
        "taken": {"name": "Sunset", "taken_at": "2019-06-01T12:00:00Z"},
        "new year": {"name": "Sunset", "taken_at": "2020-01-01T00:30:00+01:00"},
        "later": {"name": "Sunset", "taken_at": "2020-06-01T12:00:00Z"},
        "named": {"name": "Sunset 2019", "attributes": {"artist": "Dee"}},
        "doer": {"name": "Dawn", "attributes": {"artist": "Dole"}},
        "joe": {"name": "Noon", "attributes": {"artist": "Joe"}},
        "turner": {"name": "Dusk", "attributes": {"artist": "Turner"}},
    }
    own_images.put(
        *(
            change(f"numbered-{name.replace(' ', '-')}", 1, image=image(**fields))
            for name, fields in names.items()
        )
    )
    return own_images


def ids(images: Images, typed: str) -> Sequence[str]:
    return [found.removeprefix("numbered-") for found in images.ids(typed)]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("2019", {"named", "taken", "new-year"}),
        ("٢٠١٩", {"named", "taken", "new-year"}),
        ("sunset 2020", {"later"}),
        ("sunset -2019", {"later"}),
        ("2018", set()),
        ("name:2019", {"named"}),
        ("img 242", {"zeros"}),
        ("242", {"zeros", "joined"}),
        ("242.jpg", set()),
        ("00242", {"joined", "zeros"}),
        ("0242", {"zeros", "joined"}),
        ("img242", {"zeros"}),
        ("IMG00242", {"zeros"}),
        ("img_242", {"zeros"}),
        ("name:img242", {"zeros"}),
        ("dsc242", {"joined"}),
        ("кадр31", {"cyrillic"}),
        ("img24", set()),
        ("pic 77", {"address"}),
        ("pic77", {"address"}),
        ("img 24", set()),
        ("artist:doe", set()),
        ("artist:tunrer", {"turner"}),
    ],
)
def test_a_number_is_found_with_other_zeros_and_a_year_by_its_date(
    numbered: Images, typed: str, expected: set[str]
) -> None:
    assert set(ids(numbered, typed)) == expected


def test_a_number_as_typed_ranks_first(numbered: Images) -> None:
    assert ids(numbered, "2019")[0] == "named"
    assert ids(numbered, "00242")[0] == "joined"
    assert ids(numbered, "0242")[0] == "zeros"


def test_a_number_with_other_zeros_is_marked(numbered: Images) -> None:
    typed = ("img 242", "img242", "dsc242")
    marked = {text: numbered.found(text)[0].name_html for text in typed}
    assert marked == {
        "img 242": "<em>IMG</em>_<em>0242</em>.jpg",
        "img242": "<em>IMG_0242.jpg</em>",
        "dsc242": "<em>DSC00242</em>",
    }


def test_a_name_with_a_number_is_suggested(numbered: Images) -> None:
    for typed in ("img 242", "img242"):
        (one,) = suggest(numbered.client, live_alias(numbered.alias), typed).suggestions
        assert one.name == "IMG_0242.jpg"
