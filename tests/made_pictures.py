"""Picture files for tests, written byte by byte: what libraries do not write is here, too."""

import hashlib
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

ASCII, BYTE, SHORT, LONG, RATIONAL, UNDEFINED = 2, 1, 3, 4, 5, 7
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1}
EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825
SIDE = 8

# A field of a directory: type and value. A value may also be a directory, for a pointer.
Field = tuple[int, Any]
Directory = Mapping[int, "Field | Directory"]


def tiff(main: Directory, order: str = "<", start: int = 8) -> bytes:
    """A TIFF file or EXIF block: header, directories, and their values."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}L", start)
    return head + _directory(main, order, start)


def _directory(fields: Directory, order: str, place: int) -> bytes:
    """A directory that begins at `place`, with its values and sub-directories after it."""
    entries, rest = b"", b""
    after = place + 2 + 12 * len(fields) + 4
    for tag, field in sorted(fields.items()):
        if isinstance(field, Mapping):
            data = struct.pack(f"{order}L", after + len(rest))
            entries += struct.pack(f"{order}HHL", tag, LONG, 1) + data
            rest += _directory(field, order, after + len(rest))
            continue
        kind, value = field
        data = _packed(kind, value, order)
        entries += struct.pack(f"{order}HHL", tag, kind, len(data) // _SIZES[kind])
        if len(data) > 4:
            entries += struct.pack(f"{order}L", after + len(rest))
            rest += data + b"\0" * (len(data) % 2)
        else:
            entries += data.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(fields)) + entries + b"\0\0\0\0" + rest


def _packed(kind: int, value: Any, order: str) -> bytes:
    match kind, value:
        case (2, str()):
            return value.encode() + b"\0"
        case (_, bytes()):
            return value
        case (5, _):
            return b"".join(struct.pack(f"{order}LL", *one) for one in value)
        case _:
            values = value if isinstance(value, Sequence) else [value]
            return struct.pack(f"{order}{len(values)}{'H' if kind == SHORT else 'L'}", *values)


def iim(*data_sets: tuple[int, bytes], utf_8: bool = False) -> bytes:
    """An IPTC block: data sets of record 2."""
    head = b"\x1c\x01\x5a\x00\x03\x1b%G" if utf_8 else b""
    return head + b"".join(
        struct.pack(">BBBH", 0x1C, 2, number, len(value)) + value for number, value in data_sets
    )


def resources(block: bytes, digest: bytes | None = None) -> bytes:
    """IPTC as Photoshop keeps it. `digest` is that of the block if it is b"right"."""
    if digest == b"right":
        digest = hashlib.md5(block, usedforsecurity=False).digest()
    return _resource(0x0404, block) + (_resource(0x0425, digest) if digest else b"")


def _resource(code: int, data: bytes) -> bytes:
    return struct.pack(">4sHHL", b"8BIM", code, 0, len(data)) + data + b"\0" * (len(data) % 2)


def xmp(properties: str, attributes: str = "") -> bytes:
    """A packet of XMP with one description."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:exif="http://ns.adobe.com/exif/1.0/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
 xmlns:exifEX="http://cipa.jp/exif/1.0/" {attributes}>{properties}</rdf:Description>
</rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()


def bag(name: str, *values: str, kind: str = "Bag") -> str:
    """A property of XMP with several values."""
    entries = "".join(f"<rdf:li>{value}</rdf:li>" for value in values)
    return f"<{name}><rdf:{kind}>{entries}</rdf:{kind}></{name}>"


def alternatives(name: str, **texts: str) -> str:
    """A property of XMP in several languages; `default` is the default one."""
    entries = "".join(
        f'<rdf:li xml:lang="{language.replace("default", "x-default")}">{text}</rdf:li>'
        for language, text in texts.items()
    )
    return f"<{name}><rdf:Alt>{entries}</rdf:Alt></{name}>"


def encoded(
    kind: str,
    size: tuple[int, int] = (SIDE, SIDE),
    mode: str = "RGB",
    *,
    image: Image.Image | None = None,
    **how: Any,
) -> bytes:
    """A picture as Pillow writes it."""
    out = io.BytesIO()
    (image or Image.new(mode, size)).save(out, kind, **how)
    return out.getvalue()


