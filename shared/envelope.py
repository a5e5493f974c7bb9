"""The envelope: in what form a stream brings changes, and how they are taken out of it."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.change import Change, change_from
from shared.record import Record, event_in, from_lambda


class Envelope(msgspec.Struct, frozen=True):
    """One form of records, all of a stream are of the same."""

    record: Callable[[Mapping[str, Any]], Record]
    """The record in one entry of an invocation's `Records`."""
    change: Callable[[Record, dt.timedelta], Change]
    """What the record means for a store, given the horizon.

    Raises InvalidEventError: why it can never be applied.
    """


def _change_of_event(record: Record, horizon: dt.timedelta) -> Change:
    return change_from(event_in(record), record, horizon=horizon)


# What the producer puts: one event a record.
IMAGE_EVENTS = Envelope(from_lambda, _change_of_event)
