"""Numbers and years as people type them: the clauses for what else they may stand for."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from functions.search_images.filters import instant
from functions.search_images.scripts import joined, once_a_word

# A typed number behind letters of any script: "IMG242", "img_242".
_COUNTED = re.compile(r"([^\W\d_]{1,20})(\d{1,8})")
# A typed number with letters before or after it: "KV62", "35mm".
_NUMBERED = re.compile(r"([a-z]{1,20})([0-9]{1,20})|([0-9]{1,20})([a-z]{1,20})", re.IGNORECASE)
# More letters are no initials.
_MOST_INITIALS = 4
# Cameras and scanners count with up to so many digits.
_MOST_DIGITS = 8
_DIGITS_OF_A_YEAR = 4
# The words of the file name of a URL (`url.file` in mapping.json).
FILE_NAME = "url.file"


def with_a_blank(field: str, word: str) -> list[dict[str, Any]]:
    """The clauses for a number with letters that are written apart: "KV62" is "KV 62" or "K.V. 62".

    The index has the initials "K.V." as two words, with the joined word `_kv` at the first one.
    """
    stems = f"{field}.stem"
    return [{"match_phrase": {stems: {**phrase}}} for phrase in _phrases_apart(word)]


@once_a_word
def _phrases_apart(word: str) -> Sequence[Mapping[str, Any]]:
    """The phrases of a number with letters; nothing for another word."""
    numbered = _NUMBERED.fullmatch(joined(word))
    if numbered is None:
        return ()
    together = {"query": " ".join(part for part in numbered.groups() if part)}
    letters, number = numbered[1], numbered[2]
    if not letters or not 1 < len(letters) <= _MOST_INITIALS:
        return (together,)
    initials = {
        "query": f"_{letters.lower()} {number}",
        "analyzer": "whitespace",
        "slop": len(letters) - 1,
    }
    return together, initials


def with_other_zeros(field: str, word: str) -> list[dict[str, Any]]:
    """The clauses for a number with more or fewer zeros before it: "242" is "0242" in `IMG_0242`.

    There may be letters before the number: "img242" is `IMG_0242`, too, and "dsc242" is `DSC0242`.
    The clauses rank lower than the number as typed.
    """
    numbers, counted = _other_zeros(word)
    if numbers or field == FILE_NAME:
        return _one_of(field, numbers or counted)
    return _one_of(f"{field}.stem", [form for one in counted for form in (one, f"_{one}")])


@once_a_word
def _other_zeros(word: str) -> tuple[Sequence[str], Sequence[str]]:
    """The number with more or fewer zeros before it; or a number behind letters, with them.

    Of `IMG_0242`, the index has the joined word: `_img0242` in the stems of a text, and `img0242`
    in the file name of a URL, which has no stems.
    """
    digits = _digits(word)
    if digits:
        return _zeros(digits), ()
    counted = _COUNTED.fullmatch(unicodedata.normalize("NFKC", joined(word)))
    if counted is None:
        return (), ()
    return (), [counted[1].lower() + number for number in _zeros(_digits(counted[2]))]


def _zeros(digits: str) -> list[str]:
    """The number with more or fewer zeros before it, without the number as it is."""
    bare = digits.lstrip("0") or digits[-1:]
    return [
        form
        for length in range(len(bare), _MOST_DIGITS + 1)
        if len(digits) <= _MOST_DIGITS and (form := bare.zfill(length)) != digits
    ]


def _one_of(field: str, forms: Sequence[str]) -> list[dict[str, Any]]:
    return [{"terms": {field: sorted(forms), "boost": 0.4}}] if forms else []


def taken_in(word: str) -> list[dict[str, Any]]:
    """The clauses for a year: the images that were taken in it (in UTC).

    They rank lower than images with the number in their text.
    """
    year = _digits(word)
    if len(year) != _DIGITS_OF_A_YEAR:
        return []
    period = {"gte": instant(year, last=False), "lte": instant(year, last=True)}
    return [{"range": {"taken_at": {**period, "boost": 0.4}}}]


def _digits(word: str) -> str:
    """The digits of a number in any script, as 0 to 9; nothing for another word."""
    return "".join(str(int(digit)) for digit in word) if word.isdecimal() else ""
