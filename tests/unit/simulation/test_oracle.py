"""The oracle of the simulation against the page on formats, and against the product."""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.write_to_es.document import document_from
from lockstep.simulation import oracle
from lockstep.simulation.oracle import Holding, Meaning
from shared.change import change_from, digest_of
from shared.envelope import IMAGE_EVENTS
from shared.event import decode, encode
from shared.item import item_from
from shared.outcome import held
from shared.outrun import outrun
from shared.record import event_in
from tests.builders import ARRIVED_AT, image_event, kinesis_record
from tests.images import TIMES, images

DAY_MS = 24 * 60 * 60 * 1_000

IMAGE = {
    "name": 'cafe\u0301 "\\\x1f\x7f😀',
    "width": 0,
    "height": 9007199254740991,
    "description": "",
    "tags": ["sea", "", "sea"],
    "taken_at": "1814-01-01t00:00:00.5+05:30",
    "attributes": {"b": "", "A": "Turner"},
}
UPLOAD = Meaning("T1", 7, "image.uploaded", "2026-11-21 08:00:00.1234565z", IMAGE)
DELETION = Meaning("T1", 8, "image.deleted", "2026-11-21T08:00:00+00:00", None)
# SHA-256 of the text in `test_canonical_json_to_the_letter`, by sha256sum.
DIGEST = "6061b284aafa59a9255a42c399f5a4324699c2a2594d9f025b2d05d9eaed22f7"


def test_the_oracle_imports_the_standard_library_only() -> None:
    tree = ast.parse(Path(oracle.__file__).read_text())
    names = [
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    ]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_canonical_json_to_the_letter() -> None:
    assert oracle.canonical({**IMAGE, "taken_at": "1814-01-01T00:00:00.500000+05:30"}) == (
        b'{"attributes":{"A":"Turner","b":""},"description":"","height":9007199254740991,'
        b'"name":"cafe\xcc\x81 \\"\\\\\\u001f\x7f\xf0\x9f\x98\x80","tags":["sea","","sea"],'
        b'"taken_at":"1814-01-01T00:00:00.500000+05:30","width":0}'
    )
    assert oracle.digest(IMAGE) == DIGEST
    assert oracle.canonical("\b\t\n\f\r\0/\u2028") == b'"\\b\\t\\n\\f\\r\\u0000/\xe2\x80\xa8"'


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"),
        ("2026-11-21t08:00:00z", "2026-11-21T08:00:00Z"),
        ("2026-11-21 08:00:00+00:00", "2026-11-21T08:00:00Z"),
        ("2026-11-21T08:00:00-00:00", "2026-11-21T08:00:00Z"),
        ("2026-11-21T08:00:00.000Z", "2026-11-21T08:00:00Z"),
        ("2026-11-21T08:00:00.5Z", "2026-11-21T08:00:00.500000Z"),
        ("2026-11-21T08:00:00.000001-12:45", "2026-11-21T08:00:00.000001-12:45"),
        ("2026-11-21T08:00:00.1234564Z", "2026-11-21T08:00:00.123456Z"),
        ("2026-11-21T08:00:00.1234565Z", "2026-11-21T08:00:00.123457Z"),
        ("2026-12-31T23:59:59.9999995+18:00", "2027-01-01T00:00:00+18:00"),
        ("0001-01-01T00:00:00-18:00", "0001-01-01T00:00:00-18:00"),
    ],
)
def test_a_time_gets_one_form_and_keeps_its_zone(written: str, stored: str) -> None:
    assert oracle.time(written) == stored
    event = {"type": "image.deleted", "image_id": "T1", "version": 1, "occurred_at": written}
    assert json.loads(encode(decode(json.dumps(event).encode())))["occurred_at"] == stored


def test_the_item_of_an_image() -> None:
    assert oracle.item(UPLOAD, arrived_at=5, shard_id="shard", sequence_number="9") == {
        "image_id": {"S": "T1"},
        "version": {"N": "7"},
        "deleted": {"BOOL": False},
        "event_type": {"S": "image.uploaded"},
        "occurred_at": {"S": "2026-11-21T08:00:00.123457Z"},
        "arrived_at": {"N": "5"},
        "shard_id": {"S": "shard"},
        "sequence_number": {"S": "9"},
        "digest": {"S": DIGEST},
        "image": {
            "M": {
                "name": {"S": 'cafe\u0301 "\\\x1f\x7f😀'},
                "width": {"N": "0"},
                "height": {"N": "9007199254740991"},
                "description": {"S": ""},
                "tags": {"L": [{"S": "sea"}, {"S": ""}, {"S": "sea"}]},
                "taken_at": {"S": "1814-01-01T00:00:00.500000+05:30"},
                "attributes": {"M": {"b": {"S": ""}, "A": {"S": "Turner"}}},
            }
        },
    }


