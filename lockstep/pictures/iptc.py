"""The fields of IPTC (Information Interchange Model, IIM 4.2) in a picture.

Pillow has a reader, too, but it gives nothing at all where one field is damaged.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

import msgspec

from lockstep.pictures.notes import TakeNote
from lockstep.pictures.texts import of_unknown

# Data sets of record 2.
_TITLE = 5
_KEYWORD = 25
_DATE = 55
_TIME = 60
_AUTHOR = 80
_CAPTION = 120
_CHARACTER_SET = (1, 90)
_APPLICATION_RECORD = 2
_UTF_8 = b"\x1b%G"

_MARKER = 0x1C
_HEADER_BYTES = 5
_EXTENDED = 0x8000
_LONGEST_SIZE = 4
MOST_BYTES: Final = 4 * 1024 * 1024
# More than the largest real record has; each costs time.
_MOST_FIELDS = 10_000


class IptcFields(msgspec.Struct, frozen=True):
    """What IPTC says of a picture; empty where it says nothing.

    Attributes:
        changed: the block was changed by a program that does not know XMP: its digest, which a
            program that knows both writes, is that of another block.
    """

    title: str = ""
    caption: str = ""
    authors: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    date: str = ""
    time: str = ""
    changed: bool = False


def read_iptc(block: bytes, digest: bytes | None, note: TakeNote) -> IptcFields:
    """Read a block.

    Args:
        block: the data sets.
        digest: the MD5 that Photoshop keeps of it; None if there is none.
        note: keeps what could not be read.
    """
    if len(block) > MOST_BYTES:
        note("iptc", f"left out: {len(block):,} bytes, more than {MOST_BYTES >> 20} MiB")
        return IptcFields()
    values: dict[tuple[int, int], list[bytes]] = {}
    for number, (key, value) in enumerate(_data_sets(block, note)):
        if number == _MOST_FIELDS:
            note("iptc", f"it has more than {_MOST_FIELDS:,} fields: the rest is left out")
            break
        values.setdefault(key, []).append(value)
    is_utf_8 = any(value.startswith(_UTF_8) for value in values.get(_CHARACTER_SET, ()))

    def texts(data_set: int) -> tuple[str, ...]:
        found = values.get((_APPLICATION_RECORD, data_set), ())
        return tuple(_text(value, is_utf_8=is_utf_8, note=note) for value in found)

    def text(data_set: int) -> str:
        return next(iter(texts(data_set)), "")

    return IptcFields(
        title=text(_TITLE),
        caption=text(_CAPTION),
        authors=texts(_AUTHOR),
        keywords=texts(_KEYWORD),
        date=text(_DATE),
        time=text(_TIME),
        # MD5 is what Photoshop's format has; it protects nothing.
        changed=bool(digest) and hashlib.md5(block, usedforsecurity=False).digest() != digest,
    )


def _text(value: bytes, *, is_utf_8: bool, note: TakeNote) -> str:
    """A text: in UTF-8 where the block says so, otherwise UTF-8 if it is valid, or Latin-1."""
    if is_utf_8:
        try:
            return value.decode()
        except UnicodeDecodeError:
            note("iptc", "it says UTF-8, and has a text that is not: read as Latin-1")
    return of_unknown(value)


def _data_sets(block: bytes, note: TakeNote) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Each data set with its record and number, up to the end or to what is damaged."""
    place = 0
    while place + _HEADER_BYTES <= len(block):
        if block[place] != _MARKER:
            # Blocks are padded with zeros.
            if block[place:].strip(b"\0"):
                note("iptc", "it is damaged: what comes before was taken")
            return
        key = (block[place + 1], block[place + 2])
        size = int.from_bytes(block[place + 3 : place + 5])
        place += _HEADER_BYTES
        if size & _EXTENDED:
            width = size & ~_EXTENDED
            if width > _LONGEST_SIZE:
                note("iptc", "it is damaged: what comes before was taken")
                return
            size = int.from_bytes(block[place : place + width])
            place += width
        if place + size > len(block):
            note("iptc", "it is cut off: what is whole was taken")
            return
        yield key, block[place : place + size]
        place += size


# Photoshop keeps IPTC in one of its resources.
_RESOURCE = b"8BIM"
_RESOURCE_IPTC = 0x0404
_RESOURCE_DIGEST = 0x0425


class PhotoshopResources(msgspec.Struct, frozen=True):
    """What Photoshop's resources have of IPTC."""

    iptc: bytes | None = None
    digest: bytes | None = None


def read_resources(data: bytes) -> PhotoshopResources:
    """IPTC and its digest in Photoshop's image resources (Adobe Photoshop File Formats)."""
    found: dict[int, bytes] = {}
    place = 0
    while data[place : place + 4] == _RESOURCE:
        code = int.from_bytes(data[place + 4 : place + 6])
        name = data[place + 6] if place + 6 < len(data) else 0
        # The name with its length, then the data: both are padded to an even size.
        size_at = place + 6 + (name + 2 & ~1)
        size = int.from_bytes(data[size_at : size_at + 4])
        start = size_at + 4
        found.setdefault(code, data[start : start + size])
        place = start + (size + 1 & ~1)
    return PhotoshopResources(found.get(_RESOURCE_IPTC), found.get(_RESOURCE_DIGEST))
