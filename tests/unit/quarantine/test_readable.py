"""What is read of a record in base64."""

import base64

import pytest

from lockstep.quarantine.readable import readable_fields

RECORD = b'{"version":1}'
ENCODED = base64.b64encode(RECORD)


@pytest.mark.parametrize("end", [b"", b"=", b"==", b"===="])
def test_base64_is_read_whatever_the_number_of_its_equals_signs(end: bytes) -> None:
    assert ENCODED.endswith(b"==")
    assert readable_fields(ENCODED.rstrip(b"=") + end) == {"version": 1}


def test_what_has_other_characters_is_not_base64() -> None:
    assert readable_fields(ENCODED[:4] + b"!!!!" + ENCODED[4:]) == {}
