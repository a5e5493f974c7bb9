"""The page: search results and the record of one image, as HTML that works without scripts.

The template is `page.html`. It escapes everything from the index, the table or the request. In
addition, the content security policy allows only the style and the script of the template, by their
hashes.
"""

import base64
import datetime as dt
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from zlib import crc32

import msgspec
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape
from msgspec import UNSET, UnsetType

from functions.search_images.highlight import EMPHASIS
from functions.search_images.invalid import ParameterProblem
from functions.search_images.links import (
    CURSOR,
    IMAGE,
    LABELS,
    NOT_FILTERS,
    TEXT,
    Link,
    Pairs,
    chips,
    facets,
    form_fields,
    href,
    href_with,
    readable,
    same_value_href,
    sorts,
    value_of,
    without,
)
from functions.search_images.parameters import ATTRIBUTE_PREFIX
from functions.search_images.record import ImageRecord
from functions.search_images.search import Hit, SearchResult
from functions.search_images.visible import shown
from shared.event import Image, Time

# The maximum number of rows below the name of a hit.
ROWS_OF_HIGHLIGHTS = 4
ROWS = 2
LONGEST_ROW = 300

# Title and advice for each status. Without advice, the page shows the detail of the problem.
_PROBLEMS: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("This search is not valid", ""),
    HTTPStatus.NOT_FOUND: ("This image does not exist", "It may have been deleted."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("Internal error", "The log contains the cause."),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The images are not available now",
        "Try again in a moment.",
    ),
}

_TEMPLATE = Path(__file__).with_name("page.html").read_text("utf-8")
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
    url: str | UnsetType
    rows: list[Row]
    foot: list[str]


class Fact(msgspec.Struct, frozen=True):
    """A field of a record, with a link to images that have the same value, or to the picture."""

    label: str
    text: str
    href: str | None = None
    outside: bool = False


class Section(msgspec.Struct, frozen=True):
    """A group of facts."""

    label: str
    facts: list[Fact]


class Placeholder(msgspec.Struct, frozen=True):
    """A drawing of hills and a sun for an image without a picture. It depends only on the id."""

    hue: int
    mirrored: int
    sun: int
    height: int
    bend: int
    far: int
    near: int


def results_page(pairs: Pairs, found: SearchResult) -> str:
    """The page with the results of a search.

    Args:
        pairs: the request's parameters.
        found: the result.
    """
    text = _query_text(pairs)
    here = without(pairs, CURSOR)
    meant = found.did_you_mean
    named = _title(text) if text else "Find images"
    return _render(
        "found",
        pairs,
        title=f"{found.total:,} found: {named}" if pairs else named,
        found=found,
        cards=[_card(pairs, hit) for hit in found.hits],
        facets=list(facets(here, found)),
        chips=list(chips(here)),
        without_filters=href(pair for pair in here if pair[0] in NOT_FILTERS),
        sorts=sorts(here) if text else [],
        meant=None if meant is None else Link(meant, href_with(here, TEXT, meant)),
        first=href(here) if len(here) < len(pairs) else None,
        next=None if found.next is None else href_with(here, CURSOR, found.next),
    )


def record_page(pairs: Pairs, record: ImageRecord) -> str:
    """The page of one image's record, with a link back to the results."""
    image = record.image
    before = without(pairs, IMAGE)
    tags = () if image.tags is UNSET else image.tags
    return _render(
        "record",
        pairs,
        title=_title(shown(image.name)),
        name=shown(image.name),
        record=record,
        back=href(before) if before else None,
        tags=[Fact("Tag", shown(tag), same_value_href("tag", tag)) for tag in dict.fromkeys(tags)],
        sections=[section for section in _sections(record) if section.facts],
    )


def problem_page(
    pairs: Pairs, status: HTTPStatus, detail: str, errors: Sequence[ParameterProblem] = ()
) -> str:
    """The page that says what is wrong, and what to do.

    Args:
        pairs: the request's parameters.
        status: the status of the answer.
        detail: what is wrong.
        errors: the same by parameter. The next search omits these parameters, except the text.
    """
    title, advice = _PROBLEMS.get(status, (status.phrase, detail))
    lines = [f"{one.parameter}: {one.detail}" for one in errors] or [advice or detail]
    wrong = {one.parameter for one in errors} - {TEXT}
    if ATTRIBUTE_PREFIX in wrong:  # too many attributes
        wrong |= {name for name, _ in pairs if name.startswith(ATTRIBUTE_PREFIX)}
    return _render("problem", without(pairs, *wrong), title=title, advice=lines)


