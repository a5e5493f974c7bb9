"""What the readers of both stores have in common."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from lockstep.console.errors import UserError
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import ImageState

# The most images of one lookup: DynamoDB's limit for BatchGetItem. It suits `_mget` as well.
LOOKUP = 100


class StoreUnreadableError(UserError):
    """A store could not be read completely, so nothing can be said about equality."""


class EntryLookup(Protocol):
    """A store that is asked for the entries of some images."""

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The current entries of at most `LOOKUP` images; absent images are left out."""
        ...


class EntryReader(EntryLookup, Protocol):
    """A store that is also read completely."""

    def scan(self) -> Iterator[Entry]:
        """Every entry, in any order."""
        ...


class WholeLookup(Protocol):
    """A store that is asked for all that it holds of some images."""

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, ImageState]:
        """What is stored of at most `LOOKUP` images now; absent images are left out."""
        ...


def milliseconds(moment: dt.datetime) -> int:
    """A time as `arrived_at` is stored: in milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
