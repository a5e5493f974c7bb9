"""The redrive: whatever crashes, each record is put, and its object always exists."""

import datetime as dt

import msgspec
import pytest
from msgspec import Raw

from lockstep.producing.producer import PutReport, StreamRefusedError
from lockstep.quarantine.cases import Waits, Wanted
from shared.event import MAX_EVENT_BYTES, decode, encode
from shared.record import MAX_AHEAD_US
from tests.builders import ARRIVED_AT, image_event, kinesis_record, largest
from tests.unit.quarantine.stand import (
    AGE,
    DAY,
    NOTE,
    NOW,
    Crash,
    Stand,
    document,
    states,
)

DOCUMENT = "aws/lambda/uuid/shardId-000000000000/2026/11/21/2026-11-21T09.00.00-x"


def test_a_record_that_both_consumers_quarantined_is_put_once_and_both_objects_move() -> None:
    stand = Stand()
    keys = stand.set_aside(image_event("T1", 7))
    report = stand.apply()
    assert [(event.image_id, event.version) for event in stand.stream] == [("T1", 7)]
    assert (report.redriven, report.objects) == (1, 2)
    assert stand.under("quarantine/") == []
    moved = [key.replace("quarantine/", "redriven/") for key in keys]
    assert set(moved) <= set(stand.under("redriven/"))
    assert stand.trace(moved[0])["how"] == "as_it_was"


def test_finding_changes_nothing() -> None:
    stand = Stand()
    stand.set_aside()
    stand.objects.kept[DOCUMENT] = msgspec.json.encode(document(kinesis_record()))
    before = dict(stand.objects.kept)
    stand.find()
    assert (stand.objects.kept, stand.stream) == (before, [])


def test_after_a_crash_at_any_point_nothing_is_lost_and_a_repeat_finishes() -> None:
    crashes = 0
    while True:
        stand = Stand()
        stand.set_aside(image_event("T1", 7))
        records = [
            kinesis_record(image_event("T2", 8), position=2),
            kinesis_record(b"", position=3),
        ]
        stand.objects.kept[DOCUMENT] = msgspec.json.encode(document(*records))
        stand.objects.crash_after = crashes
        try:
            stand.apply()
        except Crash:
            crashes += 1
        else:
            break
        there = {case.image_id for case in stand.find().cases}
        on_stream = {event.image_id for event in stand.stream}
        assert there | on_stream >= {"T1", "T2"}
        stand.objects.crash_after = None
        stand.apply()
        assert {(event.image_id, event.version) for event in stand.stream} == {("T1", 7), ("T2", 8)}
        assert states(stand.find()) == {"T02680": "NeedsCorrection"}
        assert stand.under("aws/") == []
        assert len(stand.under("redriven/aws/")) == 1
    assert crashes > 8


def test_a_second_redrive_finds_nothing_to_do() -> None:
    stand = Stand()
    stand.set_aside()
    stand.apply()
    report = stand.apply()
    assert (report.redriven, len(stand.stream)) == (0, 1)


def test_a_record_that_another_redrive_settled_meanwhile_is_not_put() -> None:
    stand = Stand()
    stand.set_aside()
    found = stand.find()
    stand.apply(found)
    report = stand.apply(found)
    assert (report.redriven, report.settled_meanwhile, len(stand.stream)) == (0, 1, 1)


@pytest.mark.parametrize("before", range(1, 4))
def test_a_split_document_that_another_redrive_settles_meanwhile_leaves_no_object(
    before: int,
) -> None:
    stand = Stand()
    records = [kinesis_record(image_event(f"T{at}"), position=at) for at in range(1, 4)]
    stand.objects.kept[DOCUMENT] = msgspec.json.encode(document(*records))
    found = stand.find()
    write_new = stand.objects.write_new
    written: list[str] = []

    def settled_meanwhile(key: str, body: bytes) -> None:
        written.append(key)
        if len(written) == before:
            stand.objects.write_new = write_new  # type: ignore[method-assign]
            assert stand.apply(found).redriven == 3
            stand.objects.write_new = settled_meanwhile  # type: ignore[method-assign]
        write_new(key, body)

    stand.objects.write_new = settled_meanwhile  # type: ignore[method-assign]  # of this stand only
    report = stand.apply(found)
    assert (report.redriven, report.settled_meanwhile) == (0, 3)
    assert (stand.under("quarantine/"), len(stand.stream)) == ([], 3)


def test_if_the_stream_accepts_nothing_all_objects_stay() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    stand.refusal = StreamRefusedError("no such stream", PutReport(0, 0, 0.0), ())
    with pytest.raises(StreamRefusedError):
        stand.apply()
    assert len(stand.under("quarantine/")) == 2


def test_lower_versions_of_an_image_go_first() -> None:
    stand = Stand()
    for position, version in enumerate([9, 3, 6], start=1):
        stand.set_aside(image_event("T1", version), position=position)
    stand.apply()
    assert [event.version for event in stand.stream] == [3, 6, 9]


