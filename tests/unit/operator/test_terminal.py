"""Nothing from outside reaches a terminal raw."""

import sys
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.facets import Facets, FacetValue
from functions.search_images.search import Hit, SearchResult
from lockstep.commands.search import show_search
from lockstep.console.terminal import cut, highlighted, print_json, print_table, print_value
from lockstep.console.text import CONTROLS, printable, told_apart
from lockstep.local.up import endpoints
from lockstep.stack.stack import Endpoints
from tests.builders import deployed_stack

ASTRONAUT = "👩\u200d🚀"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
HEBREW = "שקיעה (1912)\u200f בחיפה"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Thames", "Thames"),
        ("Cézanne’s café \U0001f5bc", "Cézanne’s café \U0001f5bc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb", r"a\nb"),
        ("a\u202eb", r"a\u202eb"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u2067b\u2069", r"a\u2067b\u2069"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("a\ud800", r"a\ud800"),
        *((name, name) for name in (ASTRONAUT, ENGLAND, HEBREW, "می\u200cخواهم", "क्\u200dष")),
        *(
            (name, name)
            for name in ("東京\u3000夜景", "10\u00a0cm", "co\u00adop", "\ue000", "\U0001fae9")
        ),
    ],
)
def test_what_could_steer_a_terminal_is_made_visible(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Cézanne’s café 墨 🖼", '"Cézanne’s café 墨 🖼"'),
        ('"\\\n', r'"\"\\\n"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\x7f\x85\x9b31m", r'"\u007f\u0085\u009b31m"'),
        ("a\u202eb\u2066", r'"a\u202eb\u2066"'),
        ("\u2028", r'"\u2028"'),
        (ENGLAND, f'"{ENGLAND}"'),
    ],
)
def test_json_is_as_harmless_and_as_readable(
    capfdbinary: pytest.CaptureFixture[bytes], text: str, shown: str
) -> None:
    print_value(text)
    assert capfdbinary.readouterr().out.decode() == f"{shown}\n"


def test_json_keeps_every_character_that_it_makes_visible(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    characters = (chr(code) for code in range(0x1_0000) if not 0xD800 <= code < 0xE000)
    answer = {"detail": "".join(characters), "\x9b\U000e0001": "\U0010ffff"}
    print_value(answer)
    said = capfdbinary.readouterr().out
    assert CONTROLS.search(said.decode().removesuffix("\n")) is None
    assert msgspec.json.decode(said) == answer


class _Answer(msgspec.Struct):
    found: int


class _Nothing(msgspec.Struct):
    pass


def test_an_answer_in_json_begins_with_the_version_of_its_format(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    print_json(_Answer(3))
    print_json(_Answer(3), applied=True)
    print_json(_Nothing(), applied=False)
    print_json(_Nothing())
    assert capfdbinary.readouterr().out.splitlines() == [
        b'{"format":1,"found":3}',
        b'{"format":1,"applied":true,"found":3}',
        b'{"format":1,"applied":false}',
        b'{"format":1}',
    ]


def test_highlights_are_marked_and_everything_in_them_is_made_harmless() -> None:
    text = highlighted("the <em>Tha\x1bmes</em> [red]at &lt;em&gt;")
    assert text.plain == r"the Tha\x1bmes [red]at <em>"
    assert [text.plain[span.start : span.end] for span in text.spans] == [r"Tha\x1bmes"]


def test_what_looks_like_an_emoji_code_in_a_table_stays_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["image"], [["shelf:cat:1 [red]"]])
    assert "shelf:cat:1 [red]" in capsys.readouterr().out


def test_only_what_controls_a_terminal_is_escaped() -> None:
    """Control characters, separators of lines and paragraphs, surrogates, and nine of the twelve
    characters with the property Bidi_Control. The other three are marks, which are like letters
    (https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters).
    """
    escaped = {chr(at) for at in range(sys.maxunicode + 1) if printable(chr(at)) != chr(at)}
    steering = {
        chr(at)
        for at in range(sys.maxunicode + 1)
        if unicodedata.category(chr(at)) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(chr(at)) in BIDI
    }
    assert escaped == steering


@given(st.text())
def test_a_line_stays_one_line_that_a_program_can_print(text: str) -> None:
    said = printable(text)
    assert len(said.splitlines()) <= 1
    assert said.encode().decode() == said
    assert printable(said) == said


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("Thames", 6, "Thames"),
        ("Thames", 5, "Tham…"),
        ("東京タワー", 10, "東京タワー"),
        ("東京タワー", 5, "東京…"),
        ("e\u0301" * 4, 3, "e\u0301" * 2 + "…"),
        (ASTRONAUT * 3, 5, ASTRONAUT * 2 + "…"),
        ("\x1b[2J", 20, r"\x1b[2J"),
    ],
)
def test_a_text_is_cut_by_the_columns_that_it_needs(text: str, most: int, shown: str) -> None:
    assert cut(text, most) == shown


