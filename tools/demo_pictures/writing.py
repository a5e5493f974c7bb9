"""Writes a drawn picture with its metadata: EXIF, IPTC, XMP, or several of them."""

import hashlib
import io
import struct
from html import escape

from PIL import Image, PngImagePlugin

from tools.demo_pictures.drawing import drawn
from tools.demo_pictures.scenes import SCENES, Scene

_CAMERAS = (
    ("Lumina", "Lumina M4", "Lumina 24-70mm F4"),
    ("Nordlicht", "NL-200", "NL 35mm F1.8"),
    ("Kamome", "Kamome X7", "XF 50mm F2"),
)
_DESCRIPTION, _ARTIST, _MAKE, _MODEL = 0x010E, 0x013B, 0x010F, 0x0110
_PHOTO, _TAKEN, _OFFSET, _LENS = 0x8769, 0x9003, 0x9011, 0xA434
_XMP_KEY = "XML:com.adobe.xmp"


def content_of(scene: Scene) -> bytes:
    """The file. A JPEG file has all three, or XMP, or EXIF and IPTC, by its place in the list."""
    image, out = drawn(scene), io.BytesIO()
    match scene.file.rpartition(".")[2]:
        case "jpg":
            _save_jpeg(image, scene, out)
        case "png":
            text = PngImagePlugin.PngInfo()
            text.add_itxt(_XMP_KEY, _xmp(scene).decode())
            image.quantize(64).save(out, "PNG", exif=_exif(scene), pnginfo=text, optimize=True)
        case "webp":
            image.save(out, "WEBP", quality=75, exif=_exif(scene).tobytes(), xmp=_xmp(scene))
        case "avif":
            # One thread: with more, the file depends on the machine.
            exif = _exif(scene).tobytes()
            image.save(out, "AVIF", quality=60, exif=exif, xmp=_xmp(scene), max_threads=1)
        case other:
            raise ValueError(other)
    return out.getvalue()


def _save_jpeg(image: Image.Image, scene: Scene, out: io.BytesIO) -> None:
    match SCENES.index(scene) % 3:
        case 0:
            block = _photoshop(_iptc(scene))
            image.save(out, "JPEG", quality=78, exif=_exif(scene), xmp=_xmp(scene), extra=block)
        case 1:
            image.save(out, "JPEG", quality=78, xmp=_xmp(scene))
        case _:
            image.save(out, "JPEG", quality=78, exif=_exif(scene), extra=_photoshop(_iptc(scene)))


def _camera(scene: Scene) -> tuple[str, str, str]:
    return _CAMERAS[len(scene.author) % len(_CAMERAS)]


def _exif(scene: Scene) -> Image.Exif:
    """EXIF with texts in UTF-8, as the Metadata Working Group recommends."""
    make, model, lens = _camera(scene)
    exif = Image.Exif()
    exif[_DESCRIPTION] = scene.caption.encode()
    exif[_ARTIST] = scene.author.encode()
    exif[_MAKE], exif[_MODEL] = make, model
    exif[_PHOTO] = {_TAKEN: scene.taken, _OFFSET: scene.offset, _LENS: lens}
    return exif


def _iptc(scene: Scene) -> bytes:
    """IPTC in UTF-8, which its first data set says."""
    day, time = scene.taken.replace(":", "").split()
    sets = [
        (5, scene.title),
        *((25, keyword) for keyword in scene.keywords),
        (55, day),
        (60, time + scene.offset.replace(":", "")),
        (80, scene.author),
        (120, scene.caption),
    ]
    block = b"\x1c\x01\x5a\x00\x03\x1b%G"
    for number, text in sets:
        data = text.encode()
        block += struct.pack(">BBBH", 0x1C, 2, number, len(data)) + data
    return block


def _photoshop(block: bytes) -> bytes:
    """A segment of JPEG with IPTC and its digest."""
    digest = hashlib.md5(block, usedforsecurity=False).digest()
    data = b"Photoshop 3.0\0"
    for code, part in ((0x0404, block), (0x0425, digest)):
        data += struct.pack(">4sHHL", b"8BIM", code, 0, len(part)) + part + b"\0" * (len(part) % 2)
    return struct.pack(">BBH", 0xFF, 0xED, len(data) + 2) + data


def _xmp(scene: Scene) -> bytes:
    make, model, lens = (escape(text) for text in _camera(scene))
    day, time = scene.taken.split()
    taken = f"{day.replace(':', '-')}T{time}{scene.offset}"
    keywords = "".join(f"<rdf:li>{escape(keyword)}</rdf:li>" for keyword in scene.keywords)

    def text(name: str, value: str) -> str:
        entry = f'<rdf:li xml:lang="x-default">{escape(value)}</rdf:li>'
        return f"<dc:{name}><rdf:Alt>{entry}</rdf:Alt></dc:{name}>"

    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
 xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:exifEX="http://cipa.jp/exif/1.0/"
 photoshop:DateCreated="{taken}" tiff:Make="{make}" tiff:Model="{model}"
 exifEX:LensModel="{lens}">{text("title", scene.title)}{text("description", scene.caption)}
<dc:creator><rdf:Seq><rdf:li>{escape(scene.author)}</rdf:li></rdf:Seq></dc:creator>
<dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>""".encode()
