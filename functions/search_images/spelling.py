"""Did you mean: a query's misspelled words as the best hit spells them.

Not from the index's dictionary: that has words of deleted images in it, too, and knows nothing of
the other words of the query. What a hit was found by, it has; so the new text finds that hit.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from functions.search_images.language import Query
from functions.search_images.ranking import CATCH_ALL

# As the ranking forgives (`ranking.TYPOS`): by length of word.
SHORTEST, LONG = 4, 8
_AGGREGATION = "spelled_"


def counts(query: Query) -> dict[str, Any]:
    """Aggregations that count the images found which have a word as it was typed."""
    return {
        f"{_AGGREGATION}{at}": {
            "filter": {
                "bool": {
                    "should": [
                        {"match": {f"{CATCH_ALL}{sub}": {"query": word, "operator": "and"}}}
                        for sub in ("", ".stem", ".prefix")
                    ]
                }
            }
        }
        for at, word in _spellable(query)
    }


def corrected(
    query: Query, aggregations: Mapping[str, Any], marked_of_hits: Iterable[Sequence[str]]
) -> str | None:
    """The query's text with words replaced that no image found has; None if there is none.

    Args:
        query: what was asked.
        aggregations: the answer to `counts`.
        marked_of_hits: the words marked in each hit, best hit first.
    """
    misspelled = [
        word
        for at, word in _spellable(query)
        if aggregations[f"{_AGGREGATION}{at}"]["doc_count"] == 0
    ]
    if not misspelled:
        return None
    for marked in marked_of_hits:
        there = list(dict.fromkeys(_folded(word) for word in marked))
        better = {word: near for word in misspelled if (near := _nearest(word, there))}
        if better:
            return _replaced(query.text, better)
    return None


def _spellable(query: Query) -> list[tuple[int, str]]:
    """Where words stand that could be misspelled: those of letters alone."""
    return [
        (at, word)
        for at, word in enumerate(query.words)
        if len(word) >= SHORTEST and word.isalpha()
    ]


def _nearest(word: str, others: Iterable[str]) -> str | None:
    folded = _folded(word)
    most = 1 if len(folded) < LONG else 2
    distances = [(_distance(folded, other, most), other) for other in others]
    near = [(distance, other) for distance, other in distances if 0 < distance <= most]
    return min(near, key=lambda one: one[0])[1] if near else None


def _distance(one: str, other: str, most: int) -> int:
    """How many letters are wrong, missing, too many or swapped; above `most` any number above."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, its in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != its))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == its:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def _folded(word: str) -> str:
    """The word without case and accents, as the index compares."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    return "".join(char for char in decomposed if not unicodedata.combining(char))


def _replaced(text: str, better: Mapping[str, str]) -> str:
    return re.sub(r"\S+", lambda word: better.get(word[0], word[0]), text)
