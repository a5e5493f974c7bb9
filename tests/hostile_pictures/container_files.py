"""Hostile or odd files of TIFF, WebP, AVIF and HEIC."""

import io
import random
import struct

from PIL import Image

from tests.hostile_pictures.case import Case, repeated
from tests.made_pictures import (
    ASCII,
    LONG,
    SHORT,
    UNDEFINED,
    Directory,
    box,
    encoded,
    full_box,
    heic,
    iim,
    tiff,
)

SIZE: Directory = {0x100: (SHORT, 8), 0x101: (SHORT, 8)}


def _animated(kind: str) -> bytes:
    out = io.BytesIO()
    first, second = (Image.new("RGB", (8, 8), color) for color in ("red", "blue"))
    first.save(out, kind, save_all=True, append_images=[second])
    return out.getvalue()


def _big_tiff(entries: int) -> bytes:
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, entries)


def _endless() -> bytes:
    block = bytearray(tiff(SIZE))
    block[34:38] = struct.pack("<L", 8)
    return bytes(block)


def _webp_of(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    whole = encoded("WEBP")
    body = b"VP8X\x0a\0\0\0\0\0\0\0" + size + whole[12:]
    return b"RIFF" + struct.pack("<L", len(body) + 4) + b"WEBP" + body


def _changed(content: bytes, seed: int) -> bytes:
    """The file with some of its bytes after the brands changed."""
    chance = random.Random(seed)
    changed = bytearray(content)
    for _ in range(20):
        changed[chance.randrange(40, len(changed))] = chance.randrange(256)
    return bytes(changed)


def _many_items(count: int) -> bytes:
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH", number, 0) + b"hvc1\0", 2) for number in range(count)
    )
    meta = full_box(b"meta", full_box(b"iinf", struct.pack(">H", count) + entries))
    return heic()[:28] + meta


def _boxes_within_boxes(depth: int) -> bytes:
    data = b""
    for _ in range(depth):
        data = box(b"iprp", data)
    return heic()[:28] + full_box(b"meta", data)


