"""Texts that show nothing, for example one space: what stands in their place."""

import unicodedata

# Characters of these categories show something; not marks alone, separators and control characters.
# Cn and Co have no known form, so a font shows a box.
_SHOWN = {"L", "N", "P", "S"}
_BOXES = {"Cn", "Co"}
# Letters and symbols that show nothing: fillers of Hangul, and the blank pattern of Braille.
_EMPTY = frozenset("\u115f\u1160\u3164\uffa0\u2800")
# Not assigned, but ignored: Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt.
_IGNORED = (range(0x2065, 0x2066), range(0xFFF0, 0xFFF9), range(0xE0000, 0xE1000))
# Format characters that show something: Prepended_Concatenation_Mark in Unicode's PropList.txt.
_SIGNS = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
_MOST_NAMED = 3


def shows(text: str) -> bool:
    """Whether the text shows something."""
    return any(map(_shows, text))


def shown(text: str) -> str:
    """The text, or if it shows nothing: a label that names its characters.

    The empty text has a label, too.
    """
    if shows(text):
        return text
    named = [f"U+{ord(char):04X}" for char in text[:_MOST_NAMED]]
    rest = ["…"] if len(text) > _MOST_NAMED else []
    return f"(blank: {' '.join([*named, *rest])})" if named else "(blank)"


def _shows(char: str) -> bool:
    if char in _EMPTY:
        return False
    category = unicodedata.category(char)
    if category in _BOXES:
        return not any(ord(char) in some for some in _IGNORED)
    return category[0] in _SHOWN or char in _SIGNS
