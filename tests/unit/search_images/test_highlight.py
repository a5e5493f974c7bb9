"""Highlights are safe HTML, whatever was indexed: text, and `<em>` around text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.search_images.highlight import BEGIN, END, safe_html, unmarked, words_in

# As OpenSearch marks words, in whatever an uploader wrote.
MARKED = st.lists(
    st.sampled_from([BEGIN, END, "<em>", "</em>", "<script>", "&", '"', "'", "Thames", " "])
    | st.text(max_size=5)
).map("".join)


@pytest.mark.parametrize(
    ("marked", "safe"),
    [
        (f"The {BEGIN}Thames{END} & more", "The <em>Thames</em> &amp; more"),
        (f"<em>no</em> {BEGIN}<b>{END}", "&lt;em&gt;no&lt;/em&gt; <em>&lt;b&gt;</em>"),
        (f"""{BEGIN}"x' onload=y{END}""", "<em>&quot;x&#x27; onload=y</em>"),
        (f"{END}a{BEGIN}b{BEGIN}c{END}d{END}{BEGIN}", "ab<em>c</em>d"),
    ],
)
def test_only_marks_become_markup(marked: str, safe: str) -> None:
    assert safe_html(marked) == safe


@given(MARKED)
def test_whatever_was_indexed_only_balanced_emphasis_is_markup(marked: str) -> None:
    safe = safe_html(marked)
    assert re.findall(r"<[^>]*>?", safe) == ["<em>", "</em>"] * safe.count("<em>")
    text = re.sub(r"</?em>", "", safe)
    assert not set(text) & {"<", ">", '"', "'", BEGIN, END}
    assert unmarked(text) == text


def test_marked_words_are_told_apart() -> None:
    assert words_in(f"The {BEGIN}Thames{END} at {BEGIN}Richmond{END}") == ["Thames", "Richmond"]