def _columns(text: str) -> int:
    """Without a library: letters of this test are wide or narrow, and marks take no column."""
    return sum(
        0
        if unicodedata.category(char) in {"Mn", "Cf"}
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


def test_columns_of_a_table_stand_under_each_other_in_every_script(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [
        "Thames",
        "東京タワー",
        "한강",
        "ﾊﾝｶｸ",
        "ＦＵＬＬ",
        "e\u0301te\u0301",
        "Ελλάδα",
        "🌊",
        HEBREW,
    ]
    print_table(["name", "id"], [[name, "id-1"] for name in names])
    first, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == len(names)
    assert {_columns(row.partition("id-1")[0]) for row in rows} == {first.index("id")}


def test_different_values_that_look_the_same_are_told_apart() -> None:
    assert told_apart(["Café", "Caf", ""]) == ["Café", "Caf", ""]
    assert told_apart(["Café", "Café"]) == ["Café", "Café"]
    assert told_apart(["Café", "Cafe\u0301"]) == [r"'Caf\xe9'", r"'Cafe\u0301'"]
    assert told_apart(["ab", "a\u200bb", "c"]) == ["'ab'", r"'a\u200bb'", "'c'"]
    assert told_apart(["", " "]) == ["''", "' '"]


def test_a_table_that_is_piped_keeps_a_text_without_blanks_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    long = "東京タワーの夜景" * 20 + "end"
    print_table(["field", "table"], [["name", long]])
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split() for row in rows] == [["name", long]]


def test_facets_have_the_names_that_a_filter_takes(capsys: pytest.CaptureFixture[str]) -> None:
    facets = Facets(
        [FacetValue("river", 12)],
        [],
        [],
        [FacetValue("1905", 1), FacetValue("1979", 3)],
        {"artist": [FacetValue("Turner", 1_089)]},
    )
    show_search(SearchResult(0, [], facets, None, None), facets=True)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert rows == [
        ["tag", "river", "12"],
        ["attr.artist", "Turner", "1,089"],
        ["year", "1905", "1"],
        ["year", "1979", "3"],
    ]


def test_a_search_shows_each_name_as_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    hits = [
        Hit(
            image_id=f"i-{at}",
            version=1,
            name=name,
            name_html=name,
            highlights={"tags": [f"<em>{name}</em>"]} if name.strip() else {},
            tags=[],
            attributes={},
        )
        for at, name in enumerate((ASTRONAUT, ENGLAND, HEBREW, "東京\u3000夜景", " ", "\u202eabc"))
    ]
    show_search(SearchResult(6, hits, Facets([], [], [], []), None, None))
    assert capsys.readouterr().out.splitlines() == [
        f"{ASTRONAUT} i-0",
        f"  tags: {ASTRONAUT}",
        f"{ENGLAND} i-1",
        f"  tags: {ENGLAND}",
        f"{HEBREW} i-2",
        f"  tags: {HEBREW}",
        "東京\u3000夜景 i-3",
        "  tags: 東京\u3000夜景",
        "(blank: U+0020) i-4",
        r"\u202eabc i-5",
        r"  tags: \u202eabc",
        "6 found",
    ]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_what_is_piped_keeps_every_id_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    image_id = "archive/2026-11/" + "x" * 200
    print_table(["id", "detail"], [[image_id, "two words"], ["short", "some more words"]])
    lines = capsys.readouterr().out.splitlines()
    assert sum(image_id in line for line in lines) == 1
    assert all(line == line.rstrip() for line in lines)


def test_the_addresses_of_a_stack_have_a_link_and_no_blanks_behind_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    at = [f"http://127.0.0.1:{port}" for port in range(20_001, 20_006)]
    print_table(["", "", "", ""], endpoints(deployed_stack(endpoints=Endpoints(*at))))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == at
    assert all(line == line.rstrip() for line in lines)
    assert lines[-1].split()[2:] == ["try", f"{at[-1]}/?q=thames"]
