"""Generate the rules of the index's character filters: `python -m tools.character_rules`.

The rules come from Python's copy of the Unicode Character Database. OpenSearch's filter `mapping`
reads them: it replaces the longest source at each place, from left to right, once. So the filters
follow each other (docs/guides/search.md). A newer Python may know more characters, whose rules are
then missing in the file; the rules for known characters never change (Unicode's stability policy).
"""

import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations, product

from functions.search_images.scripts import APOSTROPHES

type Rules = Mapping[str, str]
"""What replaces what."""

_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
_FINALS = 28  # the number of syllables that begin with the same two letters
_SURROGATES = range(0xD800, 0xE000)
# The longest sequence whose marks may come in any order; longer ones have the usual order.
_MOST_MARKS = 3

# Characters that show nothing: soft hyphen, zero-width characters, direction marks, fillers,
# variation selectors. Not the tag characters, which tell the flags of England and Scotland apart.
_INVISIBLE: Sequence[range] = (
    range(0xAD, 0xAE),
    range(0x34F, 0x350),
    range(0x61C, 0x61D),
    range(0x115F, 0x1161),
    range(0x17B4, 0x17B6),
    range(0x180B, 0x1810),
    range(0x200B, 0x2010),
    range(0x202A, 0x202F),
    range(0x2060, 0x2070),
    range(0x3164, 0x3165),
    range(0xFE00, 0xFE10),
    range(0xFEFF, 0xFF00),
    range(0xFFA0, 0xFFA1),
    range(0xFFF9, 0xFFFC),
    range(0xE0100, 0xE01F0),
)
# Signs for words, of the category So, that have the form of a letter.
_LETTER_SIGNS: Sequence[range] = (range(0x2E80, 0x2FE0), range(0x3200, 0x3400))
# A replacement is at most this many times as long, in UTF-8, as what it replaces: a name of 8 KiB
# must stay below Lucene's limit of 32,766 bytes for a keyword.
MOST_GROWTH = 3

_THAI_AM, _LAO_AM = "\u0e33", "\u0eb3"
_THAI_TONES, _LAO_TONES = "\u0e48\u0e49\u0e4a\u0e4b", "\u0ec8\u0ec9\u0eca\u0ecb"

# Marks that most people leave out, or that make no other letter.
_OPTIONAL_MARKS: Sequence[range] = (
    range(0x300, 0x370),
    range(0x483, 0x48A),  # Cyrillic
    range(0x591, 0x5BE),  # Hebrew: accents and points
    range(0x5BF, 0x5C0),
    range(0x5C1, 0x5C3),
    range(0x5C4, 0x5C6),
    range(0x5C7, 0x5C8),
    range(0x610, 0x61B),  # Arabic: honorifics, vowels, hamza and madda above or below
    range(0x64B, 0x660),
    range(0x670, 0x671),
    range(0x6D6, 0x6DD),
    range(0x6DF, 0x6E5),
    range(0x6E7, 0x6E9),
    range(0x6EA, 0x6EE),
    range(0x711, 0x712),  # Syriac
    range(0x730, 0x74B),
    range(0x8CA, 0x900),  # Arabic
    range(0x951, 0x955),  # Vedic accents
    range(0x135D, 0x1360),  # Ethiopic
    range(0x1AB0, 0x1B00),
    range(0x1CD0, 0x1CE9),
    range(0x1DC0, 0x1E00),
    range(0x20D0, 0x20F1),
    range(0x2DE0, 0x2E00),
    range(0xFE20, 0xFE30),
)
# The dot below that makes letters for foreign sounds in the scripts of India.
_NUKTAS = "\u093c\u09bc\u0a3c\u0abc\u0b3c"
# Cyrillic letters of their own, each with its key on a keyboard, although Unicode takes them apart.
_OWN_LETTERS = frozenset("ЙйЇїЎўЃѓЌќ")
# Letters that are written in several ways. The filters `arabic_normalization` and
# `persian_normalization` know the other Arabic letters.
_VARIANTS: Rules = {
    "ς": "σ",
    "\u03f2": "σ",
    "\u0671": "\u0627",  # alef wasla: alef
    "\u0640": "",  # the Arabic line that lengthens words
    "\u0901": "\u0902",  # the two dots for a nasal vowel in Hindi
    "\u05f4": '"',  # the Hebrew sign inside abbreviations
    **dict.fromkeys(APOSTROPHES.removeprefix("'"), "'"),
    **dict.fromkeys("\u2010\u2011\ufe63\uff0d", "-"),
    "\uff0b": "+",
    "\uff0e": ".",
}
# An escaped blank or other sign of ASCII, as in a URL.
_ESCAPES: Rules = {
    f"%{first}{second}": "___" for first in "234567" for second in "0123456789ABCDEFabcdef"
}

# Hindi writes a nasal consonant before another one of its class also as a dot (हिन्दी, हिंदी).
_NASALS: Rules = {
    f"{nasal}\u094d{stop}": f"\u0902{stop}"
    for nasal, stops in (("ङ", "कखगघ"), ("ञ", "चछजझ"), ("ण", "टठडढ"), ("न", "तथदध"), ("म", "पफबभ"))
    for stop in stops
}


def every_character() -> Iterator[str]:
    """All characters but surrogates."""
    return (chr(code) for code in range(sys.maxunicode + 1) if code not in _SURROGATES)


