"""The fields of EXIF and TIFF, as Pillow reads their directories."""

import math
import struct
from typing import BinaryIO, Final

import msgspec
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lockstep.pictures.limited import HeaderTooLongError, limited
from lockstep.pictures.notes import TakeNote
from lockstep.pictures.texts import of_exif, of_user_comment, of_xp

# The first directory (TIFF 6.0, Exif 2.32, and the fields of Windows).
WIDTH: Final = 0x0100
HEIGHT: Final = 0x0101
DESCRIPTION: Final = 0x010E
MAKE: Final = 0x010F
MODEL: Final = 0x0110
ORIENTATION: Final = 0x0112
ARTIST: Final = 0x013B
XMP: Final = 0x02BC
IPTC: Final = 0x83BB
PHOTOSHOP: Final = 0x8649
XP_TITLE: Final = 0x9C9B
XP_COMMENT: Final = 0x9C9C
XP_AUTHOR: Final = 0x9C9D
XP_KEYWORDS: Final = 0x9C9E
_SUBFILE_TYPE = 0x00FE
_SUB_DIRECTORIES = 0x014A
_DNG_VERSION = 0xC612
# The directory of the photograph.
_PHOTO = 0x8769
TAKEN: Final = 0x9003
TAKEN_OFFSET: Final = 0x9011
USER_COMMENT: Final = 0x9286
TAKEN_FRACTION: Final = 0x9291
LENS_MAKE: Final = 0xA433
LENS_MODEL: Final = 0xA434
# The directory of the position.
_GPS = 0x8825
_GPS_LATITUDE_REF = 1
_GPS_LATITUDE = 2
_GPS_LONGITUDE_REF = 3
_GPS_LONGITUDE = 4

_HEADER_BYTES = 8
_BIG_HEADER_BYTES = 16
_DEGREE_PARTS = 3
# Of a directory that another one names. All its values are short.
_MOST_OF_SUB_DIRECTORY = 4 * 1024 * 1024


class GpsPosition(msgspec.Struct, frozen=True):
    """Degrees: of latitude from -90 to 90, north is positive; of longitude from -180 to 180."""

    latitude: float
    longitude: float


class ExifFields:
    """The directories of an EXIF block or of a TIFF file. What is damaged is as if absent."""

    def __init__(self, file: BinaryIO, note: TakeNote) -> None:
        """Read the directories.

        Args:
            file: an EXIF block, or a whole TIFF file.
            note: keeps what could not be read.

        Raises:
            SyntaxError, struct.error: it does not begin as TIFF does.
        """
        whole = limited(file)
        header = whole.read(_HEADER_BYTES)
        if header[2:4] in {b"\0+", b"+\0"}:
            header += whole.read(_BIG_HEADER_BYTES - _HEADER_BYTES)
        self.big_endian: Final = header.startswith(b"MM")
        self._main = ImageFileDirectory_v2(header)
        self._read(self._main, whole, self._main.next, note)

        def sub_directory(tag: int) -> ImageFileDirectory_v2:
            found = ImageFileDirectory_v2(header, group=tag)
            if (offset := self.number(tag)) is not None:
                self._read(found, limited(file, _MOST_OF_SUB_DIRECTORY), offset, note)
            return found

        self._photo = sub_directory(_PHOTO)
        self._gps = sub_directory(_GPS)

    def _read(
        self, directory: ImageFileDirectory_v2, file: BinaryIO, offset: int, note: TakeNote
    ) -> None:
        """Read one directory. What was read before an error stays."""
        try:
            file.seek(offset)
            directory.load(file)
        except HeaderTooLongError:
            note("exif", "its directory is too long: only the start of it was read")
        except (SyntaxError, ValueError, OverflowError, OSError, struct.error):
            note("exif", "a directory is damaged: what could be read was taken")

    @property
    def is_raw(self) -> bool:
        """Whether this is a TIFF file of a camera's raw data: its first picture is a preview."""
        if _DNG_VERSION in self._main:
            return True
        reduced = (self.number(_SUBFILE_TYPE) or 0) & 1
        return bool(reduced) and _SUB_DIRECTORIES in self._main

    def data(self, tag: int) -> bytes | None:
        """The bytes of a field that holds a whole block, whatever type it has."""
        # As Pillow's own reader of IPTC does: the type of such a field is often wrong.
        found: bytes | None = self._main._tagdata.get(tag)  # noqa: SLF001
        return found

    def number(self, tag: int) -> int | None:
        """A whole number of the first directory, not negative."""
        value = _value(self._main, tag)
        if isinstance(value, tuple) and value:
            value = value[0]
        return value if isinstance(value, int) and value >= 0 else None

    def text(self, tag: int) -> str:
        """A text of the first directory or of the photograph's; empty if there is none."""
        return self._text(self._main, tag) or self._text(self._photo, tag)

    def xp_text(self, tag: int) -> str:
        """A text that Windows has written."""
        value = _value(self._main, tag)
        return of_xp(value) if isinstance(value, bytes) else ""

    def user_comment(self) -> str:
        """The comment of the photographer, or of the camera."""
        value = _value(self._photo, USER_COMMENT)
        if not isinstance(value, bytes):
            return ""
        return of_user_comment(value, big_endian=self.big_endian)

    def position(self) -> GpsPosition | None:
        """Where the picture was taken; None if it does not say so."""
        latitude = _degrees(_value(self._gps, _GPS_LATITUDE))
        longitude = _degrees(_value(self._gps, _GPS_LONGITUDE))
        if latitude is None or longitude is None:
            return None
        if self._text(self._gps, _GPS_LATITUDE_REF).upper().startswith("S"):
            latitude = -latitude
        if self._text(self._gps, _GPS_LONGITUDE_REF).upper().startswith("W"):
            longitude = -longitude
        return position(latitude, longitude)

    def _text(self, directory: ImageFileDirectory_v2, tag: int) -> str:
        value = _value(directory, tag)
        if isinstance(value, tuple) and value:
            value = value[0]
        match value:
            case str():  # Pillow decodes texts as Latin-1, so no byte is lost
                return of_exif(value.encode("latin-1", "replace"))
            case bytes():
                return of_exif(value)
            case _:
                return ""


def position(latitude: float, longitude: float) -> GpsPosition | None:
    """A position on earth; None if the numbers are none. Zero and zero is no position either."""
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # noqa: PLR2004 - degrees
        return None
    if latitude == longitude == 0:  # what devices without a signal write
        return None
    return GpsPosition(latitude, longitude)


def _value(directory: ImageFileDirectory_v2, tag: int) -> object:
    """A value, decoded; None if it is absent or not what its type says."""
    try:
        value: object = directory[tag]
    except (KeyError, ValueError, TypeError, ArithmeticError, IndexError, struct.error):
        return None
    return value


def _degrees(value: object) -> float | None:
    """Degrees, minutes and seconds as one number."""
    if not isinstance(value, tuple) or len(value) != _DEGREE_PARTS:
        return None
    parts: list[float] = []
    for one in value:
        try:
            parts.append(float(one))
        except (TypeError, ValueError, ArithmeticError):
            return None
    degrees = parts[0] + parts[1] / 60 + parts[2] / 3600
    return degrees if math.isfinite(degrees) else None
