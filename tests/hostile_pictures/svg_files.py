"""SVG files with scripts, entities and endless parts."""

from tests.hostile_pictures.case import Case, repeated
from tests.hostile_pictures.jpeg_files import LAUGHS

START = b'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2">'


def _svg(inside: bytes) -> bytes:
    return START + inside + b"</svg>"


CASES = (
    Case(
        "SVG: a script",
        lambda: _svg(b"<script>alert(1)</script>"),
        "an SVG file with <script>: it contains a script, which Lockstep does not take",
    ),
    Case(
        "SVG: a script of another namespace",
        lambda: _svg(b'<x:script xmlns:x="urn:x"/>'),
        "an SVG file with <script>: it contains a script, which Lockstep does not take",
    ),
    Case(
        "SVG: a script when it is loaded",
        lambda: _svg(b'<g onload="alert(1)"/>'),
        "an SVG file with onload=...: it contains a script, which Lockstep does not take",
    ),
    Case(
        "SVG: a script in a link",
        lambda: _svg(b'<a href="&#9;JavaScript:alert(1)"/>'),
        "an SVG file with href=...: it contains a script, which Lockstep does not take",
    ),
    Case(
        "SVG: a web page in it",
        lambda: _svg(b'<iframe src="https://example.org"/>'),
        "an SVG file with <iframe>: it contains a script, which Lockstep does not take",
    ),
    Case(
        "SVG: HTML in it",
        lambda: _svg(b'<foreignObject><p xmlns="x">a</p></foreignObject>'),
        "image/svg+xml 4 x 2",
    ),
    Case(
        "SVG: a picture of the internet",
        lambda: _svg(b'<image href="https://example.org/a"/>'),
        "image/svg+xml 4 x 2",
    ),
    Case(
        "SVG: entities that expand",
        lambda: LAUGHS.replace(b" x ", b" svg ") + _svg(b"&e11;"),
        "an SVG file that declares entities: save it without",
    ),
    Case(
        "SVG: an entity in a file",
        lambda: b'<!DOCTYPE svg [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + _svg(b"&e;"),
        "an SVG file that declares entities: save it without",
    ),
    Case(
        "SVG: an entity of parameters",
        lambda: b'<!DOCTYPE svg [<!ENTITY % e SYSTEM "http://example.org/e">%e;]>' + _svg(b""),
        "an SVG file that declares entities: save it without",
    ),
    Case(
        "SVG: cut off",
        lambda: START + b"<g>",
        "an SVG file that is not well-formed XML: no element found: line 1, column 64",
    ),
    Case(
        "SVG: 1,000 elements deep",
        lambda: _svg(b"<g>" * 1_000 + b"</g>" * 1_000),
        "an SVG file with elements more than 256 deep",
    ),
    Case(
        "SVG: a gigabyte of elements",
        lambda: repeated(START, b"<g/>"),
        "an SVG file of more than 8 MiB",
    ),
    Case(
        "SVG: a gigabyte of text",
        lambda: repeated(START + b"<title>", b"text "),
        "an SVG file of more than 8 MiB",
    ),
    Case(
        "SVG: a gigabyte of one attribute",
        lambda: repeated(START + b'<g d="', b"M 0 0 "),
        "an SVG file of more than 8 MiB",
    ),
    Case(
        "SVG: not the root element", lambda: b"<a><svg/></a>", "not a picture, but an XML document"
    ),
    Case(
        "SVG: no size",
        lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        "image/svg+xml None x None; width: left out: the SVG file has no size in pixels",
    ),
    Case(
        "SVG: a size of 1e99",
        lambda: START.replace(b'"4"', b'"1e99"') + b"</svg>",
        "image/svg+xml None x 2; width: left out: the SVG file has no size in pixels",
    ),
    Case(
        "SVG: bytes that are not UTF-8",
        lambda: _svg(b"<title>\xff\xfe</title>"),
        "an SVG file that is not well-formed XML: not well-formed (invalid token): line "
        "1, column 68",
    ),
)