CASES = (
    Case(
        "TIFF: only its header",
        lambda: tiff({})[:8],
        "a TIFF file whose header is damaged or cut off",
    ),
    Case(
        "TIFF: an empty directory",
        lambda: tiff({}),
        "a TIFF file whose header is damaged or cut off",
    ),
    Case(
        "TIFF: a directory after its end",
        lambda: tiff(SIZE, start=2**31),
        "a TIFF file whose header is damaged or cut off",
    ),
    Case("TIFF: endless directories", _endless, "image/tiff 8 x 8"),
    Case(
        "TIFF: 2^60 fields",
        lambda: _big_tiff(2**60),
        "a TIFF file whose header is damaged or cut off",
    ),
    Case(
        "TIFF: 2^60 fields, a gigabyte of them",
        lambda: repeated(_big_tiff(2**60), bytes(20)),
        "a TIFF file whose header is damaged or cut off, or lies after the part that is kept",
    ),
    Case(
        "TIFF: its size in words",
        lambda: tiff({0x100: (ASCII, "wide"), 0x101: (ASCII, "tall")}),
        "a TIFF file whose header is damaged or cut off",
    ),
    Case(
        "TIFF: 2^32-1 x 2^32-1",
        lambda: tiff({0x100: (LONG, 2**32 - 1), 0x101: (LONG, 2**32 - 1)}),
        "image/tiff 4294967295 x 4294967295",
    ),
    Case(
        "TIFF: a field of 50 MB",
        lambda: tiff({**SIZE, 0x8649: (UNDEFINED, b"8BIM" * 12_500_000)}),
        "image/tiff 8 x 8; exif: its directory is too long: only the start of it was read",
    ),
    Case(
        "TIFF: layers of 50 MB after a title",
        lambda: tiff({**SIZE, 0x10E: (ASCII, "kept"), 0x935C: (UNDEFINED, bytes(50_000_000))}),
        "image/tiff 8 x 8; kept; exif: its directory is too long: only the start of it was read",
    ),
    Case(
        "TIFF: IPTC of 5 MB",
        lambda: tiff({**SIZE, 0x83BB: (UNDEFINED, iim((120, b"x")) + bytes(5_000_000))}),
        "image/tiff 8 x 8; iptc: left out: 5,000,006 bytes, more than 4 MiB",
    ),
    Case(
        "TIFF: IPTC of 100,000 fields",
        lambda: tiff({**SIZE, 0x83BB: (UNDEFINED, iim(*[(25, b"k")] * 100_000))}),
        "image/tiff 8 x 8; 1 keywords; iptc: it has more than 10,000 fields: the rest is left out",
    ),
    Case(
        "TIFF: raw data of a camera (DNG)",
        lambda: tiff({**SIZE, 0xC612: (1, b"\1\4\0\0")}),
        "not a picture, but a camera raw file: export it as JPEG or TIFF",
    ),
    Case(
        "TIFF: raw data of a camera (NEF)",
        lambda: tiff({**SIZE, 0xFE: (LONG, 1), 0x14A: (LONG, 8)}),
        "not a picture, but a camera raw file: export it as JPEG or TIFF",
    ),
    Case(
        "TIFF: a directory after a gigabyte",
        lambda: repeated(b"II*\0" + struct.pack("<L", 2**30), b"\0", end=tiff(SIZE)[8:]),
        "a TIFF file whose header is damaged or cut off, or lies after the part that is kept",
    ),
    Case("TIFF: CMYK", lambda: encoded("TIFF", mode="CMYK"), "image/tiff 8 x 8"),
    Case("TIFF: 16 bits", lambda: encoded("TIFF", mode="I;16"), "image/tiff 8 x 8"),
    Case("TIFF: two pages", lambda: _animated("TIFF"), "image/tiff 8 x 8"),
    Case(
        "WebP: cut off",
        lambda: encoded("WEBP")[:-20],
        "a WebP file whose header is damaged or cut off",
    ),
    Case(
        "WebP: only its header",
        lambda: encoded("WEBP")[:16],
        "a WebP file whose header is damaged or cut off",
    ),
    Case(
        "WebP: a wrong length",
        lambda: b"RIFF\xff\xff\xff\x7fWEBP" + encoded("WEBP")[12:],
        "a WebP file whose header is damaged or cut off",
    ),
    Case(
        "WebP: 16,384 x 16,384",
        lambda: _webp_of(16384, 16384),
        "a WebP file of more than 178 megapixels",
    ),
    Case(
        "WebP: a canvas larger than its picture",
        lambda: _webp_of(12000, 12000),
        "a WebP file whose header is damaged or cut off",
    ),
    Case("WebP: animated", lambda: _animated("WEBP"), "image/webp 8 x 8"),
    Case(
        "WebP: 80 MB",
        lambda: repeated(encoded("WEBP"), b"\0", 80_000_000),
        "image/webp None x None; file: its size in pixels and its metadata are left out: "
        "of WebP, at most 64 MiB are read",
    ),
    Case(
        "WebP: EXIF of 60 MB",
        lambda: encoded("WEBP", exif=b"II*\0\x08\0\0\0" + bytes(60_000_000)),
        "image/webp 8 x 8",
    ),
    Case(
        "AVIF: EXIF of 60 MB",
        lambda: encoded("AVIF", exif=b"II*\0\x08\0\0\0" + bytes(60_000_000)),
        "image/avif 8 x 8",
    ),
    Case(
        "HEIC: EXIF of 60 MB",
        lambda: heic(exif=b"II*\0\x08\0\0\0" + bytes(60_000_000)),
        "image/heic 48 x 32",
    ),
    Case("AVIF: cut off", lambda: encoded("AVIF")[:-20], "image/avif 8 x 8"),
    Case(
        "AVIF: cut off in its header",
        lambda: encoded("AVIF")[:100],
        "an AVIF file whose header is damaged or cut off",
    ),
    Case("AVIF: animated", lambda: _animated("AVIF"), "image/avif 8 x 8"),
    Case(
        "AVIF: bytes changed",
        lambda: _changed(encoded("AVIF"), 1),
        "an AVIF file whose header is damaged or cut off",
    ),
    Case(
        "AVIF: 2^31 x 2^31",
        lambda: encoded("AVIF").replace(struct.pack(">LL", 8, 8), struct.pack(">LL", 2**31, 2**31)),
        "an AVIF file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: cut off in its header",
        lambda: heic()[:100],
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: only its brands",
        lambda: heic()[:28],
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: a box of size 0",
        lambda: heic()[:28] + bytes(4096),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: a box of 2^63 bytes",
        lambda: heic()[:28] + b"\0\0\0\1meta" + struct.pack(">Q", 2**63),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: 2^32-1 x 2^32-1", lambda: heic((2**32 - 1, 2**32 - 1)), "a HEIC file of 0 x 0 pixels"
    ),
    Case(
        "HEIC: 65,000 pictures",
        lambda: _many_items(65_000),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: 10,000 boxes within boxes",
        lambda: _boxes_within_boxes(10_000),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: bytes changed",
        lambda: _changed(heic(), 2),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "HEIC: 80 MB",
        lambda: repeated(heic(), b"\0", 80_000_000),
        "image/heic None x None; file: its size in pixels and its metadata are left out: "
        "of HEIC, at most 64 MiB are read",
    ),
)
