"""The page: what was found, and one image's record, as HTML that needs no script.

All of it is in `page.html`. Whatever comes from the index, the table or a request is escaped; and
if that ever failed, the page's own policy would keep a script from running: it allows the style and
the script that stand in the file, by their hashes, and nothing else.
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
from functions.search_images.parameters import OWN
from functions.search_images.problem import ParameterProblem
from functions.search_images.record import Record
from functions.search_images.search import Hit, SearchResult
from functions.search_images.ways import (
    CURSOR,
    IMAGE,
    LABELS,
    NO_FILTER,
    TEXT,
    Link,
    Pairs,
    alike,
    changed,
    chips,
    facets,
    href,
    sorts,
    spoken,
    value_of,
    without,
)
from shared.event import Image, Time

# Beside the name: enough to tell one image from another, few enough to read in passing.
ROWS_OF_HIGHLIGHTS = 4
ROWS = 2
LONGEST_ROW = 300

# What a person is told, and what to do about it; where that is empty, the problem's own detail.
_PROBLEMS: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("This cannot be searched for", ""),
    HTTPStatus.NOT_FOUND: ("There is no such image", "It may have been deleted."),
    HTTPStatus.INTERNAL_SERVER_ERROR: ("Something went wrong here", "Our log says what."),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "The images cannot be reached now",
        "Please try again in a moment.",
    ),
}

_TEMPLATE = Path(__file__).with_name("page.html").read_text("utf-8")
# Tags are whole ones; other pieces are cut out of a text.
_BETWEEN: Mapping[str, str] = {"tags": " · "}


class Row(msgspec.Struct, frozen=True):
    """A field of an image in passing."""

    label: str
    text: str


class Card(msgspec.Struct, frozen=True):
    """One image among others."""

    image_id: str
    href: str
    name: Markup
    url: str | UnsetType
    rows: list[Row]
    foot: list[str]


class Fact(msgspec.Struct, frozen=True):
    """A field of an image, with a way to others that are the same in it, or to the image itself."""

    label: str
    text: str
    href: str | None = None
    outside: bool = False


class Section(msgspec.Struct, frozen=True):
    """Facts that belong together."""

    label: str
    facts: list[Fact]


class Drawing(msgspec.Struct, frozen=True):
    """Hills and a sun: what stands where an image has no picture, always the same for the same."""

    hue: int
    mirrored: int
    sun: int
    height: int
    bend: int
    far: int
    near: int


def found_page(pairs: Pairs, found: SearchResult) -> str:
    """What a search found.

    Args:
        pairs: the request.
        found: the answer.
    """
    text = _text(pairs)
    here = without(pairs, CURSOR)
    meant = found.did_you_mean
    named = f"{text} · Find images" if text else "Find images"
    return _render(
        "found",
        pairs,
        title=f"{found.total:,} found: {named}" if pairs else named,
        found=found,
        cards=[_card(pairs, hit) for hit in found.hits],
        facets=list(facets(here, found)),
        chips=list(chips(here)),
        without_filters=href(pair for pair in here if pair[0] in NO_FILTER),
        sorts=sorts(here) if text else [],
        meant=None if meant is None else Link(meant, changed(here, TEXT, meant)),
        first=href(here) if len(here) < len(pairs) else None,
        next=None if found.next is None else changed(here, CURSOR, found.next),
    )


def record_page(pairs: Pairs, record: Record) -> str:
    """All that is known of one image, and the way back to where it was found."""
    image = record.image
    before = without(pairs, IMAGE)
    tags = () if image.tags is UNSET else image.tags
    return _render(
        "record",
        pairs,
        title=f"{image.name} · Find images",
        record=record,
        back=href(before) if before else None,
        tags=[Fact("Tag", tag, alike("tag", tag)) for tag in dict.fromkeys(tags)],
        sections=[section for section in _sections(record) if section.facts],
    )


def problem_page(
    pairs: Pairs, status: HTTPStatus, detail: str, errors: Sequence[ParameterProblem] = ()
) -> str:
    """Why there is nothing to see, and what to do.

    Args:
        pairs: the request.
        status: of the answer.
        detail: what is wrong with the request, when it is the request.
        errors: the same by parameter. The next search is without these, but for its words.
    """
    title, advice = _PROBLEMS.get(status, (status.phrase, detail))
    lines = [f"{one.parameter}: {one.detail}" for one in errors] or [advice or detail]
    wrong = {one.parameter for one in errors} - {TEXT}
    if OWN in wrong:  # there are too many of them
        wrong |= {name for name, _ in pairs if name.startswith(OWN)}
    return _render("problem", without(pairs, *wrong), title=title, advice=lines)


def on_the_web(url: object) -> bool:
    """Whether a browser may be sent to this address: to fetch a picture, or by a link."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def marked(safe: str) -> Markup:
    """A highlight of the API's, words that were found in `<mark>`; whatever it is, nothing else."""
    pieces = [html.unescape(piece) for piece in EMPHASIS.split(safe)]
    return Markup().join(
        Markup("<mark>{}</mark>").format(piece) if position % 2 else escape(piece)
        for position, piece in enumerate(pieces)
    )


