"""Proves again that erased images are gone: reads each place completely, by the hashes of ids."""

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from lockstep.erasing.content import Mention
from lockstep.erasing.erased import Judge, Limit, judge_by
from lockstep.erasing.receipt import ReceiptedIds
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.erasure_look import ErasureLook, place_of
from lockstep.stack.use_cases.stores import scanner, searcher
from lockstep.stores.entry import Entry
from lockstep.stores.index import IndexReader
from lockstep.stores.routing import routed
from lockstep.stores.table import TableReader

ProofResult = Literal["gone", "came_back", "uploaded_again"]


class FoundAgain(msgspec.Struct, frozen=True):
    """An erased image of which something was found.

    Attributes:
        image_id: the image.
        result: `came_back`: content that was erased is there. `uploaded_again`: only content of a
            new image with this id.
        found: how much, by place.
        uploaded_at: when the new image came; null if there is none.
    """

    image_id: str
    result: ProofResult
    found: Mapping[str, int]
    uploaded_at: dt.datetime | None = None


class ErasureProof(msgspec.Struct, frozen=True):
    """Whether erased images are gone.

    Attributes:
        result: `gone` if nothing was found; otherwise the worst of the images.
        erased: the number of images in the receipts.
        images: those of which something was found.
        unreadable: objects of which nobody knows whether they hold content, and why.
    """

    result: ProofResult
    erased: int
    images: Sequence[FoundAgain]
    unreadable: Sequence[str]


class _FoundContent:
    """What is found, by image."""

    def __init__(self, limit_of: Callable[[str], Limit | None]) -> None:
        self._limit_of = limit_of
        self.back: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.again: defaultdict[str, list[int]] = defaultdict(list)

    def add(self, image_id: str, place: str, version: int | None, arrived_at: int | None) -> None:
        """Add content of an image, if a receipt has it; `arrived_at` in milliseconds."""
        limit = self._limit_of(image_id)
        if limit is None:
            return
        if limit.is_new(version, arrived_at):
            self.again[image_id].append(arrived_at or 0)
        else:
            self.back[image_id][place] += 1

    def images(self) -> Iterator[FoundAgain]:
        for image_id in sorted({*self.back, *self.again}):
            arrivals = [one for one in self.again.get(image_id, ()) if one]
            uploaded_at = None
            if arrivals:
                uploaded_at = dt.datetime.fromtimestamp(min(arrivals) // 1000, dt.UTC)
            back = self.back.get(image_id)
            yield FoundAgain(
                image_id,
                "uploaded_again" if back is None else "came_back",
                back or {},
                uploaded_at,
            )


def prove(clients: Clients, ids: ReceiptedIds, on_step: Callable[[str], None]) -> ErasureProof:
    """Read all that the stack holds, and look for the images of receipts.

    Args:
        clients: the stack's.
        ids: the receipts.
        on_step: called with what is read next.

    Raises:
        StoreUnreadableError: a store could not be read completely.
    """
    look, found = ErasureLook(clients), _FoundContent(ids.limit_of)
    on_step("reading the table")
    table = TableReader(clients.dynamodb, clients.stack.table, scanner=scanner(clients))
    for entry in table.scan():
        _add_entry(found, entry, "table")
    on_step("reading the index")
    _read_indices(clients, look, found)
    on_step("reading the bucket of the quarantine")
    unreadable = _read_bucket(look, found, judge_by(ids.limit_of))
    on_step("listing the pictures")
    _list_pictures(look, found, lambda image_id: ids.limit_of(image_id) is not None)
    images = [*found.images()]
    results = {one.result for one in images}
    worst: ProofResult = (
        "came_back" if "came_back" in results else "uploaded_again" if results else "gone"
    )
    return ErasureProof(worst, ids.count, images, unreadable)


def _read_indices(clients: Clients, look: ErasureLook, found: _FoundContent) -> None:
    """Read the live index, and those that rebuilds have kept."""
    alias, fast = clients.stack.index, searcher(clients)
    kept = [one for one in look.indices.numbered if one != look.indices.live]
    for name in (alias, *kept):
        for entry in IndexReader(clients.opensearch, name, searcher=fast).scan():
            _add_entry(found, entry, "index" if name == alias else f"index {name}")


def _read_bucket(look: ErasureLook, found: _FoundContent, judge: Judge) -> Sequence[str]:
    """Read the quarantine's bucket; return what is unreadable."""
    bucket = look.bucket(judge).survey()
    for held in bucket.held:
        for mention in held.erased:
            _add(found, mention, place_of(held.key))
    for mention in bucket.new:
        _add(found, mention, "quarantine/")
    for mention in look.audits(judge).survey().held:
        _add(found, mention, "audit under way")
    return bucket.unknown


def _list_pictures(
    look: ErasureLook, found: _FoundContent, is_erased: Callable[[str], bool]
) -> None:
    """List the buckets of pictures, if there are any."""
    if look.pictures is None:
        return
    pictures = look.pictures.survey(is_erased)
    for place, kind in (("pictures", pictures.pictures), ("thumbnails", pictures.thumbnails)):
        for image_id, versions in kind.items():
            for version in versions:
                found.add(image_id, place, None, round(version.written.timestamp() * 1000))
    for image_id, uploads in pictures.uploads.items():
        found.back[image_id]["unfinished uploads"] += len(uploads)


def _add_entry(found: _FoundContent, entry: Entry, place: str) -> None:
    if entry.deleted and entry.digest is None and entry.malformed is None:
        return  # a tombstone
    place_in_index = routed(entry.image_id)
    image_id = entry.image_id if place_in_index is None else place_in_index[0]
    found.add(image_id, place, entry.version or None, entry.arrived_at or None)


def _add(found: _FoundContent, one: Mention, place: str) -> None:
    found.add(one.image_id, place, one.version, one.arrived_at)
