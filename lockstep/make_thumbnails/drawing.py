"""Draw the thumbnails of a picture. This decodes content of strangers: run it in a sandbox only."""

import io
import math
from collections.abc import Callable, Mapping
from typing import BinaryIO, Final

import pi_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageCms,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import Image, Resampling, Transpose

from lockstep.make_thumbnails.outcome import Drawn
from lockstep.pictures import content
from lockstep.pictures.content import PictureFormat
from lockstep.pictures.kept import KeptContent
from lockstep.pictures.limited import HEADER_BYTES, limited
from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.parts import a_file_of, parts_of
from shared.thumbnails import SIDES

MEGAPIXELS: Final = 50
# Above it, a difference is hard to see, and files grow fast.
_QUALITY = 80
# The image is first reduced to twice the size, fast, and then resampled.
_REDUCING_GAP = 2.0
_TURNS: Final[Mapping[int, Transpose]] = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_SIXTEEN_BITS = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})
_WITH_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})


class NotDrawnError(NotAPictureError):
    """A picture has no thumbnails; one line says why."""


def draw(kept: KeptContent) -> Drawn:
    """Draw both thumbnails: turned as the picture is shown, in sRGB, without metadata.

    A thumbnail is never larger than its picture. Of an animation, it is the first frame.

    Raises:
        NotDrawnError: this picture is not drawn.
        NotAPictureError: its header is damaged.
        MemoryError: it needs more memory than there is.
    """
    if kept.format not in _OPENERS:
        raise NotDrawnError(f"{a_file_of(kept.format)}: only pictures of pixels have a thumbnail")
    parts = parts_of(kept, _no_note)
    if parts.size is None:
        raise NotDrawnError(f"{a_file_of(kept.format)} that is too long for a thumbnail")
    pixels = parts.size[0] * parts.size[1]
    # A JPEG file is decoded at an eighth of its size, or more.
    if kept.format != content.JPEG and pixels > MEGAPIXELS * 1_000_000:
        found = f"{a_file_of(kept.format)} of {pixels / 1_000_000:,.1f} megapixels"
        raise NotDrawnError(f"{found}: at most {MEGAPIXELS} get a thumbnail")
    kept.file.seek(0)
    try:
        large = _small(_OPENERS[kept.format](kept), max(SIDES))
        # Pillow turns a TIFF file itself.
        turn = None if kept.format == content.TIFF else _TURNS.get(parts.orientation)
        shown = _in_srgb(large if turn is None else large.transpose(turn))
        return Drawn({side: _webp(_small(shown.copy(), side)) for side in SIDES})
    except (NotAPictureError, MemoryError):
        raise
    # A library may raise anything for bytes from outside, and its words are for programmers.
    except Exception as error:
        why = f"{a_file_of(kept.format)} whose pixels are damaged or cut off"
        raise NotDrawnError(why) from error


def _no_note(_field: str, _why: str) -> None:
    """Notes are about metadata, and thumbnails have none."""


def _small(image: Image, side: int) -> Image:
    """The image, at most so large. It is decoded here, a JPEG file at a smaller size if possible.

    Raises:
        NotDrawnError: its pixels are not colours.
    """
    if image.mode == "F":
        raise NotDrawnError("a picture whose pixels are floating-point numbers")
    if image.mode in _SIXTEEN_BITS:
        image = image.point(lambda value: value / 256).convert("L")
    elif "transparency" in image.info or image.mode in {"P", "PA"}:
        image = _with_own_colours(image)
    elif image.mode == "1":
        image = image.convert("L")
    image.thumbnail((side, side), Resampling.LANCZOS, reducing_gap=_REDUCING_GAP)
    return image


def _with_own_colours(image: Image) -> Image:
    """Each pixel with its colour, instead of the number of one in a palette."""
    clear = "transparency" in image.info or image.mode == "PA"
    profile = image.info.get("icc_profile")
    found = image.convert("RGBA" if clear else "RGB")
    found.info = {"icc_profile": profile}
    return found


def _in_srgb(image: Image) -> Image:
    """The image in the colours that browsers expect, RGB or RGBA, without metadata."""
    alpha = image.convert("RGBA").getchannel("A") if image.mode in _WITH_ALPHA else None
    opaque = image.convert("L" if image.mode == "LA" else "RGB") if alpha is not None else image
    found = _converted(opaque, image.info.get("icc_profile"))
    if alpha is not None:
        found.putalpha(alpha)
    found.info = {}
    return found


def _converted(image: Image, profile: object) -> Image:
    """The image in sRGB. A profile that is damaged, or of other colours, does not count."""
    if isinstance(profile, bytes) and profile:
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(io.BytesIO(profile)),
                ImageCms.createProfile("sRGB"),
                outputMode="RGB",
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            return image.convert("RGB")
        if converted is not None:
            return converted
    return image.convert("RGB")


def _webp(image: Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "WEBP", quality=_QUALITY, exif=b"", icc_profile=b"", xmp=b"")
    return out.getvalue()


def _heif(kept: KeptContent) -> Image:
    image: Image = pi_heif.open_heif(kept.file.read()).to_pillow()
    return image


def _tiff(kept: KeptContent) -> Image:
    # The library of TIFF reads the file itself.
    return TiffImagePlugin.TiffImageFile(kept.file)


def _jpeg_2000(kept: KeptContent) -> Image:
    """Decoded at a smaller size: its resolutions are halves of each other."""
    image = _opened_by(Jpeg2KImagePlugin.Jpeg2KImageFile)(kept)
    # In this plugin, a property: how often its size is halved.
    halved = max(0, int(math.log2(max(image.size) / max(SIDES))))
    image.reduce = halved  # type: ignore[assignment, method-assign]
    try:
        image.load()
    except OSError:  # it has fewer resolutions
        return _opened_by(Jpeg2KImagePlugin.Jpeg2KImageFile)(kept)
    return image


def _opened_by(plugin: Callable[[BinaryIO], Image]) -> Callable[[KeptContent], Image]:
    """Opens a file with one of Pillow's plugins, never with another one.

    A reader that goes on byte by byte ends at the limit.
    """

    def opened(kept: KeptContent) -> Image:
        return plugin(limited(kept.file, kept.size_bytes + HEADER_BYTES))

    return opened


# The formats that are drawn. SVG is not: a file of a stranger would run in a browser's engine.
_OPENERS: Final[Mapping[PictureFormat, Callable[[KeptContent], Image]]] = {
    content.AVIF: _opened_by(AvifImagePlugin.AvifImageFile),
    content.BMP: _opened_by(BmpImagePlugin.BmpImageFile),
    content.GIF: _opened_by(GifImagePlugin.GifImageFile),
    content.HEIC: _heif,
    content.HEIF: _heif,
    content.JPEG: _opened_by(JpegImagePlugin.JpegImageFile),
    content.JPEG_2000: _jpeg_2000,
    content.PNG: _opened_by(PngImagePlugin.PngImageFile),
    content.TIFF: _tiff,
    content.WEBP: _opened_by(WebPImagePlugin.WebPImageFile),
}
