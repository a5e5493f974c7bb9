"""Sources: each line becomes an event or a numbered error, in bounded memory."""

import io
import threading
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.producing.producer import PAUSE, Pause, Stamp
from lockstep.producing.sources import BadLine, read_ahead, read_events
from lockstep.source_files.records import lines
from lockstep.source_files.unreadable import MAX_LINE_BYTES
from shared.event import MAX_EVENT_BYTES, Event, InvalidEventError, decode, encode
from tests.builders import image, image_event
from tests.unit.producer.scripted_stream import NOON

NOON_US = int(NOON * 1_000_000)


def line(**fields: Any) -> bytes:
    """A line with an image event; a field that is None is omitted."""
    whole = image_event(**fields)
    return msgspec.json.encode({name: value for name, value in whole.items() if value is not None})


def read(*given_lines: bytes) -> list[Event | BadLine]:
    return list(read_events(given_lines, Stamp(lambda: NOON)))


def bad(given_line: bytes) -> BadLine:
    """The error of this line, which is the third one."""
    first, third, last = read(line(image_id="A"), b"\n", given_line, line(image_id="C"))
    assert isinstance(first, Event)
    assert isinstance(third, BadLine)
    assert isinstance(last, Event)
    return third


def test_a_complete_event_is_unchanged() -> None:
    (found,) = read(line(version=17))
    assert isinstance(found, Event)
    assert (found.image_id, found.version) == ("T02680", 17)
    assert encode(found) == encode(decode(line(version=17)))


def test_missing_fields_are_stamped_and_each_version_is_higher() -> None:
    first, second, third = read(
        line(version=None, occurred_at=None), line(version=None), line(version=5, occurred_at=None)
    )
    assert isinstance(first, Event)
    assert isinstance(second, Event)
    assert isinstance(third, Event)
    assert first.version == NOON_US
    assert first.occurred_at.isoformat() == "2026-11-21T12:00:00+00:00"
    assert second.version == NOON_US + 1
    assert second.occurred_at.isoformat() == "2026-11-21T08:00:00.123456+00:00"
    assert third.version == 5
    assert third.occurred_at.isoformat().startswith("2026-11-21T12:00:00")


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"  \t\r\n"])
def test_any_line_ending_is_accepted(ending: bytes) -> None:
    (found,) = read(line(version=None) + ending)
    assert isinstance(found, Event)


def test_blank_lines_are_skipped_but_counted() -> None:
    found = read(b"\n", b"\r\n", b"  \n", b"{}\n")
    assert [one.line for one in found if isinstance(one, BadLine)] == [4]
    assert len(found) == 1


ODD = [
    (b"{}", "schema", "missing required field `type`: add it"),
    (b"[]", "schema", "the record is an array: send one JSON object per record"),
    (b"what", "not_json", "send one JSON object"),
    (line()[:-1], "not_json", "the JSON ends too early"),
    (line() + line(), "not_json", "something follows the JSON"),
    (line(version=b"").replace(b'""', b"NaN"), "not_json", "this is not a value of JSON"),
    (b"\xef\xbb\xbf" + line(), "not_json", "byte order mark: send UTF-8 without it"),
    (line().replace(b"version 1", b"\xff"), "not_utf8", "encode the JSON as UTF-8"),
    (
        line().replace(b"version 1", rb"\ud800"),
        "not_json",
        "a lone surrogate (half of a character): remove it",
    ),
    (
        line(version=None).replace(b"at version", rb"\ud800"),
        "not_json",
        "a text has a lone surrogate (half",
    ),
    (line(version=1.0), "decimal_point", "$.version: the number is not written as an integer: w"),
    (line(version=True), "schema", "$.version: expected an integer, got true or false: write"),
    (line(version="1"), "number_as_text", "$.version: the number is in quotes: write 1 instead"),
    (line(version=0), "schema", "$.version: 0 is out of range: write at least 1"),
    (line(version=2**60), "schema", "is out of range: write at most 9007199254740991"),
    (
        line().replace(b'version":1', b'version":null'),
        "null",
        "$.version: null: write a value; only",
    ),
    (line().replace(b'version":1', b'version":"x","version":1'), "schema", "be there twice"),
    (line(version=NOON_US + 86_400_000_001), "version_ahead", "microseconds since 1970, at most"),
    (line(occurred_at="now"), "schema", '"now" is not a time: write a time with a time zone'),
    (line(occurred_at="2026-11-21T08:00:00"), "schema", "has no time zone: write a time with"),
    (line(occurred_at=7), "schema", "expected a time, got an integer: write a time with"),
    (line(event_type="image.gone"), "schema", "use image.uploaded, image.updated or"),
    (line(image_id="a b"), "id_characters", '"a b" has " ": use only Latin letters, digits and'),
    (line(colour="red"), "schema", "`colour`: remove it, or make it a string in image.attributes"),
    (line(image=None), "schema", "missing in image.uploaded: send the whole image"),
    (line(event_type="image.deleted", image=image()), "schema", "in image.deleted: remove it"),
    (line(image=image(name=7)), "schema", "$.image.name: expected a string, got an integer"),
    (line(image=image(name="")), "schema", '$.image.name: "" is empty: write at least one'),
    (line(image=image(name="é" * 5000)), "schema", "at most 8192: shorten it"),
    (line(image=image(tags="sea")), "schema", "$.image.tags: expected an array, got a string"),
    (
        line(image=image(tags=["x"] * 65)),
        "schema",
        "$.image.tags: 65 tags, at most 64: remove some",
    ),
    (line(image=image(description="x" * MAX_EVENT_BYTES)), "too_large", "shorten the description"),
    (b'{"type":' + b"[" * 500 + b"]" * 500 + b"}", "schema", "$.type: expected a string, got an"),
    (b"[" * 500 + b"]" * 500, "schema", "the record is an array"),
    (b"[" * 5000 + b"]" * 5000, "schema", "too many levels"),
    (b"\xf3\x89\x9a\xc2" + line(), "aggregated", "turn aggregation off"),
    (b"x" * (MAX_LINE_BYTES + 1), "too_large", "one event per line"),
]


