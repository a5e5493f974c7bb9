"""One text is found however it is encoded, in any case, with or without marks, in any script."""

import html
import unicodedata
from collections.abc import Sequence

import pytest

from functions.search_images.filters import Filters
from functions.search_images.scripts import APOSTROPHES
from functions.search_images.search import SearchRequest, page
from functions.search_images.suggest import suggest
from functions.write_to_es.aliases import live_alias
from tests.builders import change, image
from tests.contract.search.museum import Images

# What an image is called, and other ways to type it, or a word of it.
FORMS: Sequence[tuple[str, Sequence[str]]] = [
    # Korean, Japanese, Cyrillic and Vietnamese letters, composed and not.
    ("경복궁의 봄", ["경복궁의", "봄"]),
    ("がくぶち ガラパゴス", ["がくぶち", "ガラパゴス", "ｶﾞﾗﾊﾟｺﾞｽ"]),
    ("Зимний Йорк", ["зимний", "ЗИМНИЙ", "йорк"]),
    ("Nguyễn ở Đà Nẵng", ["nguyễn", "nguyen", "NGUYỄN", "đà nẵng", "da nang", "ĐÀ NẴNG"]),
    (
        "Łódź Straße İstanbul",
        ["lodz", "łódź", "strasse", "straße", "STRASSE", "istanbul", "ISTANBUL"],
    ),
    ("Ærøskøbing Œuvre ﬁligrane", ["aeroskobing", "ærøskøbing", "oeuvre", "OEUVRE", "filigrane"]),
    # Case and marks.
    ("Αθήνα, η οδός Ερμού", ["ΑΘΗΝΑ", "αθηνα", "ΟΔΟΣ", "οδος", "οδόσ", "ερμου", "ΕΡΜΟΎ"]),
    ("ᾠδὴ τῷ Ὀδυσσεῖ", ["ωδη", "ΩΔΗ", "οδυσσει"]),
    ("Ёлка зелёная", ["елка", "ёлка", "ЕЛКА", "зеленая", "ЗЕЛЁНАЯ", "зеле\u0301ная"]),
    ("ÉCOLE à l'Élysée", ["ecole", "école"]),
    ("Հայաստան և Երևան", ["ՀԱՅԱՍՏԱՆ", "երեւան"]),
    ("თბილისი", ["ᲗᲑᲘᲚᲘᲡᲘ"]),
    # Arabic, Persian and Hebrew: vowels, variants of letters, forms of letters, digits.
    ("كِتَابُ الأَطفالِ ١٩٨٢", ["كتاب", "الاطفال", "الأطفال", "کتاب", "1982", "۱۹۸۲", "ﻛﺘﺎﺏ", "كـتاب"]),
    ("مدرسة على", ["مدرسه", "علي", "علی"]),
    ("کتاب‌های فارسی ۱۳۵۷", ["کتابهای", "كتابهاي", "فارسي", "1357", "١٣٥٧"]),
    ("שָׁלוֹם צה״ל", ["שלום", "שלוֹם", 'צה"ל']),
    # The scripts of India.
    ("क़िला हाँ १९४७", ["किला", "क\u093cिला", "हां", "1947"]),
    ("बन्दर सम्बन्ध", ["बंदर", "संबंध", "बन्दर", "सम्बंध"]),
    ("ঢাকা ২০২১", ["2021", "ঢাকা"]),
    ("தமிழ் கோவில்", ["தமிழ்", "க\u0bc7\u0bbeவில்"]),
    # Full and half width, fonts, digits.
    ("ＱＯＫＹＲＡ　２０２４ ﾄｳｷｮｳ", ["qokyra", "2024", "トウキョウ", "Ｑｏｋｙｒａ"]),
    ("𝓢𝓾𝓷𝓼𝓮𝓽𝓪 CO₂ H₂O", ["sunseta", "co2", "h2o"]),
    ("แก้วน้ำ", ["แก้วน\u0e4d\u0e49า"]),
    ("Hawaiʻi Mañana", ["hawai'i", "Hawai’i", "manana"]),
    # Invisible characters.
    ("ca\u00adfe\u200bteria noi\u2060re", ["cafeteria", "noire", "cafe\u00adteria", "noire\u200b"]),
    (
        "\ufeff\u200eMelancholia\u200f",
        ["melancholia", "\ufeffmelancholia", "melan\u200dcholia\u200e"],
    ),
]
PAIRS = [(name, text) for name, texts in FORMS for text in (name, *texts)]


