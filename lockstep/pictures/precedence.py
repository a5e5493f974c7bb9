"""Which of EXIF, IPTC and XMP counts where they differ.

The rules are those of the Metadata Working Group (Guidelines for Handling Image Metadata 2.0,
2010): EXIF counts first. Of IPTC and XMP, XMP counts, unless a program that does not know XMP has
changed IPTC since: then the digest that Photoshop keeps of IPTC differs. IPTC has short limits, so
where its text is the start of the other one, the other one counts. `docs/guides/pictures.md` lists
the fields.
"""

import re
from collections.abc import Mapping
from datetime import datetime, tzinfo

import msgspec

from lockstep.pictures import exif as tags
from lockstep.pictures.exif import ExifFields, GpsPosition
from lockstep.pictures.iptc import IptcFields
from lockstep.pictures.notes import TakeNote
from lockstep.pictures.texts import CAMERA_DEFAULTS, in_one_line, shown
from lockstep.pictures.times import (
    TakenAt,
    UnusableTime,
    of_exif_time,
    of_iptc_time,
    of_xmp_time,
)
from lockstep.pictures.xmp import XmpFields

_BLANK_TIME = re.compile(r"[\s:]*")
_SEVERAL = "; "


class Descriptions(msgspec.Struct, frozen=True):
    """What the metadata of a picture says, all sources together; empty where it says nothing."""

    taken_at: datetime | None = None
    title: str = ""
    caption: str = ""
    author: str = ""
    camera: str = ""
    lens: str = ""
    keywords: tuple[str, ...] = ()
    position: GpsPosition | None = None


def described(
    *,
    exif: ExifFields | None,
    iptc: IptcFields,
    xmp: XmpFields,
    texts: Mapping[str, str],
    zone: tzinfo,
    gps: bool,
    note: TakeNote,
) -> Descriptions:
    """Choose among what the sources of a picture say.

    Args:
        exif: the fields of EXIF or TIFF.
        iptc: the fields of IPTC.
        xmp: the fields of XMP.
        texts: the texts of PNG by keyword; the last choice, as they have no structure.
        zone: the zone of times without an offset from UTC.
        gps: whether the position is wanted.
        note: keeps what was left out.
    """

    def of_exif(tag: int) -> str:
        return "" if exif is None else in_one_line(exif.text(tag))

    def of_windows(tag: int) -> str:
        return "" if exif is None else in_one_line(exif.xp_text(tag))

    caption = "" if exif is None else shown(exif.text(tags.DESCRIPTION))
    if caption.lower() in CAMERA_DEFAULTS:
        note("description", f"EXIF has '{caption}', which cameras write into each picture")
        caption = ""
    comment = "" if exif is None else shown(exif.user_comment())
    return Descriptions(
        taken_at=_taken_at(exif, iptc, xmp, zone, note),
        title=_first(
            _of_both(iptc, in_one_line(iptc.title), in_one_line(xmp.title)),
            of_windows(tags.XP_TITLE),
            in_one_line(texts.get("Title", "")),
        ),
        caption=_first(
            caption,
            _of_both(iptc, shown(iptc.caption), shown(xmp.caption)),
            comment,
            "" if exif is None else shown(exif.xp_text(tags.XP_COMMENT)),
            shown(texts.get("Description", "")),
        ),
        author=_first(
            of_exif(tags.ARTIST),
            _of_both(iptc, _joined(iptc.authors), _joined(xmp.authors)),
            of_windows(tags.XP_AUTHOR),
            in_one_line(texts.get("Author", "")),
        ),
        camera=_with_make(
            of_exif(tags.MAKE) or in_one_line(xmp.make),
            of_exif(tags.MODEL) or in_one_line(xmp.model),
        ),
        lens=_with_make(of_exif(tags.LENS_MAKE), of_exif(tags.LENS_MODEL) or in_one_line(xmp.lens)),
        keywords=_keywords(iptc, xmp, of_windows(tags.XP_KEYWORDS)),
        position=_position(exif, xmp) if gps else None,
    )


def _first(*texts: str) -> str:
    return next(filter(None, texts), "")


def _joined(texts: tuple[str, ...]) -> str:
    return _SEVERAL.join(filter(None, map(in_one_line, texts)))


def _of_both(iptc: IptcFields, of_iptc: str, of_xmp: str) -> str:
    """The text that counts where IPTC and XMP both may have one."""
    if not iptc.changed or of_xmp.startswith(of_iptc):
        return of_xmp or of_iptc
    return of_iptc


def _keywords(iptc: IptcFields, xmp: XmpFields, of_windows: str) -> tuple[str, ...]:
    of_iptc, of_xmp = iptc.keywords, xmp.keywords
    found = (of_iptc or of_xmp) if iptc.changed else (of_xmp or of_iptc)
    return tuple(
        dict.fromkeys(filter(None, map(in_one_line, found or tuple(of_windows.split(";")))))
    )


def _with_make(make: str, model: str) -> str:
    """Maker and model, without the maker twice: `Canon` and `Canon EOS R5`."""
    if not make or not model:
        return model or make
    first = make.split(maxsplit=1)[0].lower()
    return model if model.lower().startswith(first) else f"{make} {model}"


def _position(exif: ExifFields | None, xmp: XmpFields) -> GpsPosition | None:
    return (None if exif is None else exif.position()) or xmp.position


def _taken_at(
    exif: ExifFields | None, iptc: IptcFields, xmp: XmpFields, zone: tzinfo, note: TakeNote
) -> datetime | None:
    """The first usable time; each one before it that is none has a note."""
    found: list[TakenAt | UnusableTime] = []
    if exif is not None and not _BLANK_TIME.fullmatch(text := exif.text(tags.TAKEN)):
        fraction, offset = exif.text(tags.TAKEN_FRACTION), exif.text(tags.TAKEN_OFFSET)
        found.append(of_exif_time(text, fraction, offset, zone))
    of_iptc = [of_iptc_time(iptc.date, iptc.time, zone)] if iptc.date.strip() else []
    of_xmp = [of_xmp_time(xmp.created, zone)] if xmp.created.strip() else []
    found += [*of_iptc, *of_xmp] if iptc.changed else [*of_xmp, *of_iptc]
    if xmp.taken.strip():
        found.append(of_xmp_time(xmp.taken, zone))
    for one in found:
        match one:
            case TakenAt(time, remark):
                if remark:
                    note("taken_at", remark)
                return time
            case UnusableTime(why):
                note("taken_at", f"left out: {why}")
    return None
