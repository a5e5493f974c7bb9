"""Highlights as safe HTML: only `<em>` is markup, whatever was indexed."""

import html
import re

# Unicode reserves these for internal use, so normal text does not contain them. A text that does
# gets wrong emphasis, and nothing worse.
BEGIN, END = "\ufdd0", "\ufdd1"

# In safe HTML: every second part of a split is a highlighted piece.
EMPHASIS = re.compile(r"<em>(.*?)</em>", re.DOTALL)

_MARKED = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
_EITHER = re.compile(f"[{BEGIN}{END}]")


def safe_html(marked: str) -> str:
    """A marked text as HTML: text between marks is in `<em>`, and everything is escaped."""
    parts = _MARKED.split(marked)
    return "".join(
        f"<em>{html.escape(part)}</em>" if position % 2 else html.escape(unmarked(part))
        for position, part in enumerate(parts)
    )


def unmarked(marked: str) -> str:
    """The text as it was indexed."""
    return _EITHER.sub("", marked)


def words_in(marked: str) -> list[str]:
    """The words that are marked."""
    return _MARKED.findall(marked)