@pytest.mark.parametrize(("odd", "reason", "says"), ODD, ids=[says for _, _, says in ODD])
def test_a_bad_line_is_reported_with_its_number_and_the_others_are_read(
    odd: bytes, reason: str, says: str
) -> None:
    found = bad(odd)
    assert found.line == 3
    assert found.reason == reason
    assert says in found.detail
    assert "\n" not in found.detail


def test_the_position_of_an_error_is_that_in_the_given_line() -> None:
    odd = line(version=None).replace(b"at version", b"\xff")
    assert f"byte {odd.index(0xFF)} is not UTF-8" in bad(odd).detail


def test_an_event_that_exceeds_the_limit_when_it_is_encoded_again_is_refused() -> None:
    tags = ["x" * 8000] * 32
    short = line(image=image(tags=tags), occurred_at="2026-11-21T08:00:00.1Z")
    padding = MAX_EVENT_BYTES - len(short) - len(',"url":""')
    whole = line(image=image(tags=tags, url="u" * padding), occurred_at="2026-11-21T08:00:00.1Z")
    assert len(whole) == MAX_EVENT_BYTES
    assert len(encode(decode(whole))) > MAX_EVENT_BYTES
    assert bad(whole).reason == "too_large"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.fixed_dictionaries(
        {"type": st.just("image.deleted"), "image_id": st.just("A")},
        optional={
            "version": st.integers(0, 5) | st.none() | st.floats(0, 5) | st.text(max_size=2),
            "occurred_at": st.sampled_from(["2026-11-21T08:00:00Z", None, "", 1]),
            "image": st.none(),
        },
    )
)
def test_a_stamp_makes_no_invalid_line_valid(tree: Any) -> None:
    (found,) = read(b" " + msgspec.json.encode(tree) + b"\n")
    completed = tree
    if isinstance(tree, dict):
        stamped = {"version": 1, "occurred_at": "2026-11-21T08:00:00Z"}
        completed = {**tree, **{name: stamped[name] for name in stamped if name not in tree}}
    assert _verdict(found) == _verdict_of_the_validator(msgspec.json.encode(completed))


def _verdict(found: Event | BadLine) -> str:
    return found.reason if isinstance(found, BadLine) else "valid"


def _verdict_of_the_validator(data: bytes) -> str:
    try:
        decode(data)
    except InvalidEventError as error:
        return error.reason
    return "valid"


@given(st.binary(max_size=60))
def test_no_bytes_stop_the_reading(noise: bytes) -> None:
    *_, last = read(noise.replace(b"\n", b""), line(image_id="C"))
    assert isinstance(last, Event)


class CountingFile(io.RawIOBase):
    """A file with one very long line and then a valid one."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._tail = b"\n" + line()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = b"x" * min(self._left, len(buffer))
        self._left -= len(data)
        if not data:
            data, self._tail = self._tail[: len(buffer)], self._tail[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def test_of_a_very_long_line_only_the_start_is_kept_and_the_next_line_is_read() -> None:
    with io.BufferedReader(CountingFile(50 * MAX_LINE_BYTES + 7)) as file:
        held = list(lines(file))
    assert [len(one) for one in held] == [MAX_LINE_BYTES + 1, len(line())]
    first, second = read(*held)
    assert isinstance(first, BadLine)
    assert (first.line, first.reason) == (1, "too_large")
    assert isinstance(second, Event)


@pytest.mark.parametrize("over", [-1, 0, 1, 2, MAX_LINE_BYTES + 1, MAX_LINE_BYTES + 2])
def test_lines_near_the_limit_are_separated(over: int) -> None:
    long = b"x" * (MAX_LINE_BYTES + over)
    found = list(lines(io.BytesIO(b"a\n" + long + b"\nb\n\nc")))
    assert len(found) == 5
    assert [found[0], *found[2:]] == [b"a\n", b"b\n", b"\n", b"c"]
    assert found[1].rstrip() == long[: MAX_LINE_BYTES + 1]


def test_a_file_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(line(image_id="A") + b"\r\n\n" + line(image_id="B"))
    with path.open("rb") as file:
        found = list(read_events(lines(file), Stamp(lambda: NOON)))
    assert [one.image_id for one in found if isinstance(one, Event)] == ["A", "B"]


def test_a_silent_live_source_gives_pauses_and_continues() -> None:
    silence_noticed = threading.Event()

    def live() -> Iterator[int]:
        yield 1
        assert silence_noticed.wait(60)
        yield 2

    found: list[int | Pause] = []
    for item in read_ahead(live(), after=0.001):
        found.append(item)
        if found[-2:] == [1, PAUSE]:
            silence_noticed.set()
    assert [item for item in found if item != PAUSE] == [1, 2]


def test_an_exception_of_a_live_source_is_raised_after_its_items() -> None:
    def breaking() -> Iterable[int]:
        yield 1
        raise OSError("pipe broken")

    found: list[int | Pause] = []
    with pytest.raises(OSError, match="pipe broken"):
        found.extend(read_ahead(breaking()))
    assert 1 in found


def test_a_live_source_is_released_when_its_consumer_stops_early() -> None:
    let_go = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            let_go.set()

    reader = read_ahead(endless())
    assert isinstance(reader, Generator)
    assert next(reader) in {1, PAUSE}
    reader.close()
    assert let_go.wait(60)
