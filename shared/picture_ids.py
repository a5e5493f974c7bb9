"""The id of an image from the key of its picture.

A deletion carries no metadata, so the id follows from the key alone:

- A key that is a valid id is the id, unless it has the derived form.
- Any other key has an id in the derived form: a readable start, `:sha256-`, and the SHA-256 of the
  key in UTF-8, in hex.

So two keys never have the same id, as far as SHA-256 has no collisions: the ids of the first rule
never have the derived form, those of the second rule always have it, and tell their keys apart.
"""

import hashlib
import re
import unicodedata
from typing import Final

from shared.event import IMAGE_ID_PATTERN

# The keys of all pictures in the picture bucket begin with it. The id follows from the rest.
PREFIX: Final = "pictures/"
_START = 120
_is_id = re.compile(IMAGE_ID_PATTERN).match
_is_derived = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_START - 1}}}:sha256-[0-9a-f]{{64}}")
_NOT_READABLE = re.compile(r"[^A-Za-z0-9._]+")


def id_of_key(key: str) -> str:
    """The id of the image whose picture has this key.

    Args:
        key: the key of the object after the prefix of the pictures; any text.
    """
    if _is_id(key) and not _is_derived.fullmatch(key):
        return key
    # Letters of Latin scripts lose their accents; other scripts cannot be in an id.
    plain = unicodedata.normalize("NFKD", key).encode("ascii", "ignore").decode()
    start = _NOT_READABLE.sub("-", plain).lstrip("._-")[:_START].rstrip("._-") or "key"
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()
    return f"{start}:sha256-{digest}"


def key_after(prefix: str, key: str) -> str | None:
    """The key after the prefix of the pictures; None if the object is not below the prefix."""
    if not key.startswith(prefix) or len(key) == len(prefix):
        return None
    return key[len(prefix) :]
