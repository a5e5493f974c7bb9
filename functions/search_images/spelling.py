"""Spelling: the words of the index that a word may be meant for, which no image has as it stands.

The index's own dictionary is asked along with the query. That costs little: words that are in it
are not looked at, while a query in which each word may be mistyped takes several times as long.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from functions.search_images.ranking import CATCH_ALL, Near

# So many images as typed are enough: more is not guessed then.
ENOUGH = 10
OTHERS = 6
# Letters of a word in which one may be wrong, and in which two may be.
SHORTEST, LONG = 3, 6
# What a person may have mistyped: the dictionary's work grows with the letters.
LONGEST, MOST_LETTERS = 30, 240
# How many near words are looked at to find the nearest, in multiples of OTHERS.
_LOOKED_AT = 10
# In the dictionary's own measure, which is 1 - errors / length of the shorter word.
_LEAST_LIKE = 0.49
# The dictionary takes the first letter of a word with two errors for right: it is asked from the
# other end, too.
_FORWARDS, _BACKWARDS = CATCH_ALL, f"{CATCH_ALL}.backwards"


def question(words: Sequence[str]) -> dict[str, Any]:
    """What to add to a request, so that the index says which words of its own are like these."""
    asked = _asked(words)
    if not asked:
        return {}
    like = {
        "suggest_mode": "missing",
        "size": OTHERS,
        "max_edits": 2,
        "prefix_length": 0,
        "min_word_length": SHORTEST,
        "accuracy": _LEAST_LIKE,
        "max_inspections": _LOOKED_AT,
    }
    both = {field: {"term": {"field": field, **like}} for field in (_FORWARDS, _BACKWARDS)}
    return {"suggest": {"text": " ".join(asked), **both}}


def _asked(words: Sequence[str]) -> Sequence[str]:
    """The words that are looked up: each once, none too long, as far as there is room."""
    room = MOST_LETTERS
    asked: list[str] = []
    for word in dict.fromkeys(words):
        if len(word) > min(LONGEST, room):
            continue
        asked.append(word)
        room -= len(word)
    return asked


def near(words: Sequence[str], answer: Mapping[str, Any]) -> Near:
    """What each word may be meant for that is not in the index's dictionary.

    Args:
        words: those that `question` asked for.
        answer: the index's answer to the request.
    """
    asked = _asked(words)
    if not asked:
        return {}
    said = answer["suggest"]
    entries = list(zip(said[_FORWARDS], said[_BACKWARDS], strict=True))
    found: dict[str, Sequence[str]] = {}
    begins = 0
    for word in asked:
        # Positions are counted as Java does.
        raw = word.encode("utf-16-le")
        ends = begins + len(raw) // 2
        wrong = [
            (2 * (entry["offset"] - begins), 2 * entry["length"], others)
            for entry, backwards in entries
            if begins <= entry["offset"] < ends and (others := _others(entry, backwards))
        ]
        if wrong:
            found[word] = tuple(_mended(raw, wrong))
        begins = ends + 1
    return found


def _others(entry: Mapping[str, Any], backwards: Mapping[str, Any]) -> Sequence[str]:
    """The nearest words, by how many letters are wrong, when those are not too many."""
    word: str = entry["text"]
    if any(char.isdigit() for char in word):
        return ()  # another number is another thing
    options = {option["text"]: option["score"] for option in entry["options"]}
    options |= {option["text"][::-1]: option["score"] for option in backwards["options"]}
    by_errors: dict[int, list[str]] = {}
    for other, like in options.items():
        errors = round((1 - like) * min(len(word), len(other)))
        by_errors.setdefault(errors, []).append(other)
    nearest = min(by_errors, default=LONG)
    return by_errors[nearest] if nearest <= (2 if len(word) >= LONG else 1) else ()


def _mended(raw: bytes, wrong: Sequence[tuple[int, int, Sequence[str]]]) -> Iterator[str]:
    """The word with what is wrong in it replaced: by the nearest ones, the next ones and so on."""
    for place in range(max(len(others) for _, _, others in wrong)):
        mended = raw
        for begins, length, others in reversed(wrong):
            other = others[min(place, len(others) - 1)].encode("utf-16-le")
            mended = mended[:begins] + other + mended[begins + length :]
        yield mended.decode("utf-16-le")


def corrected(text: str, near: Near, marked_of_hits: Sequence[Sequence[str]]) -> str | None:
    """The text with its misspelled words as the best hit that has any spells them; None if none.

    What a hit was found by, it has; so the new text finds that hit.

    Args:
        text: what was asked.
        near: the words by which images were found, too.
        marked_of_hits: the words marked in each hit, best hit first.
    """
    for marked in marked_of_hits:
        there = {_folded(word) for word in marked}
        better = {
            word: other
            for word, others in near.items()
            for other in reversed(others)
            if there.issuperset(re.findall(r"[\w']+", other))
        }
        if better:
            return _replaced(text, better)
    return None


def _replaced(text: str, better: Mapping[str, str]) -> str:
    def written(found: re.Match[str]) -> str:
        field, word = found.group("field", "word")
        return better.get(found[0]) or f"{field}{better.get(word, word)}"

    return re.sub(r"(?<!\S)(?P<field>[A-Za-z][\w-]*:|)(?P<word>\S+)", written, text)


def _folded(word: str) -> str:
    """The word without case and accents, as the index compares."""
    decomposed = unicodedata.normalize("NFKD", word.casefold().replace("’", "'"))  # noqa: RUF001 - as people write it
    return "".join(char for char in decomposed if not unicodedata.combining(char))
