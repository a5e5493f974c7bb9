"""Searching a stack's images, directly in the index."""

from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec

from functions.search_images.export import ImageExport
from functions.search_images.parameters import images_request
from functions.search_images.search import SearchRequest, SearchResult, Sort, page
from lockstep.stack.clients import Clients


class FoundPage(msgspec.Struct, frozen=True):
    """A page of hits. `first` is the number of its first hit among all, from 1."""

    first: int
    result: SearchResult


def search(
    clients: Clients, request: SearchRequest, *, size: int = 10, number: int = 1
) -> FoundPage:
    """Find images; the pages before are read, too, because each begins after the one before.

    Args:
        clients: the clients of the stack.
        request: what to find (`search_request`).
        size: at most so many hits a page.
        number: of the page, from 1. Beyond the last page, there are no hits.
    """
    first, after = 1, None
    while True:
        found = page(
            clients.opensearch,
            clients.stack.live,
            request,
            size=size,
            after=after,
            attributes=clients.stack.search_facets,
        )
        number -= 1
        if number == 0:
            return FoundPage(first, found)
        first, after = first + len(found.hits), found.next
        if after is None:
            return FoundPage(first, msgspec.structs.replace(found, hits=[]))


def export(clients: Clients, request: SearchRequest) -> ImageExport:
    """All images of a search, in order of their ids; see `ImageExport`."""
    return ImageExport(clients.opensearch, clients.stack.live, request)


def search_request(
    text: str | None, filters: Sequence[tuple[str, str]] = (), sort: Sort | None = None
) -> SearchRequest:
    """The search for a text, with filters as the search API takes them: name and value.

    Raises:
        InvalidParametersError: lists all that is wrong with the filters.
    """
    pairs = [*filters, *([("sort", sort)] if sort else []), *([("q", text)] if text else [])]
    request, _ = images_request(urlencode(pairs))
    return request
