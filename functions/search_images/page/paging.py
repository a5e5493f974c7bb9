"""Pages with numbers: which results a page shows, and the links to the pages around it.

A link has the number of the first result of its page. So it never expires: it shows the results
that have these numbers now. A cursor reaches what lies too deep for a number.
"""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote

import msgspec
from msgspec import Meta

from functions.search_images.links import (
    AT,
    CURSOR,
    IMAGE,
    START,
    Pairs,
    href,
    href_with,
    query_of,
    without,
)
from functions.search_images.parameters import parameters
from functions.search_images.search import DEEPEST, Hit, SearchResult
from functions.search_images.visible import shown

# Fills rows of two, three and four cards.
PAGE_SIZE = 24
# The largest page, and the hit that tells whether there is a next one, must fit before `DEEPEST`.
LAST_START = DEEPEST - 100
# A record is looked for so many places before and behind the number in its link: results move when
# images come or go.
AROUND = 12

Number = Annotated[
    int, Meta(ge=1, le=LAST_START, extra={"expected": f"a whole number from 1 to {LAST_START:,}"})
]


class Numbers(msgspec.Struct, frozen=True):
    """The parameters of the page that the API does not have.

    `start` is the number of the first result of the page, `at` the number of the image among the
    results.
    """

    start: Number = 1
    at: Number | None = None


class Paging(msgspec.Struct, frozen=True):
    """Which results a page shows, and where the pages around it are.

    `first` and `last` are the numbers of the results on this page; None on a page with a cursor,
    whose numbers nobody knows.
    """

    first: int | None
    last: int | None
    total: int
    previous: str | None
    next: str | None
    begin: str | None

    @property
    def numbers(self) -> str | None:
        """Which results of all: `25 to 48 of 70`."""
        if self.first is None or self.last is None:
            return None
        last = f" to {self.last:,}" if self.last > self.first else ""
        return f"{self.first:,}{last} of {self.total:,}"

    @property
    def needed(self) -> bool:
        """Whether there is more than this page."""
        return bool(self.previous or self.next or self.begin)


class Neighbour(msgspec.Struct, frozen=True):
    """An image beside a record in the results."""

    name: str
    href: str


class ResultPlace(msgspec.Struct, frozen=True):
    """The place of a record among the results that it was opened from."""

    at: int
    total: int
    back: str
    previous: Neighbour | None
    next: Neighbour | None


def numbers(pairs: Pairs) -> Numbers:
    """The numbers in the parameters of the page.

    Raises:
        InvalidParametersError: a number is invalid.
    """
    return parameters(Numbers, query_of(pair for pair in pairs if pair[0] in {START, AT}))


def search_query(pairs: Pairs) -> str:
    """The query string of the search: what the API takes, with the size of a page."""
    own = [("size", str(PAGE_SIZE))] if "size" not in dict(pairs) else []
    return query_of([*without(pairs, START, AT, IMAGE), *own])


def last_start(total: int, size: int) -> int:
    """The number of the first result of the last page that a number reaches."""
    return min((total - 1) // size * size + 1, LAST_START)


def paging(pairs: Pairs, found: SearchResult, start: int, size: int) -> Paging:
    """The pages around this one.

    Args:
        pairs: the request's parameters.
        found: the results on the page.
        start: the number of the first one. With a cursor, it has no meaning.
        size: the size of a page.
    """
    here = without(pairs, CURSOR, START, AT)
    further = None if found.next is None else href_with(here, CURSOR, found.next)
    if CURSOR in dict(pairs):
        return Paging(None, None, found.total, None, further, href(here))
    # A page may have fewer hits than its size, if they are long.
    after = start + (len(found.hits) or size)
    numbered = found.next is not None and after <= LAST_START
    return Paging(
        first=start,
        last=start + len(found.hits) - 1,
        total=found.total,
        previous=_starting(here, max(1, start - size)) if start > 1 else None,
        next=_starting(here, after) if numbered else further,
        begin=None,
    )


def place(
    pairs: Pairs, image_id: str, found: SearchResult, first: int, size: int
) -> ResultPlace | None:
    """The place of an image among the results; None if it is not among these.

    Args:
        pairs: the request's parameters.
        image_id: the image.
        found: the results around the place where the image was.
        first: the number of the first of them.
        size: the size of a page of results.
    """
    hits = found.hits
    index = next((at for at, hit in enumerate(hits) if hit.image_id == image_id), None)
    if index is None:
        return None
    at = first + index
    return ResultPlace(
        at=at,
        total=found.total,
        back=back(pairs, image_id, at, size),
        previous=_neighbour(pairs, hits, index - 1, first),
        next=_neighbour(pairs, hits, index + 1, first),
    )


def back(pairs: Pairs, image_id: str, at: int, size: int) -> str:
    """The link from a record to the page of results that has it, and to its card there."""
    page = _starting(without(pairs, START, AT, IMAGE), (at - 1) // size * size + 1)
    return f"{page}#{quote(f'image-{image_id}')}"


def _starting(pairs: Pairs, start: int) -> str:
    return href(pairs) if start == 1 else href_with(pairs, START, str(start))


def _neighbour(pairs: Pairs, hits: Sequence[Hit], index: int, first: int) -> Neighbour | None:
    if not 0 <= index < len(hits) or first + index > LAST_START:
        return None
    hit = hits[index]
    same = without(pairs, START, AT, IMAGE)
    link = href([*same, (IMAGE, hit.image_id), (AT, str(first + index))])
    return Neighbour(shown(hit.name), link)