def _id(name: str) -> str:
    return f"form-{[name for name, _ in FORMS].index(name)}"


@pytest.fixture(scope="module")
def forms(images: Images) -> Images:
    for form in ("NFC", "NFD"):
        images.put(
            *(
                change(f"{_id(name)}-{form}", 1, image=image(unicodedata.normalize(form, name)))
                for name, _ in FORMS
            )
        )
    return images


@pytest.mark.parametrize(("name", "text"), PAIRS, ids=ascii)
def test_a_name_is_found_in_each_form(forms: Images, name: str, text: str) -> None:
    both = {f"{_id(name)}-NFC", f"{_id(name)}-NFD"}
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, text)
        found = forms.found(typed)
        assert {hit.image_id for hit in found[:2]} == both
        assert all("<em>" in hit.name_html for hit in found[:2])
        assert {*forms.ids(f'"{typed}"')[:2]} == both
        assert {*forms.ids(f"name:{typed.split()[0]}")} >= both
        assert {*forms.ids(f"{typed}*")} >= both


@pytest.mark.parametrize("name", [name for name, _ in FORMS], ids=ascii)
def test_the_whole_name_comes_first_and_is_suggested_once(forms: Images, name: str) -> None:
    for form in ("NFC", "NFD"):
        typed = unicodedata.normalize(form, name)
        assert {*forms.ids(typed, 2)} == {f"{_id(name)}-NFC", f"{_id(name)}-NFD"}
        suggested = suggest(forms.client, live_alias(forms.alias), typed).suggestions
        shown = [one.name for one in suggested if one.image_id.startswith(_id(name))]
        assert [unicodedata.normalize("NFC", one) for one in shown] == [
            unicodedata.normalize("NFC", name)
        ]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("경복궁의", "<em>경복궁의</em> 봄"),
        ("봄", "경복궁의 <em>봄</em>"),
        ("nguyen", "<em>Nguyễn</em> ở Đà Nẵng"),
        ("nang", "Nguyễn ở Đà <em>Nẵng</em>"),
        ("ΟΔΟΣ", "Αθήνα, η <em>οδός</em> Ερμού"),
        ("noire", "ca\u00adfe\u200bteria <em>noi\u2060re</em>"),
        ("2024", "ＱＯＫＹＲＡ　<em>２０２４</em> ﾄｳｷｮｳ"),
        ("sunseta", "<em>𝓢𝓾𝓷𝓼𝓮𝓽𝓪</em> CO₂ H₂O"),
    ],
)
def test_the_right_letters_are_highlighted(forms: Images, text: str, marked: str) -> None:
    for form in ("NFC", "NFD"):
        shown = [hit.name_html for hit in forms.found(unicodedata.normalize(form, text))]
        assert {unicodedata.normalize(form, marked) for form in ("NFC", "NFD")} <= {*shown}


def test_a_word_is_found_by_each_sign_for_its_apostrophe_and_without_it(images: Images) -> None:
    names = {f"sign-{ord(sign):x}": f"Zo{sign}hara" for sign in APOSTROPHES}
    images.put(*(change(one, 1, image=image(name)) for one, name in names.items()))
    assert {*images.ids("zoha", 50)} == names.keys()
    for text in (*names.values(), "zohara", "ZO’HARA", "zo'ha"):
        found = images.found(text, 50)
        assert {hit.image_id for hit in found} == names.keys(), ascii(text)
        assert {hit.name_html for hit in found} == {
            f"<em>{html.escape(name)}</em>" for name in names.values()
        }


