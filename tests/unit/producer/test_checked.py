"""An event is checked and encoded once: the result is that of checking what was encoded."""

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep.producing.checked import CheckedEvent, checked, outgoing
from lockstep.producing.outbox import Outgoing
from lockstep.producing.producer import Producer, Stamp
from lockstep.producing.sources import BadLine, read_ahead, read_checked
from shared.event import MAX_EVENT_BYTES, Event, Image, InvalidEventError, decode
from shared.record import MAX_AHEAD_US
from tests.builders import decoded, image, image_event
from tests.unit.producer.scripted_stream import NOON, ScriptedStream, VirtualTime

LATEST = int(NOON * 1_000_000) + MAX_AHEAD_US
OFFSETS = ["Z", "+00:00", "-00:00", "+02:00", "-18:00", "+18:00", "+05:30"]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A line that may be any event, also one that is refused."""
    moment = draw(st.datetimes()).isoformat()
    picture: dict[str, Any] = {"name": draw(st.text(st.characters(), min_size=1))}
    picture |= draw(
        st.sampled_from(
            [
                {},
                {"taken_at": moment + draw(st.sampled_from(OFFSETS))},
                {"description": "Ω" * draw(st.integers(0, 20_000))},
                {"attributes": {"artist": draw(st.text(st.characters()))}},
                {"attributes": {"no name": "x"}},
                {"tags": [draw(st.text(st.characters()))] * 64},
            ]
        )
    )
    event = {
        "type": draw(st.sampled_from(["image.uploaded", "image.updated"])),
        "image_id": draw(st.sampled_from(["T1", "T.1-a", "no id"])),
        "version": draw(st.sampled_from([1, 2**53, LATEST, LATEST + 1])),
        "occurred_at": moment + draw(st.sampled_from(OFFSETS)),
        "image": picture,
    }
    return json_with_surrogates(event)


def json_with_surrogates(event: Any) -> bytes:
    """JSON with escapes, so that a lone surrogate can be in it."""
    import json  # noqa: PLC0415 - msgspec refuses a lone surrogate

    return json.dumps(event).encode()


def told(ask: Any) -> Any:
    """What a check gives, or its refusal."""
    try:
        return ask()
    except InvalidEventError as refused:
        return refused.reason, refused.detail


@given(line=lines())
@example(line=json_with_surrogates(image_event("T1", 1, image={"name": "\ud800"})))
def test_a_decoded_event_is_checked_as_its_encoding_would_be(line: bytes) -> None:
    try:
        event = decode(line)
    except InvalidEventError:
        return
    found = told(lambda: checked(event, NOON).outgoing)
    assert found == told(lambda: outgoing(event, NOON))
    if isinstance(found, Outgoing):
        assert decode(found.data) == event


def test_an_event_that_is_too_large_only_when_it_is_encoded_is_refused() -> None:
    # An encoded time has six digits after the point.
    tags = ["x" * 8 * 1024] * 31
    picture = image("x", tags=tags, taken_at="2026-11-21T08:00:00.1Z")
    event = image_event("T1", 1, image=picture)
    event["occurred_at"] = "2026-11-21T08:00:00.1Z"
    room = MAX_EVENT_BYTES - len(msgspec.json.encode(event))
    picture["description"] = ""
    room -= len(b',"description":""')
    picture["description"] = "d" * room
    line = msgspec.json.encode(event)
    assert len(line) == MAX_EVENT_BYTES
    with pytest.raises(InvalidEventError) as refused:
        checked(decode(line), NOON)
    assert refused.value.reason == "too_large"


def test_a_time_that_json_cannot_write_is_checked_as_it_is_written() -> None:
    amsterdam = dt.timezone(dt.timedelta(minutes=19, seconds=32))
    at = dt.datetime(1901, 2, 3, 4, 5, 6, tzinfo=amsterdam)
    event = Event("image.uploaded", "T1", 1, at, Image(name="x"))
    sent = decode(checked(event, NOON).outgoing.data)
    assert sent.occurred_at == at
    assert sent.occurred_at.utcoffset() == dt.timedelta(0)


def test_an_event_that_is_checked_is_sent_as_it_is() -> None:
    given_lines = [msgspec.json.encode(image_event(f"T{at}", at)) for at in range(1, 4)]
    read = [*read_checked(given_lines, Stamp(lambda: NOON))]
    assert all(isinstance(one, CheckedEvent) for one in read)
    stream = ScriptedStream()
    source = [one for one in read if isinstance(one, CheckedEvent)]
    assert Producer(stream, "lockstep-images", clock=VirtualTime().clock).put(source).put == 3
    for (image_id, data), one in zip(stream.accepted, source, strict=True):
        assert (image_id, data) == (one.event.image_id, one.outgoing.data)
        assert outgoing(one, NOON) is one.outgoing


def test_an_event_that_nobody_decoded_is_checked_by_the_producer() -> None:
    wrong: Any = msgspec.structs.replace(decoded(image_event()), version="1")
    with pytest.raises(InvalidEventError, match="version"):
        Producer(ScriptedStream(), "lockstep-images").put([wrong])


def test_bad_lines_pass_between_events_that_are_read_ahead() -> None:
    given_lines = [b"{", msgspec.json.encode(image_event("T1", LATEST + 1))]
    found = [*read_ahead(read_checked(given_lines, Stamp(lambda: NOON)))]
    assert [one.reason for one in found if isinstance(one, BadLine)] == [
        "not_json",
        "version_ahead",
    ]
