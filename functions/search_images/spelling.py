"""Spelling: the words of the index that a misspelled word may stand for.

The request also asks OpenSearch's term suggester. That costs little, because it skips words that
are in the index. A query that allows a mistake in each word would take several times as long.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from functions.search_images.ranking import CATCH_ALL, Alternatives

# With this many hits, spelling is not corrected.
ENOUGH_HITS = 10
MOST_ALTERNATIVES = 6
# The length of a word in which one letter, and in which two letters, may be wrong.
SHORTEST, LONG = 3, 6
# The longest word, and the most letters of all words, that are looked up: the cost grows with them.
LONGEST, MOST_LETTERS = 30, 240
# How many candidates are inspected, in multiples of MOST_ALTERNATIVES.
_LOOKED_AT = 10
# The suggester's score: 1 - errors / length of the shorter word.
_LEAST_LIKE = 0.49
# With two errors the suggester expects the first letter to be right. A field with reversed words
# finds the others.
_FORWARDS, _BACKWARDS = CATCH_ALL, f"{CATCH_ALL}.backwards"


def dictionary_query(words: Sequence[str]) -> dict[str, Any]:
    """What to add to a request to get indexed words that are similar to these."""
    asked = _asked(words)
    if not asked:
        return {}
    like = {
        "suggest_mode": "missing",
        "size": MOST_ALTERNATIVES,
        "max_edits": 2,
        "prefix_length": 0,
        "min_word_length": SHORTEST,
        "accuracy": _LEAST_LIKE,
        "max_inspections": _LOOKED_AT,
    }
    both = {field: {"term": {"field": field, **like}} for field in (_FORWARDS, _BACKWARDS)}
    return {"suggest": {"text": " ".join(asked), **both}}


def _asked(words: Sequence[str]) -> Sequence[str]:
    """The words to look up: each once, none too long, up to `MOST_LETTERS` in total."""
    room = MOST_LETTERS
    asked: list[str] = []
    for word in dict.fromkeys(words):
        if len(word) > min(LONGEST, room):
            continue
        asked.append(word)
        room -= len(word)
    return asked


def alternatives(words: Sequence[str], answer: Mapping[str, Any]) -> Alternatives:
    """The alternatives of each word that is not in the index.

    Args:
        words: the words of `dictionary_query`.
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
        # Java counts positions in UTF-16 code units.
        raw = word.encode("utf-16-le")
        ends = begins + len(raw) // 2
        wrong = [
            (2 * (entry["offset"] - begins), 2 * entry["length"], others)
            for entry, backwards in entries
            if begins <= entry["offset"] < ends and (others := _others(entry, backwards))
        ]
        if wrong:
            found[word] = tuple(_replacements(raw, wrong))
        begins = ends + 1
    return found


def _others(entry: Mapping[str, Any], backwards: Mapping[str, Any]) -> Sequence[str]:
    """The words with the fewest wrong letters, if those are few enough."""
    word: str = entry["text"]
    if any(char.isdigit() for char in word):
        return ()  # a similar number is not the same
    options = {option["text"]: option["score"] for option in entry["options"]}
    options |= {option["text"][::-1]: option["score"] for option in backwards["options"]}
    by_errors: dict[int, list[str]] = {}
    for other, like in options.items():
        errors = round((1 - like) * min(len(word), len(other)))
        by_errors.setdefault(errors, []).append(other)
    nearest = min(by_errors, default=LONG)
    return by_errors[nearest] if nearest <= (2 if len(word) >= LONG else 1) else ()


def _replacements(raw: bytes, wrong: Sequence[tuple[int, int, Sequence[str]]]) -> Iterator[str]:
    """The word with its wrong parts replaced: by their best alternatives, then the next ones."""
    for place in range(max(len(others) for _, _, others in wrong)):
        replaced = raw
        for begins, length, others in reversed(wrong):
            other = others[min(place, len(others) - 1)].encode("utf-16-le")
            replaced = replaced[:begins] + other + replaced[begins + length :]
        yield replaced.decode("utf-16-le")


def corrected_text(
    text: str, alternatives: Alternatives, marked_of_hits: Sequence[Sequence[str]]
) -> str | None:
    """The text with corrected spelling, or None if there is nothing to correct.

    The corrections are those of the best hit that has any, so the new text finds that hit.

    Args:
        text: the text of the search.
        alternatives: the alternatives of its words.
        marked_of_hits: the highlighted words of each hit, best hit first.
    """
    for marked in marked_of_hits:
        there = {_folded(word) for word in marked}
        better = {
            word: other
            for word, others in alternatives.items()
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
    """The word without case and accents, as the index compares words."""
    decomposed = unicodedata.normalize("NFKD", word.casefold().replace("’", "'"))  # noqa: RUF001 - a common apostrophe
    return "".join(char for char in decomposed if not unicodedata.combining(char))