def test_the_rate_is_not_exceeded() -> None:
    stand = Stand()
    for position in range(1, 31):
        stand.set_aside(image_event(f"T{position}"), position=position)
    stand.apply(rate=10)
    assert stand.slept == pytest.approx(2.0)
    assert stand.puts == [10, 10, 10]


def test_undecodable_records_stay_with_their_reason() -> None:
    stand = Stand()
    stand.set_aside(b"{")
    report = stand.apply()
    assert (stand.stream, dict(report.kept)) == ([], {"correct": 1})
    assert "not_json" in stand.only().verdict.why


def test_a_record_with_a_wrong_key_is_redriven_with_its_image_id_as_key() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), partition_key="T9")
    stand.apply()
    assert [event.image_id for event in stand.stream] == ["T1"]


def test_a_version_too_far_ahead_can_be_redriven_when_it_no_longer_is() -> None:
    stand = Stand()
    ahead = int((NOW + 3 * DAY) * 1_000_000)
    stand.set_aside(image_event("T1", ahead))
    assert states(stand.find()) == {"T1": "Waits"}
    stand.now = NOW + 2 * DAY + 1
    assert states(stand.find()) == {"T1": "Ready"}
    assert stand.apply().redriven == 1


def test_a_record_older_than_the_quarantine_age_is_not_redriven() -> None:
    stand = Stand()
    stand.set_aside()
    stand.now = ARRIVED_AT / 1000 + AGE.total_seconds()
    assert states(stand.find()) == {"T02680": "Ready"}
    stand.now += 1
    assert states(stand.find()) == {"T02680": "TooOld"}
    assert (stand.apply().redriven, stand.stream) == (0, [])


def test_the_age_of_a_redriven_record_counts_from_its_first_arrival() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    stand.now = ARRIVED_AT / 1000 + 89 * DAY
    stand.apply()
    later = round(stand.now * 1000)
    stand.set_aside(image_event("T1", 7), position=99, arrived_at=later)
    assert states(stand.find()) == {"T1": "Ready"}
    stand.now += 2 * DAY
    assert states(stand.find()) == {"T1": "TooOld"}


NEGATIVE = b'{"records":[{"keys":[],"event":{"image_id":"T1","version":7,"arrived_at":-1}}]}'


@pytest.mark.parametrize("noted", [b"", b"\xff", b"{}", NEGATIVE, b"[" * 5000])
def test_while_a_note_cannot_be_read_no_event_is_redriven(noted: bytes) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), position=1)
    stand.set_aside(b"{", position=2)
    stand.objects.kept[NOTE] = noted
    found = stand.find()
    assert [one.where for one in found.unreadable] == [NOTE]
    assert states(found) == {"T1": "TooOld", "T02680": "NeedsCorrection"}
    assert (stand.apply(found).redriven, stand.stream) == (0, [])
    assert stand.objects.kept[NOTE] == noted


def test_a_note_is_deleted_after_it_was_listed_and_is_not_missed() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    read = stand.objects.read
    stand.objects.kept[NOTE] = b""
    stand.objects.read = lambda key: None if key == NOTE else read(key)  # type: ignore[method-assign]  # of this stand
    assert states(stand.find()) == {"T1": "Ready"}


def test_a_redrive_that_was_interrupted_writes_the_same_note_again() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    stand.refusal = StreamRefusedError("no such stream", PutReport(0, 0, 0.0), ())
    for _ in range(2):
        with pytest.raises(StreamRefusedError):
            stand.apply()
    stand.refusal = None
    assert stand.apply().redriven == 1
    assert len(stand.under("redriven/notes/")) == 1


def test_a_conflict_whose_first_arrival_is_unknown_is_too_old_for_a_choice() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), reason="conflict")
    stand.objects.kept[NOTE] = b""
    assert states(stand.find()) == {"T1": "TooOld"}


def test_a_conflict_of_the_table_waits_for_a_choice() -> None:
    stand = Stand()
    stand.set_aside(functions=["write_to_dynamodb"], reason="conflict")
    stand.set_aside(functions=["write_to_es"])
    assert states(stand.find()) == {"T02680": "NeedsChoice"}
    assert stand.apply().redriven == 0


def test_a_conflict_that_only_the_index_sees_does_not_keep_a_record_from_the_stream() -> None:
    stand = Stand()
    stand.set_aside(functions=["write_to_dynamodb"])
    stand.set_aside(functions=["write_to_es"], reason="conflict")
    assert states(stand.find()) == {"T02680": "Ready"}
    assert stand.apply().put == 1


@pytest.mark.parametrize(
    ("wanted", "images"),
    [
        (Wanted(reason="not_json"), {"T02680"}),
        (Wanted(image="T1"), {"T1"}),
        (Wanted(image="T3"), set()),
        (Wanted(ids=("nowhere",)), set()),
        (Wanted(since=dt.datetime(2026, 11, 21, 7, tzinfo=dt.UTC)), {"T1", "T02680"}),
        (Wanted(since=dt.datetime(2026, 11, 21, 9, tzinfo=dt.UTC)), set()),
        (Wanted(since=dt.datetime.fromtimestamp(ARRIVED_AT / 1000, dt.UTC)), {"T1", "T02680"}),
    ],
)
def test_only_cases_that_match_the_filter_are_found(wanted: Wanted, images: set[str]) -> None:
    stand = Stand()
    stand.set_aside(b"{")
    stand.set_aside(image_event("T1"), position=2)
    assert set(states(stand.find(wanted))) == images


