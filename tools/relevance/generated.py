"""Queries generated from real titles. Random choices are seeded, so the queries never change."""

import random
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import msgspec

from tools.relevance.collection import Judgeable, collection, folded, spread, words_in

# The number of queries of each kind, taken evenly from all. They run in a few seconds.
PER_KIND = 25
TYPOS_PER_KIND = 80
# A distinctive word is in at most this many images, so all of them fit in the first ten.
DISTINCTIVE = 5
ONE_TYPO_FROM = 4
TWO_TYPOS_FROM = 8
LONG_TITLE = 80
# A swap uses this many letters.
SWAPPED = 2
# Only these first results are measured.
SHOWN = 10


class Judged(msgspec.Struct, frozen=True):
    """A query and its relevant images. All must be in the first ten, or all first ten relevant."""

    kind: str
    query: str
    relevant: frozenset[str]
    because: str


def generated() -> Iterator[Judged]:
    """The generated queries of every kind."""
    yield from _some(list(_exact_titles()), TYPOS_PER_KIND)
    yield from _some(list(_typos("one letter wrong", ONE_TYPO_FROM, 1)), TYPOS_PER_KIND)
    yield from _some(list(_typos("two letters wrong", TWO_TYPOS_FROM, 2)), TYPOS_PER_KIND)
    yield from _some(list(_swapped()), PER_KIND)
    yield from _some(list(_accents()), PER_KIND)
    yield from _some(list(_beginnings()), PER_KIND)
    yield from _some(list(_long_titles()), PER_KIND)
    yield from _some(list(_several_fields()), PER_KIND)
    yield from _some(list(_quotes()), PER_KIND)


