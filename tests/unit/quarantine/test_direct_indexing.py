"""What only the index's consumer has set aside: it goes to the index alone, whatever feeds it."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest

from functions.write_to_es.table_changes import TABLE_CHANGES_ON_KINESIS, TABLE_STREAM
from lockstep.quarantine.cases import ONLY_STORED, NeedsChoice
from lockstep.quarantine.failure_documents import NotADocumentError, document_in, fetch
from lockstep.quarantine.settlement import CannotSettleError, Settlement, choose, correct
from lockstep.stores.image_state import Intact, Malformed
from shared.change import Change, Purge
from shared.envelope import Envelope
from shared.horizon import HORIZON
from shared.item import item_from
from shared.outcome import Conflict, Failed, Outcome, Refused
from tests.builders import (
    ARRIVED_AT,
    TABLE_STREAM_ARN,
    change,
    image,
    image_event,
    kinesis_record,
    table_change_on_kinesis,
    table_record,
)
from tests.memory_sink import MemorySink
from tests.unit.quarantine.stand import AGE, CONSUMERS, Stand, document, states

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
    stand = Stand()
    key = stand.set_table_change_aside(wrapped(put(4), envelope), envelope)
    case = stand.only()
    assert (case.image_id, case.version, states(stand.find())) == ("T1", 4, {"T1": "Ready"})
    report = stand.apply()
    assert (report.redriven, report.put, report.indexed) == (1, 0, 1)
    assert stand.sink.stored == {"T1": change("T1", 4)}
    assert stand.stream == []
    assert stand.under("quarantine/") == []
    trace = stand.trace("redriven/" + key.removeprefix("quarantine/"))
    assert (trace["how"], trace["event"]) == ("as_it_was", None)


def test_a_change_whose_time_ends_in_a_small_z_is_shown_and_redriven() -> None:
    stand = Stand()
    item: Any = {**item_from(change("T1", 4)), "occurred_at": {"S": "2026-11-21T08:00:00z"}}
    stand.set_table_change_aside(table_record(item))
    assert b'"occurred_at":"2026-11-21T08:00:00Z"' in stand.payload_of(stand.only())
    assert stand.apply().indexed == 1
    assert stand.sink.stored["T1"].occurred_at == "2026-11-21T08:00:00z"


def test_a_purge_and_a_deletion_by_hand_keep_their_meaning() -> None:
    stand = Stand()
    purged = table_record(None, tombstone(4), position=1, by_time_to_live=True)
    removed = table_record(None, change("T2", 7), position=2)
    stand.set_table_change_aside(purged)
    stand.set_table_change_aside(removed)
    assert stand.apply().indexed == 2
    assert isinstance(stand.sink.stored["T1"], Purge)
    left = TABLE_STREAM.change(TABLE_STREAM.record(removed))
    assert stand.sink.stored["T2"] == left


def test_an_event_that_only_the_index_consumer_quarantined_is_written_directly() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 4), functions=["write_to_es"])
    assert stand.apply().indexed == 1
    assert stand.sink.stored == {"T1": change("T1", 4)}
    assert stand.stream == []


def test_an_event_that_the_table_consumer_quarantined_too_is_put_onto_the_stream() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 4))
    report = stand.apply()
    assert (report.put, report.indexed, stand.sink.stored) == (1, 0, {})
    assert [event.version for event in stand.stream] == [4]


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (Refused("no"), "refused_by_store"),
        (Failed("later"), "not_for_now"),
        (Conflict("taken"), "conflict"),
    ],
)
def test_a_record_that_the_index_does_not_accept_stays(outcome: Outcome, word: str) -> None:
    stand = Stand(sink=MemorySink(always={"T1": outcome}))
    key = stand.set_table_change_aside(put(4, position=1))
    stand.set_table_change_aside(table_record(change("T2", 4), position=2))
    report = stand.apply()
    assert (report.redriven, report.kept) == (1, {word: 1})
    assert stand.under("quarantine/") == [key]


def test_a_newer_version_in_the_index_settles_the_record() -> None:
    stand = Stand()
    stand.sink.stored["T1"] = change("T1", 9)
    stand.set_table_change_aside(put(4))
    assert stand.apply().redriven == 1
    assert stand.sink.versions == {"T1": 9}


def chosen(stand: Stand, what: Literal["this", "stored"] = "stored") -> Settlement:
    case = stand.only()
    return choose(what, case, stand.payload_of(case), stand.stores, now=stand.now)


def test_a_conflict_that_is_over_is_filed() -> None:
    for stored in (change("T1", 4), change("T1", 9)):
        stand = Stand()
        stand.sink.stored["T1"] = stored
        stand.set_aside(image_event("T1", 4), functions=["write_to_es"], reason="conflict")
        assert stand.apply().redriven == 1
        assert (stand.stream, stand.under("quarantine/")) == ([], [])
        assert stand.sink.stored["T1"] == stored


def lasting_conflict() -> Stand:
    stand = Stand()
    stand.sink.stored["T1"] = change("T1", 4, image=image("in the index"))
    stand.set_aside(image_event("T1", 4), functions=["write_to_es"], reason="conflict")
    assert (stand.apply().redriven, dict(stand.apply().kept)) == (0, {"conflict": 1})
    return stand


def test_a_conflict_that_lasts_is_settled_by_the_tables_content_at_its_version() -> None:
    stand = lasting_conflict()
    stand.item("T1", 4, image=image("in the table"))
    report = stand.redrive.settle([chosen(stand)], {})
    assert (report.redriven, report.put, report.indexed) == (1, 0, 1)
    assert stand.sink.stored["T1"] == change("T1", 4, image=image("in the table"))
    assert (stand.stream, stand.under("quarantine/")) == ([], [])
    (key,) = stand.under("redriven/write_to_es/")
    assert (stand.trace(key)["how"], stand.trace(key)["event"]) == ("chose_stored", None)


def test_choosing_stored_never_lowers_a_version_and_removes_nothing() -> None:
    stand = lasting_conflict()
    stand.item("T1", 3)
    settlement = chosen(stand)
    assert "the table's version 3, unless it has a higher one" in settlement.note
    assert stand.redrive.settle([settlement], {}).redriven == 1
    assert stand.sink.versions == {"T1": 4}
    stand = lasting_conflict()
    settlement = chosen(stand)
    assert "the table has nothing" in settlement.note
    assert stand.redrive.settle([settlement], {}).redriven == 1
    assert stand.sink.versions == {"T1": 4}


def test_the_tables_deletion_is_given_to_the_index_unless_it_has_expired() -> None:
    stand = lasting_conflict()
    deleted = tombstone(5)
    stand.items["T1"] = Intact(deleted, 5)
    stand.redrive.settle([chosen(stand)], {})
    assert stand.sink.stored["T1"] == deleted
    stand = lasting_conflict()
    stand.items["T1"] = Intact(deleted, 5)
    stand.now += HORIZON.total_seconds()
    stand.redrive.settle([chosen(stand)], {})
    assert stand.sink.versions == {"T1": 4}


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(Refused("no"), "refused_by_store"), (Failed("later"), "not_for_now")],
)
def test_if_the_index_does_not_take_the_tables_content_the_object_stays(
    outcome: Outcome, word: str
) -> None:
    stand = Stand(sink=MemorySink(always={"T1": outcome}))
    keys = stand.set_aside(image_event("T1", 4), functions=["write_to_es"], reason="conflict")
    stand.item("T1", 4)
    report = stand.redrive.settle([chosen(stand)], {})
    assert (report.redriven, report.kept) == (0, {word: 1})
    assert stand.under("quarantine/") == keys


def test_a_malformed_item_in_the_table_is_not_given_to_the_index() -> None:
    stand = lasting_conflict()
    stand.items["T1"] = Malformed("no version", None, 0)
    report = stand.redrive.settle([chosen(stand)], {})
    assert (report.redriven, report.kept) == (0, {"refused_by_store": 1})


def not_valid(stand: Stand) -> None:
    stand.set_aside(b"{", functions=["write_to_es"], partition_key="T1")


def too_old(stand: Stand) -> None:
    stand.set_aside(image_event("T1", 4), functions=["write_to_es"])
    stand.now += AGE.total_seconds()


def malformed(stand: Stand) -> None:
    bad = {**item_from(change("T1", 4)), "version": {"NS": ["4"]}}
    stand.set_table_change_aside(table_record(bad))  # type: ignore[arg-type]  # no item of ours


@pytest.mark.parametrize("set_aside", [not_valid, too_old, malformed])
def test_what_cannot_be_tried_on_the_index_stays_until_stored_is_chosen(
    set_aside: Callable[[Stand], None],
) -> None:
    stand = Stand()
    set_aside(stand)
    case = stand.only()
    assert isinstance(case.verdict, NeedsChoice)
    assert case.verdict.why.endswith(ONLY_STORED)
    assert dict(stand.apply().kept) == {"choose": 1}
    stand.item("T1", 7)
    assert stand.redrive.settle([chosen(stand)], {}).redriven == 1
    assert (stand.sink.versions, stand.stream) == ({"T1": 7}, [])
    assert stand.under("quarantine/") == []


@pytest.mark.parametrize("key", ["\x00", "a/b", "é" * 100])
def test_a_record_whose_image_is_unknown_is_filed_and_writes_nothing(key: str) -> None:
    stand = Stand()
    stand.set_aside(b"{", functions=["write_to_es"], partition_key=key)
    settlement = chosen(stand)
    assert "its image is unknown" in settlement.note
    assert stand.redrive.settle([settlement], {}).redriven == 1
    assert (stand.sink.stored, stand.stream, stand.under("quarantine/")) == ({}, [], [])


def test_this_and_a_correction_are_refused_because_they_would_reach_the_table() -> None:
    for event, reason in ((image_event("T1", 4), "conflict"), (b"{", "schema")):
        stand = Stand()
        keys = stand.set_aside(event, functions=["write_to_es"], reason=reason)  # type: ignore[arg-type]
        case = stand.only()
        with pytest.raises(CannotSettleError) as refused:
            chosen(stand, "this")
        assert str(refused.value) == f"{case.id}: {ONLY_STORED}"
        said = msgspec.Raw(msgspec.json.encode(image_event(case.image, 5)))
        with pytest.raises(CannotSettleError) as refused:
            correct(case, stand.payload_of(case), said, stand.stores, now=stand.now)
        assert str(refused.value) == f"{case.id}: {ONLY_STORED}"
        assert stand.under("quarantine/") == keys


@ENVELOPES
def test_a_discarded_batch_is_split_and_written_directly(
    envelope: Envelope,
) -> None:
    stand = Stand()
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
