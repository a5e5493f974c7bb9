"""What is read of a record in base64, and of a valid event."""

import base64

import msgspec
import pytest

from lockstep.quarantine.readable import readable_fields, version_in
from shared.event import decode
from tests.builders import image, image_event, largest

RECORD = b'{"version":1}'
ENCODED = base64.b64encode(RECORD)


@pytest.mark.parametrize("end", [b"", b"=", b"==", b"===="])
def test_base64_is_read_whatever_the_number_of_its_equals_signs(end: bytes) -> None:
    assert ENCODED.endswith(b"==")
    assert readable_fields(ENCODED.rstrip(b"=") + end) == {"version": 1}


def test_what_has_other_characters_is_not_base64() -> None:
    assert readable_fields(ENCODED[:4] + b"!!!!" + ENCODED[4:]) == {}


@pytest.mark.parametrize(
    "data",
    [
        largest("T1", 7),
        msgspec.json.encode(image_event("T1", 7, "image.deleted")),
        msgspec.json.encode(image_event("T1", 7, image=image('"\\{}[],: "version":8'))),
        msgspec.json.encode(image_event("T1", 7, image=image("東京の夜 😀 \x7f"))),
        msgspec.json.encode(image_event("T1", 7, image=image("x", attributes={"version": "8"}))),
        b" \n" + msgspec.json.format(msgspec.json.encode(image_event("T1", 7)), indent=8),
    ],
)
def test_of_a_valid_event_the_same_is_read_as_its_consumers_read(data: bytes) -> None:
    assert (decode(data).image_id, decode(data).version) == ("T1", 7)
    fields = readable_fields(data)
    assert (fields["image_id"], version_in(fields)) == ("T1", 7)
