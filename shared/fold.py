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
    the tombstone that it removes, whatever their order in the batch, and after the lower versions
    that the table took after it (`outlives`).
    """
    images = fold_by(
        changes,
        key=lambda change: change.image_id,
        same=lambda change: (change.version, type(change), digest_of(change)),
        order=_first_to_write,
    )
    return {image_id: _before_their_purge(its) for image_id, its in images.items()}


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
    # Most keys have one change in a batch, so contents are only compared if there is a second one.
    firsts: dict[str, tuple[C, list[Record]]] = {}
    several: dict[str, dict[Hashable, tuple[C, list[Record]]]] = {}
    for change, record in changes:
        its = key(change)
        first = firsts.get(its)
        if first is None:
            firsts[its] = change, [record]
            continue
        if its not in several:
            several[its] = {same(first[0]): first}
        _, records = several[its].setdefault(same(change), (change, []))
        records.append(record)
    return {
        its: sorted(
            [CandidateOf(change, tuple(records)) for change, records in several[its].values()],
            key=order,
        )
        if its in several
        else [CandidateOf(first[0], tuple(first[1]))]
        for its, first in firsts.items()
    }


def outlives(candidate: Candidate, winner: Candidate) -> bool:
    """Whether the table took a lower version after it had purged the winner's tombstone."""
    match winner.change:
        case Put() | Remove():
            return False
        case Purge():
            after = candidate.records[-1].position > winner.records[0].position
            return after and candidate.change.version < winner.change.version


def _before_their_purge(candidates: list[Candidate]) -> list[Candidate]:
    """The candidates of an image, those that outlive the first one, a purge, before it.

    A removal is repeated with each delivery of its batch, and each time the index remembers its
    version for a minute: it would never take what outlives it.
    """
    if len(candidates) == 1:
        return candidates
    first, *others = candidates
    outliving = [one for one in others if outlives(one, first)]
    if not outliving:
        return candidates
    removal = [one for one in others if _removes_again(one, first, outliving)]
    beaten = [one for one in others if one not in [*outliving, *removal]]
    return [*removal, *_before_their_purge(outliving), first, *beaten]


def _removes_again(candidate: Candidate, purge: Candidate, outliving: list[Candidate]) -> bool:
    """Whether somebody removed by hand what outlives the purge: with the purge's version."""
    match candidate.change:
        case Put() | Purge():
            return False
        case Remove():
            came_back = min(
                record.position
                for one in outliving
                for record in one.records
                if record.position > purge.records[0].position
            )
            last = candidate.records[-1].position
            return candidate.change.version == purge.change.version and last > came_back


def _first_to_write(candidate: Candidate) -> tuple[int, int]:
    match candidate.change:
        case Purge():
            rank = 0
        case Put() | Remove():
            rank = 1
    return -candidate.change.version, rank
