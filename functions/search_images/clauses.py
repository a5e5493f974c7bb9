"""The clauses: a query in OpenSearch's words, bounded like the query itself.

No expression, no wildcard in front, no field that the allow-list does not name. A term costs no
more clauses than a word that is ranked (`ranking.MAX_TOKENS`).
"""

from collections.abc import Sequence
from typing import Any

from functions.search_images.fields import (
    ATTRIBUTE_NAME,
    ATTRIBUTE_VALUE,
    ATTRIBUTES,
    Attribute,
    Field,
    Keyword,
    Text,
    field,
)
from functions.search_images.language import Query, Term
from functions.search_images.ranking import (
    AS_TYPED,
    CATCH_ALL,
    Near,
    marking,
    ranked,
    spellings,
)

type Clause = dict[str, Any]

# The longest beginning of a word that the index holds ready (`prefixes` in mapping.json).
LONGEST_READY_PREFIX = 20
ANYWHERE = Text(CATCH_ALL)
NAME = Text("name")


def spelt(query: Query) -> Sequence[str]:
    """The words of a query that may be meant for others, in a field or anywhere.

    What is left out, a phrase and a beginning are taken as they are, and so is a value that is no
    words.
    """
    fielded = (
        term.text
        for term in query.required
        if term.kind == "word" and not isinstance(_within(term), Keyword)
    )
    return [*query.words, *fielded]


def wanted(query: Query, near: Near = AS_TYPED) -> Clause:
    """The images that a query asks for, the likeliest first; its words may be `near` others."""
    if not query.required and not query.excluded:
        return ranked(query.text, query.words, near)
    must = [ranked(" ".join(query.words), query.words, near)] if query.words else []
    must += [_required(term, near) for term in query.required]
    asked = {
        "bool": {
            "must": must or [{"match_all": {}}],
            "must_not": [_found(term, _within(term)) for term in query.excluded],
        }
    }
    # A whole name may hold what looks like the language: "Rome: -the Forum".
    whole: list[Clause] = [
        {"term": {path: {"value": query.text, "boost": 100}}}
        for path in ("name.keyword", "image_id", "url")
    ]
    return {"bool": {"should": [asked, *whole]}}


def marks(path: str, query: Query, near: Near = AS_TYPED) -> Clause | None:
    """What to mark in a field of an image that was found; nothing when nothing can be there."""
    clauses: list[Clause] = [marking(path, query.words, near)] if query.words else []
    for term in query.required:
        within = _within(term)
        here = isinstance(within, Attribute) and path == ATTRIBUTE_VALUE
        if here or within in (ANYWHERE, Text(path)):
            clauses.append(_in_text(Text(path), term, near))
    return {"bool": {"should": clauses}} if clauses else None


def _within(term: Term) -> Field:
    return ANYWHERE if term.field is None else field(term.field)


def _required(term: Term, near: Near) -> Clause:
    found = _found(term, _within(term), near)
    if term.field is not None:
        return found
    # Anywhere, and best in the name.
    return {"bool": {"must": found, "should": {"bool": {"must": _found(term, NAME), "boost": 3}}}}


def _found(term: Term, within: Field, near: Near = AS_TYPED) -> Clause:
    """The images that have this term there."""
    match within:
        case Text():
            return _in_text(within, term, near)
        case Keyword():
            return _in_keyword(within, term)
        case Attribute():
            return _in_attribute(within, term, near)


def _in_text(within: Text, term: Term, near: Near) -> Clause:
    path, text = within.path, term.text
    match term.kind:
        case "phrase":
            return {"match_phrase": {path: {"query": text}}}
        case "prefix":
            ready = within in (ANYWHERE, NAME) and len(text) <= LONGEST_READY_PREFIX
            if ready:
                return {"match": {f"{path}.prefix": {"query": text, "operator": "and"}}}
            return {"match_bool_prefix": {path: {"query": text, "operator": "and"}}}
        case "word":
            return {"dis_max": {"queries": spellings(path, text, near)}}


def _in_keyword(within: Keyword, term: Term) -> Clause:
    values = [term.text, *([within.in_front + term.text] if within.in_front else [])]
    kind = "prefix" if term.kind == "prefix" else "term"
    ways = [{kind: {within.path: {"value": one, "case_insensitive": True}}} for one in values]
    return {"bool": {"should": ways}}


def _in_attribute(within: Attribute, term: Term, near: Near) -> Clause:
    named = {"term": {ATTRIBUTE_NAME: {"value": within.name, "case_insensitive": True}}}
    has = {"bool": {"filter": named, "must": _in_text(Text(ATTRIBUTE_VALUE), term, near)}}
    ways: list[Clause] = [{"nested": {"path": ATTRIBUTES, "query": has}}]
    if term.typed is not None:
        # No such field: then a word with a colon in it, as "sha256:cafe" is.
        ways.append({"match_phrase": {CATCH_ALL: {"query": term.typed}}})
    return {"bool": {"should": ways}}
