"""What the table's changes mean for the index, in both of their envelopes."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from functions.write_to_es.table_changes import (
    TABLE_CHANGES_ON_KINESIS,
    TABLE_STREAM,
    change_of,
    envelope_of,
)
from shared.change import Change, Purge, Remove
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import MAX_VERSION, InvalidEventError
from shared.horizon import HORIZON
from shared.item import item_from
from shared.sink import MisconfiguredError
from tests.builders import (
    ARRIVED_AT,
    CHANGES_STREAM,
    change,
    image,
    kinesis_record,
    table_change_on_kinesis,
    table_record,
)

type Raw = dict[str, Any]

ENVELOPES: list[tuple[Envelope, Callable[[Raw], Raw]]] = [
    (TABLE_STREAM, lambda record: record),
    (TABLE_CHANGES_ON_KINESIS, table_change_on_kinesis),
]
both = pytest.mark.parametrize(
    ("envelope", "wrapped"), ENVELOPES, ids=["table stream", "over Kinesis"]
)


def meaning(record: Raw) -> Change:
    return change_of(TABLE_STREAM.record(record))


def refusal(record: Raw) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as refused:
        meaning(record)
    assert refused.value.reason == "malformed"
    return refused.value


def put(version: int, **fields: Any) -> Change:
    return change("T1", version, image=image("Chapel", **fields))


def tombstone(version: int) -> Change:
    return change("T1", version, "image.deleted")


@both
@pytest.mark.parametrize("old", [None, put(3), tombstone(3)])
def test_a_new_or_changed_item_is_the_change_that_made_it(
    envelope: Envelope, wrapped: Callable[[Raw], Raw], old: Change | None
) -> None:
    everything = put(
        4,
        description="",
        width=2**53 - 1,
        taken_at="1814-01-01T00:00:00+01:00",
        tags=["sea", "sea"],
        attributes={"artist": "William Daniell"},
    )
    record = envelope.record(wrapped(table_record(everything, old)))
    assert envelope.change(record) == everything


@both
def test_a_tombstone_comes_with_the_end_that_its_item_has(
    envelope: Envelope, wrapped: Callable[[Raw], Raw]
) -> None:
    later = msgspec.structs.replace(tombstone(4), expires_at=2**40)
    record = envelope.record(wrapped(table_record(later, put(3))))
    assert envelope.change(record) == later


@both
def test_an_item_that_its_time_to_live_took_is_purged(
    envelope: Envelope, wrapped: Callable[[Raw], Raw]
) -> None:
    record = envelope.record(wrapped(table_record(None, tombstone(4), by_time_to_live=True)))
    found = envelope.change(record)
    assert isinstance(found, Purge)
    assert msgspec.structs.asdict(found) == msgspec.structs.asdict(tombstone(4))


def test_the_time_to_live_is_known_by_either_spelling() -> None:
    streams_api = {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    assert isinstance(meaning(table_record(None, tombstone(4), userIdentity=streams_api)), Purge)


@pytest.mark.parametrize("identity", [None, {}, {"type": "Service", "principalId": "somebody"}])
def test_a_removal_by_hand_is_no_purge(identity: dict[str, str] | None) -> None:
    found = meaning(table_record(None, tombstone(4), userIdentity=identity))
    assert not isinstance(found, Purge)


@both
@pytest.mark.parametrize("old", [put(4), tombstone(4)])
def test_a_removal_by_hand_leaves_a_tombstone_one_version_above(
    envelope: Envelope, wrapped: Callable[[Raw], Raw], old: Change
) -> None:
    at = ARRIVED_AT // 1000 * 1000
    raw = wrapped(table_record(None, old, arrived_at=at))
    record = msgspec.structs.replace(envelope.record(raw), arrived_at=at)
    assert envelope.change(record) == Remove(
        image_id="T1",
        version=5,
        event_type="image.deleted",
        occurred_at="2026-11-21T08:00:00Z",
        arrived_at=at,
        expires_at=at // 1000 + int(HORIZON.total_seconds()),
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
    )


def test_attributes_of_others_do_not_matter_whatever_their_type() -> None:
    others = {
        "seen_by": {"SS": ["a", "b"]},
        "sizes": {"NS": ["1", "-2.5E-3"]},
        "thumbnails": {"BS": ["AAE=", "/w=="]},
        "thumbnail": {"B": "AAE="},
        "nothing": {"NULL": True},
        "nested": {"M": {"list": {"L": [{"N": "1.50"}, {"B": "AAE="}]}}},
    }
    assert meaning(table_record({**item_from(put(4)), **others})) == put(4)  # type: ignore[dict-item]  # binaries are base64 in JSON


@pytest.mark.parametrize(
    ("attribute", "value", "says"),
    [
        ("version", {"N": "4.5"}, "4.5"),
        ("version", {"N": "0"}, "version 0 is not valid"),
        ("version", {"N": str(MAX_VERSION + 1)}, "is not valid"),
        ("version", {"N": "9" * 38}, "is not valid"),
        ("version", {"S": "4"}, "int"),
        ("version", {"NS": ["4"]}, "unexpected type NS"),
        ("deleted", {"NULL": True}, "NULL"),
        ("digest", {"S": "0" * 64}, "its digest does not match its content"),
        ("digest", {"B": "AAE="}, "unexpected type B:"),
        ("occurred_at", {"S": "yesterday"}, "RFC3339"),
        ("occurred_at", {"S": "2026-11-21T08:00:00"}, "timezone"),
        ("image", {"M": {"name": {"BS": ["AAE="]}}}, "unexpected type BS"),
        ("image", {"M": {"name": {"S": "Chapel"}, "width": {"N": "1.5"}}}, "1.5"),
        ("image", {"M": {}}, "name"),
        ("image", {"L": "no list"}, "not a change of a table"),
        ("expires_at", {"N": "1"}, "unexpected expires_at"),
    ],
)
def test_an_item_that_no_sink_of_ours_wrote_is_refused_with_what_is_wrong(
    attribute: str, value: Any, says: str
) -> None:
    item: Any = {**item_from(put(4)), attribute: value}
    assert says in refusal(table_record(item)).detail
    assert "correct the item" in refusal(table_record(None, item)).detail


def test_an_item_under_another_key_is_refused() -> None:
    record = table_record(put(4))
    record["dynamodb"]["Keys"] = {"image_id": {"S": "T2"}}
    assert "'T1'" in refusal(record).detail


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (table_record(put(4), eventName="REMOVE"), "OldImage is missing"),
        (table_record(None, put(4), eventName="MODIFY"), "NewImage is missing"),
        (table_record(put(4), eventName="REWRITE"), "REWRITE"),
    ],
)
def test_a_change_without_its_item_is_refused(record: Raw, says: str) -> None:
    assert says in refusal(record).detail


def test_an_image_is_never_taken_for_a_tombstone_whose_time_is_over() -> None:
    said = refusal(table_record(None, put(4), by_time_to_live=True)).detail
    assert said.startswith("OldImage: the time to live removed an image that is not a tombstone: ")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[]", b'{"dynamodb":1}', b"[" * 9000])
def test_whatever_lies_on_the_stream_of_changes_is_refused_and_never_a_crash(data: bytes) -> None:
    record = TABLE_CHANGES_ON_KINESIS.record(kinesis_record(data))
    with pytest.raises(InvalidEventError, match="not a change of a table"):
        change_of(record)


def test_a_record_of_the_tables_stream_has_a_place_of_its_own_and_its_whole_payload() -> None:
    raw = table_record(put(4), put(3), position=7)
    record = TABLE_STREAM.record(raw)
    assert record.stream == "lockstep-images/stream/2026-11-21T07:00:00.000"
    assert record.shard_id == raw["eventID"]
    assert record.position == 7_000_000_000_000_000_000_007
    assert record.partition_key == "T1"
    assert record.arrived_at == ARRIVED_AT // 1000 * 1000
    assert record.holds == "table_change"
    assert msgspec.json.decode(record.data) == raw


def test_a_record_of_the_stream_of_changes_keeps_its_bytes() -> None:
    raw = table_change_on_kinesis(table_record(put(4)))
    record = TABLE_CHANGES_ON_KINESIS.record(raw)
    assert record.data == base64.b64decode(raw["kinesis"]["data"])
    assert (record.stream, record.holds) == (CHANGES_STREAM, "table_change")


def test_keys_of_another_table_still_make_a_record() -> None:
    record = table_record(put(4))
    record["dynamodb"]["Keys"] = {"n": {"N": "7"}}
    assert TABLE_STREAM.record(record).partition_key == '{"n":{"N":"7"}}'


@pytest.mark.parametrize("view", ["NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"])
def test_a_stream_that_leaves_out_what_is_needed_is_misconfigured(view: str) -> None:
    record = table_record(put(4))
    record["dynamodb"]["StreamViewType"] = view
    with pytest.raises(MisconfiguredError, match=view):
        TABLE_STREAM.record(record)


def test_records_are_told_apart_by_where_they_come_from() -> None:
    change_on_kinesis = table_change_on_kinesis(table_record(put(4)))
    assert envelope_of([table_record(put(4))], CHANGES_STREAM) is TABLE_STREAM
    assert envelope_of([change_on_kinesis], CHANGES_STREAM) is TABLE_CHANGES_ON_KINESIS
    assert envelope_of([kinesis_record()], CHANGES_STREAM) is IMAGE_EVENTS
    assert envelope_of([], CHANGES_STREAM) is IMAGE_EVENTS


@pytest.mark.parametrize("named", [None, "", "another-stream"])
def test_content_alone_makes_no_change_of_a_table(named: str | None) -> None:
    forged = table_change_on_kinesis(table_record(put(4)))
    assert envelope_of([forged], named) is IMAGE_EVENTS
    with pytest.raises(InvalidEventError):
        IMAGE_EVENTS.change(IMAGE_EVENTS.record(forged))
