"""Reads what a quarantined record holds: an event, or a change of the table."""

import base64
import datetime as dt
from collections.abc import Sequence

import msgspec
from msgspec import UNSET, UnsetType

from functions.write_to_es.table_changes import change_of
from lockstep.quarantine.bucket import consumer_of_object
from shared.change import Change, Purge, Put, Remove, change_from
from shared.event import Event, Image, InvalidEventError, Time, decode, encode
from shared.quarantine import CONSUMERS, PREFIX, QuarantinedRecord
from shared.record import Record
from shared.shortened import BriefError

# S3 allows so many bytes. The key under `redriven/` is shorter than that under `quarantine/`.
LONGEST_KEY = 1024


class ForeignObjectError(BriefError):
    """An object under `quarantine/` that no consumer wrote; the message says why."""


def read_record(key: str, body: bytes, consumers: Sequence[str] = CONSUMERS) -> QuarantinedRecord:
    """The record in a quarantine object.

    Its `function` is the consumer that the key names, whatever the body says: each consumer may
    write under its own prefix only, but any text.

    Args:
        key: the key of the object.
        body: the object.
        consumers: those that have this bucket.

    Raises:
        ForeignObjectError: the key names no consumer, or it holds no quarantined record.
    """
    consumer = consumer_of_object(key, consumers)
    if consumer is None:
        places = " or ".join(f"{PREFIX}{name}/" for name in consumers)
        raise ForeignObjectError(
            f"its key names no consumer: move it to {places}, according to who quarantined it"
        )
    try:
        held = msgspec.json.decode(body, type=QuarantinedRecord)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ForeignObjectError(f"not a quarantined record: {error}") from None
    check_record(held)
    return msgspec.structs.replace(held, function=consumer)


def check_record(held: QuarantinedRecord) -> None:
    """Check the fields that a redrive relies on: somebody else may have written them.

    Raises:
        ForeignObjectError: a field has a value that no stream gives.
    """
    try:
        payload(held)
        int(held.sequence_number)
        dt.datetime.fromtimestamp(held.arrived_at / 1000, dt.UTC)
        parse_time(held.quarantined_at)
    except (ValueError, OverflowError, OSError) as error:
        raise ForeignObjectError(f"not a quarantined record: {error}") from None
    if len(held.key.encode()) > LONGEST_KEY:
        raise ForeignObjectError("not a quarantined record: its position is too long for a key")


def payload(held: QuarantinedRecord) -> bytes:
    """The record's data, as it arrived."""
    return base64.b64decode(held.payload, validate=True)


def change_in(held: QuarantinedRecord) -> Change:
    """The change that a record means for a store, by the current rules.

    Raises:
        InvalidEventError: it is neither a valid event nor a valid change of the table.
    """
    data = payload(held)
    record = Record(
        stream=held.stream,
        shard_id=held.shard_id,
        sequence_number=held.sequence_number,
        partition_key=held.partition_key,
        arrived_at=held.arrived_at,
        data=data,
        holds=held.holds,
    )
    if held.holds == "table_change":
        return change_of(record)
    return change_from(decode(data), record)


def event_in(held: QuarantinedRecord) -> Event:
    """The event in a record, or the event with the same effect as a change of the table.

    Raises:
        InvalidEventError: there is none.
    """
    if held.holds == "event":
        return decode(payload(held))
    change = change_in(held)
    return Event(
        type=change.event_type,
        image_id=change.image_id,
        version=change.version,
        occurred_at=msgspec.convert(change.occurred_at, Time),
        image=_image_of(change),
    )


def _image_of(change: Change) -> Image | UnsetType:
    match change:
        case Put():
            return change.image
        case Remove() | Purge():
            return UNSET


def event_bytes(held: QuarantinedRecord) -> bytes:
    """The event in a record, encoded, as `event_in`; the payload if there is none."""
    if held.holds == "event":
        return payload(held)
    try:
        return encode(event_in(held))
    except InvalidEventError:
        return payload(held)


def parse_time(text: str) -> dt.datetime:
    """The time in a record, in UTC; without a time zone it is in UTC already.

    Raises:
        ValueError, OverflowError: it is no such time.
    """
    at = dt.datetime.fromisoformat(text)
    return at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC)
