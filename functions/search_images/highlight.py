"""Highlights as safe HTML: the only markup is `<em>`, whatever text was indexed."""

import html
import re
from collections.abc import Iterable

# Unicode reserves these for internal use, so normal text does not contain them. If a text does, its
# highlights are wrong, but the HTML is still safe.
BEGIN, END = "\ufdd0", "\ufdd1"

# In safe HTML: every second part of a split is a highlighted piece.
EMPHASIS = re.compile(r"<em>(.*?)</em>", re.DOTALL)

_MARKED = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
_EITHER = re.compile(f"[{BEGIN}{END}]")


def safe_html(marked: str) -> str:
    """Convert a marked text to HTML: escape all text, and put text between marks into `<em>`."""
    parts = _MARKED.split(_joined(marked))
    return "".join(
        f"<em>{html.escape(part)}</em>" if position % 2 else html.escape(unmarked(part))
        for position, part in enumerate(parts)
    )


def whole(text: str, pieces: Iterable[str]) -> str:
    """The whole text with the marks of its pieces.

    OpenSearch splits a value at U+0000 and drops pieces without a match, also if it is to return
    the whole value.
    """
    found, end = "", 0
    for piece in pieces:
        plain = unmarked(piece)
        begin = text.find(plain, end)
        if begin >= 0:
            found += text[end:begin] + piece
            end = begin + len(plain)
    return found + text[end:]


def unmarked(marked: str) -> str:
    """The text as it was indexed."""
    return _EITHER.sub("", marked)


def words_in(marked: str) -> list[str]:
    """The words between marks."""
    return _MARKED.findall(_joined(marked))


def _joined(marked: str) -> str:
    """The text with one mark for adjacent words, in a script without spaces between words."""
    return marked.replace(f"{END}{BEGIN}", "")
