"""The judged set: queries with what must be found, written by hand or made from real titles."""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from tests.relevance.collection import Judgeable, collection
from tests.relevance.generated import Judged, generated

WRITTEN = Path(__file__).with_name("queries.toml")


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of queries.toml, whose head explains it."""

    because: str
    ids: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()


class JudgementError(Exception):
    """A line of queries.toml that judges nothing; says which."""


@cache
def judged() -> Sequence[Judged]:
    """All of them, by class; where both judge a query, what was written by hand holds."""
    unique = {(one.kind, one.query): one for one in [*generated(), *_written()]}
    return sorted(unique.values(), key=lambda one: one.kind)


def _written() -> Iterator[Judged]:
    tree = tomllib.loads(WRITTEN.read_text("utf-8"))
    for kind, queries in msgspec.convert(tree, dict[str, dict[str, _Written]]).items():
        for query, written in queries.items():
            yield Judged(kind, query, _relevant(query, written), written.because)


def _relevant(query: str, written: _Written) -> frozenset[str]:
    known = {one.image_id for one in collection()}
    if unknown := set(written.ids) - known:
        raise JudgementError(f"{query!r}: no image {', '.join(sorted(unknown))} in the records")
    said = [
        *(_rule(pattern, lambda one: one.name) for pattern in written.name),
        *(_rule(pattern, lambda one: one.text) for pattern in written.anywhere),
    ]
    by_rule = {one.image_id for one in collection() if said and all(holds(one) for holds in said)}
    if not by_rule and (said or not written.ids):
        raise JudgementError(f"{query!r}: nothing in the records is meant by it")
    return frozenset({*written.ids, *by_rule})


def _rule(pattern: str, of: Callable[[Judgeable], str]) -> Callable[[Judgeable], bool]:
    whole_words = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
    return lambda one: whole_words.search(of(one)) is not None
