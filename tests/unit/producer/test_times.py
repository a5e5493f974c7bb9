"""Every field on its way: from the library, a file and the stream to both stores and back."""

import csv
import datetime as dt
import io
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_es.document import change_in_document, document_from
from lockstep.producing.checked import outgoing
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.records import records
from shared.change import Put, change_from
from shared.event import Event, Image, InvalidEventError, digest, encode
from shared.item import change_in_item, item_from
from shared.record import Record, event_in
from tests.builders import ARRIVED_AT
from tests.images import images
from tests.unit.producer.scripted_stream import NOON

AMSTERDAM = dt.datetime(1930, 5, 6, 12, tzinfo=ZoneInfo("Europe/Amsterdam"))

# Python's times have offsets of any microseconds; those over 18 hours are refused elsewhere.
OFFSETS = st.timedeltas(-dt.timedelta(hours=18), dt.timedelta(hours=18)).map(dt.timezone)
TIMES = st.datetimes(timezones=st.timezones() | OFFSETS)


def event(at: dt.datetime, image: Image) -> Event:
    return Event(type="image.uploaded", image_id="T02680", version=1, occurred_at=at, image=image)


def instant(time: dt.datetime) -> dt.timedelta:
    """The time in UTC. (Python takes a time in a repeated hour as equal to no other time.)"""
    offset = time.utcoffset()
    assert offset is not None
    return time.replace(tzinfo=dt.UTC) - dt.datetime.min.replace(tzinfo=dt.UTC) - offset


def record(data: bytes) -> Record:
    return Record(
        stream="s",
        shard_id="shardId-000000000000",
        sequence_number="1",
        partition_key="T02680",
        arrived_at=ARRIVED_AT,
        data=data,
    )


def stored(data: bytes) -> tuple[Put, Put]:
    """The change that each store gives back: the table, and the index."""
    change = change_from(event_in(record(data)), record(data))
    document = msgspec.json.decode(msgspec.json.encode(document_from(change)))
    from_table, from_index = change_in_item(item_from(change)), change_in_document(document)
    assert isinstance(from_table, Put)
    assert isinstance(from_index, Put)
    assert from_table == change
    return from_table, from_index


def test_a_time_of_a_zone_whose_offset_has_seconds_keeps_its_instant() -> None:
    for put in stored(outgoing(event(AMSTERDAM, Image(name="x", taken_at=AMSTERDAM)), NOON).data):
        assert put.image.taken_at == AMSTERDAM
        assert put.occurred_at == "1930-05-06T11:40:28Z"


@pytest.mark.parametrize("minutes", [0, 60, -210, 345, 1080])
def test_a_time_whose_offset_has_whole_minutes_is_written_as_it_is(minutes: int) -> None:
    at = AMSTERDAM.replace(tzinfo=dt.timezone(dt.timedelta(minutes=minutes)))
    one = event(at, Image(name="x", taken_at=at))
    assert outgoing(one, NOON).data == encode(one)


@pytest.mark.parametrize(
    "odd",
    [
        dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(seconds=1))),
        dt.datetime.max.replace(tzinfo=dt.timezone(-dt.timedelta(seconds=1))),
    ],
)
def test_a_time_that_can_be_written_in_no_way_is_refused_by_name(odd: dt.datetime) -> None:
    with pytest.raises(InvalidEventError, match=r"\$\.occurred_at: the offset .* has seconds"):
        outgoing(event(odd, Image(name="x")), NOON)
    with pytest.raises(InvalidEventError, match=r"\$\.image\.taken_at: the offset .* has seconds"):
        outgoing(event(AMSTERDAM, Image(name="x", taken_at=odd)), NOON)


@given(TIMES, TIMES, images())
def test_every_field_from_the_library_reaches_both_stores(
    occurred_at: dt.datetime, taken_at: dt.datetime, fields: dict[str, object]
) -> None:
    image = msgspec.structs.replace(msgspec.convert(fields, Image), taken_at=taken_at)
    try:
        data = outgoing(event(occurred_at, image), NOON).data
    except InvalidEventError as refused:
        assert "UTC has no such time" in refused.detail  # noqa: PT017 - the only allowed reason
        return
    for put in stored(data):
        assert isinstance(put.image.taken_at, dt.datetime)
        assert instant(put.image.taken_at) == instant(taken_at)
        assert instant(dt.datetime.fromisoformat(put.occurred_at)) == instant(occurred_at)
        assert msgspec.structs.replace(put.image, taken_at=taken_at) == image
        assert put.digest == digest(put.image)


@given(images())
def test_every_field_from_a_file_reaches_both_stores_as_from_the_stream(
    fields: dict[str, object],
) -> None:
    line = msgspec.json.encode(
        {
            "type": "image.updated",
            "image_id": "T02680",
            "version": 7,
            "occurred_at": "1826-05-01T10:00:00.000001+01:15",
            "image": fields,
        }
    )
    (read,) = read_events([line], Stamp(lambda: NOON))
    assert isinstance(read, Event)
    from_file, from_stream = stored(outgoing(read, NOON).data), stored(line)
    assert from_file == from_stream
    for put in from_file:
        assert put.image == msgspec.convert(fields, Image)
        assert put.occurred_at == "1826-05-01T10:00:00.000001+01:15"


def test_a_time_in_a_file_whose_offset_has_seconds_is_rejected_and_not_rounded() -> None:
    line = {"type": "image.deleted", "image_id": "A", "occurred_at": "1930-05-06T12:00:00+00:19:32"}
    (found,) = read_events([msgspec.json.encode(line)], Stamp(lambda: NOON))
    assert isinstance(found, BadLine)
    assert "is not a time: write a time with a time zone: 2026-11-21T08:00:00Z" in found.detail


# What a cell can hold: an empty cell is no value, and a semicolon separates tags.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")
CELLS = st.text(CHARACTERS, min_size=1, max_size=20)
TAGS = CELLS.map(lambda text: text.replace(";", " ").strip()).filter(bool)


@given(images(CELLS), st.lists(TAGS, min_size=1, max_size=8), st.sampled_from([",", ";", "\t"]))
def test_every_field_from_a_table_reaches_both_stores(
    fields: dict[str, Any], tags: list[str], delimiter: str
) -> None:
    attributes = {name: value for name, value in fields.pop("attributes", {}).items() if value}
    row = {"image_id": "T02680", "version": "7", **fields, "tags": "; ".join(tags)}
    row |= {f"attributes.{name}": value for name, value in attributes.items()}
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([row.keys(), row.values()])
    found = records(io.BytesIO(file.getvalue().encode("utf-16")), "works.csv", are_events=True)
    (read,) = read_events(found.found, Stamp(lambda: NOON))
    assert isinstance(read, Event), read
    expected = fields | {"tags": tags} | ({"attributes": attributes} if attributes else {})
    for put in stored(outgoing(read, NOON).data):
        assert put.image == msgspec.convert(expected, Image)