def test_the_item_of_a_tombstone() -> None:
    assert oracle.item(DELETION, arrived_at=1_999, shard_id="shard", sequence_number="9") == {
        "image_id": {"S": "T1"},
        "version": {"N": "8"},
        "deleted": {"BOOL": True},
        "event_type": {"S": "image.deleted"},
        "occurred_at": {"S": "2026-11-21T08:00:00Z"},
        "arrived_at": {"N": "1999"},
        "shard_id": {"S": "shard"},
        "sequence_number": {"S": "9"},
        "expires_at": {"N": "10454401"},
    }


def test_the_documents() -> None:
    assert oracle.document(UPLOAD, arrived_at=5) == {
        "image_id": "T1",
        "version": 7,
        "deleted": False,
        "event_type": "image.uploaded",
        "occurred_at": "2026-11-21T08:00:00.123457Z",
        "arrived_at": 5,
        "digest": DIGEST,
        "name": 'cafe\u0301 "\\\x1f\x7f😀',
        "width": 0,
        "height": 9007199254740991,
        "description": "",
        "tags": ["sea", "", "sea"],
        "taken_at": "1814-01-01T00:00:00.500000+05:30",
        "attributes": [{"name": "b", "value": ""}, {"name": "A", "value": "Turner"}],
    }
    assert oracle.document(DELETION, arrived_at=1_999) == {
        "image_id": "T1",
        "version": 8,
        "deleted": True,
        "event_type": "image.deleted",
        "occurred_at": "2026-11-21T08:00:00Z",
        "arrived_at": 1999,
        "expires_at": 10454401,
    }


def test_the_record_of_the_producer() -> None:
    assert DELETION.data == (
        b'{"image_id":"T1","occurred_at":"2026-11-21T08:00:00Z","type":"image.deleted","version":8}'
    )
    ordered = oracle.document(oracle.as_produced(UPLOAD), arrived_at=5)["attributes"]
    assert ordered == [{"name": "A", "value": "Turner"}, {"name": "b", "value": ""}]


def test_the_highest_version_wins_and_of_equals_the_first() -> None:
    other = Meaning("T1", 8, "image.updated", "2026-11-21T08:00:00Z", {"name": "other"})
    assert oracle.fold([UPLOAD, DELETION, other]) == {"T1": DELETION}
    assert oracle.fold([DELETION, UPLOAD])["T1"] is DELETION


@given(
    image=images(st.text(max_size=8)),
    times=st.tuples(TIMES, st.integers(1, ARRIVED_AT * 1000)),
    deleted=st.booleans(),
    sort_keys=st.booleans(),
    ensure_ascii=st.booleans(),
)
@settings(max_examples=500)
def test_the_product_stores_what_the_oracle_says(
    image: dict[str, Any],
    times: tuple[str, int],
    deleted: bool,  # noqa: FBT001 - drawn
    sort_keys: bool,  # noqa: FBT001 - drawn
    ensure_ascii: bool,  # noqa: FBT001 - drawn
) -> None:
    occurred_at, version = times
    kind = "image.deleted" if deleted else "image.updated"
    meant = Meaning("T1", version, kind, occurred_at, None if deleted else image)
    event = {"type": kind, "image_id": "T1", "version": version, "occurred_at": occurred_at}
    if not deleted:
        event["image"] = image
    line = json.dumps(event, sort_keys=sort_keys, ensure_ascii=ensure_ascii).encode()
    if sort_keys:
        meant = oracle.as_produced(meant)
    record = IMAGE_EVENTS.record(kinesis_record(line, partition_key="T1"))
    made = IMAGE_EVENTS.change(record)
    where = {"shard_id": record.shard_id, "sequence_number": record.sequence_number}
    assert item_from(made) == oracle.item(meant, arrived_at=ARRIVED_AT, **where)
    # In JSON, as the index gets it: a tuple is a list there.
    document = msgspec.json.decode(msgspec.json.encode(document_from(made)))
    assert document == oracle.document(meant, arrived_at=ARRIVED_AT)
    assert digest_of(made) == meant.digest
    assert encode(event_in(record)) == meant.data