@pytest.mark.parametrize("own", ["Café zum Löwen", "경복궁", "Нижний", "ガラス", "Đà Nẵng"])
def test_a_facet_shows_a_value_once_and_its_filter_finds_both(images: Images, own: str) -> None:
    apart = unicodedata.normalize("NFD", own)
    named = f"facets {own!a}".replace("\\", "").replace("'", "")
    images.put(
        *(
            change(
                f"facet-{number}-{named.encode().hex()[:40]}{len(own)}",
                1,
                image=image(named, tags=[value], uploaded_by=value, attributes={"place": value}),
            )
            for number, value in enumerate((own, apart))
        )
    )
    live = live_alias(images.alias)
    found = page(images.client, live, SearchRequest(text=f'"{named}"'), size=10)
    assert found.total == 2
    for facet in (found.facets.tags, found.facets.uploaded_by):
        assert [(one.value, one.count) for one in facet] == [(own, 2)]
    # The images are shown as they came.
    assert {tag for hit in found.hits for tag in hit.tags} == {own, apart}
    for value in (own, apart):
        for filters in (
            Filters(tags=(value,)),
            Filters(uploaded_by=(value,)),
            Filters(attributes=(("place", value),)),
        ):
            request = SearchRequest(text=f'"{named}"', filters=filters)
            assert page(images.client, live, request, size=10).total == 2
        if " " not in own:
            assert len(images.ids(f'"{named}" uploaded_by:{value}')) == 2
            begins = unicodedata.normalize("NFD" if value == apart else "NFC", own[:-1])
            assert len(images.ids(f'"{named}" uploaded_by:{begins}*')) == 2


@pytest.mark.parametrize("text", ["\u200b", "\ufeff", "\u00ad\u200e", "\u3164", "\u0301", "\x00"])
def test_what_shows_nothing_asks_for_nothing(images: Images, text: str) -> None:
    image_id = f"shows-nothing-{text.encode().hex()}"
    images.put(change(image_id, 1, image=image(text)))
    for typed in (text, f" {text}", f'"{text}"', f"-{text}"):
        assert images.found(typed) == []
        assert suggest(images.client, live_alias(images.alias), text).suggestions == []
    assert images.ids(f"id:{image_id}") == [image_id]


@pytest.mark.parametrize("name", ["?", "!!!", "❤️", "…", "— —", "(*)", "-", "*", '""', ":", "+"])
def test_a_name_without_letters_is_found_by_itself_and_suggested(
    own_images: Images, name: str
) -> None:
    image_id = f"no-letters-{name.encode().hex()}"
    own_images.put(change(image_id, 1, image=image(name)))
    assert own_images.ids(name) == [image_id]
    suggestion = suggest(own_images.client, live_alias(own_images.alias), name).suggestions[0]
    assert (suggestion.name, own_images.ids(suggestion.text)) == (name, [image_id])


@pytest.mark.parametrize(
    "text",
    ["\ufeffown-3", "own-3\u200b", "\u200e-richmond own-3", 'own-3 "plain\u00ad name"\u200f'],
)
def test_invisible_characters_change_no_query(images: Images, text: str) -> None:
    assert images.ids(text)[0] == "own-3"


def test_the_longest_name_grows_and_is_still_stored(images: Images) -> None:
    # Each letter becomes several: the keyword of the name stays below Lucene's 32,766 bytes.
    for number, letter in enumerate(("ﷲ", "ﷺ", "㌖", "𝓢", "ﬄ", "ß", "Ǆ", "㍿", "각")):
        name = letter * (8_192 // len(letter.encode()))
        images.put(change(f"grows-{number}", 1, image=image(name, tags=[name], description=name)))
        images.put(
            change(f"grows-{number}", 2, image=image(unicodedata.normalize("NFD", "각") * 900))
        )
