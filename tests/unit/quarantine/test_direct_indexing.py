"""Redrive where the table feeds the index: what the stream would not bring is written directly."""

from typing import Any

import msgspec
import pytest

from functions.write_to_es.table_changes import TABLE_CHANGES_ON_KINESIS, TABLE_STREAM
from lockstep.quarantine.cases import NeedsChoice, NeedsCorrection, Ready, TooOld
from lockstep.quarantine.failure_documents import NotADocumentError, document_in, fetch
from lockstep.quarantine.settlement import choose, correct
from shared.change import Change, Purge
from shared.envelope import Envelope
from shared.item import item_from
from shared.outcome import Conflict, Failed, Outcome, Refused
from tests.builders import (
    ARRIVED_AT,
    TABLE_STREAM_ARN,
    change,
    image_event,
    kinesis_record,
    table_change_on_kinesis,
    table_record,
)
from tests.memory_sink import MemorySink
from tests.unit.quarantine.stand import AGE, CONSUMERS, DAY, Stand, content, document

OLD = ARRIVED_AT * 1000  # a stamp
ENVELOPES = pytest.mark.parametrize(
    "envelope", [TABLE_STREAM, TABLE_CHANGES_ON_KINESIS], ids=["table stream", "over Kinesis"]
)


def put(version: int, **place: Any) -> dict[str, Any]:
    return table_record(change("T1", version), **place)


def tombstone(version: int) -> Change:
    return change("T1", version, "image.deleted")


def wrapped(raw: dict[str, Any], envelope: Envelope, position: int = 1) -> dict[str, Any]:
    return raw if envelope is TABLE_STREAM else table_change_on_kinesis(raw, position=position)


@ENVELOPES
def test_a_change_of_the_table_is_written_directly_to_the_index(envelope: Envelope) -> None:
    stand = Stand(fed_from_table=True)
    key = stand.set_table_change_aside(wrapped(put(4), envelope), envelope)
    case = stand.only()
    assert (case.image_id, case.version, case.verdict) == ("T1", 4, Ready())
    report = stand.apply()
    assert (report.redriven, report.put, report.indexed) == (1, 0, 1)
    assert stand.sink.stored == {"T1": change("T1", 4)}
    assert stand.stream == []
    assert stand.under("quarantine/") == []
    trace = stand.trace("redriven/" + key.removeprefix("quarantine/"))
    assert (trace["how"], trace["event"]) == ("as_it_was", None)


def test_a_change_of_the_table_is_written_directly_also_after_the_route_was_changed_back() -> None:
    stand = Stand(fed_from_table=False)
    stand.set_table_change_aside(put(4))
    assert stand.apply().indexed == 1
    assert stand.stream == []


def test_a_change_whose_time_ends_in_a_small_z_is_shown_and_redriven() -> None:
    stand = Stand(fed_from_table=True)
    item: Any = {**item_from(change("T1", 4)), "occurred_at": {"S": "2026-11-21T08:00:00z"}}
    stand.set_table_change_aside(table_record(item))
    assert b'"occurred_at":"2026-11-21T08:00:00Z"' in stand.payload_of(stand.only())
    assert stand.apply().indexed == 1
    assert stand.sink.stored["T1"].occurred_at == "2026-11-21T08:00:00z"


def test_a_purge_and_a_deletion_by_hand_keep_their_meaning() -> None:
    stand = Stand(fed_from_table=True)
    purged = table_record(None, tombstone(4), position=1, by_time_to_live=True)
    removed = table_record(None, change("T2", 7), position=2)
    stand.set_table_change_aside(purged)
    stand.set_table_change_aside(removed)
    assert stand.apply().indexed == 2
    assert isinstance(stand.sink.stored["T1"], Purge)
    left = TABLE_STREAM.change(TABLE_STREAM.record(removed))
    assert stand.sink.stored["T2"] == left


def test_an_event_that_only_the_index_consumer_quarantined_is_written_directly() -> None:
    stand = Stand(fed_from_table=True)
    stand.set_aside(image_event("T1", 4), functions=["write_to_es"])
    assert stand.apply().indexed == 1
    assert stand.sink.stored == {"T1": change("T1", 4)}
    assert stand.stream == []


def test_an_event_that_the_table_consumer_quarantined_too_is_put_onto_the_stream() -> None:
    stand = Stand(fed_from_table=True)
    stand.set_aside(image_event("T1", 4))
    report = stand.apply()
    assert (report.put, report.indexed, stand.sink.stored) == (1, 0, {})
    assert [event.version for event in stand.stream] == [4]


