"""Large pictures, and small files that are large or slow once they are decoded."""

import io
import random
import struct
import zlib
from typing import Any

from PIL import Image

from tests.drawn_heic import heic_of_pixels
from tests.hostile_pictures.case import Case
from tests.made_pictures import chunk, encoded

_SIDE = 7_000  # 49 megapixels
_TOO_LONG = 7_072  # 50.01 megapixels
_SLOW = "drawing it takes more than 10 s"


def _noise(side: int, mode: str = "RGB") -> Image.Image:
    """A picture of so many pixels that compresses badly: one square of noise, repeated."""
    size = 500
    square = Image.frombytes(
        mode, (size, size), random.Random(side).randbytes(size * size * len(mode))
    )
    image = Image.new(mode, (side, side))
    for left in range(0, side, size):
        for top in range(0, side, size):
            image.paste(square, (left, top))
    return image


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _jpeg_of(width: int, height: int, **options: Any) -> bytes:
    """A JPEG file that says another size than it has pixels."""
    whole = encoded("JPEG", **options)
    frame = whole.index((b"\xff\xc2" if options else b"\xff\xc0") + b"\0\x11\x08")
    return whole[: frame + 5] + struct.pack(">HH", height, width) + whole[frame + 9 :]


def _many_scans(count: int) -> bytes:
    """A progressive JPEG file that draws all its pixels again and again."""
    whole = encoded("JPEG", (5000, 5000), "L", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * count + whole[-2:]


def _png_of_zeros(side: int, *, interlaced: bool = False) -> bytes:
    """A small file of many pixels."""
    header = struct.pack(">LLBBBBB", side, side, 8, 6, 0, 0, int(interlaced))
    packer = zlib.compressobj(9)
    # Seven pictures of every eighth pixel have a few more bytes.
    rows = 2 * side if interlaced else side
    line = bytes(4 * side + 1)
    packed = b"".join([packer.compress(line) for _ in range(rows)]) + packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )


def _gif_of(width: int, height: int) -> bytes:
    whole = encoded("GIF", mode="L")
    return whole[:6] + struct.pack("<HH", width, height) + whole[10:]


def _animated_webp(side: int) -> bytes:
    first, second = (Image.new("RGB", (side, side), colour) for colour in ("red", "blue"))
    return _saved(first, "WEBP", save_all=True, append_images=[second], method=0)


CASES = (
    Case(
        "decoded: JPEG of 100 megapixels",
        lambda: _saved(_noise(10_000), "JPEG"),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: progressive JPEG of 25 megapixels",
        lambda: _saved(_noise(5_000), "JPEG", progressive=True),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: JPEG of 4,295 megapixels in 1 KB",
        lambda: _jpeg_of(65_535, 65_535),
        "a JPEG file whose pixels are damaged or cut off",
    ),
    Case(
        "decoded: progressive JPEG of 4,295 megapixels in 1 KB",
        lambda: _jpeg_of(65_535, 65_535, progressive=True),
        "a JPEG file whose pixels are damaged or cut off",
    ),
    Case("decoded: JPEG of 2,000 scans", lambda: _many_scans(2_000), _SLOW),
    Case(
        "decoded: PNG of 49 megapixels",
        lambda: _saved(_noise(_SIDE, "RGBA"), "PNG", compress_level=1),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: PNG of 49 megapixels in 190 KB",
        lambda: _png_of_zeros(_SIDE),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: PNG of 49 megapixels, interlaced",
        lambda: _png_of_zeros(_SIDE, interlaced=True),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: PNG of 50.01 megapixels",
        lambda: _png_of_zeros(_TOO_LONG),
        "a PNG file of 50.0 megapixels: at most 50 get a thumbnail",
    ),
    Case(
        "decoded: HEIC of 49 megapixels",
        lambda: heic_of_pixels((_SIDE, _SIDE)),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: HEIC of 4,295 megapixels in a grid",
        lambda: heic_of_pixels((65_535, 65_535)),
        "a HEIC file whose header is damaged or cut off",
    ),
    Case(
        "decoded: AVIF of 49 megapixels",
        lambda: _saved(_noise(_SIDE), "AVIF", speed=10),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: WebP of 49 megapixels",
        lambda: _saved(_noise(_SIDE), "WEBP", method=0),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: WebP of 49 megapixels, without losses",
        lambda: _saved(_noise(_SIDE, "RGBA"), "WEBP", lossless=True, method=0, quality=0),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: WebP of 49 megapixels, animated",
        lambda: _animated_webp(_SIDE),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: GIF of 49 megapixels",
        lambda: _saved(_noise(_SIDE, "L"), "GIF"),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: GIF of 4,295 megapixels in 1 KB",
        lambda: _gif_of(65_535, 65_535),
        "a GIF file of 4,294.8 megapixels: at most 50 get a thumbnail",
    ),
    Case(
        "decoded: TIFF of 49 megapixels",
        lambda: _saved(_noise(_SIDE, "RGBA"), "TIFF", compression="tiff_lzw"),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: TIFF of 49 megapixels, CMYK",
        lambda: _saved(_noise(_SIDE, "CMYK"), "TIFF"),
        "drawn: 1600 x 1600",
    ),
    Case(
        "decoded: BMP of 49 megapixels", lambda: _saved(_noise(_SIDE), "BMP"), "drawn: 1600 x 1600"
    ),
    Case(
        "decoded: JPEG 2000 of 25 megapixels",
        lambda: _saved(_noise(5_000), "JPEG2000", quality_mode="rates", quality_layers=[20]),
        "drawn: 1600 x 1600",
    ),
)
