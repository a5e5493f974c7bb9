"""The export: each line is JSON that `redrive --mend` reads, and loses nothing of its record."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.quarantine.export import TEXT_LENGTH, exported_line
from lockstep.quarantine.settlement import correct, read_correction
from lockstep.source_files.unreadable import MAX_LINE_BYTES
from shared.event import MAX_EVENT_BYTES
from tests.builders import image_event
from tests.unit.quarantine.settling import OLD
from tests.unit.quarantine.stand import Stand


def exported(data: dict[str, Any] | bytes, key: str = "T1") -> dict[str, Any]:
    stand = Stand()
    stand.set_aside(data, partition_key=key)
    case = stand.only()
    found: dict[str, Any] = msgspec.json.decode(exported_line(case, stand.payload_of(case)))
    assert found["id"] == case.id
    return found


def test_an_event_with_a_fault_is_exported_as_it_is() -> None:
    event = image_event("T1", OLD, unknown="field", image={"name": "é\n\u2028"})
    found = exported(event)
    assert found["event"] == event
    assert found["record"] == {
        "image": "T1",
        "reasons": ["schema"],
        "detail": "because",
        "action": "correct",
    }


@pytest.mark.parametrize(
    ("data", "event", "text"),
    [
        (b"\x00\xff junk", None, "\x00\\xff junk"),
        (b"[1,2]", None, "[1,2]"),
        (b"", None, ""),
        (b'{"version":1e999}', None, '{"version":1e999}'),
        (b'{"version":7,"image":{"na', {"version": 7}, '{"version":7,"image":{"na'),
        (b'{"name":"a\xe9"}', {"name": "a�"}, '{"name":"a\\xe9"}'),
        (base64.b64encode(b'{"version":7}'), {"version": 7}, "eyJ2ZXJzaW9uIjo3fQ=="),
    ],
)
def test_what_is_no_json_object_is_exported_with_its_bytes_and_the_fields_that_can_be_read(
    data: bytes, event: object, text: str
) -> None:
    found = exported(data)
    assert found["event"] == event
    assert found["record"]["text"] == text
    assert base64.b64decode(found["record"]["base64"]) == data


def test_a_long_payload_is_cut_so_that_its_line_can_be_read_again() -> None:
    found = exported(b"\xff" * MAX_EVENT_BYTES)
    assert len(found["record"]["text"]) == TEXT_LENGTH
    assert len(base64.b64decode(found["record"]["base64"])) == MAX_EVENT_BYTES
    too_large = exported(b"\xff" * (MAX_EVENT_BYTES + 1))
    assert "base64" not in too_large["record"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.binary(max_size=60) | st.dictionaries(st.text(), _JSON, max_size=4).map(json.dumps))
def test_any_record_is_one_line_from_which_its_payload_follows(data: bytes | str) -> None:
    payload = data if isinstance(data, bytes) else data.encode()
    stand = Stand()
    stand.set_aside(payload, partition_key="T1")
    line = exported_line(stand.only(), payload)
    assert b"\n" not in line
    assert len(line) < MAX_LINE_BYTES
    assert read_correction(line).id == stand.only().id
    found = json.loads(line)
    if "base64" in found["record"]:
        assert base64.b64decode(found["record"]["base64"]) == payload
    else:
        assert found["event"] == json.loads(payload)


def test_a_line_whose_event_is_corrected_settles_its_record() -> None:
    stand = Stand()
    stand.set_aside(image_event("a/b", 7), partition_key="a/b")
    case = stand.only()
    line = exported_line(case, stand.payload_of(case))
    said = read_correction(line.replace(b'"image_id": "a/b"', b'"image_id": "a_b"'))
    settlement = correct(case, stand.payload_of(case), said.event, stand.stores, now=stand.now)
    stand.redrive.settle([settlement], {})
    assert [(one.image_id, one.version) for one in stand.stream] == [("a_b", 7)]
    assert stand.find().cases == []
