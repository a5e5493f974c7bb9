"""File names and names with separators are found by their words, whatever separates them."""

import uuid
from collections.abc import Iterator, Sequence

import pytest
from opensearchpy import OpenSearch

from functions.search_images.search import SearchRequest, page, search
from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from functions.write_to_es.index import ensure_index
from shared.change import Change
from tests.builders import change, image
from tests.contract.search.museum import Images

NAMES = {
    "under": "Harbour_at_dusk.jpg",
    "camel": "CanalAtNoon.png",
    "escaped": "meadow%20after%20rain.jpeg",
    "pluses": "orchard+in+april.tiff",
    "points": "ferry.near.pier.webp",
    "hyphens": "lantern-by-gate.heic",
    "camera": "DSC0042.NEF",
    "phone": "IMG_20240512_183045.jpg",
    "acronym": "NASARocketLaunch.jpg",
    "year": "beach2019.jpg",
    "long": "the_great_wave_off_kanagawa_at_night.jpg",
    "o": "Portrait of Mr O’Brien",
    "law": "The Law-Breakers",
    "accession": "1982-1705",
    "accession-part": "1982-1705/2",
    "accession-other": "1705-1982",
    "mc": "The McTavish Farm",
    "decimal": "3.5 metres",
    "chained": "2001.44.7",
    "capitals": "PLOUGHED_FIELD_02.JPG",
    "sized": "640px-Olive_Trees.jpg",
    "mixed": "Sunday-Walk_PineWood.v2.jpg",
    "initials": "Entrance of K.V. 62",
    "blank": "Quartz Film 47 mm",
    "apart": "K.V. and 62 more",
}
OTHERS: Sequence[Change] = [
    change("tagged", 1, image=image("Plain one", tags=["night_sky", "fireWorks"])),
    change("address", 1, image=image("Plain two", url="https://x.example/w/sunflower.jpg")),
    change(
        "addresses",
        1,
        image=image("Plain three", url="https://x.example/a/Old_windMill-2021.jpg?w=200&h=9#top"),
    ),
    change("described", 1, image=image("Plain four", description="See quarry_at_dawn.png")),
    change("valued", 1, image=image("Plain five", attributes={"file": "Glacier_tongue.tif"})),
    change(
        "checked", 1, image=image("Plain six", checksum="sha256:cafe0123beef4567dead89abfeed0000")
    ),
]


@pytest.fixture(scope="module")
def files(opensearch_endpoint: str) -> Iterator[Images]:
    client = OpenSearch([opensearch_endpoint], timeout=120, max_retries=0)
    these = Images(client, f"images-{uuid.uuid4()}")
    ensure_index(client, these.alias)
    these.put(*(change(one, 1, image=image(name)) for one, name in NAMES.items()), *OTHERS)
    yield these
    client.indices.delete(index=f"{these.alias}-000001")


