"""JPEG files with hostile or odd headers, and EXIF, IPTC and XMP that are so."""

import io
import random
import struct

from PIL import Image

from tests.hostile_pictures.case import Case, repeated
from tests.made_pictures import (
    ASCII,
    EXIF_POINTER,
    GPS_POINTER,
    LONG,
    RATIONAL,
    SHORT,
    Directory,
    encoded,
    iim,
    jpeg,
    resources,
    segment,
    tiff,
    xmp,
)

START = b"\xff\xd8"
DESCRIPTION, ORIENTATION, TAKEN, OFFSET = 0x10E, 0x112, 0x9003, 0x9011


def _of_size(width: int, height: int) -> bytes:
    whole = encoded("JPEG")
    frame = whole.index(b"\xff\xc0\0\x11\x08") + 5
    return whole[:frame] + struct.pack(">HH", height, width) + whole[frame + 4 :]


def _mpo() -> bytes:
    out = io.BytesIO()
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(out, "MPO", save_all=True, append_images=[second])
    return out.getvalue()


def _with_exif(main: Directory) -> bytes:
    return jpeg(exif=tiff(main))


def _repeated_values() -> bytes:
    """Each of 5,000 fields has the same 60 KB as its value: 300 MB of 60 KB."""
    count = 5_000
    size = 2 + 12 * count + 4
    entries = b"".join(struct.pack("<HHLL", tag, 7, size, 8) for tag in range(count))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + b"\0\0\0\0"


def _long_exif() -> bytes:
    """Pillow joins the blocks of several segments: 20 MB."""
    rest = b"".join(segment(0xE1, b"Exif\0\0" + b"\0" * 65_000) for _ in range(300))
    return jpeg(exif=tiff({DESCRIPTION: (ASCII, "kept")}), extra=rest)


def _itself(pointer: int) -> bytes:
    """A directory whose pointer leads back to the first one."""
    block = tiff({pointer: (LONG, 8)})
    return jpeg(exif=bytes(block))


def _endless_directories() -> bytes:
    block = bytearray(tiff({DESCRIPTION: (ASCII, "a description")}))
    block[22:26] = struct.pack("<L", 8)
    return jpeg(exif=bytes(block))


def _resource_of(size: int) -> bytes:
    return b"8BIM\x04\x04\0\0" + struct.pack(">L", size) + b"\x1c\x02\x78\0\3abc"


def _noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


ENTITIES = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 12))
LAUGHS = f'<!DOCTYPE x [<!ENTITY e0 "ha">{ENTITIES}]>'.encode()

