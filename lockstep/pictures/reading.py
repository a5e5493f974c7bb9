"""Read a picture: its checksum, format and size, and what EXIF, IPTC and XMP say of it."""

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import BinaryIO, Final

import msgspec

from lockstep.pictures.content import SVG, PictureFormat
from lockstep.pictures.exif import GpsPosition
from lockstep.pictures.iptc import IptcFields, read_iptc
from lockstep.pictures.kept import KeptContent, kept
from lockstep.pictures.notes import PictureNote, TakeNote
from lockstep.pictures.parts import PictureParts, parts_of
from lockstep.pictures.precedence import Descriptions, described
from lockstep.pictures.svg import read_svg
from lockstep.pictures.texts import in_one_line, shown
from lockstep.pictures.xmp import XmpFields, read_xmp

KEPT_BYTES: Final = 384 * 1024 * 1024


class PictureSettings(msgspec.Struct, frozen=True):
    """How pictures are read.

    Attributes:
        zone: the zone of a time that says no offset from UTC.
        gps: whether the position is read. It tells where people live, so it is not unless asked.
        keep_bytes: how much of a picture is kept in a temporary file, in bytes. Metadata after it
            is not read. Checksum and size are of the whole picture.
        most_bytes: a longer picture is not read to its end, and has no checksum; None for no limit.
    """

    zone: tzinfo
    gps: bool = False
    keep_bytes: int = KEPT_BYTES
    most_bytes: int | None = None


class Picture(msgspec.Struct, frozen=True):
    """What a picture says of itself. Texts are as stored, but without control characters.

    Attributes:
        format: by its content.
        size_bytes: the length of its content; None if it was not read to its end.
        checksum: the SHA-256 of its content as in events; None if it was not read to its end.
        width, height: in pixels, as it is shown; None if it does not say.
        taken_at: when it was taken, with an offset of whole minutes.
        author: several are joined by `; `.
        notes: what was left out, and why.
    """

    format: PictureFormat
    size_bytes: int | None
    checksum: str | None
    width: int | None = None
    height: int | None = None
    taken_at: datetime | None = None
    title: str = ""
    caption: str = ""
    author: str = ""
    camera: str = ""
    lens: str = ""
    keywords: tuple[str, ...] = ()
    position: GpsPosition | None = None
    notes: tuple[PictureNote, ...] = ()


def read_picture(source: BinaryIO | Iterable[bytes], settings: PictureSettings) -> Picture:
    """Read a picture from its start to its end, once.

    At most about 400 MiB of memory is used for any content, and `keep_bytes` of disk: see
    `docs/guides/pictures.md`.

    Args:
        source: a file open for reading, or its content in pieces. It is not closed.
        settings: how it is read.

    Raises:
        NotAPictureError: it cannot be an image; one line says why.
    """
    notes: dict[PictureNote, None] = {}

    def note(field: str, why: str) -> None:
        notes[PictureNote(field, why)] = None

    with kept(source, keep_bytes=settings.keep_bytes, most_bytes=settings.most_bytes) as content:
        if content.checksum is None:
            note("checksum", f"left out: longer than {settings.most_bytes:,} bytes")
        if content.format == SVG:
            (width, height), found = _of_svg(content, note)
        else:
            parts = parts_of(content, note)
            width, height = parts.shown_size() or (None, None)
            found = _of_parts(parts, settings, note)
        return Picture(
            format=content.format,
            size_bytes=None if content.checksum is None else content.size_bytes,
            checksum=content.checksum,
            width=width,
            height=height,
            taken_at=found.taken_at,
            title=found.title,
            caption=found.caption,
            author=found.author,
            camera=found.camera,
            lens=found.lens,
            keywords=found.keywords,
            position=found.position,
            notes=tuple(notes),
        )


def _of_svg(
    content: KeptContent, note: TakeNote
) -> tuple[tuple[int | None, int | None], Descriptions]:
    found = read_svg(content.file, content.size_bytes)
    if found.width is None or found.height is None:
        note("width", "left out: the SVG file has no size in pixels")
    described = Descriptions(title=in_one_line(found.title), caption=shown(found.caption))
    return (found.width, found.height), described


def _of_parts(parts: PictureParts, settings: PictureSettings, note: TakeNote) -> Descriptions:
    block = parts.photoshop.iptc
    return described(
        exif=parts.exif,
        iptc=read_iptc(block, parts.photoshop.digest, note) if block else IptcFields(),
        xmp=read_xmp(parts.xmp, note) if parts.xmp else XmpFields(),
        texts=parts.texts,
        zone=settings.zone,
        gps=settings.gps,
        note=note,
    )
