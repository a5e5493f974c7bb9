"""A made-up collection of names in many scripts, file names and numbers, with its queries.

Each file in `names/` is a class: its images, and its queries by reason. All images of all files are
in one index, so each class has the other images as decoys. More classes are made of the same
queries, each in another form: decomposed, in capitals, in full width, with invisible characters. A
last class asks for whole names.
"""

import hashlib
import tomllib
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from shared.event import Event
from tools.relevance.generated import Judged

NAMES = Path(__file__).with_name("names")
# The number of queries of each class that is made of other queries, taken evenly from all.
PER_FORM = 40
OCCURRED_AT = "2026-11-29T16:00:00Z"
WHOLE_NAME = "form: whole name"
# A soft hyphen, a zero-width space, a direction mark, a byte order mark.
INVISIBLE = "\u00ad\u200b\u200e\ufeff"
_FULL_WIDTH = {code: code + 0xFEE0 for code in map(ord, "0123456789abcdefghijklmnopqrstuvwxyz")}


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An image. `form` is the Unicode normalization form in which the name is stored."""

    name: str
    form: Literal["NFC", "NFD"] | None = None
    tags: tuple[str, ...] | UnsetType = UNSET
    url: str | UnsetType = UNSET
    attributes: dict[str, str] | UnsetType = UNSET

    @property
    def stored(self) -> str:
        """The name as it is stored."""
        return self.name if self.form is None else unicodedata.normalize(self.form, self.name)

    @property
    def more(self) -> dict[str, object]:
        """The other fields of the image."""
        return {
            field: value
            for field in ("tags", "url", "attributes")
            if (value := getattr(self, field)) is not UNSET
        }


class NameClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in `names/`.

    `queries` has the expected images of each query, by the reason for the query. If `own_words` is
    true, each query is a word of a name in another form, not another word.
    """

    kind: str = msgspec.field(name="class")
    images: dict[str, str | Named]
    queries: dict[str, dict[str, tuple[str, ...]]]
    own_words: bool = True


def image_id(file: str, key: str) -> str:
    """The id of an image: 16 letters, so that no query finds it by its id."""
    digest = hashlib.sha256(f"{file}/{key}".encode()).hexdigest()[:16]
    return digest.translate(str.maketrans("0123456789", "qrstuvwxyz"))


@cache
def classes() -> Mapping[str, NameClass]:
    """The files in `names/`, by name."""
    return {
        path.stem: msgspec.convert(tomllib.loads(path.read_text("utf-8")), NameClass)
        for path in sorted(NAMES.glob("*.toml"))
    }


@cache
def images() -> Mapping[str, Named]:
    """Every image, by its id."""
    return {
        image_id(file, key): Named(one) if isinstance(one, str) else one
        for file, its in classes().items()
        for key, one in its.images.items()
    }


def made_up_events() -> Iterator[Event]:
    """An event for each image."""
    for its_id, one in images().items():
        event = {
            "type": "image.uploaded",
            "image_id": its_id,
            "version": 1,
            "occurred_at": OCCURRED_AT,
            "image": {"name": one.stored} | one.more,
        }
        yield msgspec.convert(event, Event)


def own_words() -> frozenset[str]:
    """The classes whose queries are words of names in another form."""
    return frozenset(
        [
            *(its.kind for its in classes().values() if its.own_words),
            *(kind for kind, _ in _FORMS),
            WHOLE_NAME,
        ]
    )


@cache
def judged_names() -> Sequence[Judged]:
    """All queries, by class."""
    return sorted([*_written(), *_in_other_forms(), *_whole_names()], key=lambda one: one.kind)


def _written() -> Iterator[Judged]:
    for file, its in classes().items():
        for because, queries in its.queries.items():
            for query, keys in queries.items():
                if unknown := set(keys) - its.images.keys():
                    raise ValueError(f"{file}.toml, {query!r}: no image {', '.join(unknown)}")
                relevant = frozenset(image_id(file, key) for key in keys)
                yield Judged(its.kind, query, relevant, because)


def _in_other_forms() -> Iterator[Judged]:
    own = [one for one in _written() if one.kind in own_words()]
    for kind, form in _FORMS:
        unique = {
            changed: Judged(kind, changed, one.relevant, f"{one.kind}: {one.query}")
            for one in own
            if ":" not in one.query and (changed := form(one.query)) != one.query
        }
        yield from _some(list(unique.values()))


def _whole_names() -> Iterator[Judged]:
    """Names as a program composes them, in lower case: the image must be the first."""
    yield from _some(
        [
            Judged(
                WHOLE_NAME,
                unicodedata.normalize("NFC", one.name).lower(),
                frozenset({its_id}),
                "what the image is called",
            )
            for its_id, one in images().items()
        ]
    )


def _some(all_of_them: Sequence[Judged]) -> Iterator[Judged]:
    yield from (all_of_them[at * len(all_of_them) // PER_FORM] for at in range(PER_FORM))


def _decomposed(query: str) -> str:
    return unicodedata.normalize("NFD", query)


def _with_something_invisible(query: str) -> str:
    """The query with an invisible character inside, and another at its end."""
    at = 1 + len(query) // 2
    first = INVISIBLE[len(query) % len(INVISIBLE)]
    return f"{query[:at]}{first}{query[at:]}{INVISIBLE[at % len(INVISIBLE)]}"


def _full_width(query: str) -> str:
    return query.lower().translate(_FULL_WIDTH) if query.isascii() else query


_FORMS: Sequence[tuple[str, Callable[[str], str]]] = (
    ("form: decomposed", _decomposed),
    ("form: capitals", str.upper),
    ("form: full width", _full_width),
    ("form: invisible", _with_something_invisible),
)
