"""The links of the page. Each link contains the whole search, so the page needs no session."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import urlencode

import msgspec

from functions.search_images.facets import ATTRIBUTE_PREFIX, FacetValue
from functions.search_images.parameters import (
    MOST_VALUES,
    ImagesParameters,
    given,
)
from functions.search_images.visible import shown

# A request's parameters: names and values, in order.
type Pairs = Sequence[tuple[str, str]]

TEXT, SORT, CURSOR, IMAGE = "q", "sort", "cursor", "image"
# The number of the first result of a page, and of a record among the results.
START, AT = "start", "at"
# The labels of parameters and fields on the page. The label of an attribute is its name.
LABELS: Mapping[str, str] = {
    "tag": "Tag",
    "tags": "Tags",
    "description": "Description",
    "uploaded_by": "Uploaded by",
    "content_type": "Type",
    "taken_from": "Taken from",
    "taken_to": "Taken until",
    "min_width": "Width from",
    "max_width": "Width to",
    "min_height": "Height from",
    "max_height": "Height to",
}
# The filter of a year is a range from its first to its last day.
YEAR = ("taken_from", "taken_to")
NOT_FILTERS = {TEXT, SORT, CURSOR, IMAGE, START, AT, "size"}
# The facet that shows all its values, and the text that they contain. A field of a form hides the
# property of the form with the same name, so the second is not `contains`.
FACET, CONTAINS = "facet", "find"
_KNOWN = {*ImagesParameters.__struct_fields__, IMAGE, START, AT, FACET, CONTAINS}
# The filters of a form, encoded as a query string: a form changes line breaks, HTML drops U+0000.
PACKED = "filters"
_CHANGED_BY_A_FORM = re.compile(r"[\r\n\0]")
# Longer values get no link: two images rarely have them.
LONGEST_CHOICE = 200
# A longer search gets no further filter. A cursor and an image ID must still fit: API Gateway
# accepts 10,240 bytes of address and headers
# (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html).
LONGEST_QUERY = 6_000


class Link(msgspec.Struct, frozen=True):
    """A link, with the number of images that it finds."""

    text: str
    href: str
    count: int | None = None
    current: bool = False


class Chip(msgspec.Struct, frozen=True):
    """A filter in use, with a link that removes it."""

    label: str
    text: str
    href: str


def pairs_in(query: str) -> Pairs:
    """The parameters of the page in a query string, without blank ones (`parameters.given`).

    Unknown parameters, for example those that track clicks, are ignored.
    """
    return [
        (name, value)
        for outer in given(query)
        for name, value in (given(outer[1]) if outer[0] == PACKED else [outer])
        if name in _KNOWN or name.startswith(ATTRIBUTE_PREFIX)
    ]


def form_fields(pairs: Pairs) -> Pairs:
    """Hidden fields of a form that sends these parameters unchanged; `pairs_in` unpacks them."""
    if any(_CHANGED_BY_A_FORM.search(value) for _, value in pairs):
        return [(PACKED, query_of(pairs))]
    return pairs


def value_of(pairs: Pairs, parameter: str) -> str | None:
    """The first value of a parameter."""
    return next((value for name, value in pairs if name == parameter), None)


def without(pairs: Pairs, *names: str) -> Pairs:
    """All parameters except these."""
    return [(name, value) for name, value in pairs if name not in names]


def query_of(pairs: Iterable[tuple[str, str]]) -> str:
    """The parameters as a query string."""
    return urlencode(list(pairs), errors="replace")


def href(pairs: Iterable[tuple[str, str]]) -> str:
    """A relative link to the page with these parameters."""
    return f"?{query_of(pairs)}"


def href_with(pairs: Pairs, name: str, value: str) -> str:
    """A link to the same page with one parameter replaced."""
    return href([*without(pairs, name), (name, value)])


def same_value_href(name: str, value: str) -> str | None:
    """A link to all images that have this value."""
    return href([(name, value)]) if _can_be_chosen(value) else None


def chips(pairs: Pairs) -> Iterator[Chip]:
    """The active filters."""
    filters = without(pairs, *NOT_FILTERS)
    within = [pair for pair in filters if pair[0] in YEAR]
    if [name for name, _ in within] == [*YEAR] and within[0][1] == within[1][1]:
        yield Chip("Year", within[0][1], href(without(pairs, *YEAR)))
        filters = without(filters, *YEAR)
    for name, value in filters:
        yield Chip(
            label_of(name), shown(value), href(pair for pair in pairs if pair != (name, value))
        )


def sorts(pairs: Pairs) -> list[Link]:
    """The links that change the order."""
    now = value_of(pairs, SORT) or "relevance"
    return [
        Link(text, href_with(pairs, SORT, value), current=value == now)
        for text, value in (("Best first", "relevance"), ("Newest first", "newest"))
    ]


def label_of(name: str) -> str:
    """The label of a parameter that filters."""
    return LABELS.get(name) or readable(name.removeprefix(ATTRIBUTE_PREFIX))


def readable(name: str) -> str:
    """The name of an attribute as a label: as the collection writes it, with blanks.

    A name cannot contain blanks, so `_` stands for one.
    """
    return name.replace("_", " ").strip() or name


def _composed(pair: tuple[str, str]) -> tuple[str, str]:
    """A filter as the index has it, which composes accents. An image has them as they came."""
    return pair[0], unicodedata.normalize("NFC", pair[1])


def _can_be_chosen(value: str) -> bool:
    return 0 < len(value) <= LONGEST_CHOICE


def choice(pairs: Pairs, names: Sequence[str], one: FacetValue) -> Link | None:
    """A link that adds the filter for this value, or removes it if it is active.

    None if no more values are allowed, or if the value or the address is too long.
    """
    if not _can_be_chosen(one.value):
        return None
    these = [(name, one.value) for name in names]
    composed = {_composed(this) for this in these}
    if composed <= {_composed(pair) for pair in pairs}:
        back = href(pair for pair in pairs if _composed(pair) not in composed)
        return Link(shown(one.value), back, one.count, current=True)
    if sum(name in names for name, _ in pairs) >= MOST_VALUES:
        return None
    more = href([*pairs, *these])
    if len(more) > LONGEST_QUERY:
        return None
    return Link(shown(one.value), more, one.count)
