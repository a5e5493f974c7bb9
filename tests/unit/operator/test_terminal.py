"""Nothing from outside reaches a terminal raw."""

import pytest

from lockstep.terminal import highlighted, print_table, printable


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


def test_highlights_are_marked_and_everything_in_them_is_made_harmless() -> None:
    text = highlighted("the <em>Tha\x1bmes</em> [red]at &lt;em&gt;")
    assert text.plain == r"the Tha\x1bmes [red]at <em>"
    assert [text.plain[span.start : span.end] for span in text.spans] == [r"Tha\x1bmes"]


def test_what_looks_like_an_emoji_code_in_a_table_stays_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(["image"], [["shelf:cat:1 [red]"]])
    assert "shelf:cat:1 [red]" in capsys.readouterr().out
