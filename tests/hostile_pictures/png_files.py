"""PNG files with hostile or odd chunks."""

import struct
import zlib

from tests.hostile_pictures.case import Case, repeated
from tests.hostile_pictures.jpeg_files import LAUGHS
from tests.made_pictures import bag, chunk, encoded, itxt, png, tiff, xmp

SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEY = "XML:com.adobe.xmp"


def _of_size(width: int, height: int, megabytes: int = 1) -> bytes:
    header = struct.pack(">LLBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = chunk(b"IDAT", _packed(megabytes))
    return SIGNATURE + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def _wrong_sum() -> bytes:
    whole = bytearray(encoded("PNG"))
    whole[30] ^= 0xFF
    return bytes(whole)


def _packed(megabytes: int) -> bytes:
    """So many megabytes of zeros, compressed."""
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(10**6)) for _ in range(megabytes)]) + packer.flush()


def _text_bomb(kind: bytes) -> bytes:
    packed = _packed(500)
    return png(chunk(kind, (b"Title\0\0" if kind == b"zTXt" else b"icc\0\0") + packed))


def _deep(depth: int) -> bytes:
    return xmp("<dc:a>" * depth + "</dc:a>" * depth)


CASES = (
    Case(
        "PNG: only its signature",
        lambda: SIGNATURE,
        "a PNG file whose header is damaged or cut off",
    ),
    Case(
        "PNG: no header",
        lambda: SIGNATURE + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        "a PNG file of 0 x 0 pixels",
    ),
    Case(
        "PNG: cut off in its header",
        lambda: encoded("PNG")[:20],
        "a PNG file whose header is damaged or cut off",
    ),
    Case(
        "PNG: cut off in its pixels",
        lambda: encoded("PNG")[:-20],
        "image/png 8 x 8; file: a chunk is damaged or cut off: what comes after it is left out",
    ),
    Case(
        "PNG: a wrong sum of its header",
        _wrong_sum,
        "a PNG file whose header is damaged or cut off",
    ),
    Case("PNG: 0 x 0", lambda: _of_size(0, 0), "a PNG file of 0 x 0 pixels"),
    Case(
        "PNG: 2^31-1 x 2^31-1",
        lambda: _of_size(2**31 - 1, 2**31 - 1),
        "image/png 2147483647 x 2147483647",
    ),
    Case(
        "PNG: 900 megapixels in 900 KB",
        lambda: _of_size(30000, 30000, 900),
        "image/png 30000 x 30000",
    ),
    Case("PNG: 16 bits", lambda: png(mode="I;16"), "image/png 8 x 8"),
    Case(
        "PNG: animated", lambda: encoded("PNG", save_all=True, append_images=[]), "image/png 8 x 8"
    ),
    Case(
        "PNG: a text of 500 MB in 500 KB",
        lambda: _text_bomb(b"zTXt"),
        "image/png 8 x 8; file: a chunk zTXt is left out: it expands too far",
    ),
    Case(
        "PNG: a colour profile of 500 MB in 500 KB", lambda: _text_bomb(b"iCCP"), "image/png 8 x 8"
    ),
    Case(
        "PNG: a chunk of 4 GB",
        lambda: encoded("PNG")[:33] + b"\xff\xff\xff\xfftEXta\0b",
        "image/png 8 x 8; file: a chunk is damaged or cut off: what comes after it is left out",
    ),
    Case(
        "PNG: a chunk without a name",
        lambda: encoded("PNG")[:33] + b"\0" * 100,
        "image/png 8 x 8; file: a chunk is damaged or cut off: what comes after it is left out",
    ),
    Case(
        "PNG: a gigabyte of tiny chunks",
        lambda: repeated(encoded("PNG")[:33], chunk(b"teSt", b"")),
        "image/png 8 x 8; file: it has too many chunks: metadata after them is left out",
    ),
    Case(
        "PNG: a gigabyte of texts",
        lambda: repeated(encoded("PNG")[:33], itxt("Title", b"x" * 900)),
        "image/png 8 x 8; xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; file: it has too many chunks: metadata "
        "after them is left out",
    ),
    Case(
        "PNG: EXIF of nothing",
        lambda: png(chunk(b"eXIf", b"")),
        "image/png 8 x 8; exif: left out: it does not begin as EXIF does",
    ),
    Case(
        "PNG: EXIF with a directory before its start",
        lambda: png(chunk(b"eXIf", tiff({}, start=1))),
        "image/png 8 x 8; exif: a directory is damaged: what could be read was taken",
    ),
    Case(
        "PNG: XMP of 3 MB",
        lambda: png(itxt(XMP_KEY, xmp(" " * 3_000_000))),
        "image/png 8 x 8; xmp: left out: 3,000,520 bytes, more than 2 MiB",
    ),
    Case(
        "PNG: XMP of 200 MB in 200 KB",
        lambda: png(chunk(b"iTXt", XMP_KEY.encode() + b"\0\1\0\0\0" + _packed(200))),
        "image/png 8 x 8; file: a chunk iTXt is left out: it expands too far",
    ),
    Case("PNG: XMP 100,000 deep", lambda: png(itxt(XMP_KEY, _deep(100_000))), "image/png 8 x 8"),
    Case(
        "PNG: XMP with 90,000 keywords",
        lambda: png(itxt(XMP_KEY, xmp(bag("dc:subject", *map(str, range(90_000)))))),
        "image/png 8 x 8; 90,000 keywords",
    ),
    Case(
        "PNG: XMP with entities that expand",
        lambda: png(itxt(XMP_KEY, LAUGHS + b"<x>&e11;</x>")),
        "image/png 8 x 8; xmp: left out: it declares entities or a document type",
    ),
)
