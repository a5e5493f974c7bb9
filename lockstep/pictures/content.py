"""The format of a file by its first bytes. Its name says nothing: anyone can choose it."""

import codecs
import re
from typing import Final

import msgspec

from lockstep.pictures.notes import NotAPictureError


class PictureFormat(msgspec.Struct, frozen=True):
    """A format of pictures.

    Attributes:
        name: what people call it.
        content_type: its media type, as IANA lists it.
        suffix: the usual end of a file's name, with the dot.
    """

    name: str
    content_type: str
    suffix: str


AVIF: Final = PictureFormat("AVIF", "image/avif", ".avif")
BMP: Final = PictureFormat("BMP", "image/bmp", ".bmp")
GIF: Final = PictureFormat("GIF", "image/gif", ".gif")
HEIC: Final = PictureFormat("HEIC", "image/heic", ".heic")
HEIF: Final = PictureFormat("HEIF", "image/heif", ".heif")
JPEG: Final = PictureFormat("JPEG", "image/jpeg", ".jpg")
JPEG_2000: Final = PictureFormat("JPEG 2000", "image/jp2", ".jp2")
PNG: Final = PictureFormat("PNG", "image/png", ".png")
SVG: Final = PictureFormat("SVG", "image/svg+xml", ".svg")
TIFF: Final = PictureFormat("TIFF", "image/tiff", ".tif")
WEBP: Final = PictureFormat("WebP", "image/webp", ".webp")
FORMATS: Final = (AVIF, BMP, GIF, HEIC, HEIF, JPEG, JPEG_2000, PNG, SVG, TIFF, WEBP)

# Enough for every signature, and for the comments before the root element of most SVG files.
HEAD_BYTES: Final = 64 * 1024

_PICTURES = (
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PNG),
    (re.compile(rb"GIF8[79]a"), GIF),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WEBP),
    # The last four bytes are the size of the header that follows: 12, 40, 52, 56, 64, 108 or 124.
    (re.compile(rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), BMP),
    (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n"), JPEG_2000),
)
_TIFF = re.compile(rb"II[*+]\0|MM\0[*+]")
_RAW = "a camera raw file: export it as JPEG or TIFF"
_OTHERS = (
    (re.compile(rb"(II\*\0|MM\0\*).{4}CR", re.DOTALL), _RAW),
    (re.compile(rb"IIU\0|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb"), _RAW),
    (re.compile(rb"%PDF-"), "a PDF document"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "a PostScript document"),
    (re.compile(rb"8BPS"), "a Photoshop document: export it as JPEG, PNG or TIFF"),
    (re.compile(rb"\xff\x0a|\0\0\0\x0cJXL "), "a JPEG XL file, which is not read here"),
    (re.compile(rb"PK(\x03\x04|\x05\x06)"), "a ZIP archive"),
    (
        re.compile(rb"\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd"),
        "a compressed file: decompress it first",
    ),
    (re.compile(rb"7z\xbc\xaf|Rar!"), "an archive"),
    (re.compile(rb"\0\0[\x01\x02]\0"), "an icon or a cursor"),
    (re.compile(rb"RIFF.{4}(AVI |WAVE)", re.DOTALL), "a video or a sound"),
    (re.compile(rb"\x1aE\xdf\xa3|ID3|OggS|fLaC|FLV"), "a video or a sound"),
    (re.compile(rb"MZ|\x7fELF"), "a program"),
)
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS = frozenset({b"mif1", b"msf1", b"mif2"})
_ENCODINGS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MARKUP = re.compile(r"\s*<[?!a-zA-Z]")
_SVG_ROOT = re.compile(r"<(?:[\w.-]+:)?svg[\s>/]")
_HTML = re.compile(r"\s*<(!doctype\s+html|html)", re.IGNORECASE)
_SHOWN_BYTES = 8


def format_of(head: bytes) -> PictureFormat:
    """The format of a file.

    Args:
        head: its first bytes, `HEAD_BYTES` if it has so many.

    Raises:
        NotAPictureError: it is no picture in a format that is read here.
    """
    if not head:
        raise NotAPictureError("an empty file")
    for signature, what in _OTHERS:
        if signature.match(head):
            raise NotAPictureError(f"not a picture, but {what}")
    for signature, found in _PICTURES:
        if signature.match(head):
            return found
    if _TIFF.match(head):
        return TIFF
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    return _of_text(head)


def _of_brands(head: bytes) -> PictureFormat:
    """The format of a file of boxes (ISO/IEC 14496-12), by the brands that it says it has."""
    size = min(int.from_bytes(head[:4]), len(head))
    brands = [head[8:12], *(head[start : start + 4] for start in range(16, size - 3, 4))]
    for brand in brands:
        if brand in {b"avif", b"avis"}:
            return AVIF
        if brand in _HEIC_BRANDS:
            return HEIC
    if not _HEIF_BRANDS.isdisjoint(brands):
        return HEIF
    what = _RAW if brands[0] == b"crx " else "a video or a sound"
    raise NotAPictureError(f"not a picture, but {what}")


def _of_text(head: bytes) -> PictureFormat:
    """SVG, if the file is text with such an element."""
    mark, encoding = next(
        ((mark, name) for mark, name in _ENCODINGS if head.startswith(mark)), (b"", "utf-8")
    )
    text = head[len(mark) :].decode(encoding, "replace")
    if _HTML.match(text):
        raise NotAPictureError("not a picture, but an HTML page")
    if _MARKUP.match(text):
        if _SVG_ROOT.search(text):
            return SVG
        raise NotAPictureError("not a picture, but an XML document")
    names = ", ".join(one.name for one in FORMATS)
    start = head[:_SHOWN_BYTES].hex(" ")
    raise NotAPictureError(f"no picture that is read here ({names}): it begins with {start}")
