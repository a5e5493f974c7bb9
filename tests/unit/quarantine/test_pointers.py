"""Pointers: records that the stream holds are redriven, and the others are reported exactly."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from lockstep.quarantine.failure_documents import (
    PATIENCE_READS,
    Fetched,
    NotADocumentError,
    document_in,
    fetch,
)
from lockstep.stream.stream import (
    AtTimestamp,
    Position,
    Records,
    ShardNotFoundError,
    StreamRecord,
    StreamUnavailableError,
)
from tests.builders import ARRIVED_AT, image_event, kinesis_record, record, sequence_number
from tests.unit.quarantine.stand import CONSUMERS, Stand, document


class Shard:
    """A shard that returns these records, two a read, and fails where the test says so."""

    def __init__(self, positions: Sequence[int], *failures: Exception) -> None:
        self.positions = list(positions)
        self.failures = list(failures)
        self.asked: list[tuple[str, Position]] = []
        self.slept = 0.0

    def reader(self, shard_id: str, position: Position) -> "Shard":
        self.asked.append((shard_id, position))
        return self

    def read(self, limit: int) -> Records:
        if self.failures:
            raise self.failures.pop(0)
        assert limit > 2
        now, self.positions = self.positions[:2], self.positions[2:]
        records = []
        for position in now:
            one = record(image_event(f"T{position}"), position=position)
            records.append(
                StreamRecord(one.sequence_number, one.partition_key, one.data, one.arrived_at)
            )
        return Records(records, behind=bool(self.positions), ended=False)

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def fetch(self, line: bytes) -> Fetched:
        return fetch(line, CONSUMERS, "lockstep-images", self.reader, self.sleep)


RECORDS = [kinesis_record(image_event(f"T{at}"), position=at) for at in range(3, 7)]
POINTER: dict[str, Any] = document(*RECORDS, payload=False)
LINE = msgspec.json.encode(POINTER)


def test_the_whole_batch_is_read_from_the_stream_and_nothing_else() -> None:
    shard = Shard(range(1, 12))
    fetched = shard.fetch(LINE)
    assert [one.sequence_number for one in fetched.records] == [
        sequence_number(at) for at in range(3, 7)
    ]
    assert fetched.gone is None
    assert shard.asked == [("shardId-000000000000", AtTimestamp(ARRIVED_AT / 1000 - 1))]


def test_fetched_records_are_redriven_once() -> None:
    stand = Stand()
    found = stand.find(pointers=[LINE, b"\n"], fetch=Shard(range(1, 12)).fetch)
    assert stand.under("quarantine/") == []
    stand.apply(found)
    assert {event.image_id for event in stand.stream} == {"T3", "T4", "T5", "T6"}
    again = stand.find(pointers=[LINE], fetch=Shard(range(1, 12)).fetch)
    assert again.cases == []


def test_fetched_records_that_another_redrive_settled_meanwhile_are_not_put() -> None:
    stand = Stand()
    found = stand.find(pointers=[LINE], fetch=Shard(range(1, 12)).fetch)
    put = stand.apply(found).put
    report = stand.apply(found)
    assert (report.redriven, report.settled_meanwhile, len(stand.stream)) == (0, put, put)
    assert stand.under("quarantine/") == []


def test_a_document_with_its_records_needs_no_stream() -> None:
    shard = Shard([])
    assert len(shard.fetch(msgspec.json.encode(document(*RECORDS))).records) == 4
    assert shard.asked == []


def test_records_that_come_with_a_pointer_never_go_onto_the_stream() -> None:
    """No key tells whose they are, and a message may name any function."""
    stand = Stand()
    whole = msgspec.json.encode(document(*RECORDS, function="Table-1"))
    found = stand.find(pointers=[whole], fetch=Shard([]).fetch)
    assert {case.functions for case in found.cases} == {("write_to_es",)}
    report = stand.apply(found)
    assert (report.indexed, report.put, stand.stream) == (4, 0, [])
    assert stand.under("redriven/write_to_dynamodb/") == []


def test_records_that_the_stream_no_longer_holds_are_reported_by_sequence_number() -> None:
    fetched = Shard([5, 6, 7]).fetch(LINE)
    assert len(fetched.records) == 2
    gone = fetched.gone
    assert gone is not None
    assert (gone.records, gone.first_sequence_number) == (2, sequence_number(3))
    assert gone.before_sequence_number == sequence_number(5)
    assert "older than the stream's retention" in str(gone)


def test_a_line_that_is_no_pointer_is_reported_and_the_next_one_is_followed() -> None:
    found = Stand().find(pointers=[b"{}", LINE], fetch=Shard([5, 6, 7]).fetch)
    (unreadable,) = found.unreadable
    assert unreadable.where == "pointer in line 1"
    assert "not a failure document" in unreadable.why
    assert [one.records for one in found.gone] == [2]
    assert [case.image_id for case in found.cases] == ["T5", "T6"]


def test_when_nothing_is_left_the_whole_range_is_gone() -> None:
    gone = Shard([]).fetch(LINE).gone
    assert gone is not None
    assert (gone.records, gone.before_sequence_number) == (4, None)
    assert gone.last_sequence_number == sequence_number(6)


def test_an_expired_shard_is_reported() -> None:
    gone = Shard([], ShardNotFoundError("no")).fetch(LINE).gone
    assert gone is not None
    assert "no longer has this shard" in gone.why


def test_a_throttled_read_is_retried() -> None:
    shard = Shard(range(1, 12), *[StreamUnavailableError("slow down")] * 3)
    assert shard.fetch(LINE).gone is None
    assert shard.slept == pytest.approx(1.5)


def test_a_stream_that_never_answers_is_an_error() -> None:
    shard = Shard([], *[StreamUnavailableError("slow down")] * PATIENCE_READS)
    with pytest.raises(StreamUnavailableError):
        shard.fetch(LINE)


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


@pytest.mark.parametrize(
    "message",
    [
        {"MessageId": "1", "Body": text(POINTER)},
        {"Type": "Notification", "Message": text(POINTER)},
        {"body": text({"Type": "Notification", "Message": text(POINTER)})},
    ],
)
def test_messages_of_sqs_and_sns_are_unwrapped(message: dict[str, Any]) -> None:
    assert document_in(msgspec.json.encode(message)) == document_in(LINE)


OTHER = POINTER | {"KinesisBatchInfo": POINTER["KinesisBatchInfo"] | {"streamArn": "a/other"}}
NUMBERS = POINTER | {"KinesisBatchInfo": POINTER["KinesisBatchInfo"] | {"endSequenceNumber": "x"}}


@pytest.mark.parametrize(
    "line",
    [b"\xff", b"{}", b"[]", b'{"Body": 1}', b"{" * 5000, text(OTHER).encode(),
     text(NUMBERS).encode()],
)  # fmt: skip
def test_a_line_that_is_not_a_pointer_is_reported(line: bytes) -> None:
    with pytest.raises(NotADocumentError):
        Shard([]).fetch(line)
    (unreadable,) = Stand().find(pointers=[b"\n", line], fetch=Shard([]).fetch).unreadable
    assert unreadable.where == "pointer in line 2"
