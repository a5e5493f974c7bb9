"""The size and the blocks of metadata of a picture, format by format. No pixel is decoded."""

import io
import struct
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final

import msgspec
import pi_heif
import PIL.Image
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    WebPImagePlugin,
)
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngStream

from lockstep.pictures import content, exif
from lockstep.pictures.exif import ExifFields
from lockstep.pictures.iptc import PhotoshopResources, read_resources
from lockstep.pictures.kept import KeptContent
from lockstep.pictures.limited import HEADER_BYTES, HeaderTooLongError, limited
from lockstep.pictures.notes import NotAPictureError, TakeNote

# Their libraries want the whole file in memory.
_READ_WHOLE: Final = frozenset({content.AVIF, content.HEIC, content.HEIF, content.WEBP})
WHOLE_BYTES: Final = 64 * 1024 * 1024
_EXIF_MARK = b"Exif\0\0"
_XMP_KEY = "xmp"
_CHUNK_BYTES = 1024 * 1024
_JPEG_END = b"\xff\xd9"
_PNG_SIGNATURE_BYTES = 8
_PNG_SUM_BYTES = 4
_PNG_READ = frozenset({b"IHDR", b"eXIf", b"iTXt", b"tEXt", b"zTXt"})
_TURNED = frozenset({5, 6, 7, 8})
# `warnings.catch_warnings` is for one thread at a time.
_one_at_a_time = threading.Lock()


class PictureParts(msgspec.Struct, frozen=True):
    """What a file has besides its pixels.

    Attributes:
        size: width and height in pixels, as stored; None if they are not known.
        exif: the fields of EXIF, or of TIFF; None if there are none.
        xmp: the packet of XMP.
        photoshop: the block of IPTC, and its digest.
        texts: texts of PNG by keyword.
        turn: the orientation that counts, as EXIF numbers it; None if EXIF itself says it.
    """

    size: tuple[int, int] | None
    exif: ExifFields | None = None
    xmp: bytes | None = None
    photoshop: PhotoshopResources = PhotoshopResources()
    texts: Mapping[str, str] = {}
    turn: int | None = None

    @property
    def orientation(self) -> int:
        """How the picture is turned to be shown, as EXIF numbers it; 1: it is not."""
        turn = self.turn
        if turn is None and self.exif is not None:
            turn = self.exif.number(exif.ORIENTATION)
        return 1 if turn is None else turn

    def shown_size(self) -> tuple[int, int] | None:
        """Width and height as the picture is shown: after its orientation."""
        if self.size is None or self.orientation not in _TURNED:
            return self.size
        return self.size[1], self.size[0]


