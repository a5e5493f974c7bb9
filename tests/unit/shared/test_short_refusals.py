"""Whatever an event contains, the reason of its refusal is short and says how long it was."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_es.table_changes import change_of
from lockstep.producing.producer import Stamp
from lockstep.producing.sources import BadLine, read_events
from lockstep.source_files.converters import FieldMapping
from shared.event import InvalidEventError
from shared.item import MalformedItemError, change_in_item, item_from
from shared.quarantine import quarantined
from shared.record import event_in
from shared.shortened import MOST
from tests.builders import change, image, image_event, record

# About as long as an event may be.
LONG = 200_000
LETTERS = st.sampled_from(["x", "é", "😀", "\t", "`", '"', "$.", "\x00", "\u2028"])


def whole() -> dict[str, Any]:
    """An event with all fields."""
    fields = image() | {
        "description": "d",
        "url": "u",
        "content_type": "c",
        "checksum": "s",
        "uploaded_by": "b",
        "taken_at": "2026-11-21T08:00:00Z",
        "size_bytes": 1,
        "width": 1,
        "height": 1,
        "tags": ["t"],
        "attributes": {"a": "v"},
    }
    return image_event(image=fields)


type Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """The place of each value."""
    yield at
    match value:
        case dict():
            for name, inner in value.items():
                yield from places(inner, (*at, name))
        case list():
            for position, inner in enumerate(value):
                yield from places(inner, (*at, position))


def put_at(place: Place, value: Any, change: Callable[[Any], Any]) -> Any:
    """The value, changed at this place."""
    if not place:
        return change(value)
    first, *rest = place
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = put_at(tuple(rest), value[first], change)
    return copy


PLACES = [*places(whole())]
OBJECTS = [place for place in PLACES if place in {(), ("image",), ("image", "attributes")}]


def check(detail: str) -> None:
    assert len(detail) <= MOST
    detail.encode()


def refused(data: bytes) -> str | None:
    """The detail of the refusal; None if the event is valid."""
    one = msgspec.structs.replace(record(whole()), data=data)
    try:
        event_in(one)
    except InvalidEventError as error:
        invalid = error
    else:
        return None
    check(invalid.detail)
    entry = quarantined(
        one, function="f", change=None, reason=invalid.reason, detail=invalid.detail, at=""
    )
    assert entry.detail == invalid.detail
    assert base64.b64decode(entry.payload) == data
    return invalid.detail


@given(st.sampled_from(OBJECTS), LETTERS)
def test_a_long_name_anywhere(place: Place, letter: str) -> None:
    name = letter * (LONG // len(letter.encode()) // 2)
    data = msgspec.json.encode(put_at(place, whole(), lambda inner: inner | {name: "v"}))
    detail = refused(data)
    assert detail is not None
    if "unknown field" in detail:
        where = "" if place == () else "$.image: "
        assert detail.startswith(f"{where}unknown field `{letter}")
        assert " characters] …" in detail
        assert "`: remove it, or make it a string in image.attributes (" in detail


@given(
    st.sampled_from(PLACES),
    st.sampled_from([str, lambda text: [text], lambda text: {text: text}]),
    LETTERS,
)
def test_a_long_value_anywhere(place: Place, kind: Callable[[str], Any], letter: str) -> None:
    value = kind(letter * (LONG // len(letter.encode()) // 6))
    refused(msgspec.json.encode(put_at(place, whole(), lambda _: value)))


@given(st.sampled_from(PLACES[1:]))
def test_a_long_number_anywhere(place: Place) -> None:
    mark = "the number"
    data = msgspec.json.encode(put_at(place, whole(), lambda _: mark))
    assert refused(data.replace(b'"the number"', b"9" * LONG)) is not None


@given(st.binary(max_size=2_000).map(lambda start: start + b"x" * LONG))
def test_what_is_no_event_at_all(data: bytes) -> None:
    assert refused(data) is not None


@given(LETTERS)
def test_a_partition_key(letter: str) -> None:
    """Kinesis allows 256 characters; no rule here depends on it."""
    other = msgspec.structs.replace(record(whole()), partition_key=letter * LONG)
    with pytest.raises(InvalidEventError) as caught:
        event_in(other)
    check(caught.value.detail)
    assert "characters] …" in caught.value.detail
    assert caught.value.detail.endswith("must be the image id, 'T02680'")


ITEM = item_from(change())


@given(st.sampled_from([*ITEM]), st.sampled_from("SNLMBX"), LETTERS)
def test_a_malformed_item_and_a_change_of_it(name: str, kind: str, letter: str) -> None:
    text = letter * LONG
    value: Any = {kind: {"L": [{text: text}], "M": {text: {text: text}}}.get(kind, text)}
    item: Any = ITEM | {name: value}
    try:
        change_in_item(item)
    except MalformedItemError as error:
        check(str(error))
    change = {"Keys": {"image_id": {"S": f"{text}!"}}, "NewImage": item}
    data = {"eventName": "MODIFY", "dynamodb": change}
    for encoded in (msgspec.json.encode(data), msgspec.json.encode({text: data})):
        with pytest.raises(InvalidEventError) as caught:
            change_of(msgspec.structs.replace(record(whole()), data=encoded))
        check(caught.value.detail)


@given(st.sampled_from(OBJECTS), LETTERS)
def test_a_line_of_a_file(place: Place, letter: str) -> None:
    name = letter * (LONG // len(letter.encode()) // 2)
    line = msgspec.json.encode(put_at(place, whole(), lambda inner: inner | {name: 1}))
    mapping = FieldMapping({"image_id": "image_id"})
    for converter in (None, mapping):
        (found,) = read_events([line], Stamp(lambda: 1.0), converter)
        assert isinstance(found, BadLine)
        check(found.detail)