def drawn(image_id: str) -> Drawing:
    """The drawing for an image: chance, but from its id."""
    chance = crc32(image_id.encode())

    def among(count: int) -> int:
        nonlocal chance
        chance, chosen = divmod(chance, count)
        return chosen

    return Drawing(
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
        text=_text(pairs),
        # A new search keeps what was chosen beside the words.
        kept=without(pairs, TEXT, CURSOR, IMAGE),
        **shown,
    )


def _text(pairs: Pairs) -> str:
    return (value_of(pairs, TEXT) or "").strip()


def _card(pairs: Pairs, hit: Hit) -> Card:
    size = f"{hit.width} × {hit.height}" if hit.width and hit.height else ""  # noqa: RUF001  # pixels
    return Card(
        image_id=hit.image_id,
        href=changed(pairs, IMAGE, hit.image_id),
        name=marked(hit.name_html),
        url=hit.url,
        rows=_rows(hit),
        foot=[part for part in (hit.image_id, size, _year(hit)) if part],
    )


def _year(hit: Hit) -> str:
    """The year it was taken in, of UTC, as in filters and facets: whoever narrows sees that year.

    The record tells the time as it was given, with its zone.
    """
    try:
        return f"{msgspec.convert(hit.taken_at, Time).astimezone(dt.UTC).year:04}"
    except (msgspec.ValidationError, OverflowError):
        return ""


def _rows(hit: Hit) -> list[Row]:
    """Where words were found beside the name; then what else there is, up to a few rows."""
    rows = [
        Row(_label(field), escape(_BETWEEN.get(field, " … ")).join(map(marked, pieces)))
        for field, pieces in hit.highlights.items()
        if field != "name"
    ][:ROWS_OF_HIGHLIGHTS]
    others = {"description": hit.description, "uploaded_by": hit.uploaded_by}
    others |= {f"attributes.{name}": value for name, value in hit.attributes.items()}
    for field, value in others.items():
        if value and field not in hit.highlights and len(rows) < ROWS:
            cut = value if len(value) <= LONGEST_ROW else f"{value[:LONGEST_ROW]}…"
            rows.append(Row(_label(field), cut))
    return rows


def _label(field: str) -> str:
    return spoken(field.removeprefix("attributes."))


def _sections(record: Record) -> Iterable[Section]:
    image = record.image
    attributes = {} if image.attributes is UNSET else image.attributes
    yield Section(
        "Details",
        [
            Fact(spoken(name), value, alike(f"{OWN}{name}", value))
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
            yield Fact(LABELS[name], value, alike(name, value))
    if image.width and image.height:
        yield Fact("Pixels", f"{image.width:,} × {image.height:,}")  # noqa: RUF001  # the sign for it
    if image.size_bytes is not UNSET:
        yield Fact("Size", _bytes(image.size_bytes))
    if image.url:
        outside = on_the_web(image.url)
        yield Fact("Address", image.url, image.url if outside else None, outside=outside)
    if image.checksum:
        yield Fact("Checksum", image.checksum)


def _bytes(count: int) -> str:
    """A size as a person reads it, in steps of a thousand."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:  # noqa: PLR2004  # kilo is a thousand
            break
        size, unit = size / 1000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def _environment() -> Environment:
    made = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals["drawn"] = drawn
    made.tests["on_the_web"] = on_the_web
    return made


_template = _environment().from_string(_TEMPLATE)


def _allowed(tag: str) -> str:
    """What the policy allows inline: the file's own, by its hash."""
    (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", _TEMPLATE, re.DOTALL)
    digest = hashlib.sha256(inline.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# Trusted Types: no text becomes markup in the browser, either.
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
# Nothing is kept: an image that was deleted is gone from the page at once, by every way there.
HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