def _some[T](all_of_them: Sequence[T], count: int) -> Iterator[T]:
    yield from (all_of_them[at * len(all_of_them) // count] for at in range(count))


@cache
def _by_title() -> Counter[str]:
    return Counter(one.name for one in collection())


def _unique() -> Iterator[Judgeable]:
    return (one for one in collection() if _by_title()[one.name] == 1)


def _exact_titles() -> Iterator[Judged]:
    for one in _unique():
        yield Judged(
            "exact title", one.title, frozenset({one.image_id}), "what the image is called"
        )


@cache
def _distinctive(letters: int) -> Sequence[tuple[str, frozenset[str]]]:
    """The distinctive words of titles, each with the images whose title contains it."""
    words = sorted(
        {
            word
            for one in collection()
            for word in one.name_words
            # No typing errors in parts such as 's, d' or 1st.
            if len(word) >= letters
            and word.isascii()
            and word.isalpha()
            and re.search(rf"(?<![\w'’]){word}(?![\w'’])", one.name)
            and spread()[word] <= DISTINCTIVE
        }
    )
    return [(word, _named(word)) for word in words]


def _named(word: str) -> frozenset[str]:
    return frozenset(one.image_id for one in collection() if word in one.name_words)


def _typos(kind: str, letters: int, count: int) -> Iterator[Judged]:
    for word, relevant in _distinctive(letters):
        mistyped = _mistyped(word, count)
        if mistyped in spread():
            continue  # it is another word of the collection, so the query would be ambiguous
        yield Judged(kind, mistyped, relevant, f"{word} is meant")


def _swapped() -> Iterator[Judged]:
    for word, relevant in _distinctive(ONE_TYPO_FROM):
        chance = random.Random(f"swap {word}")
        at = chance.randrange(len(word) - 1)
        mistyped = _swap(word, at, chance)
        if mistyped != word and mistyped not in spread():
            yield Judged("letters swapped", mistyped, relevant, f"{word} is meant")


def _mistyped(word: str, count: int) -> str:
    """The word with this many typing errors, each at different letters."""
    chance = random.Random(f"{count} {word}")
    while True:
        # From the end, so that earlier positions stay valid.
        places = sorted(chance.sample(range(len(word) - 1), count), reverse=True)
        if count > 1 and places[0] - places[1] < SWAPPED:
            continue
        mistyped = word
        for at in places:
            mistyped = chance.choice(_ERRORS)(mistyped, at, chance)
        if mistyped != word:
            return mistyped


def _leave_out(word: str, at: int, _: random.Random) -> str:
    return word[:at] + word[at + 1 :]


def _add(word: str, at: int, chance: random.Random) -> str:
    return word[:at] + chance.choice(string.ascii_lowercase) + word[at:]


def _replace(word: str, at: int, chance: random.Random) -> str:
    return word[:at] + chance.choice(string.ascii_lowercase) + word[at + 1 :]


def _swap(word: str, at: int, _: random.Random) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]


_ERRORS: Sequence[Callable[[str, int, random.Random], str]] = (_leave_out, _add, _replace, _swap)


def _accents() -> Iterator[Judged]:
    """Words with accents in titles and names: with accents, without, and decomposed."""
    seen: dict[str, str] = {}
    for one in collection():
        for word in f"{one.title} {one.attributes.get('artist', '')}".split():
            bare = word.strip(string.punctuation + "‘’“”")
            if bare.isalpha() and folded(bare) != bare.lower() and spread()[folded(bare)] <= SHOWN:
                seen[folded(bare)] = bare
    for plain, accented in sorted(seen.items()):
        relevant = frozenset(one.image_id for one in collection() if plain in one.words)
        for query, because in (
            (accented, "as it is written"),
            (plain, "without its accents"),
            (unicodedata.normalize("NFD", accented), "accents as characters of their own"),
            (accented.upper(), "in capitals"),
        ):
            yield Judged("accents", query, relevant, because)


def _beginnings() -> Iterator[Judged]:
    """The first two thirds of a distinctive word, as while it is typed."""
    for word, relevant in _distinctive(TWO_TYPOS_FROM):
        start = word[: len(word) * 2 // 3]
        alike = {other for other in spread() if other.startswith(start)}
        if alike == {word}:
            yield Judged("beginning of a word", start, relevant, f"on the way to {word}")


def _long_titles() -> Iterator[Judged]:
    for one in _unique():
        if len(one.title) >= LONG_TITLE:
            # Quotation marks would make it a phrase query.
            words = re.sub(r"[“”]", "", one.title).split()
            half = " ".join(words[: len(words) // 2])
            begins = folded(half)
            like = frozenset(two.image_id for two in collection() if begins in two.name)
            yield Judged("long title", half, like, "its first half")
            every_other = " ".join(words[::2])
            yield Judged("long title", every_other, frozenset({one.image_id}), "every other word")


def _several_fields() -> Iterator[Judged]:
    """A distinctive word of the title, an artist's last name and a word of the medium."""
    for word, relevant in _distinctive(ONE_TYPO_FROM + 1):
        one = next(one for one in collection() if one.image_id in relevant)
        artist = words_in(one.attributes.get("artist", ""))[-1:]
        medium = words_in(one.attributes.get("medium", ""))[:1]
        asked = [word, *artist, *medium]
        meant = frozenset(one.image_id for one in collection() if one.words.issuperset(asked))
        if len(asked) > 1:
            yield Judged(
                "several fields", " ".join(reversed(asked)), meant, "title, artist, medium"
            )


def _quotes() -> Iterator[Judged]:
    """Titles with quotation marks or apostrophes: typed as straight ones, or left out."""
    straight = str.maketrans("‘’“”", "''\"\"")
    for one in _unique():
        typed = one.title.translate(straight)
        if typed == one.title:
            continue
        relevant = frozenset({one.image_id})
        yield Judged("quotes", typed, relevant, "straight quotes for curly ones")
        without = re.sub(r"(?<!\w)['\"]|['\"](?!\w)", "", typed)
        yield Judged("quotes", without, relevant, "no quotes around words")