def test_an_event_is_put_onto_the_stream_if_the_stream_feeds_the_index() -> None:
    stand = Stand(fed_from_table=False)
    stand.set_aside(image_event("T1", 4), functions=["write_to_es"])
    assert (stand.apply().put, stand.sink.stored) == (1, {})


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Refused("no"), "refused_by_store"),
        (Failed("later"), "not_for_now"),
        (Conflict("taken"), "conflict"),
    ],
)
def test_a_record_that_the_index_does_not_accept_stays(outcome: Outcome, word: str) -> None:
    stand = Stand(fed_from_table=True, sink=MemorySink(always={"T1": outcome}))
    key = stand.set_table_change_aside(put(4, position=1))
    stand.set_table_change_aside(table_record(change("T2", 4), position=2))
    report = stand.apply()
    assert (report.redriven, report.kept) == (1, {word: 1})
    assert stand.under("quarantine/") == [key]


def test_a_newer_version_in_the_index_settles_the_record() -> None:
    stand = Stand(fed_from_table=True)
    stand.sink.stored["T1"] = change("T1", 9)
    stand.set_table_change_aside(put(4))
    assert stand.apply().redriven == 1
    assert stand.sink.versions == {"T1": 9}


def test_a_change_that_is_too_old_is_not_redriven() -> None:
    stand = Stand(fed_from_table=True)
    stand.set_table_change_aside(put(4))
    stand.now += AGE.total_seconds() + DAY
    assert isinstance(stand.only().verdict, TooOld)
    assert stand.apply().redriven == 0


def test_a_malformed_item_stays_until_it_is_corrected() -> None:
    stand = Stand(fed_from_table=True)
    bad = {**item_from(change("T1", 4)), "version": {"NS": ["4"]}}
    stand.set_table_change_aside(table_record(bad))  # type: ignore[arg-type]  # no item of ours
    case = stand.only()
    assert isinstance(case.verdict, NeedsCorrection)
    assert "malformed: NewImage: unexpected type NS" in case.verdict.why
    said = msgspec.Raw(msgspec.json.encode(image_event("T1", 5)))
    settlement = correct(case, stand.payload_of(case), said, stand.stores, now=stand.now)
    assert stand.redrive.settle([settlement], {}).put == 1
    assert [(event.image_id, event.version) for event in stand.stream] == [("T1", 5)]


def test_a_conflict_is_settled_by_an_event_for_both_stores() -> None:
    stand = Stand(fed_from_table=True)
    stand.set_table_change_aside(put(OLD), reason="conflict")
    stand.table["T1"] = content("T1", OLD)
    stand.index["T1"] = content("T1", OLD, image={"name": "something else"})
    case = stand.only()
    assert isinstance(case.verdict, NeedsChoice)
    settlement = choose("this", case, stand.payload_of(case), stand.stores, now=stand.now)
    stand.redrive.settle([settlement], {})
    ((_, version),) = [(event.image_id, event.version) for event in stand.stream]
    assert version > OLD


@ENVELOPES
def test_a_discarded_batch_is_split_and_written_directly(
    envelope: Envelope,
) -> None:
    stand = Stand(fed_from_table=True)
    raws = [
        wrapped(table_record(change(f"T{number}", 4), position=number), envelope, number)
        for number in (1, 2)
    ]
    stand.objects.kept["aws/lambda/m/s/d"] = msgspec.json.encode(given_up(raws, envelope))
    found = stand.find()
    assert sorted((case.image, case.reasons) for case in found.cases) == [
        ("T1", ("given_up",)),
        ("T2", ("given_up",)),
    ]
    assert stand.apply(found).indexed == 2
    assert stand.sink.versions == {"T1": 4, "T2": 4}
    assert stand.under("quarantine/") == stand.under("aws/lambda/") == []


def test_a_pointer_into_a_tables_stream_is_reported_and_skipped() -> None:
    pointer = given_up([put(4)], TABLE_STREAM)
    del pointer["payload"]
    with pytest.raises(NotADocumentError, match="only a document in S3 holds"):
        fetch(msgspec.json.encode(pointer), CONSUMERS, "s", unreachable, unreachable)


def test_a_document_without_a_batch_is_not_a_failure_document() -> None:
    nothing = given_up([put(4)], TABLE_STREAM)
    del nothing["DDBStreamBatchInfo"]
    with pytest.raises(NotADocumentError, match="names no batch"):
        document_in(msgspec.json.encode(nothing))


def given_up(raws: list[dict[str, Any]], envelope: Envelope) -> dict[str, Any]:
    if envelope is not TABLE_STREAM:
        return document(*raws, function="Index-1")
    said = document(kinesis_record(), function="Index-1")
    batch = said.pop("KinesisBatchInfo") | {"streamArn": TABLE_STREAM_ARN}
    return said | {"DDBStreamBatchInfo": batch, "payload": {"Records": raws}}


def unreachable(*_: object) -> Any:
    raise AssertionError("nothing is to be read")