def on_the_web(url: object) -> bool:
    """Whether a browser may load this URL: as a picture or by a link."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def highlighted(safe: str) -> Markup:
    """Convert a highlight of the API: matched words are in `<mark>`, without other markup."""
    pieces = [html.unescape(piece) for piece in EMPHASIS.split(safe)]
    return Markup().join(
        Markup("<mark>{}</mark>").format(piece) if position % 2 else escape(piece)
        for position, piece in enumerate(pieces)
    )


def placeholder(image_id: str) -> Placeholder:
    """The placeholder of an image. Its shapes follow from a hash of the image id."""
    chance = crc32(image_id.encode())

    def among(count: int) -> int:
        nonlocal chance
        chance, chosen = divmod(chance, count)
        return chosen

    return Placeholder(
        hue=among(360),
        mirrored=among(2),
        sun=16 + among(88),
        height=18 + among(14),
        bend=26 + among(20),
        far=50 + among(16),
        near=68 + among(8),
    )


def _render(view: Literal["found", "record", "problem"], pairs: Pairs, **shown: object) -> str:
    return _template.render(
        view=view,
        pairs=pairs,
        text=_query_text(pairs),
        # The form keeps the filters for a new search.
        kept=form_fields(without(pairs, TEXT, CURSOR, IMAGE)),
        **shown,
    )


def _title(text: str) -> str:
    """The title of a page: the text is isolated, because it may be written from right to left."""
    return f"\u2068{text}\u2069 · Find images"


def _query_text(pairs: Pairs) -> str:
    return (value_of(pairs, TEXT) or "").strip()


def _card(pairs: Pairs, hit: Hit) -> Card:
    size = f"{hit.width} × {hit.height}" if hit.width and hit.height else ""  # noqa: RUF001  # pixels
    return Card(
        image_id=hit.image_id,
        href=href_with(pairs, IMAGE, hit.image_id),
        name=highlighted(hit.name_html) if shown(hit.name) == hit.name else escape(shown(hit.name)),
        url=hit.url,
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
    return readable(field.removeprefix("attributes."))


def _sections(record: ImageRecord) -> Iterable[Section]:
    image = record.image
    attributes = {} if image.attributes is UNSET else image.attributes
    yield Section(
        "Details",
        [
            Fact(readable(name), shown(value), same_value_href(f"{ATTRIBUTE_PREFIX}{name}", value))
            for name, value in sorted(attributes.items())
        ],
    )
    yield Section("Picture", list(_picture(image)))
    yield Section(
        "Record",
        [
            Fact("Image id", record.image_id),
            Fact("Version", str(record.version)),
            Fact("Last event", f"{record.event_type}, {record.occurred_at}"),
            Fact("Arrived", record.arrived_at),
            Fact("Digest", record.digest),
        ],
    )


def _picture(image: Image) -> Iterable[Fact]:
    if image.taken_at is not UNSET:
        yield Fact("Taken", image.taken_at.isoformat(" ", "seconds"))
    for name, value in (("uploaded_by", image.uploaded_by), ("content_type", image.content_type)):
        if value:
            yield Fact(LABELS[name], shown(value), same_value_href(name, value))
    if image.width and image.height:
        yield Fact("Pixels", f"{image.width:,} × {image.height:,}")  # noqa: RUF001  # multiplication sign
    if image.size_bytes is not UNSET:
        yield Fact("Size", _bytes(image.size_bytes))
    if image.url:
        outside = on_the_web(image.url)
        yield Fact("Address", image.url, image.url if outside else None, outside=outside)
    if image.checksum:
        yield Fact("Checksum", image.checksum)


def _bytes(count: int) -> str:
    """A size with a unit, in steps of a thousand."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:  # noqa: PLR2004  # kilo
            break
        size, unit = size / 1000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def _environment() -> Environment:
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["placeholder"] = placeholder
    made.tests["on_the_web"] = on_the_web
    return made


_template = _environment().from_string(_TEMPLATE)


def _allowed(tag: str) -> str:
    """The hash of the style or the script of the template, for the policy."""
    (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", _TEMPLATE, re.DOTALL)
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# Trusted Types: the script cannot convert text to markup.
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_allowed('style')}",
        f"script-src {_allowed('script')}",
        "connect-src 'self'",
        "img-src http: https: data:",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
# No caching, because a deleted image must disappear from the page at once.
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
