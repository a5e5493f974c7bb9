"""Files that are no pictures, files that are two things at once, and small formats."""

import struct

from PIL import Image

from tests.hostile_pictures.case import Case, repeated
from tests.made_pictures import SIDE, box, encoded, jpeg


def _frames(kind: str) -> bytes:
    first, second = (Image.new("RGB", (SIDE, SIDE), color) for color in ("red", "blue"))
    return encoded(kind, image=first, save_all=True, append_images=[second])


def _bmp(width: int, height: int) -> bytes:
    whole = bytearray(encoded("BMP"))
    whole[18:26] = struct.pack("<ll", width, height)
    return bytes(whole)


def _gif(width: int, height: int) -> bytes:
    whole = bytearray(encoded("GIF"))
    whole[6:10] = struct.pack("<HH", width, height)
    return bytes(whole)


CASES = (
    Case("an empty file", lambda: b"", "an empty file"),
    Case(
        "one byte",
        lambda: b"\xff",
        "no picture that is read here (AVIF, BMP, GIF, HEIC, HEIF, JPEG, JPEG 2000, PNG, "
        "SVG, TIFF, WebP): it begins with ff",
    ),
    Case(
        "only zeros",
        lambda: b"\0" * 1_000_000,
        "no picture that is read here (AVIF, BMP, GIF, HEIC, HEIF, JPEG, JPEG 2000, PNG, "
        "SVG, TIFF, WebP): it begins with 00 00 00 00 00 00 00 00",
    ),
    Case(
        "text",
        lambda: b"Dear diary, today I took a picture.",
        "no picture that is read here (AVIF, BMP, GIF, HEIC, HEIF, JPEG, JPEG 2000, PNG, "
        "SVG, TIFF, WebP): it begins with 44 65 61 72 20 64 69 61",
    ),
    Case(
        "a web page",
        lambda: b"\n<!DOCTYPE html><html><img src=x onerror=alert(1)>",
        "not a picture, but an HTML page",
    ),
    Case(
        "an XML document",
        lambda: b'<?xml version="1.0"?><rss/>',
        "not a picture, but an XML document",
    ),
    Case("a PDF document", lambda: b"%PDF-1.7\n" + jpeg(), "not a picture, but a PDF document"),
    Case("a ZIP archive", lambda: b"PK\x03\x04" + b"\0" * 100, "not a picture, but a ZIP archive"),
    Case(
        "a gigabyte of a ZIP archive",
        lambda: repeated(b"PK\x03\x04", b"\0"),
        "not a picture, but a ZIP archive",
    ),
    Case(
        "a Photoshop document",
        lambda: b"8BPS\0\1" + b"\0" * 100,
        "not a picture, but a Photoshop document: export it as JPEG, PNG or TIFF",
    ),
    Case("an icon", lambda: encoded("ICO"), "not a picture, but an icon or a cursor"),
    Case(
        "JPEG XL",
        lambda: b"\xff\x0a" + b"\0" * 100,
        "not a picture, but a JPEG XL file, which is not read here",
    ),
    Case(
        "raw data of a camera",
        lambda: b"II*\0\x10\0\0\0CR\2\0" + b"\0" * 100,
        "not a picture, but a camera raw file: export it as JPEG or TIFF",
    ),
    Case(
        "a video",
        lambda: box(b"ftyp", b"isom\0\0\0\0isomavc1") + b"\0" * 100,
        "not a picture, but a video or a sound",
    ),
    Case(
        "a sound",
        lambda: b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 100,
        "not a picture, but a video or a sound",
    ),
    Case(
        "a compressed SVG file",
        lambda: b"\x1f\x8b\x08\0" + b"\0" * 100,
        "not a picture, but a compressed file: decompress it first",
    ),
    Case(
        "GIF with a ZIP archive after it",
        lambda: encoded("GIF") + b"PK\x03\x04" * 99,
        "image/gif 8 x 8",
    ),
    Case(
        "GIF that is a script, too",
        lambda: b"GIF89a/*\0\0\0\0\0*/=1;alert(1)",
        "a GIF file whose header is damaged or cut off",
    ),
    Case(
        "GIF cut off in its header",
        lambda: encoded("GIF")[:9],
        "a GIF file whose header is damaged or cut off",
    ),
    Case("GIF cut off in its pixels", lambda: encoded("GIF")[:-8], "image/gif 8 x 8"),
    Case("GIF of 65,535 x 65,535", lambda: _gif(65535, 65535), "image/gif 65535 x 65535"),
    Case("GIF of 0 x 0", lambda: _gif(0, 0), "image/gif 8 x 8"),
    Case("animated GIF", lambda: _frames("GIF"), "image/gif 8 x 8"),
    Case(
        "GIF with a gigabyte of comments",
        lambda: repeated(encoded("GIF")[:13] + b"!\xfe", b"\xff" + b"c" * 255),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "BMP of 2^31-1 x 2^31-1",
        lambda: _bmp(2**31 - 1, 2**31 - 1),
        "image/bmp 2147483647 x 2147483647",
    ),
    Case("BMP from top to bottom", lambda: _bmp(SIDE, -SIDE), "image/bmp 8 x 8"),
    Case("BMP of 0 x 8", lambda: _bmp(0, SIDE), "a BMP file whose header is damaged or cut off"),
    Case(
        "BMP cut off in its header",
        lambda: encoded("BMP")[:30],
        "a BMP file whose header is damaged or cut off",
    ),
    Case(
        "JPEG 2000 cut off in its header",
        lambda: encoded("JPEG2000")[:40],
        "a JPEG 2000 file whose header is damaged or cut off",
    ),
    Case(
        "JPEG 2000 with endless boxes",
        lambda: repeated(encoded("JPEG2000")[:12], box(b"free", b"")),
        "a file whose header does not end within 32 MiB: damaged or hostile",
    ),
    Case(
        "JPEG 2000 with a box of size 0",
        lambda: encoded("JPEG2000")[:12] + b"\0" * 4096,
        "a JPEG 2000 file whose header is damaged or cut off",
    ),
)
