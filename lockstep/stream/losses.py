"""Losses: records that the stream removed before a consumer read them. Pure.

If both consumers lose the same records, both stores agree. So an audit cannot see it, and asks here
whether the stores may lack events.
"""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from shared.rfc3339 import rfc3339

# The state of a stopped consumer of a local stack.
NOT_RUNNING = "not running"

# An operator may have edited an acknowledgement: a time without a zone could not be compared.
_Moment = Annotated[dt.datetime, Meta(tz=True)]


class Loss(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records that one consumer has not read, and cannot read any more.

    They arrived from `since` to `until`. `records` counts them; None: unknown, perhaps none. On one
    machine, `stream`, `shard_id` and `after` (the last settled sequence number, empty at the
    beginning of the shard) tell losses apart; on AWS only the times do.
    """

    consumer: str
    since: _Moment
    until: _Moment
    records: int | None = None
    stream: str = ""
    shard_id: str = ""
    after: str = ""


class StoppedConsumer(msgspec.Struct, frozen=True):
    """A consumer that does not read: its event source mapping is disabled, missing or not running.

    `since`: when it was disabled, or read for the last time; None if that is unknown.
    """

    consumer: str
    state: str
    since: dt.datetime | None


class Acknowledgement(msgspec.Struct, frozen=True):
    """An operator has dealt with these losses: `reason` says how.

    `since` is the time that the audit printed.
    """

    since: _Moment
    reason: str
    acknowledged_at: _Moment
    losses: tuple[Loss, ...]


class Unread(msgspec.Struct, frozen=True):
    """Why the stores may lack events: losses that are not acknowledged, and stopped consumers."""

    losses: tuple[Loss, ...] = ()
    stopped: tuple[StoppedConsumer, ...] = ()

    def __bool__(self) -> bool:
        """Whether the stores may lack events."""
        return bool(self.losses or self.stopped)

    def without(self, consumer: str) -> "Unread":
        """The same without what this consumer has not read."""
        return Unread(
            tuple(one for one in self.losses if one.consumer != consumer),
            tuple(one for one in self.stopped if one.consumer != consumer),
        )

    @property
    def since(self) -> dt.datetime | None:
        """The stores may lack events that arrived since this time; None if it is unknown."""
        known = [loss.since for loss in self.losses]
        known += [one.since for one in self.stopped if one.since is not None]
        return min(known, default=None)


def unacknowledged(
    losses: Iterable[Loss], acknowledgements: Sequence[Acknowledgement]
) -> tuple[Loss, ...]:
    """The losses that no acknowledgement covers, the earliest first."""
    known = [loss for each in acknowledgements for loss in each.losses]
    left = [loss for loss in losses if not any(covers(one, loss) for one in known)]
    return tuple(sorted(left, key=lambda loss: (loss.since, loss.consumer, loss.shard_id)))


def typed(moment: dt.datetime | None) -> str:
    """A time as people type it."""
    return "an unknown time" if moment is None else rfc3339(moment, "seconds")


def covers(known: Loss, loss: Loss) -> bool:
    """Whether a loss is the known one, or a part of it; one that has grown since is not."""
    if _place(known) != _place(loss):
        return False
    if known.shard_id:
        # The same checkpoint: only a later end can make it another loss.
        return known.records is None or (loss.records is not None and loss.records <= known.records)
    return known.since <= loss.since and loss.until <= known.until


def _place(loss: Loss) -> tuple[str, ...]:
    return loss.consumer, loss.stream, loss.shard_id, loss.after
