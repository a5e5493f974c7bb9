"""The language that a person may type, and the query that it makes (docs/guides/search-api.md).

Any text is a good query: what is none of the language's forms is words. What it may cost is
bounded here, by counting what an analyzer makes of it.
"""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from functions.search_images.ranking import MAX_TOKENS

# An analyzer cuts there: no longer word is in the index.
MAX_WORD_LENGTH = 255
# More than any name has; the rest of a text that long says nothing new.
MAX_TEXT_LENGTH = 8 * 1024

# About what the standard tokenizer makes of a text, and never fewer: each letter of a script that
# is written without spaces, other runs of letters and digits, each symbol.
_WIDE = "\u2e80-\u2fdf\u3041-\u3096\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W{_WIDE}]+|[^\w\s\x00-\u1fff]")
# A letter or a digit. Each Unicode version adds ideographs in these planes; whether Python knows
# them already makes no difference.
_IDEOGRAPHS = "\U00020000-\U0003ffff"
_WORD = re.compile(rf"[^\W_]|[{_IDEOGRAPHS}]")

# A quote ends a phrase only where no word goes on behind it. A field's name is one that a user's
# own field may have; what looks like an address has no field in front.
_QUOTES = '"“”„'  # people's keyboards make them
_ITEM = re.compile(
    rf"""(?<!\S)
    (?P<minus>-)?
    (?:(?P<field>[A-Za-z][A-Za-z0-9_-]{{0,63}}):(?![\s/]))?
    (?:[{_QUOTES}](?P<phrase>[^{_QUOTES}]*)[{_QUOTES}](?![\w{_IDEOGRAPHS}])|(?P<bare>\S+))""",
    re.VERBOSE,
)


class Term(msgspec.Struct, frozen=True):
    """A word, a phrase or the beginning of a word, in one field or anywhere.

    `typed` is how a term with a field stood in the text: when there is no such field it may be a
    word with a colon in it.
    """

    kind: Literal["word", "phrase", "prefix"]
    text: str
    field: str | None = None
    typed: str | None = None


class Query(msgspec.Struct, frozen=True):
    """What a text asks for.

    `text` is the whole of it. Of the `words` most are to be found, in any form; `required` terms
    all, `excluded` ones not at all.
    """

    text: str
    words: tuple[str, ...] = ()
    required: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it asks for nothing, for want of any letter or digit."""
        return not (self.words or self.required or self.excluded)


def parse(text: str) -> Query:
    """The query in any text; what goes beyond `MAX_TOKENS` words is left out."""
    # A lone surrogate is no text, and no JSON either.
    text = text[:MAX_TEXT_LENGTH].encode(errors="replace").decode()
    words: list[str] = []
    required: list[Term] = []
    excluded: list[Term] = []
    room = MAX_TOKENS
    for excludes, term in _terms(text):
        fitting = _fitting(term, room)
        if fitting is None:
            break
        room -= _tokens(fitting)
        if excludes:
            excluded.append(fitting)
        elif fitting.kind == "word" and fitting.field is None:
            words.append(fitting.text)
        else:
            required.append(fitting)
    return Query(text.strip(), tuple(words), tuple(required), tuple(excluded))


def _terms(text: str) -> Iterator[tuple[bool, Term]]:
    """What the text's parts mean, with whether it is to be left out; parts without a word not."""
    for item in _ITEM.finditer(text):
        minus, field, phrase, bare = item.group("minus", "field", "phrase", "bare")
        found = bare if phrase is None else phrase
        if not _has_word(found):
            # "artist:?" is a word, if any.
            field, phrase, found = None, None, item[0].removeprefix(minus or "")
            if not _has_word(found):
                continue
        typed = None if field is None else item[0].removeprefix(minus or "")
        if phrase is not None:
            yield bool(minus), Term("phrase", found, field, typed)
        elif found.endswith("*"):
            yield bool(minus), Term("prefix", found.rstrip("*"), field, typed)
        else:
            yield bool(minus), Term("word", found, field, typed)


def _has_word(text: str) -> bool:
    return _WORD.search(text) is not None


def _fitting(term: Term, room: int) -> Term | None:
    """The term, cut to what there is room for; nothing when it does not fit.

    The first of a query is always cut to fit: each letter is one token at most.
    """
    cut = " ".join(word[:MAX_WORD_LENGTH] for word in term.text.split())
    term = msgspec.structs.replace(term, text=cut)
    if _tokens(term) <= room:
        return term
    if room < MAX_TOKENS:
        return None
    return msgspec.structs.replace(term, text=cut[:MAX_TOKENS], typed=None)


def _tokens(term: Term) -> int:
    """How much of the room it takes: at least one, whatever an analyzer makes of it."""
    return max(1, len(_TOKEN.findall(term.text)))
