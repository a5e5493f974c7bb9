"""Which values of a facet contain a typed text, whatever its case and its accents.

The index has the values of a facet as written. So a regular expression with all forms of each
typed letter asks it for candidates, and `contains` decides.
"""

import re
import unicodedata
from functools import cache

# The index refuses longer expressions (`index.max_regex_length`).
LONGEST_PATTERN = 1_000
# Marks that people leave out: accents, Cyrillic and Hebrew points, Arabic vowels.
_MARKS = "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u064b-\u065f\u0670"
_MARK = re.compile(f"[{_MARKS}]")
_ANY_MARKS = f"[{_MARKS}]*"
# What `str.split` takes as blanks.
_BLANKS = "\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_ANY_BLANKS = f"[{_BLANKS}{_MARKS}]+"
# Letters that have no mark of their own in Unicode, but are typed without it.
_STROKES = str.maketrans("\u0142\u00f8\u0111\u0127\u0167\u0131", "lodhti")
# Letters with case or accents. Characters of other ranges have one form.
_WITH_FORMS = (range(0x41, 0x3000), range(0xA640, 0xAC00), range(0xFB00, 0xFDFE))


def contains(value: str, typed: str) -> bool:
    """Whether the value contains the typed text. A text without letters is in each value."""
    return not typed or _bare(typed) in _bare(value)


def pattern(typed: str) -> str | None:
    """A regular expression of Lucene for all values that contain this text, and maybe others.

    None for a text that is in each value. A long text is cut.
    """
    found = ""
    for char in _bare(typed):
        forms = f"[{''.join(map(_escaped, _forms(char)))}]"
        piece = _ANY_BLANKS if char == " " else f"{forms}{_ANY_MARKS}"
        if len(found) + len(piece) + len(".*.*") > LONGEST_PATTERN:
            break
        found += piece
    return f".*{found}.*" if found else None


def _bare(text: str) -> str:
    """The text without accents, in lower case, blanks as one."""
    return " ".join("".join(map(_bare_char, unicodedata.normalize("NFC", text))).split())


@cache
def _bare_char(char: str) -> str:
    """One character, or none for a mark. `ß` stays, because `ss` has two."""
    for form in (char.casefold(), char.lower(), char):
        bare = _MARK.sub("", unicodedata.normalize("NFD", form)).translate(_STROKES)
        if len(bare) <= 1:
            return bare
    return char


def _forms(char: str) -> str:
    return "".join(sorted({char, char.upper()[:1], *_by_bare().get(char, ())}))


@cache
def _by_bare() -> dict[str, list[str]]:
    """The characters of each bare one."""
    found: dict[str, list[str]] = {}
    for code in (code for some in _WITH_FORMS for code in some):
        found.setdefault(_bare_char(chr(code)), []).append(chr(code))
    return found


def _escaped(char: str) -> str:
    return f"\\{char}" if char.isascii() and not char.isalnum() else char
