"""The page with the results of a search."""

import datetime as dt
import html
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from markupsafe import Markup, escape

from functions.search_images.facets import FacetValues
from functions.search_images.highlight import EMPHASIS
from functions.search_images.links import (
    AT,
    CURSOR,
    IMAGE,
    LABELS,
    NOT_FILTERS,
    START,
    TEXT,
    Link,
    Pairs,
    chips,
    href,
    href_with,
    readable,
    sorts,
    without,
)
from functions.search_images.page.downloads import downloads_of
from functions.search_images.page.filters import OpenFacet, panel
from functions.search_images.page.frame import Frame, frame_on_card
from functions.search_images.page.paging import LAST_START, PAGE_SIZE, paging
from functions.search_images.page.rendering import PLAIN, Site, query_text, shortly
from functions.search_images.search import Hit, SearchResult
from functions.search_images.visible import shown
from shared.event import Time

# The maximum number of rows below the name of a hit.
ROWS_OF_HIGHLIGHTS = 4
ROWS = 2
LONGEST_ROW = 300
# The separators between the pieces of a highlight. Tags are whole values, other pieces fragments.
_BETWEEN: Mapping[str, str] = {"tags": " · "}
# A piece has its own direction of writing, whatever is around it.
_PIECE = Markup("<bdi>{}</bdi>")


class Row(msgspec.Struct, frozen=True):
    """A field of a hit."""

    label: str
    text: Markup


class Card(msgspec.Struct, frozen=True):
    """One hit."""

    image_id: str
    href: str
    name: Markup
    frame: Frame
    rows: list[Row]
    foot: list[str]


def results_page(
    pairs: Pairs,
    found: SearchResult,
    start: int = 1,
    size: int = PAGE_SIZE,
    site: Site = PLAIN,
    *,
    opened: OpenFacet | None = None,
    values: FacetValues | None = None,
) -> str:
    """The page with the results of a search.

    Args:
        pairs: the request's parameters.
        found: the result.
        start: the number of its first hit. With a cursor, it has no meaning.
        size: the size of a page.
        site: the frame of the page.
        opened: the facet that shows all its values.
        values: these values.
    """
    text = query_text(pairs)
    here = without(pairs, CURSOR, START, AT)
    filters = list(chips(here))
    pages = paging(pairs, found, start, size)
    meant = found.did_you_mean
    named = site.titled(text) if text else site.title
    which = pages.numbers if start > 1 and pages.numbers else f"{found.total:,}"
    return site.render(
        "results",
        pairs,
        title=f"{which} found: {named}" if pairs else named,
        about=f"{found.total:,} {'image' if found.total == 1 else 'images'}"
        + (f" for “{shortly(text)}”" if text else ""),
        found=found,
        pages=pages,
        downloads=downloads_of(pairs),
        cards=[
            _card(_record_pairs(pairs, number), hit, site)
            for number, hit in _numbered(found.hits, pages.first)
        ],
        panel=panel(here, found, len(filters), opened, values),
        chips=filters,
        without_filters=href(pair for pair in here if pair[0] in NOT_FILTERS),
        sorts=sorts(here) if text else [],
        meant=None if meant is None else Link(meant, href_with(here, TEXT, meant)),
    )


def highlighted(safe: str) -> Markup:
    """Convert a highlight of the API: matched words are in `<mark>`, without other markup."""
    pieces = [html.unescape(piece) for piece in EMPHASIS.split(safe)]
    return Markup().join(
        Markup("<mark>{}</mark>").format(piece) if position % 2 else escape(piece)
        for position, piece in enumerate(pieces)
    )


def _numbered(hits: Sequence[Hit], first: int | None) -> Iterator[tuple[int | None, Hit]]:
    """Each hit with its number among all hits, if anybody knows it."""
    for at, hit in enumerate(hits):
        yield (None if first is None else first + at), hit


def _record_pairs(pairs: Pairs, at: int | None) -> Pairs:
    """The parameters of a record's page: the search, and the number of the record in it."""
    if at is None or at > LAST_START:
        return pairs
    return [*without(pairs, AT), (AT, str(at))]


def _card(pairs: Pairs, hit: Hit, site: Site) -> Card:
    size = f"{hit.width} × {hit.height}" if hit.width and hit.height else ""  # noqa: RUF001  # pixels
    return Card(
        image_id=hit.image_id,
        href=href_with(pairs, IMAGE, hit.image_id),
        name=highlighted(hit.name_html) if shown(hit.name) == hit.name else escape(shown(hit.name)),
        frame=frame_on_card(hit, site),
        rows=_rows(hit),
        foot=[part for part in (hit.image_id, size, _year(hit)) if part],
    )


def _year(hit: Hit) -> str:
    """The year in UTC, as in filters and facets. The page of the record shows the original zone."""
    try:
        taken_at = msgspec.convert(hit.taken_at, Time)
    except msgspec.ValidationError:
        return ""
    try:
        return f"{taken_at.astimezone(dt.UTC).year:04}"
    except OverflowError:  # Python has no such year
        return "0000" if taken_at.year == dt.MINYEAR else "10000"


def _rows(hit: Hit) -> list[Row]:
    """The highlighted fields except the name, then other fields, in total up to `ROWS`."""
    rows = [
        Row(
            _label(field),
            escape(_BETWEEN.get(field, " … ")).join(
                _PIECE.format(highlighted(one)) for one in pieces
            ),
        )
        for field, pieces in hit.highlights.items()
        if field != "name"
    ][:ROWS_OF_HIGHLIGHTS]
    others = {"description": hit.description, "uploaded_by": hit.uploaded_by}
    others |= {f"attributes.{name}": value for name, value in hit.attributes.items()}
    for field, value in others.items():
        if value and field not in hit.highlights and len(rows) < ROWS:
            cut = value if len(value) <= LONGEST_ROW else f"{value[:LONGEST_ROW]}…"
            rows.append(Row(_label(field), _PIECE.format(shown(cut))))
    return rows


def _label(field: str) -> str:
    return LABELS.get(field) or readable(field.removeprefix("attributes."))
