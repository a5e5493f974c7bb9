"""The event: what is accepted, and what is refused and why."""

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.event import (
    MAX_DESCRIPTION_BYTES,
    MAX_EVENT_BYTES,
    MAX_VALUE_BYTES,
    MAX_VERSION,
    InvalidEventError,
    decode,
    digest,
    encode,
)
from tests.builders import image, image_event
from tests.images import whole_image

EVERYTHING = whole_image()


def refusal(data: dict[str, Any] | bytes) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as caught:
        decode(data if isinstance(data, bytes) else msgspec.json.encode(data))
    return caught.value


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


ACCEPTED: dict[str, dict[str, Any]] = {
    "the least": image_event(),
    "everything": image_event(image=EVERYTHING),
    "an update": image_event(event_type="image.updated"),
    "a deletion": image_event(event_type="image.deleted"),
    "the highest version": image_event(version=MAX_VERSION),
    "every character an id may have": image_event("a0A-._:" + "z" * 249),
    "another zone": image_event(occurred_at="2026-11-21T08:00:00+05:30"),
    "the zone farthest to the east": image_event(occurred_at="2026-11-21T08:00:00+18:00"),
    "the zone farthest to the west": image_event(image=image(taken_at="2026-11-21T08:00:00-18:00")),
    "a zone in small letters": image_event(occurred_at="2026-11-21t08:00:00z"),
    "a zone without a colon": image_event(occurred_at="2026-11-21T08:00:00+0100"),
    "a zone without a colon, farthest to the west": image_event(
        image=image(taken_at="2026-11-21T08:00:00-1800")
    ),
    "a space before the time of day": image_event(occurred_at="2026-11-21 08:00:00Z"),
    "more digits than microseconds have": image_event(occurred_at="2026-11-21T08:00:00.12345678Z"),
    "the last time of all": image_event(occurred_at="9999-12-31T23:59:59.9999994Z"),
    "the 29th of February": image_event(occurred_at="2024-02-29T08:00:00Z"),
    "minus nought": image_event(image=image(width=raw("-0"))),
    "an empty description": image_event(image=image(description="")),
    "no tags and no attributes": image_event(image=image(tags=[], attributes={})),
    "64 tags": image_event(image=image(tags=["t"] * 64)),
    "control characters": image_event(image=image("a\x00b\nc")),
    "characters beyond the first plane": image_event(image=image("\U0001f5bc")),
    "the longest name": image_event(image=image("n" * MAX_VALUE_BYTES)),
    "the longest description": image_event(image=image(description="d" * MAX_DESCRIPTION_BYTES)),
}

NO_EVENT: dict[str, dict[str, Any]] = {
    "an unknown type": image_event(event_type="image.moved"),
    "an unknown field": image_event(colour="red"),
    "an unknown field of the image": image_event(image=image(colour="red")),
    "an upload without image": {k: v for k, v in image_event().items() if k != "image"},
    "a deletion with image": image_event(event_type="image.deleted", image=image()),
    "no name": image_event(image={}),
    "an empty name": image_event(image=image("")),
    "null for an optional field": image_event(image=image(description=None)),
    "null for the image": image_event(image=None),
    "a version of nought": image_event(version=0),
    "a version beyond 2^53-1": image_event(version=MAX_VERSION + 1),
    "true for a version": image_event(version=True),
    "text for a version": image_event(version=raw('"1"')),
    "a negative width": image_event(image=image(width=-1)),
    "an id that starts with a dot": image_event(".T1"),
    "an id with a space": image_event("T 1"),
    "an id with a newline at its end": image_event("T1\n"),
    "an empty id": image_event(""),
    "an id of 257 characters": image_event("a" * 257),
    "a time without zone": image_event(occurred_at="2026-11-21T08:00:00"),
    "a time beyond every zone": image_event(occurred_at="2026-11-21T08:00:00+18:01"),
    "a removal's time beyond every zone": image_event(
        event_type="image.deleted", occurred_at="2026-11-21T08:00:00-23:59"
    ),
    "an image's time beyond every zone": image_event(
        image=image(taken_at="2026-11-21T08:00:00-18:01")
    ),
    "a time beyond every zone, without a colon": image_event(
        occurred_at="2026-11-21T08:00:00+1801"
    ),
    "a zone in hours": image_event(occurred_at="2026-11-21T08:00:00+01"),
    "a leap second": image_event(occurred_at="2026-06-30T23:59:60Z"),
    "a 29th of February that is none": image_event(occurred_at="2100-02-29T08:00:00Z"),
    "the year 0": image_event(occurred_at="0000-01-01T00:00:00Z"),
    "a time that is rounded to the year 10000": image_event(
        occurred_at="9999-12-31T23:59:59.9999995Z"
    ),
    "a time without seconds": image_event(occurred_at="2026-11-21T08:00Z"),
    "a time that is a number": image_event(occurred_at=1795248000),
    "65 tags": image_event(image=image(tags=["t"] * 65)),
    "a tag that is a number": image_event(image=image(tags=[1])),
    "65 attributes": image_event(image=image(attributes={f"a{n}": "" for n in range(65)})),
    "an attribute name with a space": image_event(image=image(attributes={"a b": ""})),
    "an attribute name with a newline": image_event(image=image(attributes={"a\n": ""})),
    "an attribute that is a number": image_event(image=image(attributes={"a": 1})),
    "a name of one character too many": image_event(image=image("n" * (MAX_VALUE_BYTES + 1))),
    "a list": {"type": ["image.uploaded"]},
}


