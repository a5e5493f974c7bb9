"""The id of an image from the key of its picture, and the key that an upload chooses.

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
from typing import Final, Literal

from lockstep.console.errors import UserError
from shared.event import IMAGE_ID_PATTERN

# The keys of all pictures in the picture bucket begin with it. The id follows from the rest.
PREFIX: Final = "pictures/"
# Of the rest, in bytes of UTF-8: Amazon S3 allows 1,024 for a whole key.
MAX_KEY_BYTES: Final = 1024 - len(PREFIX)
_START = 120
_is_id = re.compile(IMAGE_ID_PATTERN).match
_is_derived = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{_START - 1}}}:sha256-[0-9a-f]{{64}}")
_NOT_READABLE = re.compile(r"[^A-Za-z0-9._]+")
_PARTS = {".", ".."}

# What `--id-from` may be: what the key, and so the id, is made of.
IdRule = Literal["name", "path", "checksum"]


class KeyRefusedError(UserError):
    """No object can have this key."""


class SameIdError(UserError):
    """Two pictures would be one image."""


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


def key_by(rule: IdRule, *, path: str, checksum: str, suffix: str) -> str:
    """The key after the prefix under which an upload stores a file.

    Args:
        rule: `name`: the name of the file. `path`: its path below the folder that is uploaded.
            `checksum`: the SHA-256 of its content, with the suffix of its format.
        path: its path below that folder, with `/` between its parts.
        checksum: as in events, `sha256:` and hex.
        suffix: of its format, with the dot.

    Raises:
        KeyRefusedError: S3 cannot have that key, or programs would take it for another one.
    """
    match rule:
        case "name":
            key = path.rpartition("/")[2]
        case "path":
            key = path
        case "checksum":
            key = checksum.removeprefix("sha256:") + suffix
    _check_key(key, path)
    return key


def _check_key(key: str, path: str) -> None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise KeyRefusedError(f"{path}: its name is not valid UTF-8: rename it") from None
    if size > MAX_KEY_BYTES:
        raise KeyRefusedError(
            f"{path}: {size:,} bytes, and the key of a picture has at most {MAX_KEY_BYTES:,}: "
            "shorten it"
        )
    if not key or "" in key.split("/") or not _PARTS.isdisjoint(key.split("/")):
        raise KeyRefusedError(f"{path}: an empty part, `.` or `..` cannot be in a key: rename it")


class ClaimedIds:
    """The ids of one upload: each belongs to one picture."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    def claim(self, image_id: str, picture: str) -> None:
        """Take an id for a picture. The same picture may take it again.

        Args:
            image_id: the id.
            picture: the path or key of the picture, for the message.

        Raises:
            SameIdError: another picture has it. Both are named.
        """
        owner = self._owners.setdefault(image_id, picture)
        if owner != picture:
            raise SameIdError(f"{picture} and {owner} would both be the image {image_id}")