def parts_of(kept: KeptContent, note: TakeNote) -> PictureParts:
    """Read a picture of any format but SVG.

    Raises:
        NotAPictureError: its header is damaged, or does not end.
    """
    if kept.format in _READ_WHOLE and not (kept.whole and kept.size_bytes <= WHOLE_BYTES):
        most = f"of {kept.format.name}, at most {WHOLE_BYTES >> 20} MiB are read"
        note("file", f"its size in pixels and its metadata are left out: {most}")
        return PictureParts(size=None)
    read = _READERS[kept.format]
    with _pillow(note):
        try:
            found = read(kept, note)
        except NotAPictureError:
            raise
        except DecompressionBombError:
            # Pillow asks its decoder of WebP only below this many.
            megapixels = 2 * (PIL.Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
            why = f"{a_file_of(kept.format)} of more than {megapixels} megapixels"
            raise NotAPictureError(why) from None
        except MemoryError:
            why = f"{a_file_of(kept.format)} whose header needs too much memory"
            raise NotAPictureError(why) from None
        # A library may raise anything for bytes from outside, and its words are for programmers.
        except Exception as error:
            where = "" if kept.whole else ", or lies after the part that is kept"
            raise NotAPictureError(_damaged(kept.format) + where) from error
    if found.size is not None and min(found.size) < 1:
        width, height = found.size
        raise NotAPictureError(f"{a_file_of(kept.format)} of {width} x {height} pixels")
    return found


def a_file_of(found: content.PictureFormat) -> str:
    """The format with its article, for a message."""
    return f"{'an' if found.name.startswith(('A', 'S')) else 'a'} {found.name} file"


def _damaged(found: content.PictureFormat) -> str:
    return f"{a_file_of(found)} whose header is damaged or cut off"


@contextmanager
def _pillow(note: TakeNote) -> Iterator[None]:
    """Make the warnings of Pillow one note."""
    with _one_at_a_time, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    if caught:
        note("exif", "a directory is damaged: what could be read was taken")


def _exif_of(block: object, note: TakeNote) -> ExifFields | None:
    if not isinstance(block, bytes) or not block:
        return None
    try:
        return ExifFields(io.BytesIO(block.removeprefix(_EXIF_MARK)), note)
    except (SyntaxError, ValueError, struct.error):
        note("exif", "left out: it does not begin as EXIF does")
        return None


def _xmp_of(block: object) -> bytes | None:
    if isinstance(block, str):
        block = block.encode()
    return block if isinstance(block, bytes) and block else None


def _jpeg(kept: KeptContent, note: TakeNote) -> PictureParts:
    # Not `Image.open`, which would read the directory of the other pictures of an MPO file.
    image = JpegImagePlugin.JpegImageFile(limited(kept.file))
    _check_end_of_jpeg(kept, kept.file.tell(), note)
    resources = image.info.get("photoshop")
    resources = resources if isinstance(resources, dict) else {}
    return PictureParts(
        size=image.size,
        exif=_exif_of(image.info.get("exif"), note),
        xmp=_xmp_of(image.info.get(_XMP_KEY)),
        photoshop=PhotoshopResources(resources.get(0x0404), resources.get(0x0425)),
    )


def _check_end_of_jpeg(kept: KeptContent, start: int, note: TakeNote) -> None:
    """Look for the marker of the end, which cannot be in the data of the pixels."""
    if not kept.whole:
        return
    kept.file.seek(start)
    last = b""
    while data := kept.file.read(_CHUNK_BYTES):
        if _JPEG_END in last + data:
            return
        last = data[-1:]
    note("file", "the end of the picture is missing: the file is cut off")


def _png(kept: KeptContent, note: TakeNote) -> PictureParts:
    """Read the chunks before the pixels and after them; Pillow would decode to reach the latter."""
    file = limited(kept.file)
    file.seek(_PNG_SIGNATURE_BYTES)
    with PngStream(file) as stream:
        try:
            _png_chunks(stream, file, note)
        except HeaderTooLongError:
            if not stream.im_size[0]:
                raise
            note("file", "it has too many chunks: metadata after them is left out")
        except (SyntaxError, ValueError, OSError, struct.error):
            # A size and at least a part of what follows it are there.
            if not stream.im_size[0]:
                raise
            if kept.whole:
                note("file", "a chunk is damaged or cut off: what comes after it is left out")
        info = stream.im_info
        return PictureParts(
            size=stream.im_size,
            exif=_exif_of(info.get("exif"), note),
            xmp=_xmp_of(info.get(_XMP_KEY)),
            texts={str(key): str(text) for key, text in stream.im_text.items()},
        )


def _png_chunks(stream: PngStream, file: BinaryIO, note: TakeNote) -> None:
    """Read up to the last chunk. One that is damaged has a note, and the next one is read."""
    while True:
        kind, place, length = stream.read()
        if kind == b"IEND":
            return
        if kind in _PNG_READ:
            try:
                stream.crc(kind, stream.call(kind, place, length))
            except (SyntaxError, ValueError) as error:
                if kind == b"IHDR":
                    raise NotAPictureError(_damaged(content.PNG)) from error
                what = "expands too far" if isinstance(error, ValueError) else "is damaged"
                note("file", f"a chunk {kind.decode()} is left out: it {what}")
        file.seek(place + length + _PNG_SUM_BYTES)


def _tiff(kept: KeptContent, note: TakeNote) -> PictureParts:
    fields = ExifFields(kept.file, note)
    if fields.is_raw:
        raise NotAPictureError("not a picture, but a camera raw file: export it as JPEG or TIFF")
    width, height = fields.number(exif.WIDTH), fields.number(exif.HEIGHT)
    if width is None or height is None:
        where = "" if kept.whole else ", or lies after the part that is kept"
        raise NotAPictureError(f"a TIFF file whose header is damaged or cut off{where}")
    resources = read_resources(fields.data(exif.PHOTOSHOP) or b"")
    return PictureParts(
        size=(width, height),
        exif=fields,
        xmp=fields.data(exif.XMP),
        photoshop=PhotoshopResources(fields.data(exif.IPTC) or resources.iptc, resources.digest),
    )


def _heif(kept: KeptContent, note: TakeNote) -> PictureParts:
    file = pi_heif.open_heif(kept.file.read(WHOLE_BYTES))
    info = file.info
    return PictureParts(
        size=file.size,
        exif=_exif_of(info.get("exif"), note),
        xmp=_xmp_of(info.get(_XMP_KEY)),
        turn=1,  # the size is one after the boxes that turn the picture; EXIF only repeats them
    )


def _avif(kept: KeptContent, note: TakeNote) -> PictureParts:
    image = AvifImagePlugin.AvifImageFile(kept.file)
    # Pillow writes EXIF again if the boxes of the file turn the picture, and then replaces each
    # character that is not ASCII. So this asks its decoder.
    *_, block, turn, packet = image._decoder.get_info()  # noqa: SLF001
    return PictureParts(size=image.size, exif=_exif_of(block, note), xmp=_xmp_of(packet), turn=turn)


def _of_pillow(image: ImageFile, note: TakeNote) -> PictureParts:
    return PictureParts(
        size=image.size,
        exif=_exif_of(image.info.get("exif"), note),
        xmp=_xmp_of(image.info.get(_XMP_KEY)),
    )


def _opened_by(
    plugin: Callable[[BinaryIO], ImageFile],
) -> Callable[[KeptContent, TakeNote], PictureParts]:
    """A reader that asks one of Pillow's plugins."""

    def read(kept: KeptContent, note: TakeNote) -> PictureParts:
        # A file that is read whole is not longer than this already.
        most = 2 * WHOLE_BYTES if kept.format in _READ_WHOLE else HEADER_BYTES
        return _of_pillow(plugin(limited(kept.file, most)), note)

    return read


_READERS: Final[Mapping[content.PictureFormat, Callable[[KeptContent, TakeNote], PictureParts]]] = {
    content.AVIF: _avif,
    content.BMP: _opened_by(BmpImagePlugin.BmpImageFile),
    content.GIF: _opened_by(GifImagePlugin.GifImageFile),
    content.HEIC: _heif,
    content.HEIF: _heif,
    content.JPEG: _jpeg,
    content.JPEG_2000: _opened_by(Jpeg2KImagePlugin.Jpeg2KImageFile),
    content.PNG: _png,
    content.TIFF: _tiff,
    content.WEBP: _opened_by(WebPImagePlugin.WebPImageFile),
}
