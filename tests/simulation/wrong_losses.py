"""Seeded bugs of losses: how they are noted, acknowledged and reported."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, override

import msgspec

from lockstep.audit.audit import Audit, with_unread
from lockstep.simulation.components import Components
from lockstep.stream.gaps import GapFinder, loss_of
from lockstep.stream.losses import Acknowledgement, Loss, Unread, unacknowledged


class SeesNoFirstGap(GapFinder):
    """What is missing at the beginning of a shard is taken for a shard that begins there."""

    @override
    def read(self, first: str, arrived_at: float, last: str) -> Any:
        if not self._after:
            self._after = last
            return None
        return super().read(first, arrived_at, last)

    @override
    def unread(self, *, until: float) -> Any:
        found = super().unread(until=until)
        return found if self._after else msgspec.structs.replace(found, since=until)


class CountsOneLess(GapFinder):
    """The first record after the gap counts as read before."""

    @override
    def read(self, first: str, arrived_at: float, last: str) -> Any:
        found = super().read(first, arrived_at, last)
        if found is None or not found.records:
            return found
        return msgspec.structs.replace(found, records=found.records - 1)


def since_it_was_noted(gap: Any, **of: Any) -> Loss:
    """A loss begins where the next record arrived."""
    loss = loss_of(gap, **of)
    return msgspec.structs.replace(loss, since=loss.until)


def of_the_consumer(
    losses: Iterable[Loss], acknowledgements: Sequence[Acknowledgement]
) -> tuple[Loss, ...]:
    """An acknowledgement covers all losses of its consumer, also later ones."""
    known = {loss.consumer for one in acknowledgements for loss in one.losses}
    return tuple(loss for loss in losses if loss.consumer not in known)


def of_the_latest(
    losses: Iterable[Loss], acknowledgements: Sequence[Acknowledgement]
) -> tuple[Loss, ...]:
    """Only the latest acknowledgement counts."""
    return unacknowledged(losses, acknowledgements[-1:])


def with_losses_of_both(found: Audit, unread: Unread) -> Audit:
    """What only one consumer lost would be a difference, so it makes no audit unknown."""
    consumers = {loss.consumer for loss in unread.losses}
    return with_unread(found, unread) if len(consumers) > 1 else found


def unknown_in_any_case(found: Audit, unread: Unread) -> Audit:
    """What is proved different is unknown, too."""
    more = with_unread(found, unread)
    return msgspec.structs.replace(more, result="unknown") if unread else more


def without_the_stopped(found: Audit, unread: Unread) -> Audit:
    """A consumer that is off counts as one that reads."""
    return with_unread(found, msgspec.structs.replace(unread, stopped=()))


WRONG: Mapping[str, Components] = {
    "losses: the first records of a shard are not missed": Components(gap_finder=SeesNoFirstGap),
    "losses: one record too few is counted": Components(gap_finder=CountsOneLess),
    "losses: a loss begins when the mapping reads on": Components(loss_of=since_it_was_noted),
    "losses: an acknowledgement covers later losses": Components(unacknowledged=of_the_consumer),
    "losses: only the latest acknowledgement counts": Components(unacknowledged=of_the_latest),
    "losses: what one consumer lost leaves an audit equal": Components(
        with_unread=with_losses_of_both
    ),
    "losses: a difference is unknown beside a loss": Components(with_unread=unknown_in_any_case),
    "losses: an audit takes a stopped consumer for one that reads": Components(
        with_unread=without_the_stopped
    ),
}