CASES = (
    Case(
        "only the first marker",
        lambda: START + b"\xff",
        "a JPEG file whose header is damaged or cut off",
    ),
    Case(
        "cut off in its header",
        lambda: encoded("JPEG")[:100],
        "a JPEG file whose header is damaged or cut off",
    ),
    Case(
        "cut off in its pixels",
        lambda: encoded("JPEG", (99, 99))[:-40],
        "image/jpeg 99 x 99; file: the end of the picture is missing: the file is cut off",
    ),
    Case(
        "only zeros in its second half",
        lambda: encoded("JPEG")[:300] + b"\0" * 300,
        "image/jpeg 8 x 8; file: the end of the picture is missing: the file is cut off",
    ),
    Case(
        "a segment of length 0",
        lambda: START + b"\xff\xe0\0\0" + b"\0" * 100,
        "a JPEG file whose header is damaged or cut off",
    ),
    Case(
        "noise after the first marker",
        lambda: START + b"\xff" + _noise(1, 100_000),
        "a JPEG file whose header is damaged or cut off",
    ),
    Case(
        "a gigabyte of segments",
        lambda: repeated(START, segment(0xE5, b"x" * 65_000), end=encoded("JPEG")[2:]),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "a gigabyte of tiny segments",
        lambda: repeated(START, segment(0xE5, b"")),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "a gigabyte without a marker",
        lambda: repeated(START + b"\xff\xe5\0\2", b"x"),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "a gigabyte of fill bytes",
        lambda: repeated(START, b"\xff"),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "a gigabyte of pixels", lambda: repeated(encoded("JPEG")[:-2], b"\x11"), "image/jpeg 8 x 8"
    ),
    Case("65,535 x 65,535", lambda: _of_size(65535, 65535), "image/jpeg 65535 x 65535"),
    Case("0 x 0", lambda: _of_size(0, 0), "a JPEG file whose header is damaged or cut off"),
    Case("CMYK", lambda: jpeg(mode="CMYK"), "image/jpeg 8 x 8"),
    Case("grey", lambda: jpeg(mode="L"), "image/jpeg 8 x 8"),
    Case("progressive", lambda: encoded("JPEG", progressive=True), "image/jpeg 8 x 8"),
    Case("two pictures (MPO)", _mpo, "image/jpeg 8 x 8"),
    Case(
        "a ZIP archive after it",
        lambda: jpeg() + b"PK\x03\x04" + b"\0" * 100_000,
        "image/jpeg 8 x 8",
    ),
    Case(
        "a script in a comment",
        lambda: jpeg(extra=segment(0xFE, b"<script>alert(1)")),
        "image/jpeg 8 x 8",
    ),
    Case(
        "a broken colour profile",
        lambda: encoded("JPEG", icc_profile=b"\xff" * 200_000),
        "image/jpeg 8 x 8",
    ),
    Case(
        "parts of a colour profile that do not fit",
        lambda: jpeg(extra=segment(0xE2, b"ICC_PROFILE\0\x07\x03abc") * 9),
        "image/jpeg 8 x 8",
    ),
    Case(
        "EXIF: three bytes",
        lambda: jpeg(exif=b"II*"),
        "image/jpeg 8 x 8; exif: left out: it does not begin as EXIF does",
    ),
    Case(
        "EXIF: noise",
        lambda: jpeg(exif=_noise(2, 60_000)),
        "image/jpeg 8 x 8; exif: left out: it does not begin as EXIF does",
    ),
    Case(
        "EXIF: noise after its header",
        lambda: jpeg(exif=tiff({})[:8] + _noise(3, 60_000)),
        "image/jpeg 8 x 8; exif: a directory is damaged: what could be read was taken",
    ),
    Case(
        "EXIF: a directory after its end",
        lambda: jpeg(exif=tiff({}, start=2**31)),
        "image/jpeg 8 x 8; exif: a directory is damaged: what could be read was taken",
    ),
    Case("EXIF: a directory that is itself", lambda: _itself(EXIF_POINTER), "image/jpeg 8 x 8"),
    Case("EXIF: a position that is itself", lambda: _itself(GPS_POINTER), "image/jpeg 8 x 8"),
    Case("EXIF: endless directories", _endless_directories, "image/jpeg 8 x 8; a description"),
    Case(
        "EXIF: 300 MB of values in 60 KB",
        lambda: jpeg(exif=_repeated_values()),
        "image/jpeg 8 x 8; exif: a directory is damaged: what could be read was taken",
    ),
    Case("EXIF: 20 MB in 300 segments", _long_exif, "image/jpeg 8 x 8; kept"),
    Case(
        "EXIF: a value of 4 GB",
        lambda: jpeg(exif=b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHLL", 0x10E, 2, 2**32 - 1, 8)),
        "image/jpeg 8 x 8; exif: a directory is damaged: what could be read was taken",
    ),
    Case(
        "EXIF: orientation 99", lambda: _with_exif({ORIENTATION: (SHORT, 99)}), "image/jpeg 8 x 8"
    ),
    Case(
        "EXIF: orientation in words",
        lambda: _with_exif({ORIENTATION: (ASCII, "left")}),
        "image/jpeg 8 x 8",
    ),
    Case(
        "EXIF: NUL and controls in a text",
        lambda: _with_exif({0x13B: (ASCII, "a\x1b[2J\0b")}),
        "image/jpeg 8 x 8; a[2J",
    ),
    Case(
        "EXIF: bidirectional text",
        lambda: _with_exif({0x13B: (ASCII, "\u202eabc \u2066צילום")}),
        "image/jpeg 8 x 8; \u202eabc \u2066\u05e6\u05d9\u05dc\u05d5\u05dd",
    ),
    Case(
        "EXIF: an empty time",
        lambda: _with_exif({EXIF_POINTER: {TAKEN: (ASCII, "    :  :     :  :  ")}}),
        "image/jpeg 8 x 8",
    ),
    Case(
        "EXIF: a time of zeros",
        lambda: _with_exif({EXIF_POINTER: {TAKEN: (ASCII, "0000:00:00 00:00:00")}}),
        "image/jpeg 8 x 8; taken_at: left out: '0000:00:00 00:00:00' is no time",
    ),
    Case(
        "EXIF: an offset of 99 hours",
        lambda: _with_exif(
            {EXIF_POINTER: {TAKEN: (ASCII, "2024:01:01 00:00:00"), OFFSET: (ASCII, "+99:00")}}
        ),
        "image/jpeg 8 x 8; taken_at: left out: +99:00 is no offset from UTC",
    ),
    Case(
        "EXIF: a position divided by zero",
        lambda: _with_exif(
            {GPS_POINTER: {2: (RATIONAL, [(1, 0)] * 3), 4: (RATIONAL, [(0, 0)] * 3)}}
        ),
        "image/jpeg 8 x 8",
    ),
    Case(
        "IPTC: damaged",
        lambda: jpeg(photoshop=resources(iim((120, b"kept")) + b"damaged")),
        "image/jpeg 8 x 8; kept; iptc: it is damaged: what comes before was taken",
    ),
    Case(
        "IPTC: cut off",
        lambda: jpeg(photoshop=resources(iim((120, b"kept"), (5, b"lost"))[:-2])),
        "image/jpeg 8 x 8; kept; iptc: it is cut off: what is whole was taken",
    ),
    Case(
        "IPTC: a field of 2 GB",
        lambda: jpeg(photoshop=resources(b"\x1c\2\x78\x80\4\x7f\xff\xff\xff")),
        "image/jpeg 8 x 8; iptc: it is cut off: what is whole was taken",
    ),
    Case(
        "IPTC: a length of 32,767 bytes",
        lambda: jpeg(photoshop=resources(b"\x1c\2\x78\xff\xff" + b"\xff" * 40_000)),
        "image/jpeg 8 x 8; iptc: it is damaged: what comes before was taken",
    ),
    Case(
        "IPTC: a resource of 4 GB",
        lambda: jpeg(photoshop=_resource_of(2**32 - 1)),
        "image/jpeg 8 x 8; abc",
    ),
    Case("IPTC: noise", lambda: jpeg(photoshop=_noise(4, 60_000)), "image/jpeg 8 x 8"),
    Case(
        "XMP: entities that expand",
        lambda: jpeg(xmp_packet=LAUGHS + b"<x>&e11;</x>"),
        "image/jpeg 8 x 8; xmp: left out: it declares entities or a document type",
    ),
    Case(
        "XMP: an entity in a file",
        lambda: jpeg(
            xmp_packet=b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>'
        ),
        "image/jpeg 8 x 8; xmp: left out: it declares entities or a document type",
    ),
    Case(
        "XMP: not well-formed",
        lambda: jpeg(xmp_packet=xmp("<dc:title>")),
        "image/jpeg 8 x 8; xmp: left out: it is not well-formed XML",
    ),
    Case(
        "XMP: noise",
        lambda: jpeg(xmp_packet=_noise(5, 60_000)),
        "image/jpeg 8 x 8; xmp: left out: it is not well-formed XML",
    ),
    Case(
        "XMP: an unknown character set",
        lambda: jpeg(xmp_packet=b'<?xml version="1.0" encoding="ebcdic-x"?><x/>'),
        "image/jpeg 8 x 8; xmp: left out: it is not well-formed XML",
    ),
)
