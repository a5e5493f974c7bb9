"""How log lines show the ids of images: as they are, or hashed with a key (docs/guides/logs.md).

`lockstep trace` hashes alike, so this module needs no package of the functions.
"""

import hmac
import os
import re
from collections.abc import Iterable
from typing import Protocol

# The environment variable with the key.
LOG_HASH_KEY = "LOG_HASH_KEY"
# No id of an image begins with it.
HASH_MARK = "#"
# 128 bits in hexadecimal digits: two images of a stack do not get the same hash.
_HASH_LENGTH = 32
# What an id of an image consists of, in a text.
_WORD = re.compile(r"[A-Za-z0-9._:-]+")


class LoggedIds(Protocol):
    """How log lines show the ids of images."""

    def shown(self, image_id: str) -> str:
        """The id as the lines show it."""
        ...

    def text(self, said: str, *, known: bool = True) -> str | None:
        """A text that may contain ids, as the lines show it.

        Args:
            said: the text.
            known: whether all ids in it are those of the batch.

        Returns:
            None if it is not shown.
        """
        ...


class PlainIds:
    """Log lines show ids as they are."""

    def shown(self, image_id: str) -> str:
        """See `LoggedIds.shown`."""
        return image_id

    def text(self, said: str, *, known: bool = True) -> str:  # noqa: ARG002 - hides nothing
        """See `LoggedIds.text`."""
        return said


class HashedIds:
    """Log lines show hashes of the ids, with a key. Who has the key finds the lines of an image.

    Args:
        key: any text; with the same key, an id always has the same hash.
        batch: the ids that texts may contain: those of the records of a batch.
    """

    def __init__(self, key: str, batch: Iterable[str] = ()) -> None:
        self._key = key.encode()
        self._batch = frozenset(batch)
        # The key of a row may be any text. The longest one first: others may be in it.
        any_text = sorted((one for one in self._batch if not _WORD.fullmatch(one)), key=len)
        self._any_text = re.compile("|".join(map(re.escape, reversed(any_text))) or "(?!)")

    def shown(self, image_id: str) -> str:
        """See `LoggedIds.shown`: HMAC with SHA-256 (RFC 2104), its first 128 bits."""
        digest = hmac.digest(self._key, image_id.encode(), "sha256").hex()
        return HASH_MARK + digest[:_HASH_LENGTH]

    def text(self, said: str, *, known: bool = True) -> str | None:
        """See `LoggedIds.text`."""
        if not known:
            return None
        said = self._any_text.sub(lambda found: self.shown(found[0]), said)
        return _WORD.sub(self._word, said)

    def _word(self, found: re.Match[str]) -> str:
        """A word of a text; a stop or a colon after an id is not part of it."""
        word = found[0]
        for image_id in (word, word.rstrip(".:")):
            if image_id in self._batch:
                return self.shown(image_id) + word[len(image_id) :]
        return word


def logged_ids(batch: Iterable[str]) -> LoggedIds:
    """How the lines about a batch show ids: hashed if the environment has a key.

    Args:
        batch: the ids of the images of the batch. They are read only if there is a key.
    """
    key = os.environ.get(LOG_HASH_KEY)
    return HashedIds(key, batch) if key else PlainIds()