@pytest.mark.parametrize(
    ("image_id", "texts"),
    [
        (
            "under",
            [
                *("harbour", "dusk", "at dusk", "dusk harbour", "DUSK", "harb", "dus", "jpg dusk"),
                *(
                    "Harbour_at_dusk.jpg",
                    "harbour_at_dusk",
                    "harbour at dusk",
                    "harbour at dusk jpg",
                ),
                *(
                    "harbour-at-dusk",
                    "harbour.at.dusk",
                    "harbour+at+dusk.jpg",
                    "harbour%20at%20dusk",
                ),
                *("harbouratdusk", "harbouratduskjpg", "harbouratd", "harbour_at_d", "at_dusk"),
                *(
                    "HarbourAtDusk",
                    '"at dusk"',
                    "harbour_at_d*",
                    "name:dusk",
                    "name:harbour_at_dusk",
                ),
            ],
        ),
        (
            "camel",
            [
                *("canal", "noon", "at noon", "CanalAtNoon", "canalatnoon", "CanalAtNoon.png"),
                *("canal at noon", "canal_at_noon", "canal-at-noon", "cana", "noo", "canalatn"),
            ],
        ),
        (
            "escaped",
            [
                *("meadow", "rain", "meadow%20after%20rain.jpeg", "meadow after rain"),
                *("meadow_after_rain", "meadowafterrain", "meado", "meadow%20af", '"after rain"'),
            ],
        ),
        ("pluses", ["orchard", "april", "orchard+in+april", "orchardinapril", "orchard in apr"]),
        (
            "points",
            ["ferry", "pier", "ferry.near.pier", "ferrynearpier", "near pier", "ferry.near.p"],
        ),
        ("hyphens", ["lantern", "gate", "lantern-by-gate", "lanternbygate", "lantern_by_g"]),
        (
            "camera",
            [
                "DSC0042",
                "dsc0042",
                "0042",
                "DSC 0042",
                "dsc_0042",
                "DSC-0042.nef",
                "dsc00",
                "DSC_00",
            ],
        ),
        (
            "phone",
            [
                *("IMG_20240512_183045.jpg", "img_20240512_183045", "IMG 20240512 183045"),
                *("20240512", "183045", "202405", "img_2024", "img2024", "2024-05-12"),
                *("IMG20240512183045", "20240512_183045", "20240512183045", "20240512_18"),
            ],
        ),
        (
            "acronym",
            ["rocket", "launch", "nasa", "nasarocketlaunch", "NASA rocket launch", "launc"],
        ),
        ("year", ["beach", "2019", "beach2019", "beach 2019", "beach_2019", "2019 beach", "201"]),
        (
            "long",
            [
                *(
                    "kanagawa",
                    "thegreatwaveoffkanagawaatnight",
                    "the_great_wave_off_kanagawa_at_night",
                ),
                *("thegreatwaveoffkanagawa", "the_great_wave_off_kanagawa_at_ni", "great_wave"),
            ],
        ),
        ("o", ["obrien", "O'Brien", "O’Brien", "OBRIEN", "o’brien", "obri", "mr obrien"]),
        (
            "law",
            ["lawbreakers", "law-breakers", "law breakers", "breakers", "LawBreakers", "lawbr"],
        ),
        ("accession", ["1982-1705", "19821705", "1982 1705", "1705", "1982-17"]),
        ("mc", ["mctavish", "McTavish", "tavish", '"mctavish farm"', '"the mctavish"', "Mctavish"]),
        ("decimal", ["3.5", "3.5 metres"]),
        ("chained", ["2001.44.7", "2001-44-7", "2001 44 7", "2001447", "2001.44", "44"]),
        ("capitals", ["ploughed", "field", "ploughedfield", "ploughed field 02", "ploughed_fi"]),
        ("sized", ["olivetrees", "olive trees", "640px", "640px-olive", "640pxolivetrees", "640"]),
        (
            "mixed",
            [
                "sunday",
                "walk",
                "pine",
                "wood",
                "pinewood",
                "sundaywalk",
                "SundayWalk",
                "Sunday_Walk",
            ],
        ),
        ("initials", ["kv62", "KV62", "K.V. 62", "k.v.62", "KV-62", "kv_62", "name:kv62"]),
        ("blank", ["47mm", "47 mm", "47-mm", "film47", "FILM-47", "name:47mm"]),
        (
            "tagged",
            ["night sky", "night_sky", "nightsky", "night-sky", "sky", "works", "fireworks"],
        ),
        ("address", ["sunflower", "sunflower.jpg", "sunfl", "https://x.example/w/sunflower.jpg"]),
        (
            "addresses",
            [
                "windmill",
                "old windmill",
                "old_windmill",
                "oldwindmill2021",
                "mill",
                "2021",
                "windm",
            ],
        ),
        ("described", ["quarry", "dawn", "quarry at dawn", "quarryatdawn", "quarr"]),
        ("valued", ["glacier", "tongue", "glacier tongue", "glaciertongue", "file:tongue"]),
        (
            "checked",
            ["sha256:cafe0123beef4567dead89abfeed0000", "cafe0123beef4567dead89abfeed0000"],
        ),
    ],
)
def test_a_name_is_found_by_its_words_its_beginning_and_its_whole_with_and_without_separators(
    files: Images, image_id: str, texts: Sequence[str]
) -> None:
    found = {text: files.ids(text)[:1] for text in texts}
    assert {text: ids for text, ids in found.items() if ids != [image_id]} == {}


@pytest.mark.parametrize("text", ["dead", "beef", "feed", "harbour at dawn.jpg", "st", "35"])
def test_what_is_no_word_of_a_name_does_not_find_it(files: Images, text: str) -> None:
    assert files.ids(text) == []


@pytest.mark.parametrize("text", ["kv62", "KV62", "name:kv62"])
def test_initials_and_their_number_are_side_by_side(files: Images, text: str) -> None:
    assert files.ids(text) == ["initials"]


def test_an_accession_number_comes_before_its_parts_in_another_order(files: Images) -> None:
    assert files.ids("1982-1705") == ["accession", "accession-part"]
    assert files.ids("1705-1982")[0] == "accession-other"
    assert files.ids("1982-1705/2")[0] == "accession-part"


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("dusk", "Harbour_at_<em>dusk</em>.jpg"),
        ("harbour", "<em>Harbour</em>_at_dusk.jpg"),
        ("harb", "<em>Harbour</em>_at_dusk.jpg"),
        ("rain", "meadow%20after%20<em>rain</em>.jpeg"),
        ("lawbreakers", "The <em>Law-Breakers</em>"),
        ("law-breakers", "The <em>Law</em>-<em>Breakers</em>"),
        ("obrien", "Portrait of Mr <em>O’Brien</em>"),
        ("183045", "IMG_20240512_<em>183045</em>.jpg"),
        ("noon", "<em>CanalAtNoon</em>.png"),
        ("0042", "<em>DSC0042</em>.NEF"),
        ("harbuor", "<em>Harbour</em>_at_dusk.jpg"),
        ("kv62", "Entrance of <em>K.V</em>. <em>62</em>"),
        ("47mm", "Quartz Film <em>47</em> <em>mm</em>"),
    ],
)
def test_the_words_that_matched_are_marked(files: Images, text: str, marked: str) -> None:
    assert files.found(text)[0].name_html == marked


