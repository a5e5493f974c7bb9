"""Translates a query of the query language to OpenSearch clauses.

The clauses contain no regular expressions and no leading wildcards, and name only the fields of the
allow-list. A term makes at most as many clauses as a ranked word (`ranking.MAX_TOKENS`).
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
    field_named,
)
from functions.search_images.language import Query, Term
from functions.search_images.ranking import (
    CATCH_ALL,
    NO_ALTERNATIVES,
    Alternatives,
    beginnings,
    highlight_clause,
    in_running_text,
    last_word_begins,
    ranking_clause,
    word_clauses,
)

type Clause = dict[str, Any]

# The longest prefix of a word that is indexed (`prefixes` in mapping.json).
LONGEST_INDEXED_PREFIX = 20
ANYWHERE = Text(CATCH_ALL)
NAME = Text("name")


def correctable_words(query: Query) -> Sequence[str]:
    """The words of a query that may be misspelled, in a field or anywhere.

    Excluded terms, phrases, prefixes and values of keyword fields are never corrected.
    """
    fielded = (
        term.text
        for term in query.required
        if term.kind == "word" and not isinstance(_within(term), Keyword)
    )
    return [*query.words, *fielded]


def matching(query: Query, alternatives: Alternatives = NO_ALTERNATIVES) -> Clause:
    """The clause for the images that a query asks for. `alternatives` of its words also match."""
    # A name, id or URL may look like the query language ("Rome: -the Forum") or have no word ("?").
    whole: list[Clause] = [
        {"term": {path: {"value": query.text, "boost": 100}}}
        for path in ("name.keyword", "image_id", "url")
    ]
    if query.empty:
        return {"bool": {"should": whole}}
    if not query.required and not query.excluded:
        return ranking_clause(query.text, query.words, alternatives)
    must = [ranking_clause(" ".join(query.words), query.words, alternatives)] if query.words else []
    must += [_required_clause(term, alternatives) for term in query.required]
    asked = {
        "bool": {
            "must": must or [{"match_all": {}}],
            "must_not": [_term_clause(term, _within(term)) for term in query.excluded],
        }
    }
    return {"bool": {"should": [asked, *whole]}}


def highlight_query(
    path: str, query: Query, alternatives: Alternatives = NO_ALTERNATIVES
) -> Clause | None:
    """The clause for the highlights in a field of a hit; None if nothing can match there."""
    clauses: list[Clause] = (
        [highlight_clause(path, query.words, alternatives)] if query.words else []
    )
    for term in query.required:
        within = _within(term)
        here = isinstance(within, Attribute) and path == ATTRIBUTE_VALUE
        if here or within in (ANYWHERE, Text(path)):
            clauses.append(_in_text(Text(path), term, alternatives))
    return {"bool": {"should": clauses}} if clauses else None


def _within(term: Term) -> Field:
    return ANYWHERE if term.field is None else field_named(term.field)


def _required_clause(term: Term, alternatives: Alternatives) -> Clause:
    found = _term_clause(term, _within(term), alternatives)
    if term.field is not None:
        return found
    # A term without a field matches anywhere. A match in the name ranks higher.
    return {
        "bool": {"must": found, "should": {"bool": {"must": _term_clause(term, NAME), "boost": 3}}}
    }


def _term_clause(term: Term, within: Field, alternatives: Alternatives = NO_ALTERNATIVES) -> Clause:
    """The clause for the images that have this term in this field."""
    match within:
        case Text():
            return _in_text(within, term, alternatives)
        case Keyword():
            return _in_keyword(within, term)
        case Attribute():
            return _in_attribute(within, term, alternatives)


def _in_text(within: Text, term: Term, alternatives: Alternatives) -> Clause:
    path, text = within.path, term.text
    match term.kind:
        case "phrase":
            return {"match_phrase": {path: {"query": text}}}
        case "prefix":
            indexed = within in (ANYWHERE, NAME) and len(text) <= LONGEST_INDEXED_PREFIX
            begin = beginnings(path, text) if indexed else last_word_begins(path, text)
            return {"dis_max": {"queries": [*begin, *in_running_text(path, text)]}}
        case "word":
            return {"dis_max": {"queries": word_clauses(path, text, alternatives)}}


def _in_keyword(within: Keyword, term: Term) -> Clause:
    values = [term.text, *([within.optional_prefix + term.text] if within.optional_prefix else [])]
    kind = "prefix" if term.kind == "prefix" else "term"
    clauses = [{kind: {within.path: {"value": one, "case_insensitive": True}}} for one in values]
    return {"bool": {"should": clauses}}


def _in_attribute(within: Attribute, term: Term, alternatives: Alternatives) -> Clause:
    named = {"term": {ATTRIBUTE_NAME: {"value": within.name, "case_insensitive": True}}}
    has = {"bool": {"filter": named, "must": _in_text(Text(ATTRIBUTE_VALUE), term, alternatives)}}
    clauses: list[Clause] = [{"nested": {"path": ATTRIBUTES, "query": has}}]
    if term.typed is not None:
        # If no such field exists, the term is a word with a colon, like "sha256:cafe".
        clauses.append({"match_phrase": {CATCH_ALL: {"query": term.typed}}})
    return {"bool": {"should": clauses}}
