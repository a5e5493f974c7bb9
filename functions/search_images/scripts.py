"""Scripts: in which of them the analyzers split a typed word, and how.

The ranges are those of the tokenizers and character filters in mapping.json.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# The planes 2 and 3. Each Unicode version adds ideographs there, so all of both planes count,
# whatever Python knows.
IDEOGRAPHS = "\U00020000-\U0003ffff"
# Chinese, Japanese and Korean: the index has each pair of characters.
_PAIRED = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u9fff"
    f"\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff66-\uffdc{IDEOGRAPHS}"
)
# The index has the words of Thai (`FIELD.thai`), and the letters of Lao, Burmese, Khmer and related
# scripts, each with its marks (`FIELD.letters`).
_THAI = "\u0e00-\u0e7f"
_LETTERS = (
    "\u0e80-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u19e0-\u19ff\u1a20-\u1aaf"
    "\ua9e0-\ua9ff\uaa60-\uaadf"
)
# All characters of scripts that put no spaces between words.
UNSPACED = f"{_PAIRED}{_THAI}{_LETTERS}"

_HAS_PAIRS, _IS_PAIRS = re.compile(f"[{_PAIRED}]"), re.compile(f"[{_PAIRED}]+")
_SYLLABLE = re.compile("[\uac00-\ud7a3]")
_IS_UNSPACED = re.compile(f"[{UNSPACED}]+")
# Signs that people write for an apostrophe, as their keyboard or their font has them. The index
# makes `'` of all of them (`folded` in characters.json).
APOSTROPHES = (
    "'`\u00b4\u2018\u2019\u201b\u2032\uff07"  # quotes, accents, prime, full width
    "\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\ua78b\ua78c"  # letters of transcriptions
    "\u055a\u05f3\u1fbd\u1fbf"  # Armenian, Hebrew, Greek
)
# What separates the parts of a file name (`folded` in characters.json, `separators` in
# mapping.json).
_SEPARATOR = re.compile(r"%[2-7][0-9A-Fa-f]|[-_.+\u2010\u2011\uff0b\uff0d\uff0e\ufe63]")
_SUBFIELDS = {"thai": re.compile(f"[{_THAI}]"), "letters": re.compile(f"[{_LETTERS}]")}


# A search asks the same of each word for every field.
once_a_word = lru_cache(maxsize=256)


@once_a_word
def subfields(text: str) -> Sequence[str]:
    """The subfields that have the words or letters of the scripts in this text."""
    return tuple(name for name, letter in _SUBFIELDS.items() if letter.search(text))


def is_unspaced(word: str) -> bool:
    """Whether all of the word is in scripts that put no spaces between words."""
    return _IS_UNSPACED.fullmatch(word) is not None


@once_a_word
def is_pairs(word: str) -> bool:
    """Whether the index has this word only as pairs of characters."""
    return _IS_PAIRS.fullmatch(word) is not None


@once_a_word
def is_single(word: str) -> bool:
    """Whether the word is one Chinese, Japanese or Korean character, so that it is no pair."""
    return is_pairs(word) and len(unicodedata.normalize("NFC", word)) == 1


@once_a_word
def is_syllable(word: str) -> bool:
    """Whether the word is one Korean syllable."""
    return _SYLLABLE.fullmatch(unicodedata.normalize("NFC", word)) is not None


@once_a_word
def is_one_token(word: str) -> bool:
    """Whether the analyzer `exact` surely makes one token of the word.

    Punctuation around it does not count.
    """
    if word.isascii() and word.isalnum():
        return True
    inner = word.strip("".join({char for char in word if not _is_of_word(char)}))
    return not _HAS_PAIRS.search(inner) and all(
        _is_of_word(char) or char in APOSTROPHES for char in inner
    )


@once_a_word
def is_one_token_joined(word: str) -> bool:
    """Whether the analyzer `prefix_query`, which joins parts, makes one token of the word."""
    return is_one_token(joined(word))


def joined(word: str) -> str:
    """The word without what separates the parts of a file name."""
    return _SEPARATOR.sub("", word)


def _is_of_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN"
