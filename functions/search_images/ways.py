"""Ways: from one search to others, as links that hold all of it: nobody remembers anything."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

import msgspec

from functions.search_images.parameters import MOST_VALUES, OWN, ImagesParameters
from functions.search_images.search import Count, SearchResult

# A request's parameters: names and values, in order.
type Pairs = Sequence[tuple[str, str]]

TEXT, SORT, CURSOR, IMAGE = "q", "sort", "cursor", "image"
# How parameters are called on the page; a user's own field is called by its name.
LABELS: Mapping[str, str] = {
    "tag": "Tag",
    "uploaded_by": "Uploaded by",
    "content_type": "Type",
    "taken_from": "Taken from",
    "taken_to": "Taken until",
    "min_width": "Width from",
    "max_width": "Width to",
    "min_height": "Height from",
    "max_height": "Height to",
}
# A year is asked for by its first and its last day.
YEAR = ("taken_from", "taken_to")
NO_FILTER = {TEXT, SORT, CURSOR, IMAGE, "size"}
_KNOWN = {*ImagesParameters.__struct_fields__, IMAGE}
# A longer value is a text of its own, which hardly another image has, and no address has room for.
LONGEST_CHOICE = 200


class Link(msgspec.Struct, frozen=True):
    """A way from here: what it is called, and how many images are there."""

    text: str
    href: str
    count: int | None = None
    current: bool = False


class Facet(msgspec.Struct, frozen=True):
    """The most frequent values of a field; each narrows the search, or widens it again."""

    label: str
    links: list[Link]


def pairs_in(query: str) -> Pairs:
    """The page's parameters in a query string; blank ones are none, for a form sends all it has.

    What others add to a link that is passed around, to see who follows it, is passed over.
    """
    return [
        (name, value)
        for name, value in parse_qsl(query)
        if value.strip() and (name in _KNOWN or name.startswith(OWN))
    ]


def value_of(pairs: Pairs, wanted: str) -> str | None:
    """The first value of this name."""
    return next((value for name, value in pairs if name == wanted), None)


def without(pairs: Pairs, *names: str) -> Pairs:
    """All but the parameters of these names."""
    return [(name, value) for name, value in pairs if name not in names]


def query_of(pairs: Iterable[tuple[str, str]]) -> str:
    """These parameters as a query string."""
    return urlencode(list(pairs), errors="replace")


def href(pairs: Iterable[tuple[str, str]]) -> str:
    """The page for these parameters, wherever it is served."""
    return f"?{query_of(pairs)}"


def changed(pairs: Pairs, name: str, value: str) -> str:
    """The way to the same with this one parameter set."""
    return href([*without(pairs, name), (name, value)])


def alike(name: str, value: str) -> str | None:
    """The way to all images that are the same in this."""
    return href([(name, value)]) if _can_be_chosen(value) else None


def facets(pairs: Pairs, found: SearchResult) -> Iterator[Facet]:
    """What the images found may be narrowed to; facets without a way are left out."""
    for label, counts, names in (
        ("Tags", found.facets.tags, ("tag",)),
        ("Type", found.facets.content_type, ("content_type",)),
        ("Uploaded by", found.facets.uploaded_by, ("uploaded_by",)),
        ("Year", found.facets.year, YEAR),
    ):
        ways = (_choice(pairs, names, one) for one in counts if _can_be_chosen(one.value))
        if links := [way for way in ways if way is not None]:
            yield Facet(label, links)


def chips(pairs: Pairs) -> Iterator[Link]:
    """The filters in use, each with the way to the search without it."""
    filters = without(pairs, *NO_FILTER)
    within = [pair for pair in filters if pair[0] in YEAR]
    if [name for name, _ in within] == [*YEAR] and within[0][1] == within[1][1]:
        yield Link(f"Year: {within[0][1]}", href(without(pairs, *YEAR)))
        filters = without(filters, *YEAR)
    for name, value in filters:
        label = LABELS.get(name) or spoken(name.removeprefix(OWN))
        yield Link(f"{label}: {value}", href(pair for pair in pairs if pair != (name, value)))


def sorts(pairs: Pairs) -> list[Link]:
    """The orders that there are."""
    now = value_of(pairs, SORT) or "relevance"
    return [
        Link(text, changed(pairs, SORT, value), current=value == now)
        for text, value in (("Best first", "relevance"), ("Newest first", "newest"))
    ]


def spoken(name: str) -> str:
    """A field's name as a person would say it."""
    words = re.sub(r"[_-]+", " ", name).strip()
    return words[:1].upper() + words[1:]


def _can_be_chosen(value: str) -> bool:
    return bool(value.strip()) and len(value) <= LONGEST_CHOICE


def _choice(pairs: Pairs, names: Sequence[str], one: Count) -> Link | None:
    """The way to what has this value; the way back, where that is what is asked for.

    There is none where no more values are taken.
    """
    these = [(name, one.value) for name in names]
    if all(this in pairs for this in these):
        back = href(pair for pair in pairs if pair not in these)
        return Link(one.value, back, one.count, current=True)
    # Of tags there may be several, of years there is one.
    others = without(pairs, *names) if names == YEAR else pairs
    if sum(name in names for name, _ in others) >= MOST_VALUES:
        return None
    return Link(one.value, href([*others, *these]), one.count)
