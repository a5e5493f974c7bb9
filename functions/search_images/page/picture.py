"""The picture of an image: whether the page shows it, and what it says instead.

The `url` of an image is the word of its producer. If the page showed any address, each reader's
browser would send a request to a host that the producer chose. So the page shows pictures of the
hosts that a parameter of the stack allows.
"""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlsplit

import msgspec

# What browsers and `urlsplit` read differently.
_AMBIGUOUS = re.compile(r"[\\\x00-\x20\x7f]")
_PORTS = {"http": 80, "https": 443}


class ShownPicture(msgspec.Struct, frozen=True):
    """A picture that the page shows. A preview is a thumbnail of it, which may not exist yet."""

    src: str
    is_preview: bool = False


class Elsewhere(msgspec.Struct, frozen=True):
    """A picture at a host that no parameter allows: only the reader opens it."""

    host: str
    href: str


class InBucket(msgspec.Struct, frozen=True):
    """A picture in a bucket of S3, which a browser cannot open by this address."""

    bucket: str


class NotShown(msgspec.Struct, frozen=True):
    """No picture, or none that a browser could show."""

    words: str


type Picture = ShownPicture | Elsewhere | InBucket | NotShown


def picture_at(url: object, hosts: Sequence[str]) -> Picture:
    """What the page shows for an address.

    Args:
        url: the address that the image has, if any.
        hosts: the hosts whose pictures are shown, as in `PageSettings.picture_hosts`.
    """
    if not isinstance(url, str) or not url:
        return NotShown("No picture")
    parts = _parts(url)
    if parts is None:
        return NotShown("No picture that a browser can show")
    if parts.scheme == "s3":
        return InBucket(parts.netloc)
    host = str(parts.hostname)
    if any(_allows(allowed, host, parts) for allowed in hosts):
        return ShownPicture(url)
    return Elsewhere(host, url)


def on_the_web(url: object) -> bool:
    """Whether a browser may open this address by a link."""
    parts = _parts(url) if isinstance(url, str) else None
    return parts is not None and parts.scheme != "s3"


def _parts(url: str) -> SplitResult | None:
    """The parts of an address of the web or of S3; None for all others."""
    if _AMBIGUOUS.search(url):
        return None
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {*_PORTS, "s3"} and parts.hostname and (parts.port or 1)
    except ValueError:
        return None
    return parts if usable else None


def _allows(allowed: str, host: str, parts: SplitResult) -> bool:
    """Whether the policy of the page allows it, too: https://www.w3.org/TR/CSP3/#match-hosts."""
    pattern, _, port = allowed.partition(":")
    usual = _PORTS[parts.scheme]
    same_port = (parts.port or usual) == (int(port) if port else usual)
    if pattern.startswith("*."):
        return same_port and host.endswith(pattern[1:])
    return same_port and host == pattern
