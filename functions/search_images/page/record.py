"""The page of one image's record."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET

from functions.search_images.facets import ATTRIBUTE_PREFIX
from functions.search_images.links import (
    AT,
    IMAGE,
    LABELS,
    Pairs,
    href,
    readable,
    same_value_href,
    without,
)
from functions.search_images.page.paging import ResultPlace
from functions.search_images.page.picture import on_the_web
from functions.search_images.page.rendering import page_title, render
from functions.search_images.record import ImageRecord
from functions.search_images.visible import shown
from shared.event import Image


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


def record_page(pairs: Pairs, record: ImageRecord, place: ResultPlace | None = None) -> str:
    """The page of one image's record.

    Args:
        pairs: the request's parameters. If they have a search, there is a link back to it.
        record: the record.
        place: its place among the results of that search, if it is known.
    """
    image = record.image
    before = without(pairs, IMAGE, AT)
    tags = () if image.tags is UNSET else image.tags
    return render(
        "record",
        pairs,
        title=page_title(shown(image.name)),
        name=shown(image.name),
        record=record,
        place=place,
        back=place.back if place else href(before) if before else None,
        tags=[Fact("Tag", shown(tag), same_value_href("tag", tag)) for tag in dict.fromkeys(tags)],
        sections=[section for section in _sections(record) if section.facts],
    )


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
