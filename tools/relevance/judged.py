"""The judged set: queries with their relevant images, written by hand or generated."""

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec

from tools.relevance.collection import Judgeable, collection
from tools.relevance.generated import Judged, generated

WRITTEN = Path(__file__).with_name("queries.toml")


class _Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of queries.toml; the head of that file explains the fields."""

    because: str
    ids: tuple[str, ...] = ()
    name: tuple[str, ...] = ()
    anywhere: tuple[str, ...] = ()


class JudgementError(Exception):
    """A query of queries.toml names an unknown image, or matches none."""


@cache
def judged() -> Sequence[Judged]:
    """All queries, by class. A query written by hand replaces the same generated one."""
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
        raise JudgementError(f"{query!r}: the records have no image {', '.join(sorted(unknown))}")
    said = [
        *(_rule(pattern, lambda one: one.name) for pattern in written.name),
        *(_rule(pattern, lambda one: one.text) for pattern in written.anywhere),
    ]
    by_rule = {one.image_id for one in collection() if said and all(holds(one) for holds in said)}
    if not by_rule and (said or not written.ids):
        raise JudgementError(f"{query!r}: its rules match no image of the records")
    return frozenset({*written.ids, *by_rule})


def _rule(pattern: str, of: Callable[[Judgeable], str]) -> Callable[[Judgeable], bool]:
    whole_words = re.compile(rf"(?<!\w)(?:{pattern})(?!\w)")
    return lambda one: whole_words.search(of(one)) is not None
