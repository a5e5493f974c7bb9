"""The properties of XMP (ISO 16684-1) in a picture."""

import re
from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException, ElementTree

from lockstep.pictures.exif import GpsPosition, position
from lockstep.pictures.notes import TakeNote

# Photoshop lists ancestors of a document there. Parsing takes about 40 times the size in memory.
MOST_BYTES: Final = 2 * 1024 * 1024

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_PHOTOSHOP = "{http://ns.adobe.com/photoshop/1.0/}"
_EXIF = "{http://ns.adobe.com/exif/1.0/}"
_EXIF_EX = "{http://cipa.jp/exif/1.0/}"
_TIFF = "{http://ns.adobe.com/tiff/1.0/}"
_AUX = "{http://ns.adobe.com/exif/1.0/aux/}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LISTS = frozenset({f"{_RDF}{name}" for name in ("Alt", "Bag", "Seq")})
# `49,29.5834N` or `49,29,35N`: degrees, minutes, perhaps seconds.
_COORDINATE = re.compile(
    r"(\d{1,3}),(\d{1,2}(?:\.\d+)?)(?:,(\d{1,2}(?:\.\d+)?))?([NSEW])", re.ASCII
)


class XmpFields(msgspec.Struct, frozen=True):
    """What XMP says of a picture; empty where it says nothing."""

    title: str = ""
    caption: str = ""
    authors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    created: str = ""
    taken: str = ""
    make: str = ""
    model: str = ""
    lens: str = ""
    position: GpsPosition | None = None


def read_xmp(packet: bytes, note: TakeNote) -> XmpFields:
    """Read a packet. One with entities, or one that is too long, is left out with a note."""
    if len(packet) > MOST_BYTES:
        note("xmp", f"left out: {len(packet):,} bytes, more than {MOST_BYTES >> 20} MiB")
        return XmpFields()
    try:
        root = ElementTree.fromstring(packet.rstrip(b"\0"), forbid_dtd=True)
    except DefusedXmlException:
        note("xmp", "left out: it declares entities or a document type")
        return XmpFields()
    except (ParseError, ValueError, LookupError):
        note("xmp", "left out: it is not well-formed XML")
        return XmpFields()
    found = _Properties(root)
    return XmpFields(
        title=found.text(f"{_DC}title"),
        caption=found.text(f"{_DC}description"),
        authors=found.texts(f"{_DC}creator"),
        keywords=found.texts(f"{_DC}subject"),
        created=found.text(f"{_PHOTOSHOP}DateCreated"),
        taken=found.text(f"{_EXIF}DateTimeOriginal"),
        make=found.text(f"{_TIFF}Make"),
        model=found.text(f"{_TIFF}Model"),
        lens=found.text(f"{_EXIF_EX}LensModel") or found.text(f"{_AUX}Lens"),
        position=_position(found.text(f"{_EXIF}GPSLatitude"), found.text(f"{_EXIF}GPSLongitude")),
    )


class _Properties:
    """The properties of all descriptions in a packet. Of repeated ones the first counts."""

    def __init__(self, root: Element) -> None:
        self._found: dict[str, tuple[str, ...]] = {}
        for name, values in _properties(root):
            self._found.setdefault(name, values)

    def texts(self, name: str) -> tuple[str, ...]:
        return self._found.get(name, ())

    def text(self, name: str) -> str:
        return next(iter(self.texts(name)), "")


def _properties(root: Element) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each property, written as an attribute or as an element."""
    for description in root.iter(f"{_RDF}Description"):
        for name, value in description.attrib.items():
            yield name, (value,)
        for element in description:
            yield element.tag, _values(element)


def _values(element: Element) -> tuple[str, ...]:
    """The values of a property: of a list each entry; of alternatives the default one first."""
    for child in element:
        if child.tag in _LISTS:
            entries = [one for one in child if one.tag == f"{_RDF}li" and (one.text or "").strip()]
            entries.sort(key=lambda one: one.get(_LANGUAGE) != "x-default")
            return tuple(one.text or "" for one in entries)
    return (element.text,) if element.text and element.text.strip() else ()


def _position(latitude: str, longitude: str) -> GpsPosition | None:
    degrees = []
    for text in (latitude, longitude):
        found = _COORDINATE.fullmatch(text.strip())
        if found is None:
            return None
        whole, minutes, seconds, direction = found.groups()
        value = int(whole) + float(minutes) / 60 + float(seconds or 0) / 3600
        degrees.append(-value if direction in "SW" else value)
    return position(*degrees)
