"""The fold: of the changes to one key in a batch, the highest version is written first."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any

import msgspec

from shared.change import Change, Purge, Put, Remove, digest_of
from shared.record import Record


class CandidateOf[C](msgspec.Struct, frozen=True):
    """One change, and the records that contain it, in the order of the batch."""

    change: C
    records: tuple[Record, ...]


# A version and content of an image.
Candidate = CandidateOf[Change]


def fold(changes: Iterable[tuple[Change, Record]]) -> dict[str, list[Candidate]]:
    """Sort the candidates of each image: highest version first, then in the order of the batch.

    Records with the same image, version and digest share one candidate. Equal versions with
    different content stay separate, because at most one of them can be right. A purge comes before
    the tombstone that it removes, whatever their order in the batch.
    """
    return fold_by(
        changes,
        key=lambda change: change.image_id,
        same=lambda change: (change.version, type(change), digest_of(change)),
        order=_first_to_write,
    )


def fold_by[C](
    changes: Iterable[tuple[C, Record]],
    *,
    key: Callable[[C], str],
    same: Callable[[C], Hashable],
    order: Callable[[CandidateOf[C]], Any],
) -> dict[str, list[CandidateOf[C]]]:
    """Sort the candidates of each key.

    Args:
        changes: the changes of a batch, in its order.
        key: what a change is about.
        same: changes of one key for which this is equal share one candidate.
        order: candidates with a lower value of this are written first.
    """
    keys: dict[str, dict[Hashable, CandidateOf[C]]] = {}
    for change, record in changes:
        candidates = keys.setdefault(key(change), {})
        content = same(change)
        seen = candidates.get(content)
        candidates[content] = (
            CandidateOf(change, (record,))
            if seen is None
            else CandidateOf(seen.change, (*seen.records, record))
        )
    return {its: sorted(candidates.values(), key=order) for its, candidates in keys.items()}


def _first_to_write(candidate: Candidate) -> tuple[int, int]:
    match candidate.change:
        case Purge():
            rank = 0
        case Put() | Remove():
            rank = 1
    return -candidate.change.version, rank
