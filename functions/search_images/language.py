"""The query language: finds the query in a text (docs/guides/search-api.md).

Every text is a valid query: all that is not a form of the language counts as words. The number of
tokens limits the cost of a query.
"""

import math
import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from functions.search_images.fields import Keyword, field_named
from functions.search_images.ranking import MAX_TOKENS
from functions.search_images.scripts import IDEOGRAPHS, UNSPACED, is_unspaced

# The analyzer splits longer words.
MAX_WORD_LENGTH = 255
# The longest image ID. A value of a keyword field is compared as a whole, as one token.
MAX_KEYWORD_LENGTH = 256
# Longer than any name.
MAX_TEXT_LENGTH = 8 * 1024

# Matches at least as often as the analyzer `exact` makes a token: each letter of a script
# without spaces, other runs of letters and digits, each symbol.
_TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+|[^\w\s\x00-\u1fff]")
# So many letters of a script without spaces cost as much as one other word: they are one phrase.
_LETTERS_A_TOKEN = 4
# A letter or a digit.
_WORD = re.compile(rf"[^\W_]|[{IDEOGRAPHS}]")

# Characters that show nothing: soft hyphen, zero-width characters, direction marks, fillers,
# variation selectors. The index removes them, too (`folded` in characters.json).
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0100-\U000e01ef]"
)

# A quote ends a phrase only if no word character follows. The name of a field is a valid name of an
# attribute. In text like "http://x" there is no field.
_QUOTES = '"“”„'  # keyboards produce all of these
_ITEM = re.compile(
    rf"""(?<!\S)
    (?P<minus>-)?
    (?:(?P<field>[A-Za-z][A-Za-z0-9_-]{{0,63}}):(?![\s/]))?
    (?:[{_QUOTES}](?P<phrase>[^{_QUOTES}]*)[{_QUOTES}](?![\w{IDEOGRAPHS}])|(?P<bare>\S+))""",
    re.VERBOSE,
)


class Term(msgspec.Struct, frozen=True):
    """A word, a phrase or a prefix, in one field or anywhere.

    `typed` is the source text of a term with a field. If no such field exists, the text may be a
    word with a colon.
    """

    kind: Literal["word", "phrase", "prefix"]
    text: str
    field: str | None = None
    typed: str | None = None


class Query(msgspec.Struct, frozen=True):
    """The query in a text.

    `text` is the whole text, without invisible characters. A hit has most of the `words`, in any
    form, all `required` terms and no `excluded` term.
    """

    text: str
    words: tuple[str, ...] = ()
    required: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether the text has no letter and no digit, so that it can only be a whole name."""
        return not (self.words or self.required or self.excluded)


def parse_query(text: str) -> Query:
    """Find the query in any text.

    Words beyond `MAX_TOKENS` and invisible characters are ignored.
    """
    # Replace lone surrogates: a request to OpenSearch cannot contain them.
    text = INVISIBLE.sub("", text[:MAX_TEXT_LENGTH].encode(errors="replace").decode())
    words: list[str] = []
    required: list[Term] = []
    excluded: list[Term] = []
    room = MAX_TOKENS
    for excludes, term in _terms(text):
        fitting = _fitting(term, room)
        if fitting is None:
            break
        room -= _token_count(fitting)
        if excludes:
            excluded.append(fitting)
        elif fitting.kind == "word" and fitting.field is None:
            words.append(fitting.text)
        else:
            required.append(fitting)
    return Query(text.strip(), tuple(words), tuple(required), tuple(excluded))


def _terms(text: str) -> Iterator[tuple[bool, Term]]:
    """Yield whether a term is excluded, and the term. Parts without a word are skipped."""
    for item in _ITEM.finditer(text):
        minus, field, phrase, bare = item.group("minus", "field", "phrase", "bare")
        found = bare if phrase is None else phrase
        if not _has_word(found):
            # "artist:?" has no value, so it is a word.
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
    """The term, or None if its tokens exceed the limit.

    The first term of a query is cut instead: a letter makes at most one token.
    """
    if _is_keyword(term):
        cut = term.text[:MAX_KEYWORD_LENGTH]
    else:
        cut = " ".join(word[:MAX_WORD_LENGTH] for word in term.text.split())
    term = msgspec.structs.replace(term, text=cut)
    if _token_count(term) <= room:
        return term
    if room < MAX_TOKENS:
        return None
    return msgspec.structs.replace(term, text=cut[:MAX_TOKENS], typed=None)


def _token_count(term: Term) -> int:
    """The number of tokens that the term costs, at least one."""
    return 1 if _is_keyword(term) else max(1, sum(map(_tokens_in, term.text.split())))


def _is_keyword(term: Term) -> bool:
    return term.field is not None and isinstance(field_named(term.field), Keyword)


def _tokens_in(word: str) -> int:
    if is_unspaced(word):
        return math.ceil(len(word) / _LETTERS_A_TOKEN)
    return len(_TOKEN.findall(word))
