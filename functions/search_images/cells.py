"""Texts as cells of a spreadsheet: one that would run as a formula is made harmless.

Excel, LibreOffice and Google Sheets may take a cell of a CSV file as a formula: it can read other
cells and send them away (CWE-1236). An apostrophe in front of the formula makes it text
(docs/guides/search-api.md).
"""

import re
import unicodedata

# What begins a formula, also in the widths of East Asian keyboards, which Excel takes, too.
_BEGINS = frozenset("=+-@＝＋－＠﹦﹢﹣﹫")  # noqa: RUF001
# Where a cell may begin: where the separator is a semicolon or a tab, as in many countries, a cell
# begins after it, and quotation marks do not protect it.
_BOUNDARY = re.compile("([;\t\r\n])")
_NUMBER = re.compile(r" *[+-]?\d+(\.\d+)?([eE][+-]?\d+)? *", re.ASCII)
# Characters that a spreadsheet may drop before it looks for a formula: quotation marks, blanks,
# and what shows nothing. By Unicode's general category.
_DROPPED = frozenset({"Cc", "Cf", "Pf", "Pi", "Zl", "Zp", "Zs"})
_QUOTES = frozenset("\"'`´＂＇")  # noqa: RUF001


def harmless(text: str) -> str:
    """The text with an apostrophe before each part that would be a formula.

    A number stays a number. The result is unambiguous: an apostrophe before what would be a formula
    without it was added here.
    """
    first, *rest = _BOUNDARY.split(text)
    # A tab or a line break begins the cell, or would without an apostrophe that was there before.
    if not first.strip("'") and rest and rest[0] != ";":
        first = f"'{first}"
    return "".join(f"'{part}" if _is_formula(part) else part for part in (first, *rest))


def _is_formula(part: str) -> bool:
    if _NUMBER.fullmatch(part):
        return False
    first = next((char for char in part if not _is_dropped(char)), "")
    return first in _BEGINS


def _is_dropped(char: str) -> bool:
    return char in _QUOTES or unicodedata.category(char) in _DROPPED
