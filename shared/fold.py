"""The fold: of the changes to one image in a batch, the highest version is written first."""

from collections.abc import Iterable

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.record import Record


class Candidate(msgspec.Struct, frozen=True):
    """One version and content of an image, and the records with it, in the order of the batch."""

    change: Change
    records: tuple[Record, ...]


def fold(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    """Sort the candidates of each image: highest version first, then in the order of the batch.

    Records with the same image, version and digest share one candidate. Equal versions with
    different content stay separate, because at most one of them can be right. A purge comes before
    the tombstone that it removes, whatever their order in the batch.
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