def plain() -> Rules:
    """Remove invisible characters, and replace letters in another width, position or font."""
    rules = {chr(code): "" for several in _INVISIBLE for code in several}
    for char in every_character():
        usual = unicodedata.normalize("NFKD", char)
        if char not in rules and _is_another_form(char) and _is_plain(usual, char):
            rules[char] = unicodedata.normalize("NFC", usual)
    for am, tones, nikhahit, aa in (
        (_THAI_AM, _THAI_TONES, "\u0e4d", "\u0e32"),
        (_LAO_AM, _LAO_TONES, "\u0ecd", "\u0eb2"),
    ):
        rules |= {f"{nikhahit}{tone}{aa}": f"{tone}{am}" for tone in ("", *tones)}
    return rules


def _is_another_form(char: str) -> bool:
    """Whether a letter or a digit has a compatibility decomposition."""
    is_sign = any(ord(char) in several for several in _LETTER_SIGNS)
    return (
        unicodedata.decomposition(char).startswith("<")
        and char not in {_THAI_AM, _LAO_AM}
        and (is_sign or unicodedata.category(char)[0] in "LMN")
    )


def _is_plain(usual: str, char: str) -> bool:
    is_short = len(usual.encode()) <= MOST_GROWTH * len(char.encode())
    return is_short and all(
        unicodedata.category(one)[0] in "LM" or one.isdecimal() for one in usual
    )


def composed() -> Rules:
    """Compose letters with their marks, except the last letters of Hangul syllables."""
    rules: dict[str, str] = {}
    for char in every_character():
        apart = unicodedata.normalize("NFD", char)
        if ord(char) in _HANGUL_SYLLABLES:
            if (ord(char) - _HANGUL_SYLLABLES[0]) % _FINALS == 0:
                rules[apart] = char
        elif apart != char:
            together = unicodedata.normalize("NFC", char)
            rules |= dict.fromkeys({char, *_spellings(apart)} - {together}, together)
    return rules


def _spellings(apart: str) -> Iterator[str]:
    """The sequences that Unicode takes for the same as this one, without needless marks."""
    letter, marks = apart[0], apart[1:]
    orders = permutations(marks) if len(marks) <= _MOST_MARKS else [tuple(marks)]
    for order in orders:
        written = letter + "".join(order)
        if unicodedata.normalize("NFD", written) == apart:
            yield written
            for end in range(2, len(written)):
                begun = unicodedata.normalize("NFC", written[:end])
                if len(begun) == 1:
                    yield begun + written[end:]


def hangul() -> Rules:
    """Compose the last letters of Hangul syllables. They come after `composed`."""
    rules: dict[str, str] = {}
    for code in _HANGUL_SYLLABLES:
        begins = (code - _HANGUL_SYLLABLES[0]) % _FINALS
        if begins:
            rules[chr(code - begins) + unicodedata.normalize("NFD", chr(code))[-1]] = chr(code)
    return rules


def folded() -> Rules:
    """Remove marks that people leave out, and replace variants of letters and signs.

    One filter for words, so that each text passes few filters: it also does what `plain` does, and
    composes letters with the marks that stay, except the last letters of Hangul syllables. Escaped
    characters become low lines.
    """
    forms = plain()
    optional = {chr(code) for several in _OPTIONAL_MARKS for code in several} | {*_NUKTAS}
    singles = {**dict.fromkeys(optional, ""), **_VARIANTS}

    def usual(char: str) -> str:
        """The letter with the marks that stay."""
        if char in _OWN_LETTERS:
            return char
        parts = unicodedata.normalize("NFD", char)
        kept = "".join(singles.get(one, forms.get(one, one)) for one in parts)
        return unicodedata.normalize("NFC", kept)

    for char in every_character():
        if unicodedata.normalize("NFD", char) != char and (new := usual(char)) != char:
            singles.setdefault(char, new)
    together = {
        old: new
        for old, char in composed().items()
        if len(old) > 1 and (new := usual(char)) != "".join(map(usual, old))
    }
    return {
        **{old: "".join(map(usual, new)) for old, new in forms.items()},
        **singles,
        **dict(_in_other_forms(together, forms)),
        **together,
        **_NASALS,
        **_ESCAPES,
    }


def _in_other_forms(together: Rules, forms: Rules) -> Iterator[tuple[str, str]]:
    """The sequences with one or more letters in another form: half-width kana, for example."""
    others: dict[str, list[str]] = {}
    for form, char in forms.items():
        others.setdefault(char, []).append(form)
    for old, new in together.items():
        if ord(new[0]) not in _HANGUL_SYLLABLES:
            for written in product(*([char, *others.get(char, ())] for char in old)):
                yield "".join(written), new


def generated() -> str:
    """The file: the rules of each filter, a rule a line."""
    filters = {"composed": composed(), "hangul": hangul(), "folded": folded()}
    return json.dumps(
        {
            name: [f"{_written(old)}=>{_written(new)}" for old, new in sorted(rules.items())]
            for name, rules in filters.items()
        },
        ensure_ascii=False,
        indent=0,
    )


def _written(text: str) -> str:
    """The text in a rule, with escapes instead of what is no letter and no digit."""
    return "".join(
        char if unicodedata.category(char)[0] in "LN" else _escaped(char) for char in text
    )


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(rf"\u{units[at : at + 4]}" for at in range(0, len(units), 4))


if __name__ == "__main__":
    print(generated())