@pytest.mark.parametrize(
    ("text", "meant", "image_id"),
    [
        ("harbuor", "harbour", "under"),
        ("harbuor_at_dusk", "harbour_at_dusk", "under"),
        ("lantren", "lantern", "hyphens"),
        ("rokcet", "rocket", "acronym"),
        ("baech", "beach", "year"),
        ("orchrad", "orchard", "pluses"),
    ],
)
def test_typing_errors_in_a_part_of_a_name_are_corrected(
    files: Images, text: str, meant: str, image_id: str
) -> None:
    found = search(files.client, live_alias(files.alias), text)
    assert found.hits[0].image_id == image_id
    assert found.did_you_mean == meant


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("dus", "Harbour_at_dusk.jpg"),
        ("harbour_at_d", "Harbour_at_dusk.jpg"),
        ("harbouratd", "Harbour_at_dusk.jpg"),
        ("noo", "CanalAtNoon.png"),
        ("lawbr", "The Law-Breakers"),
        ("obri", "Portrait of Mr O’Brien"),
        ("lantren", "lantern-by-gate.heic"),
        ("IMG_2024", "IMG_20240512_183045.jpg"),
        ("kv62", "Entrance of K.V. 62"),
    ],
)
def test_suggestions_know_the_parts_of_a_name(files: Images, typed: str, name: str) -> None:
    found = suggest(files.client, live_alias(files.alias), typed)
    assert [one.name for one in found.suggestions] == [name]


@pytest.mark.parametrize(
    "text",
    [
        "_".join("ab" * 200),
        " ".join(["a_b_c-d.e"] * 60),
        " ".join(["DSC0042/IMG_0001"] * 40),
        "A1b2C3" * 40,
        " ".join(f"kv{number}" for number in range(40)),
        " ".join(f"длинное{number}" for number in range(40)),
        "'".join("ab" * 100),
        f"name:{'_'.join('ab' * 100)}",
        f'"{"_".join("ab" * 200)}"',
        "%20".join("ab" * 80),
    ],
)
def test_no_text_makes_more_clauses_than_opensearch_accepts(files: Images, text: str) -> None:
    request = SearchRequest(text=text)
    page(files.client, live_alias(files.alias), request, size=1)
    suggest(files.client, live_alias(files.alias), text)


@pytest.mark.parametrize("text", ["_" * 8000, "a-b_" * 2000, "____a" * 1600, "1." * 4000])
def test_a_long_text_of_separators_is_indexed_in_linear_time(files: Images, text: str) -> None:
    # With a filter in quadratic time, this request takes minutes.
    image_id = f"separators-{sum(map(ord, text))}"
    files.put(change(image_id, 1, image=image(text, description=text, tags=[text] * 2)))
    files.put(change(image_id, 2, "image.deleted"))


def test_many_separators_reach_the_tokenizer_as_a_few(files: Images) -> None:
    # The tokenizer looks at up to 255 characters after each `_` for a letter.
    text = f"sunrise{'_' * 8000}lagoon"
    kept = {"tokenizer": "keyword", "char_filter": ["between_scripts"], "text": text}
    words = {"analyzer": "exact", "text": text}
    index = f"{files.alias}-000001"
    (whole,) = files.client.indices.analyze(index=index, body=kept)["tokens"]
    assert whole["token"] == "sunrise_________ lagoon"
    found = files.client.indices.analyze(index=index, body=words)["tokens"]
    assert [one["token"] for one in found] == ["sunrise", "lagoon"]


@pytest.mark.parametrize("name", ["(\x0b", "\u2028? \t !\x1f", "( )"])
def test_a_name_without_letters_is_found_with_other_blanks(files: Images, name: str) -> None:
    image_id = f"blanks-{name.encode().hex()}"
    files.put(change(image_id, 1, image=image(name)))
    typed = " ".join(name.split())  # as a search box and a suggestion have it
    found = search(files.client, live_alias(files.alias), typed)
    assert [hit.image_id for hit in found.hits] == [image_id]
    files.put(change(image_id, 2, "image.deleted"))