STAMP = ARRIVED_AT * 1000
moments = st.sampled_from([-1, 0, 1]).flatmap(
    lambda near: st.sampled_from(
        [0, 60_000, 5 * 60_000, 5 * 60_000 + 1, 120 * DAY_MS, 120 * DAY_MS + 1, DAY_MS]
    ).map(lambda far: near * far)
)
versions = st.integers(1, 9) | st.builds(
    lambda ahead, more: STAMP + ahead * 1000 + more, moments, st.integers(-1, 1)
)
arrivals = moments.map(lambda ahead: ARRIVED_AT + ahead)
occurred = st.sampled_from(
    ["2026-11-21T08:00:00Z", "2026-11-21T09:00:00+01:00", "2026-11-21T08:00:01Z"]
)


@given(st.tuples(versions, arrivals, occurred), st.tuples(versions, arrivals, occurred))
@settings(max_examples=1_000)
def test_the_product_finds_outrun_what_the_oracle_does(
    one: tuple[int, int, str], stored: tuple[int, int, str]
) -> None:
    version, arrived_at, occurred_at = one
    meant = Meaning("T1", version, "image.updated", occurred_at, {"name": "x"})
    event = image_event("T1", version, "image.updated", occurred_at=occurred_at)
    record = IMAGE_EVENTS.record(kinesis_record(event, arrived_at=arrived_at))
    made = change_from(decode(record.data), record)
    said = outrun(made, held(*stored)) is not None
    assert said is oracle.outrun(meant, arrived_at, Holding(*stored))


@pytest.mark.parametrize(
    ("version", "arrived_ms", "held_version", "held_arrived_ms", "expected"),
    [
        (5, 1, STAMP, 0, True),  # a count under a stamp
        (5, 0, STAMP, 0, False),  # delivered again
        (STAMP, 1, STAMP + 300_000_000, 0, False),  # five minutes ahead
        (STAMP, 1, STAMP + 300_000_001, 0, True),
        (STAMP - 120 * DAY_MS * 1000 + 1000, 1, STAMP + 300_000_001, 0, True),
        (STAMP - 120 * DAY_MS * 1000 + 999, 1, STAMP + 300_000_001, 0, False),  # an import
        (STAMP + 300_000_001, 1, STAMP + 300_000_001, 0, False),  # not lower
    ],
)
def test_outrun_at_its_limits(
    version: int, arrived_ms: int, held_version: int, held_arrived_ms: int, *, expected: bool
) -> None:
    meant = Meaning("T1", version, "image.updated", "2026-11-21T08:00:00Z", {"name": "x"})
    stored = Holding(held_version, ARRIVED_AT + held_arrived_ms, "2026-11-21T08:00:00Z")
    assert oracle.outrun(meant, ARRIVED_AT + arrived_ms, stored) is expected


@pytest.mark.parametrize(
    ("occurred_at", "expected"),
    [("2026-11-21T09:00:00+01:00", False), ("2026-11-21T08:00:00.000001Z", True)],
)
def test_between_counts_the_later_occurrence_is_outrun(occurred_at: str, *, expected: bool) -> None:
    meant = Meaning("T1", 1, "image.updated", occurred_at, {"name": "x"})
    stored = Holding(2, ARRIVED_AT, "2026-11-21T08:00:00Z")
    assert oracle.outrun(meant, ARRIVED_AT + 1, stored) is expected


def test_documents_of_other_types_are_not_the_same() -> None:
    assert oracle.same({"width": 1}, {"width": 1})
    assert not oracle.same({"width": 1.0}, {"width": 1})
    assert not oracle.same({"deleted": 0}, {"deleted": False})
    assert not oracle.same({"width": 1}, {"width": 1, "height": 1})


def test_what_somebody_wrote_by_hand_into_an_item_is_read() -> None:
    item = oracle.item(UPLOAD, arrived_at=5, shard_id="shard", sequence_number="9")
    read = oracle.meaning_in(item)
    assert read is not None
    assert read.digest == DIGEST
    assert (read.image_id, read.version, read.time) == ("T1", 7, UPLOAD.time)
    assert oracle.meaning_in({**item, "occurred_at": {"S": "yesterday"}}) is None
    assert oracle.meaning_in({name: one for name, one in item.items() if name != "version"}) is None


def test_the_time_of_a_stamp() -> None:
    assert oracle.time_of(1_795_248_000_123_456) == "2026-11-21T08:00:00.123456Z"
    assert oracle.time_of(1_795_248_000_000_000) == "2026-11-21T08:00:00Z"
