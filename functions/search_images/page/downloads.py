"""The links of the page to its results as files."""

import msgspec

from functions.search_images.downloads import MOST_IMAGES
from functions.search_images.links import NOT_FILTERS, TEXT, Link, Pairs, query_of, without


class Downloads(msgspec.Struct, frozen=True):
    """The links, and how many images a file has at most."""

    links: list[Link]
    most: int


def downloads_of(pairs: Pairs) -> Downloads:
    """All results of the search of a page with these parameters."""
    query = query_of(without(pairs, *(NOT_FILTERS - {TEXT})))
    asked = f"?{query}" if query else ""
    links = [Link(form.upper(), f"images.{form}{asked}") for form in ("csv", "ndjson")]
    return Downloads(links, MOST_IMAGES)