def segment(marker: int, data: bytes) -> bytes:
    """A segment of JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg(
    *,
    exif: bytes | None = None,
    xmp_packet: bytes | None = None,
    photoshop: bytes | None = None,
    extra: bytes = b"",
    size: tuple[int, int] = (SIDE, SIDE),
    mode: str = "RGB",
) -> bytes:
    """A JPEG file with blocks of metadata."""
    whole = encoded("JPEG", size, mode)
    blocks = b""
    if exif is not None:
        blocks += segment(0xE1, b"Exif\0\0" + exif)
    if xmp_packet is not None:
        blocks += segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet)
    if photoshop is not None:
        blocks += segment(0xED, b"Photoshop 3.0\0" + photoshop)
    return whole[:2] + blocks + extra + whole[2:]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of PNG."""
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def png(
    before: bytes = b"", after: bytes = b"", size: tuple[int, int] = (SIDE, SIDE), mode: str = "RGB"
) -> bytes:
    """A PNG file with chunks before and after the pixels."""
    whole = encoded("PNG", size, mode)
    head, end = whole[:33], whole[-12:]
    return head + before + whole[33:-12] + after + end


def itxt(key: str, text: bytes, *, compressed: bool = False) -> bytes:
    """A text chunk of PNG."""
    flag = b"\1" if compressed else b"\0"
    data = zlib.compress(text, 9) if compressed else text
    return chunk(b"iTXt", key.encode() + b"\0" + flag + b"\0\0\0" + data)


def box(kind: bytes, data: bytes) -> bytes:
    """A box of HEIF."""
    return struct.pack(">L", len(data) + 8) + kind + data


def full_box(kind: bytes, data: bytes, version: int = 0, flags: int = 0) -> bytes:
    """A box of HEIF with a version."""
    return box(kind, struct.pack(">L", version << 24 | flags) + data)


def heic(
    size: tuple[int, int] = (48, 32),
    *,
    exif: bytes | None = None,
    xmp_packet: bytes | None = None,
    quarter_turns: int = 0,
    brand: bytes = b"heic",
) -> bytes:
    """A HEIC file with a header and no pixels: nothing here writes H.265."""
    items = [(1, b"hvc1", b"", b"\0\0\0\1\0")]
    if exif is not None:
        items.append((len(items) + 1, b"Exif", b"", b"\0\0\0\0" + exif))
    if xmp_packet is not None:
        items.append((len(items) + 1, b"mime", b"application/rdf+xml\0", xmp_packet))
    entries = b"".join(
        full_box(b"infe", struct.pack(">HH", number, 0) + kind + b"\0" + content_type, 2)
        for number, kind, content_type, _ in items
    )
    references = b"".join(
        box(b"cdsc", struct.pack(">HHH", number, 1, 1)) for number, *_ in items[1:]
    )
    properties = (
        full_box(b"ispe", struct.pack(">LL", *size))
        + box(b"hvcC", b"\1" + b"\0" * 15 + b"\xfd\xf8\xf8" + b"\0" * 4)
        + box(b"irot", bytes([quarter_turns]))
    )
    associations = full_box(b"ipma", struct.pack(">LHBBBB", 1, 1, 3, 1, 0x82, 0x83))

    def meta(start: int) -> bytes:
        places, place = b"", start
        for number, *_, data in items:
            places += struct.pack(">HHHLL", number, 0, 1, place, len(data))
            place += len(data)
        return full_box(
            b"meta",
            full_box(b"hdlr", b"\0\0\0\0pict" + b"\0" * 13)
            + full_box(b"pitm", struct.pack(">H", 1))
            + full_box(b"iinf", struct.pack(">H", len(items)) + entries)
            + (full_box(b"iref", references) if references else b"")
            + box(b"iprp", box(b"ipco", properties) + associations)
            + full_box(b"iloc", b"\x44\0" + struct.pack(">H", len(items)) + places),
        )

    head = box(b"ftyp", brand + b"\0\0\0\0mif1" + brand)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", b"".join(data for *_, data in items))