def test_a_foreign_object_is_reported_and_stays() -> None:
    stand = Stand()
    stand.objects.kept["quarantine/notes.txt"] = b"\xff"
    stand.objects.kept["aws/lambda/x"] = b"{}"
    found = stand.find()
    assert [one.where for one in found.unreadable] == ["quarantine/notes.txt", "aws/lambda/x"]
    stand.apply(found)
    assert len(stand.objects.kept) == 2


@pytest.mark.parametrize("arrived_at", [10**17, -(10**17), pytest.param(10**400, id="")])
def test_an_object_with_an_impossible_arrival_time_is_foreign(arrived_at: int) -> None:
    stand = Stand()
    (key,) = stand.set_aside(functions=["write_to_es"])
    held = msgspec.json.decode(stand.objects.kept[key])
    stand.objects.kept[key] = msgspec.json.encode(held | {"arrived_at": Raw(b"%d" % arrived_at)})
    assert [one.where for one in stand.find().unreadable] == [key]


def test_an_object_that_somebody_moved_is_settled_under_its_new_key() -> None:
    stand = Stand()
    (key,) = stand.set_aside(functions=["write_to_dynamodb"])
    elsewhere = "write_to_dynamodb/elsewhere.json"
    stand.objects.kept[f"quarantine/{elsewhere}"] = stand.objects.kept.pop(key)
    assert stand.apply().redriven == 1
    assert stand.under("quarantine/") == []
    assert stand.objects.read(f"redriven/{elsewhere}") is not None


def test_an_object_whose_key_names_no_consumer_is_reported_and_stays() -> None:
    stand = Stand()
    (key,) = stand.set_aside(functions=["write_to_dynamodb"])
    stand.objects.kept["quarantine/elsewhere.json"] = stand.objects.kept.pop(key)
    (unreadable,) = stand.find().unreadable
    assert unreadable.where == "quarantine/elsewhere.json"
    assert "its key names no consumer: move it to quarantine/write_to_dyn" in unreadable.why
    assert (stand.apply().redriven, stand.stream) == (0, [])


def test_a_document_and_an_object_of_the_same_record_are_one_case() -> None:
    stand = Stand()
    stand.set_aside(functions=["write_to_es"])
    stand.objects.kept[DOCUMENT] = msgspec.json.encode(document(kinesis_record()))
    assert stand.only().functions == ("write_to_dynamodb", "write_to_es")
    stand.apply()
    assert (len(stand.stream), stand.under("quarantine/"), stand.under("aws/")) == (1, [], [])


def test_a_document_whose_payload_is_a_text_is_read_too() -> None:
    stand = Stand()
    said = document(kinesis_record(image_event("T1", 7)))
    said["payload"] = msgspec.json.encode(said["payload"]).decode()
    stand.objects.kept[DOCUMENT] = msgspec.json.encode(said)
    stand.apply()
    assert [event.image_id for event in stand.stream] == ["T1"]


@pytest.mark.parametrize("payload", [None, 1, "{", "", {"Records": 1}, {"Records": [{}]}])
def test_a_document_with_another_payload_is_passed_over(payload: object) -> None:
    stand = Stand()
    said = document(kinesis_record()) | {"payload": payload}
    stand.objects.kept[DOCUMENT] = msgspec.json.encode(said)
    assert len(stand.find().unreadable) == 1
    stand.apply()
    assert list(stand.objects.kept) == [DOCUMENT]


def test_a_record_of_the_largest_size_is_redriven_byte_for_byte() -> None:
    stand = Stand()
    large = largest("T1", occurred_at="2026-11-21T08:00:00.1Z")
    assert len(encode(decode(large))) > MAX_EVENT_BYTES
    stand.set_aside(large, partition_key="T1", position=1)
    stand.set_aside(image_event("T2"), position=2)
    assert stand.apply().redriven == 2
    assert {record.image_id for record in stand.sent} == {"T1", "T2"}
    assert large in [record.data for record in stand.sent]


def test_a_ready_record_is_accepted_by_the_producer_to_the_millisecond() -> None:
    stand = Stand()
    stand.now = NOW + 0.0009
    version = int(NOW * 1_000_000) + MAX_AHEAD_US
    stand.set_aside(image_event("T1", version), position=1)
    stand.set_aside(image_event("T2", version + 1), position=2)
    assert states(stand.find()) == {"T1": "Ready", "T2": "Waits"}
    assert stand.apply().redriven == 1
    waits = stand.only().verdict
    assert isinstance(waits, Waits)
    stand.now = dt.datetime.fromisoformat(waits.until).timestamp()
    assert stand.apply().redriven == 1
