"""The page of one image's record."""

import re
from collections.abc import Iterable
from urllib.parse import quote

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
from functions.search_images.page.frame import frame_on_record
from functions.search_images.page.moments import TimeInWords, moment, moment_in
from functions.search_images.page.paging import ResultPlace
from functions.search_images.page.picture import on_the_web
from functions.search_images.page.rendering import PLAIN, Site, shortly
from functions.search_images.record import ImageRecord
from functions.search_images.visible import shown
from shared.event import Image

# Attributes that say who made an image or has rights in it, as collections name them.
_RIGHTS = frozenset(
    {
        *("attribution", "copyright", "courtesy", "credit", "creditline", "creditsandrights"),
        *("license", "licence", "licenseurl", "licenceurl", "rights", "rightsholder", "usageterms"),
        *("rightsstatement", "copyrightnotice", "copyrightstatus", "copyrightholder", "usage"),
    }
)


class Fact(msgspec.Struct, frozen=True):
    """A field of a record, with a link to images that have the same value, or to an address."""

    label: str
    text: str
    href: str | None = None
    outside: bool = False
    at: str | None = None


def record_page(
    pairs: Pairs,
    record: ImageRecord,
    place: ResultPlace | None = None,
    site: Site = PLAIN,
    *,
    no_thumbnail: str | None = None,
) -> str:
    """The page of one image's record.

    Args:
        pairs: the request's parameters. If they have a search, there is a link back to it.
        record: the record.
        place: its place among the results of that search, if it is known.
        site: the frame of the page.
        no_thumbnail: why its picture has no thumbnail (`PictureLinks.reason`).
    """
    image = record.image
    before = without(pairs, IMAGE, AT)
    tags = () if image.tags is UNSET else image.tags
    attributes = {} if image.attributes is UNSET else image.attributes
    rights = [name for name in attributes if _is_of_rights(name)]
    facts = [_attribute(name, attributes[name]) for name in attributes if name not in rights]
    name = shown(image.name)
    return site.render(
        "record",
        pairs,
        title=site.titled(name),
        about=shortly(image.description or "")
        or shortly(" · ".join(attributes.values()))
        or f"An image of {site.title}",
        name=name,
        record=record,
        place=place,
        back=place.back if place else href(before) if before else None,
        link=href([(IMAGE, record.image_id)]),
        record_address=f"images/{quote(record.image_id, safe='')}",
        frame=frame_on_record(record, site, no_thumbnail),
        picture_address=_picture_address(record, site),
        picture_size=None if image.size_bytes is UNSET else _bytes(image.size_bytes),
        tags=[Fact("Tag", shown(tag), same_value_href("tag", tag)) for tag in dict.fromkeys(tags)],
        rights=[_attribute(name, attributes[name]) for name in sorted(rights)],
        facts=[*sorted(facts, key=lambda fact: fact.label), *_origin(image)],
        technical=list(_technical(record)),
    )


def _picture_address(record: ImageRecord, site: Site) -> str | None:
    """Where the picture itself is saved from."""
    url = record.image.url
    if on_the_web(url):
        return str(url)
    return None if site.pictures is None else site.pictures.original(record.image_id, url)


def _is_of_rights(name: str) -> bool:
    """Whether an attribute says who has rights in the image, or who is to be named."""
    return re.sub("[_-]", "", name).lower() in _RIGHTS


def _attribute(name: str, value: str) -> Fact:
    if on_the_web(value):
        return Fact(readable(name), value, value, outside=True)
    same = same_value_href(f"{ATTRIBUTE_PREFIX}{name}", value)
    return Fact(readable(name), shown(value), same)


def _origin(image: Image) -> Iterable[Fact]:
    if image.taken_at is not UNSET:
        yield _time("Taken", moment(image.taken_at))
    if image.uploaded_by:
        same = same_value_href("uploaded_by", image.uploaded_by)
        yield Fact(LABELS["uploaded_by"], shown(image.uploaded_by), same)


def _technical(record: ImageRecord) -> Iterable[Fact]:
    image = record.image
    yield Fact("Image ID", record.image_id)
    if image.content_type:
        same = same_value_href("content_type", image.content_type)
        yield Fact(LABELS["content_type"], shown(image.content_type), same)
    if image.width and image.height:
        yield Fact("Pixels", f"{image.width:,} × {image.height:,}")  # noqa: RUF001  # multiplication sign
    if image.size_bytes is not UNSET:
        yield Fact("Size", _bytes(image.size_bytes))
    if image.url:
        outside = on_the_web(image.url)
        yield Fact("Address", image.url, image.url if outside else None, outside=outside)
    if image.checksum:
        yield Fact("Checksum", image.checksum)
    yield Fact("Version", str(record.version))
    yield Fact("Last event", record.event_type)
    yield _time("Occurred", moment_in(record.occurred_at))
    yield _time("Arrived", moment_in(record.arrived_at))
    yield Fact("Digest", record.digest)


def _time(label: str, when: TimeInWords) -> Fact:
    return Fact(label, when.text, at=when.iso)


def _bytes(count: int) -> str:
    """A size with a unit, in steps of a thousand."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:  # noqa: PLR2004  # kilo
            break
        size, unit = size / 1000, larger
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
