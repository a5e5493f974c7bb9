"""Drawing thumbnails: size, direction, colours, and what is not drawn."""

import io
import struct
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageOps

from lockstep.make_thumbnails.drawing import NotDrawnError, draw
from lockstep.pictures.content import HEAD_BYTES, format_of
from lockstep.pictures.kept import KeptContent
from lockstep.pictures.notes import NotAPictureError
from tests.drawn_heic import heic_of_pixels
from tests.made_pictures import SHORT, chunk, encoded, heic, png, tiff

ORIENTATION = 0x112
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def thumbnails(content: bytes) -> dict[int, bytes]:
    found = format_of(content[:HEAD_BYTES])
    kept = KeptContent(
        io.BytesIO(content), found, whole=True, size_bytes=len(content), checksum=None
    )
    return draw(kept).by_side


def drawn(content: bytes) -> dict[int, Image.Image]:
    return {side: Image.open(io.BytesIO(one)) for side, one in thumbnails(content).items()}


def refused(content: bytes) -> str:
    with pytest.raises(NotAPictureError) as refusal:
        drawn(content)
    return str(refusal.value)


def corners(size: tuple[int, int] = (400, 200)) -> Image.Image:
    """A picture whose corners tell how it was turned: red, green, blue, white in lines."""
    image = Image.new("RGB", (2, 2))
    image.putdata([RED, GREEN, BLUE, WHITE])
    return image.resize(size, Image.Resampling.NEAREST)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def seen(image: Image.Image) -> list[tuple[int, ...]]:
    """The colours near the corners, each component as 0 or 255."""
    width, height = image.size
    points = [(x, y) for y in (height // 8, height * 7 // 8) for x in (width // 8, width * 7 // 8)]
    pixels = [image.convert("RGB").getpixel(point) for point in points]
    return [tuple(255 * (part > 127) for part in pixel) for pixel in pixels]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("size", "large", "small"),
    [
        ((4000, 2000), (1600, 800), (320, 160)),
        ((1000, 2000), (800, 1600), (160, 320)),
        ((1600, 1600), (1600, 1600), (320, 320)),
        ((500, 100), (500, 100), (320, 64)),
        ((300, 200), (300, 200), (300, 200)),
        ((1, 1), (1, 1), (1, 1)),
        ((10_000, 2), (1600, 1), (320, 1)),
    ],
)
def test_the_longest_side_fits_and_nothing_is_enlarged(
    size: tuple[int, int], large: tuple[int, int], small: tuple[int, int]
) -> None:
    for kind in ("JPEG", "PNG"):
        found = drawn(encoded(kind, size))
        assert {side: image.size for side, image in found.items()} == {1600: large, 320: small}


def _of_exif(kind: str) -> Callable[[Image.Image, int], bytes]:
    def made(image: Image.Image, turn: int) -> bytes:
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        return saved(image, kind, exif=exif)

    return made


def _tiff(image: Image.Image, turn: int) -> bytes:
    return saved(image, "TIFF", tiffinfo={ORIENTATION: turn})


def _png(image: Image.Image, turn: int) -> bytes:
    whole = saved(image, "PNG")
    return whole[:33] + chunk(b"eXIf", tiff({ORIENTATION: (SHORT, turn)})) + whole[33:]


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize(
    "make",
    [_of_exif("JPEG"), _of_exif("WEBP"), _of_exif("AVIF"), _of_exif("MPO"), _tiff, _png],
    ids=["JPEG", "WebP", "AVIF", "MPO", "TIFF", "PNG"],
)
def test_a_picture_is_turned_as_it_is_shown(
    make: Callable[[Image.Image, int], bytes], turn: int
) -> None:
    stored = corners()
    exif = stored.getexif()
    exif[ORIENTATION] = turn
    expected = ImageOps.exif_transpose(stored)
    for image in drawn(make(corners(), turn)).values():
        assert image.size[0] == image.size[1] * expected.size[0] / expected.size[1]
        assert seen(image) == seen(expected)


@pytest.mark.parametrize("quarter_turns", range(4))
def test_heic_is_turned_by_its_boxes_and_not_by_exif_once_more(quarter_turns: int) -> None:
    turned = tiff({ORIENTATION: (SHORT, 6)})
    content = heic_of_pixels((512, 256), quarter_turns=quarter_turns, exif=turned)
    image = drawn(content)[1600]
    upright = drawn(heic_of_pixels((512, 256)))[1600]
    expected = upright.convert("RGB").rotate(90 * quarter_turns, expand=True)
    assert image.size == expected.size
    assert seen(image) == seen(expected)


def with_swapped_colours() -> bytes:
    """A profile of colours in which red is what sRGB calls green, and the reverse."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    count = struct.unpack(">L", profile[128:132])[0]
    tags = {profile[132 + 12 * n : 136 + 12 * n]: 132 + 12 * n + 4 for n in range(count)}
    swapped = bytearray(profile)
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    swapped[red : red + 8], swapped[green : green + 8] = (
        profile[green : green + 8],
        profile[red : red + 8],
    )
    return bytes(swapped)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_colours_become_those_of_srgb(kind: str) -> None:
    content = saved(Image.new("RGB", (400, 400), RED), kind, icc_profile=with_swapped_colours())
    assert {colour for image in drawn(content).values() for colour in seen(image)} == {GREEN}


def test_a_damaged_profile_does_not_count() -> None:
    for profile in (b"\xff" * 5000, with_swapped_colours()[:200]):
        content = saved(Image.new("RGB", (400, 400), RED), "PNG", icc_profile=profile)
        assert set(seen(drawn(content)[320])) == {RED}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "YCbCr"])
def test_pixels_of_each_kind_are_drawn(mode: str) -> None:
    kind = "TIFF" if mode in {"CMYK", "YCbCr"} else "PNG"
    white = Image.new("RGB", (400, 200), WHITE)
    if mode == "I;16":
        content = saved(Image.new("I;16", (400, 200), 65_535), kind)
    else:
        content = saved(white.convert(mode), kind)
    found = drawn(content)
    assert set(seen(found[1600])) == {WHITE}
    assert found[320].size == (320, 160)


def test_what_is_clear_stays_clear() -> None:
    half = Image.new("RGBA", (400, 200), (*RED, 0))
    half.paste((*RED, 255), (0, 0, 200, 200))
    palette = half.convert("RGB").quantize(4)
    palette.info["transparency"] = palette.getpixel((399, 0))
    for content in (
        saved(half, "PNG"),
        saved(half, "WEBP", lossless=True),
        saved(half, "AVIF"),
        saved(half.convert("LA"), "PNG"),
    ):
        for image in drawn(content).values():
            assert image.mode == "RGBA"
            assert image.getpixel((5, 5))[3] > 250  # type: ignore[index]
            assert image.getpixel((image.width - 5, 5))[3] < 5  # type: ignore[index]


def test_of_an_animation_the_first_frame_is_drawn() -> None:
    first, second = (Image.new("RGB", (400, 200), colour) for colour in (RED, BLUE))
    for kind in ("GIF", "WEBP", "PNG", "AVIF", "TIFF", "MPO"):
        content = saved(first, kind, save_all=True, append_images=[second])
        assert set(seen(drawn(content)[320])) == {RED}, kind


def test_a_thumbnail_has_no_metadata() -> None:
    exif = Image.Exif()
    exif[0x13B] = "Somebody"
    profile = with_swapped_colours()
    for kind in ("JPEG", "PNG", "WEBP", "AVIF"):
        content = saved(corners(), kind, exif=exif, icc_profile=profile, xmp=b"<x:xmpmeta/>")
        for data in thumbnails(content).values():
            kinds, at = set(), 12
            while at < len(data):
                kinds.add(data[at : at + 4])
                at += 8 + struct.unpack("<L", data[at + 4 : at + 8])[0]
            assert kinds == {b"VP8 "}


def test_a_large_jpeg_is_decoded_at_a_smaller_size() -> None:
    found = drawn(encoded("JPEG", (9000, 9000)))
    assert found[1600].size == (1600, 1600)


def test_jpeg_2000_without_smaller_resolutions_is_drawn() -> None:
    content = saved(corners((6000, 3000)), "JPEG2000", num_resolutions=1)
    assert seen(drawn(content)[320]) == [RED, GREEN, BLUE, WHITE]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG file: only pictures of pixels"),
        (b"%PDF-1.7", "not a picture, but a PDF document"),
        (encoded("PNG", (7100, 7100), "1"), "a PNG file of 50.4 megapixels: at most 50"),
        (encoded("GIF", (7100, 7100), "L"), "a GIF file of 50.4 megapixels: at most 50"),
        (saved(Image.new("F", (8, 8)), "TIFF"), "pixels are floating-point numbers"),
        (encoded("PNG", (99, 99))[:-30], "a PNG file whose pixels are damaged or cut off"),
        (encoded("JPEG", (99, 99))[:-40], "a JPEG file whose pixels are damaged or cut off"),
        (heic(), "a HEIC file whose pixels are damaged or cut off"),
        (png()[:20], "a PNG file whose header is damaged or cut off"),
    ],
)
def test_each_refusal_says_why(content: bytes, why: str) -> None:
    found = refused(content)
    assert why in found
    assert found.isascii()


def test_a_refusal_of_drawing_is_one_of_the_picture() -> None:
    assert issubclass(NotDrawnError, NotAPictureError)
