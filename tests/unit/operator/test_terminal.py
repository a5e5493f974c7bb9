"""Nothing from outside reaches a terminal raw."""

import msgspec
import pytest

from lockstep.console.terminal import highlighted, print_json, print_table
from lockstep.console.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Thames", "Thames"),
        ("Cézanne’s café \U0001f5bc", "Cézanne’s café \U0001f5bc"),
        ("\x1b[2J", r"\x1b[2J"),
        ("a\nb", r"a\nb"),
        ("a\u202eb", r"a\u202eb"),
        ("\x9b31m", r"\x9b31m"),
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
        ("\u2028\ufeff", r'"\u2028\ufeff"'),
        ("\U000e0001", r'"\udb40\udc01"'),
    ],
)
def test_json_is_as_harmless_and_as_readable(
    capfdbinary: pytest.CaptureFixture[bytes], text: str, shown: str
) -> None:
    print_json(text)
    assert capfdbinary.readouterr().out.decode() == f"{shown}\n"


def test_json_keeps_every_character_that_it_makes_visible(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    characters = (chr(code) for code in range(0x1_0000) if not 0xD800 <= code < 0xE000)
    answer = {"detail": "".join(characters), "\x9b\U000e0001": "\U0010ffff"}
    print_json(answer)
    said = capfdbinary.readouterr().out
    assert said.decode().removesuffix("\n").isprintable()
    assert msgspec.json.decode(said) == answer


def test_highlights_are_marked_and_everything_in_them_is_made_harmless() -> None:
    text = highlighted("the <em>Tha\x1bmes</em> [red]at &lt;em&gt;")
    assert text.plain == r"the Tha\x1bmes [red]at <em>"
    assert [text.plain[span.start : span.end] for span in text.spans] == [r"Tha\x1bmes"]


def test_what_looks_like_an_emoji_code_in_a_table_stays_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["image"], [["shelf:cat:1 [red]"]])
    assert "shelf:cat:1 [red]" in capsys.readouterr().out
