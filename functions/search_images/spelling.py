"""Spelling: finds the indexed words that the user may mean by a misspelled word.

The search request also asks the term suggester of OpenSearch. That is fast, because the suggester
skips words that are in the index. A fuzzy query for each word would take several times as long.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from functions.search_images.ranking import CATCH_ALL, Alternatives
from functions.search_images.scripts import APOSTROPHES

# With at least this many hits, spelling is not corrected.
ENOUGH_HITS = 10
MOST_ALTERNATIVES = 6
# From these lengths on, one letter (SHORTEST) or two letters (LONG) of a word may be wrong.
SHORTEST, LONG = 4, 6
# Limits, because the cost grows: the length of a word, and the letters of all words together.
LONGEST, MOST_LETTERS = 30, 240
# The number of candidates that each shard inspects. The best of all shards are the answer.
_LOOKED_AT = 60
# The minimum score. The suggester's score is 1 - errors / length of the shorter word.
_LEAST_LIKE = 0.49
# If two letters are wrong, the suggester requires a correct first letter. So a second field with
# reversed words finds words with a wrong first letter.
_FORWARDS, _BACKWARDS = CATCH_ALL, f"{CATCH_ALL}.backwards"
_APOSTROPHES = str.maketrans(dict.fromkeys(APOSTROPHES, "'"))

type Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Sends a request to the index, and returns its answer."""


def dictionary_query(words: Sequence[str]) -> dict[str, Any]:
    """The part of a request that asks for indexed words similar to these."""
    asked = _asked(words)
    if not asked:
        return {}
    like = {
        "suggest_mode": "missing",
        "size": MOST_ALTERNATIVES,
        "shard_size": _LOOKED_AT,
        "max_edits": 2,
        "prefix_length": 0,
        "min_word_length": SHORTEST,
        "accuracy": _LEAST_LIKE,
        "max_inspections": 1,
    }
    both = {field: {"term": {"field": field, **like}} for field in (_FORWARDS, _BACKWARDS)}
    return {"suggest": {"text": " ".join(asked), **both}}


def _asked(words: Sequence[str]) -> Sequence[str]:
    """The words to look up, without repetitions and long words, up to `MOST_LETTERS` in total."""
    room = MOST_LETTERS
    asked: list[str] = []
    for word in dict.fromkeys(words):
        if len(word) > min(LONGEST, room):
            continue
        asked.append(word)
        room -= len(word)
    return asked


def alternatives(words: Sequence[str], answer: Mapping[str, Any], ask: Ask) -> Alternatives:
    """The alternatives of each word that is not in the index.

    Each shard answers by its own words. So with several shards, one more request finds the words
    that another shard has.

    Args:
        words: the words of `dictionary_query`.
        answer: the answer of the index to the request.
        ask: sends another request.

    Raises:
        TooSlowError, OpenSearchException: the index did not answer that request.
    """
    asked = _asked(words)
    if not asked:
        return {}
    said = answer["suggest"]
    entries = list(zip(said[_FORWARDS], said[_BACKWARDS], strict=True))
    if answer["_shards"]["total"] > 1:
        doubtful = {
            entry["text"]
            for entry, backwards in entries
            if entry["options"] or backwards["options"]
        }
        there = _there(sorted(doubtful), ask)
        entries = [both for both in entries if both[0]["text"] not in there]
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


def _there(words: Sequence[str], ask: Ask) -> Collection[str]:
    """Those of these words that are in the index."""
    if not words:
        return ()
    each = {str(at): {"filter": {"term": {_FORWARDS: word}}} for at, word in enumerate(words)}
    query = {"terms": {_FORWARDS: list(words)}}
    found = ask({"size": 0, "query": query, "aggs": each})["aggregations"]
    return {word for at, word in enumerate(words) if found[str(at)]["doc_count"]}


def _others(entry: Mapping[str, Any], backwards: Mapping[str, Any]) -> Sequence[str]:
    """The words with the fewest wrong letters, if these are few enough."""
    word: str = entry["text"]
    if any(char.isdigit() for char in word):
        return ()  # a similar number is never meant
    options = {option["text"]: option["score"] for option in entry["options"]}
    options |= {option["text"][::-1]: option["score"] for option in backwards["options"]}
    by_errors: dict[int, list[str]] = {}
    for other, like in options.items():
        errors = round((1 - like) * min(len(word), len(other)))
        by_errors.setdefault(errors, []).append(other)
    nearest = min(by_errors, default=LONG)
    return by_errors[nearest] if nearest <= (2 if len(word) >= LONG else 1) else ()


def _replacements(raw: bytes, wrong: Sequence[tuple[int, int, Sequence[str]]]) -> Iterator[str]:
    """Replace the wrong parts of the word by their best alternatives, then by the next ones."""
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

    The corrections come from the best hit with a corrected word, so the new text finds that hit.

    Args:
        text: the text of the search.
        alternatives: the alternatives of its words.
        marked_of_hits: the highlighted words of each hit, best hit first.
    """
    for marked in marked_of_hits:
        there = {_folded(part) for word in marked for part in _parts(word)}
        better = {
            word: other
            for word, others in alternatives.items()
            for other in reversed(others)
            if there.issuperset(map(_folded, _words(other)))
        }
        if better:
            return _replaced(text, better)
    return None


def _replaced(text: str, better: Mapping[str, str]) -> str:
    def written(found: re.Match[str]) -> str:
        field, word = found.group("field", "word")
        return better.get(found[0]) or f"{field}{better.get(word, word)}"

    return re.sub(r"(?<!\S)(?P<field>[A-Za-z][\w-]*:|)(?P<word>\S+)", written, text)


def _parts(marked: str) -> Iterator[str]:
    """A marked word, and the words in it: "NightSky2019" is marked as a whole for "sky"."""
    for word in _words(marked):
        yield word
        begins = [0, *(at for at in range(1, len(word)) if _is_boundary(word, at)), len(word)]
        yield from (word[start:end] for start, end in pairwise(begins))


def _words(text: str) -> Iterator[str]:
    """The runs of letters and digits, with their marks and apostrophes."""
    for is_word, run in groupby(text, key=_is_of_word):
        if is_word:
            yield "".join(run)


def _is_of_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LMN" or char in APOSTROPHES


def _is_boundary(word: str, at: int) -> bool:
    """Whether a word begins inside of this one, as `inner_words` in mapping.json finds it."""
    before, here, after = word[at - 1], word[at], word[at + 1 : at + 2]
    if before.isdigit() or here.isdigit():
        return before.isdigit() != here.isdigit()
    return here.isupper() and (before.islower() or after.islower())


def _folded(word: str) -> str:
    """The word in lower case without accents, to compare it with a word of the index."""
    decomposed = unicodedata.normalize("NFKD", word.casefold().translate(_APOSTROPHES))
    return "".join(char for char in decomposed if not unicodedata.combining(char))
