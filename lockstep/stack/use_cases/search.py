"""Searching a stack's images, directly in the index."""

from functions.search_images.search import SearchResult
from functions.search_images.search import search as search_index
from lockstep.stack.clients import Clients


def search(clients: Clients, text: str, *, size: int = 10) -> SearchResult:
    """Find images; see `functions.search_images.search.search`."""
    return search_index(clients.opensearch, clients.stack.live, text, size=size)
