"""The envelope: the form of the records of a stream, and how to read changes from them."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from shared.change import Change, change_from
from shared.record import Record, event_in, from_lambda


class Envelope(msgspec.Struct, frozen=True):
    """One form of records. All records of a stream have the same form."""

    record: Callable[[Mapping[str, Any]], Record]
    """Reads one entry of an invocation's `Records`."""
    change: Callable[[Record], Change]
    """Reads the change in a record.

    Raises InvalidEventError if the record can never be applied.
    """


def _change_of_event(record: Record) -> Change:
    return change_from(event_in(record), record)


# The records of the producer: one event per record.
IMAGE_EVENTS = Envelope(from_lambda, _change_of_event)