@pytest.mark.parametrize("event", ACCEPTED.values(), ids=ACCEPTED)
def test_a_valid_event_is_accepted_and_survives_encoding(event: dict[str, Any]) -> None:
    decoded = decode(msgspec.json.encode(event))
    assert decode(encode(decoded)) == decoded


@pytest.mark.parametrize("event", NO_EVENT.values(), ids=NO_EVENT)
def test_json_that_is_no_event_is_refused_with_the_place(event: dict[str, Any]) -> None:
    found = refusal(event)
    assert found.reason in {
        "schema",
        "null",
        "number_as_text",
        "id_too_long",
        "id_characters",
    }
    assert found.detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"hello", "not_json"),
        (b'{"type":', "not_json"),
        (b"{} {}", "not_json"),
        (b"[1, 2", "not_json"),
        (msgspec.json.encode(image_event()) + b"\x00", "not_json"),
        (b"\xef\xbb\xbf" + msgspec.json.encode(image_event()), "not_json"),
        (msgspec.json.encode(image_event(version=raw("NaN"))), "not_json"),
        (msgspec.json.encode(image_event(image=image(raw(r'"\ud800"')))), "not_json"),
        # Numbers that are out of range, and what follows is not JSON.
        (b'{"version":1e999', "not_json"),
        (b'{"version":1e999}garbage', "not_json"),
        (b'{"version":-1e999 garbage}', "not_json"),
        (b'{"version":' + b"9" * 5_000 + b"garbage}", "not_json"),
        (rb'{"version":1e999,"image_id":"\ud800 and more"}', "not_json"),
        (b'{"version":' + b"9" * 5_000 + b"}", "schema"),
        (b"null", "schema"),
        (b"[" * 100_000, "schema"),
        (b'{"a":' * 40_000, "schema"),
        (msgspec.json.encode(image_event(version=raw("1.0"))), "decimal_point"),
        (msgspec.json.encode(image_event(version=raw("1e3"))), "decimal_point"),
        (msgspec.json.encode(image_event(version=raw("1e999"))), "schema"),
        (msgspec.json.encode(image_event(version=raw("9" * 500))), "schema"),
        (b'"\xff"', "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        ("é".encode("latin-1"), "not_utf8"),
        (b"\xf3\x89\x9a\xc2\n\x05", "aggregated"),
        (b" " * (MAX_EVENT_BYTES + 1), "too_large"),
    ],
)
def test_what_is_not_json_or_not_one_event_is_refused_for_its_reason(
    data: bytes, reason: str
) -> None:
    assert refusal(data).reason == reason


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "€" * 2731},
        {"description": "€" * 10_923},
        {"tags": ["short", "€" * 2731]},
        {"attributes": {"artist": "€" * 2731}},
    ],
)
def test_lengths_count_in_bytes_not_in_characters(fields: dict[str, Any]) -> None:
    found = refusal(image_event(image={"name": "n", **fields}))
    assert found.reason == "schema"
    assert "bytes of UTF-8" in found.detail


def test_an_offset_that_no_zone_has_is_named_with_its_place() -> None:
    late = refusal(image_event(image=image(taken_at="2026-11-21T08:00:00-23:59")))
    assert late.detail.startswith("$.image.taken_at: the offset -23:59 ")


def test_of_repeated_keys_the_last_counts() -> None:
    data = msgspec.json.encode(image_event())[:-1] + b',"version":7,"\\u0074ype":"image.updated"}'
    event = decode(data)
    assert (event.version, event.type) == (7, "image.updated")


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    one = decode(msgspec.json.encode(image_event(image=EVERYTHING))).image
    backwards = dict(reversed(EVERYTHING.items()))
    other = decode(msgspec.json.encode(image_event(image=backwards))).image
    assert isinstance(one, msgspec.Struct)
    assert isinstance(other, msgspec.Struct)
    assert digest(one) == digest(other)


def test_the_digest_is_the_published_one() -> None:
    """SHA-256 of `{"name":"n","tags":["a"]}`; a change of encoding would break every audit."""
    event = decode(msgspec.json.encode(image_event(image={"tags": ["a"], "name": "n"})))
    assert isinstance(event.image, msgspec.Struct)
    assert digest(event.image) == (
        "2ce046e53624d5516903be421d4abdc6c9ffd1c022b40d1fe32af23d509438b8"
    )


@given(st.binary(max_size=200))
def test_whatever_the_bytes_decoding_gives_an_event_or_the_documented_error(data: bytes) -> None:
    with contextlib.suppress(InvalidEventError):
        decode(data)
