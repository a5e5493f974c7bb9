"""What shows nothing gets a label; everything else stays as it is."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.visible import shown


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("", "(blank)"),
        (" ", "(blank: U+0020)"),
        ("\u200b", "(blank: U+200B)"),
        ("\u0301", "(blank: U+0301)"),
        ("\u3164", "(blank: U+3164)"),
        ("\u2800", "(blank: U+2800)"),
        ("\U000e0067", "(blank: U+E0067)"),
        ("\u00ad\ufeff\u2060\u00ad", "(blank: U+00AD U+FEFF U+2060 …)"),
    ],
)
def test_what_shows_nothing_is_named(text: str, label: str) -> None:
    assert shown(text) == label


@pytest.mark.parametrize(
    "text",
    [
        "a",
        " a",
        ".",
        "—",
        "墨",
        "नि",
        "e\u0301",
        "👩\u200d🚀",
        "🇳🇱",
        "\U0010ffff",
        "\ue000",
        "\u0601",
    ],
)
def test_what_shows_something_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


@given(st.text(max_size=8))
def test_a_label_shows_something_and_has_no_label(text: str) -> None:
    assert shown(shown(text)) == shown(text) != ""


def test_every_letter_and_digit_shows_something() -> None:
    letters = [chr(at) for at in range(sys.maxunicode + 1) if chr(at).isalnum()]
    blank = [char for char in letters if shown(char) != char]
    assert blank == [*"\u115f\u1160\u3164\uffa0"]
    assert all("FILLER" in unicodedata.name(char) for char in blank)
