"""The key that an upload chooses for a picture, and the ids that its pictures have taken."""

from typing import Final, Literal

from lockstep.console.errors import UserError
from shared.picture_ids import PREFIX

# Of the key after the prefix, in bytes of UTF-8: Amazon S3 allows 1,024 for a whole key.
MAX_KEY_BYTES: Final = 1024 - len(PREFIX)
_PARTS = {".", ".."}

# What `--id-from` may be: what the key, and so the id, is made of.
IdRule = Literal["name", "path", "checksum"]


class KeyRefusedError(UserError):
    """No object can have this key."""


class SameIdError(UserError):
    """Two pictures would be one image."""


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
