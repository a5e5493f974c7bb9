"""Text in the metadata of pictures: its character sets, and what of it can be shown."""

import re
from typing import Final

# Control characters but tab and line feed, and code points that are no characters.
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_LINE_ENDS = re.compile("\r\n?|\x85|\u2028|\u2029")
# Of EXIF's `UserComment` (Exif 2.32, table 9).
_CODE_BYTES = 8
_JIS = "iso2022_jp_2"

# What cameras write as the description of every picture, in lower case: it describes none.
CAMERA_DEFAULTS: Final = frozenset(
    {
        "default",
        "digital camera",
        "exif_jpeg_picture",
        "exif jpeg picture",
        "jpeg",
        "konica minolta digital camera",
        "minolta digital camera",
        "olympus digital camera",
        "samsung",
        "sony dsc",
        "untitled",
    }
)


def shown(text: str) -> str:
    """The text without control characters, with line feeds as line ends, and stripped."""
    return _UNSHOWN.sub("", _LINE_ENDS.sub("\n", text)).strip()


def in_one_line(text: str) -> str:
    """The text as `shown`, with a space for each run of spaces and line ends."""
    return " ".join(shown(text).split())


def of_unknown(data: bytes) -> str:
    """Text without a stated character set: UTF-8 if it is valid, otherwise Latin-1.

    The Metadata Working Group recommends UTF-8 in EXIF, although its standard says ASCII. Many
    programs wrote Latin-1, or Windows-1252, which has typographic characters where Latin-1 has
    control characters.
    """
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _latin(data)


def _latin(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def of_exif(data: bytes) -> str:
    """A text of EXIF: up to the first NUL."""
    return of_unknown(data.partition(b"\0")[0])


def of_xp(data: bytes) -> str:
    """One of the fields that Windows adds to EXIF (`XPTitle` and others): UTF-16, up to a NUL."""
    return data[: len(data) & ~1].decode("utf-16-le", "replace").partition("\0")[0]


def of_user_comment(data: bytes, *, big_endian: bool) -> str:
    """EXIF's `UserComment`: eight bytes that name the character set, and the text.

    Args:
        data: the whole field.
        big_endian: the byte order of the EXIF block. UTF-16 follows it, unless it has a mark or
            makes no sense: some writers always use the other order.
    """
    code, text = data[:_CODE_BYTES].rstrip(b"\0 "), data[_CODE_BYTES:]
    match code:
        case b"UNICODE":
            return _utf_16(text, big_endian=big_endian)
        case b"JIS":
            return text.rstrip(b"\0").decode(_JIS, "replace")
        case b"ASCII" | b"":
            return of_exif(text)
        case _:
            return of_exif(data)  # no code: the text begins at once


def _utf_16(data: bytes, *, big_endian: bool) -> str:
    data = data[: len(data) & ~1]
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace").partition("\0")[0]
    orders = ("utf-16-be", "utf-16-le") if big_endian else ("utf-16-le", "utf-16-be")
    first, second = (data.decode(order, "replace").partition("\0")[0] for order in orders)
    # In the wrong order, ASCII and spaces become code points without a low byte.
    return second if _swapped(first) > _swapped(second) else first


def _swapped(text: str) -> int:
    return sum(1 for character in text if not ord(character) & 0xFF)
