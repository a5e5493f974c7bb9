"""The size and the title of an SVG file, which is parsed and never run."""

import re
from typing import BinaryIO, Final
from xml.etree.ElementTree import ParseError

import msgspec
from defusedxml import DefusedXmlException, ElementTree

from lockstep.pictures.notes import NotAPictureError

MOST_BYTES: Final = 8 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_DEEPEST = 256
_LONGEST_TEXT = 64 * 1024
_SVG = "{http://www.w3.org/2000/svg}"
# CSS pixels for each unit (CSS Values and Units, level 3).
_PIXELS = {"": 1, "px": 1, "in": 96, "cm": 96 / 2.54, "mm": 96 / 25.4, "pt": 96 / 72, "pc": 16}
_LENGTH = re.compile(r"\+?(\d*\.?\d+(?:[eE][+-]?\d{1,2})?)(px|in|cm|mm|pt|pc)?", re.ASCII)
_SCRIPT_ADDRESS = re.compile(r"[\s\x00-\x1f]*(javascript|vbscript|data:text/html)", re.IGNORECASE)
_WITH_SCRIPT = "it contains a script, which Lockstep does not take"
# What an image of more than this many pixels on a side claims is no size.
_LONGEST_SIDE = 2**31


class SvgFields(msgspec.Struct, frozen=True):
    """What an SVG file says of itself. Sizes are in CSS pixels; None if it has none."""

    width: int | None
    height: int | None
    title: str
    caption: str


def read_svg(file: BinaryIO, size_bytes: int) -> SvgFields:
    """Read a file.

    Args:
        file: its content.
        size_bytes: how long it is.

    Raises:
        NotAPictureError: it is too long, not well-formed, has a script, or declares entities.
    """
    if size_bytes > MOST_BYTES:
        raise NotAPictureError(f"an SVG file of more than {MOST_BYTES >> 20} MiB")
    target = _SvgTarget()
    parser = ElementTree.XMLParser(target=target, forbid_dtd=False)
    try:
        while data := file.read(_CHUNK_BYTES):
            parser.feed(data)
        parser.close()
    except DefusedXmlException:
        raise NotAPictureError("an SVG file that declares entities: save it without") from None
    except (ParseError, ValueError, LookupError) as error:
        raise NotAPictureError(f"an SVG file that is not well-formed XML: {error}") from None
    return target.fields()


class _SvgTarget:
    """Takes the elements of the file as they come, and keeps only what is needed."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._root: dict[str, str] = {}
        self._texts: dict[str, list[str]] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path:
            if tag not in {f"{_SVG}svg", "svg"}:
                raise NotAPictureError("not a picture, but an XML document")
            self._root = attributes
        self._path.append(tag)
        if len(self._path) > _DEEPEST:
            raise NotAPictureError(f"an SVG file with elements more than {_DEEPEST} deep")
        name = tag.rpartition("}")[2].lower()
        if name in {"script", "handler", "listener", "iframe", "embed", "object"}:
            raise NotAPictureError(f"an SVG file with <{name}>: {_WITH_SCRIPT}")
        for attribute, value in attributes.items():
            local = attribute.rpartition("}")[2].lower()
            if local.startswith("on") or _SCRIPT_ADDRESS.match(value):
                raise NotAPictureError(f"an SVG file with {local}=...: {_WITH_SCRIPT}")

    def end(self, _tag: str) -> None:
        self._path.pop()

    def data(self, text: str) -> None:
        """Keep the text of `title` and `desc` just below the root."""
        if len(self._path) != 2:  # noqa: PLR2004 - below the root
            return
        kept = self._texts.setdefault(self._path[1].removeprefix(_SVG), [])
        if sum(map(len, kept)) < _LONGEST_TEXT:
            kept.append(text)

    def close(self) -> None:
        """Nothing to do; the parser calls it."""

    def fields(self) -> SvgFields:
        width, height = (_pixels(self._root.get(name, "")) for name in ("width", "height"))
        box = re.split(r"[\s,]+", self._root.get("viewBox", "").strip())
        if len(box) == 4:  # noqa: PLR2004 - x, y, width, height
            # A missing side follows from the other one and the shape of the box.
            of_box = (_pixels(box[2]), _pixels(box[3]))
            if width is None and height is None:
                width, height = of_box
            elif of_box[0] and of_box[1]:
                width = width or (height or 0) * of_box[0] / of_box[1]
                height = height or width * of_box[1] / of_box[0]
        return SvgFields(
            _side(width),
            _side(height),
            "".join(self._texts.get("title", ())),
            "".join(self._texts.get("desc", ())),
        )


def _pixels(text: str) -> float | None:
    """A length in CSS pixels; None if it is relative or none at all."""
    found = _LENGTH.fullmatch(text.strip())
    return float(found[1]) * _PIXELS[found[2] or ""] if found else None


def _side(pixels: float | None) -> int | None:
    return max(1, round(pixels)) if pixels and pixels < _LONGEST_SIDE else None
