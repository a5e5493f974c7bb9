"""The interfaces and errors that the readers of both stores have in common."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from lockstep.console.errors import UserError
from lockstep.stores.entry import Entry
from lockstep.stores.image_state import StoredImage

# The maximum number of images in one lookup: DynamoDB's limit for BatchGetItem.
LOOKUP = 100


class StoreUnreadableError(UserError):
    """A store could not be read completely, so it is unknown whether the stores are equal."""


class EntryLookup(Protocol):
    """Looks up the entries of some images in a store."""

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        """The current entries of at most `LOOKUP` images; absent images are left out."""
        ...


class Segment(msgspec.Struct, frozen=True):
    """The segment `number`, from 0, of the `of` segments of a store.

    Each entry of a store is in exactly one of its segments. In which one depends on its ID and on
    the number of segments only.
    """

    number: int
    of: int


class SegmentReader(Protocol):
    """Reads a store in segments, which several processes may read at the same time."""

    def scan_segment(self, segment: Segment) -> Iterator[Entry]:
        """Every entry of the segment, in any order."""
        ...


class EntryReader(EntryLookup, Protocol):
    """Also reads a store completely."""

    def scan(self) -> Iterator[Entry]:
        """Every entry, in any order."""
        ...


class WholeLookup(Protocol):
    """Looks up all that a store holds of some images."""

    def lookup_whole(self, image_ids: Sequence[str]) -> Mapping[str, StoredImage]:
        """What is stored of at most `LOOKUP` images now; absent images are left out."""
        ...


class RawLookup(Protocol):
    """Looks up some images as their store returns them."""

    def lookup_raw(self, image_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The items or documents of at most `LOOKUP` images; absent images are left out."""
        ...


def milliseconds(moment: dt.datetime) -> int:
    """A time as `arrived_at` is stored: in milliseconds since 1970."""
    return round(moment.timestamp() * 1000)
