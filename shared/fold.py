"""The fold: of a batch's changes to one image, write the highest version; keep the others ready."""

from collections.abc import Iterable

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.record import Record


class Candidate(msgspec.Struct, frozen=True):
    """One version and content of an image, and the records that carry it, in the batch's order."""

    change: Change
    records: tuple[Record, ...]


def fold(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    """Each image's candidates in the order to try: highest version first, then the batch's order.

    Records with the same image, version and digest share one candidate. Equal versions with
    different content stay separate, because at most one of them can be right. A purge comes before
    the tombstone that it removes, in whichever order the batch has them.
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
