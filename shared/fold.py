"""The fold: of a batch's changes to one image only the best is written, the rest stands by."""

from collections.abc import Iterable

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.record import Record


class Candidate(msgspec.Struct, frozen=True):
    """One version of one image with one content, and the records that carry it, first one first."""

    change: Change
    records: tuple[Record, ...]


def fold(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    """Each image's candidates, the one to write first: highest version, then first in the batch.

    Records that say the same (image, version, digest) share one candidate. Equal versions with
    different content stay apart: at most one of them can be right. A purge comes before the
    tombstone that it ends, wherever in the batch they are.
    """
    images: dict[str, dict[tuple[int, type[Change], str | None], Candidate]] = {}
    for change, record in changes:
        versions = images.setdefault(change.image_id, {})
        content = (change.version, type(change), digest_of(change))
        seen = versions.get(content, Candidate(change, ()))
        versions[content] = Candidate(seen.change, (*seen.records, record))
    return {
        image_id: sorted(versions.values(), key=_first_to_write)
        for image_id, versions in images.items()
    }


def _first_to_write(candidate: Candidate) -> tuple[int, int]:
    match candidate.change:
        case Purge():
            rank = 0
        case Put() | Remove():
            rank = 1
    return -candidate.change.version, rank
