"""A typed word that the analyzer splits is a phrase; scripts without spaces are found by words."""

from collections.abc import Sequence

import pytest

from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import Images

NAMES = {
    "tokyo": "東京タワーの夜景",
    "kyoto": "京都東山の桜",
    "beijing": "北京大学图书馆",
    "camera": "富士山の朝 デジタルカメラ",
    "palace": "창덕궁의 봄",
    "city": "서울시청 앞",
    "temple": "วัดพระแก้ว กรุงเทพ",
    "lao": "ສະບາຍດີລາວ",
    "khmer": "ភាសាខ្មែរស្រុក",
    "burmese": "မြန်မာဘာသာ",
    "writer": "စာရေးဆရာ",
    "back": "zzacc 1705-1982",
    "forth": "zzacc 1982-1705/2",
    "hyphen": "Lawzz-Breakerszz",
    "apart": "Breakerszz of the Lawzz",
}


@pytest.fixture(scope="module")
def split(own_images: Images) -> Images:
    own_images.put(
        *(
            change(
                f"split-{key}",
                1,
                image=image(name, tags=[name], description=name, attributes={"own": name}),
            )
            for key, name in NAMES.items()
        )
    )
    return own_images


def found(images: Images, text: str) -> set[str]:
    ids = images.ids(text, 50)
    return {one.removeprefix("split-") for one in ids if one.startswith("split-")}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("東京", ["tokyo"]),
        ("京都", ["kyoto"]),
        ("京", ["tokyo", "kyoto", "beijing"]),
        ("桜", ["kyoto"]),
        ("東京タワー", ["tokyo"]),
        ("タワー", ["tokyo"]),
        ("大学", ["beijing"]),
        ("图书馆", ["beijing"]),
        ("カメラ", ["camera"]),
        ("ｶﾒﾗ", ["camera"]),
        ("山富士", []),
        ("창덕궁", ["palace"]),
        ("창덕궁의", ["palace"]),
        ("창덕궁에서", ["palace"]),
        ("덕궁창", []),
        ("시청", ["city"]),
        ("วัด", ["temple"]),
        ("พระแก้ว", ["temple"]),
        ("แก้ว", ["temple"]),
        ("แก้ววัด", []),
        ("ລາວ", ["lao"]),
        ("ສະບາຍ", ["lao"]),
        ("ວລາ", []),
        ("ខ្មែរ", ["khmer"]),
        ("ស្រុកភាសា", []),
        ("ဘာသာ", ["burmese"]),
        ("ရေး", ["writer"]),
        ("သာဘာ", []),
        ("1982-1705", ["forth"]),
        ("1982-1705/2", ["forth"]),
        ("1705-1982", ["back"]),
        ("1982-17", ["forth"]),
        ("lawzz-breakerszz", ["hyphen"]),
        ("lawzz-break", ["hyphen"]),
    ],
)
def test_its_parts_are_found_side_by_side_only(
    split: Images, text: str, keys: Sequence[str]
) -> None:
    assert found(split, text) == {*keys}
    assert found(split, f'"{text}"') <= {*keys}
    for field in ("name", "tag", "description", "own"):
        # Without a prefix: that is what the field `name` and the whole image have.
        assert found(split, f"{field}:{text}") <= {*keys}


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("zzacc -1982-1705", {"back"}),
        ("name:京 -東京 -北京", {"kyoto"}),
        ("name:봄 -창덕궁", set()),
        ("name:กรุงเทพ -พระแก้ว", set()),
        ("name:กรุงเทพ -แก้ววัด", {"temple"}),
    ],
)
def test_only_what_has_the_phrase_is_left_out(split: Images, text: str, keys: set[str]) -> None:
    assert found(split, text) == keys


@pytest.mark.parametrize(
    "text", ["東京*", "京都東*", "창덕*", "พระ*", "ລາ*", "ခမ*", "lawzz-br*", "1982-170*"]
)
def test_a_beginning_is_found(split: Images, text: str) -> None:
    assert len(found(split, text)) == (0 if text == "ခမ*" else 1)


@pytest.mark.parametrize(
    ("text", "field", "marked"),
    [
        ("東京", "tags", "<em>東京</em>タワーの夜景"),
        ("東山の桜", "description", "京都<em>東山の桜</em>"),
        ("京", "attributes.own", "<em>京</em>都東山の桜"),
        ("창덕궁", "tags", "<em>창덕궁</em>의 봄"),
        ("พระแก้ว", "tags", "วัด<em>พระแก้ว</em> กรุงเทพ"),
        ("ລາວ", "description", "ສະບາຍດີ<em>ລາວ</em>"),
        ("ខ្មែរ", "attributes.own", "ភាសា<em>ខ្មែរ</em>ស្រុក"),
        ("1982-1705", "tags", "zzacc <em>1982</em>-<em>1705</em>/2"),
    ],
)
def test_the_found_part_is_highlighted(split: Images, text: str, field: str, marked: str) -> None:
    hits = split.found(text)
    assert marked in [hit.name_html for hit in hits]
    assert [marked] in [hit.highlights.get(field) for hit in hits]


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("東京", "東京タワーの夜景"),
        ("夜景", "東京タワーの夜景"),
        ("창덕", "창덕궁의 봄"),
        ("แก้ว", "วัดพระแก้ว กรุงเทพ"),
        ("ខ្មែរ", "ភាសាខ្មែរស្រុក"),
        ("lawzz-br", "Lawzz-Breakerszz"),
        ("1982-17", "zzacc 1982-1705/2"),
    ],
)
def test_a_part_suggests_the_name(split: Images, typed: str, name: str) -> None:
    suggestions = suggest(split.client, live_alias(split.alias), typed).suggestions
    assert [one.name for one in suggestions] == [name]


@pytest.mark.parametrize("letter", ["東", "タ", "한", "ก", "ກ", "ក", "က"])
def test_the_longest_text_in_any_script_is_stored_and_found(
    own_images: Images, letter: str
) -> None:
    name = letter * (8_192 // len(letter.encode()))
    image_id = f"longest-{ord(letter)}"
    fields = {"name": name, "description": letter * 10_922, "tags": [name]}
    own_images.put(change(image_id, 1, image=fields))
    assert image_id in own_images.ids(letter * 100, 50)


@pytest.mark.parametrize(
    "word",
    [
        *("한" * 250, "東" * 250, "ก" * 250, "ກ" * 250),
        *("한" * 120 + "-a", "ក" * 120 + "-a", "a한-" * 8, "w-x"),
    ],
    ids=lambda word: word[-3:],
)
def test_many_long_words_are_no_bad_query(own_images: Images, word: str) -> None:
    text = " ".join(f"{word}{number}" for number in range(32)) + f" {word}" * 32
    for typed in (text, f" {word}" * 32, f'"{text}"', f" name:{word}" * 32, f" -{word}" * 32):
        own_images.found(typed)
        suggest(own_images.client, live_alias(own_images.alias), typed)
