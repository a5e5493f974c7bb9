"""Discarding: the objects move with reason and person, and nothing else happens."""

from typing import Any

import msgspec
import pytest

from lockstep.quarantine.bucket import images
from lockstep.quarantine.discarding import Discarder, DiscardReport
from lockstep.replay.settled import QuarantineOfTheUnsettled
from shared.quarantine import QuarantinedRecord
from tests.builders import CHANGES_STREAM, clock, image_event, kinesis_records
from tests.unit.quarantine.stand import TABLE_MAPPING, Crash, MemoryObjects, Stand, document

REASON, PERSON = "the source deleted it", "arn:aws:iam::111122223333:user/ann"


def discarding(stand: Stand) -> Discarder:
    return Discarder(
        stand.objects,
        TABLE_MAPPING,
        clock=clock(now=lambda: stand.now),
        executor=stand.executor,
        changes_stream=CHANGES_STREAM,
    )


def discard(stand: Stand, reason: str = REASON, by: str = PERSON) -> DiscardReport:
    found = stand.find()
    return discarding(stand).discard(found.cases, found.fetched, reason=reason, by=by)


def trace_at(stand: Stand, key: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(stand.objects.kept[key])
    return found


def test_a_discarded_record_moves_with_reason_and_person_and_reaches_no_store() -> None:
    stand = Stand()
    keys = stand.set_aside(image_event("T1", 7), reason="conflict")
    before = {key: msgspec.json.decode(stand.objects.kept[key]) for key in keys}
    report = discard(stand)
    assert (report.discarded, report.objects) == (1, 2)
    assert (stand.stream, stand.sink.stored, stand.under("quarantine/")) == ([], {}, [])
    for key in keys:
        found = trace_at(stand, key.replace("quarantine/", "discarded/"))
        trace = found.pop("discarded")
        assert (trace["reason"], trace["by"]) == (REASON, PERSON)
        assert trace["at"].startswith("20")
        assert found == before[key]
    assert stand.find().cases == []
    assert list(images(stand.objects, TABLE_MAPPING)) == []


@pytest.mark.parametrize("writes", range(6))
def test_after_a_crash_at_any_step_the_record_is_somewhere_and_is_discarded_again(
    writes: int,
) -> None:
    stand = Stand()
    keys = stand.set_aside(image_event("T1", 7), reason="conflict")
    stand.objects.crash_after = writes
    try:
        discard(stand)
    except Crash:
        kept = stand.objects.kept
        assert all(key in kept or key.replace("quarantine/", "discarded/") in kept for key in keys)
    else:
        assert writes == 5, "a note, two copies and two deletions"
    stand.objects.crash_after = None
    discard(stand, "another reason", "somebody else")
    assert (stand.find().cases, stand.under("quarantine/"), stand.stream) == ([], [], [])
    found = [trace_at(stand, key)["discarded"]["reason"] for key in stand.under("discarded/")]
    assert len(found) == 2
    if writes >= 3:  # both copies were durable: the first reason stays
        assert found == [REASON, REASON]


def test_two_people_discard_a_record_at_once_and_the_first_reason_stays() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), reason="conflict")
    first, second = stand.find(), stand.find()
    discarding(stand).discard(first.cases, {}, reason=REASON, by=PERSON)
    late = discarding(stand).discard(second.cases, {}, reason="late", by="bob")
    assert (late.discarded, late.moved_meanwhile) == (0, 1)
    assert {trace_at(stand, key)["discarded"]["by"] for key in stand.under("discarded/")} == {
        PERSON
    }


class Second(MemoryObjects):
    """Somebody else discards the record after the first one has read it."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Any = None

    def write(self, key: str, body: bytes) -> None:
        super().write(key, body)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()


def test_somebody_may_discard_or_redrive_the_record_between_two_steps() -> None:
    objects = Second()
    stand = Stand(objects=objects)
    stand.set_aside(image_event("T1", 7), partition_key="T9", reason="partition_key")
    found = stand.find()
    objects.meanwhile = lambda: discard(stand, "first", "bob")
    discarding(stand).discard(found.cases, {}, reason=REASON, by=PERSON)
    assert {trace_at(stand, key)["discarded"]["by"] for key in stand.under("discarded/")} == {"bob"}

    stand.set_aside(image_event("T2", 7), partition_key="T9", reason="partition_key", position=2)
    found = stand.find()
    objects.meanwhile = lambda: stand.redrive.put_back(found.cases, {})
    discarding(stand).discard(found.cases, {}, reason=REASON, by=PERSON)
    # Both happened, and both are told.
    assert [one.image_id for one in stand.stream] == ["T2"]
    moved = {key.partition("/")[2] for key in stand.under("redriven/write")}
    assert len(moved) == 2
    assert moved < {key.partition("/")[2] for key in stand.under("discarded/write")}
    assert stand.find().cases == []


def give_up(stand: Stand) -> None:
    """The event source mapping of the table's consumer discards a batch of two records."""
    records = kinesis_records(image_event("T1", 7), image_event("T2", 8))
    stand.objects.kept[f"aws/lambda/{TABLE_MAPPING}/1"] = msgspec.json.encode(document(*records))


def test_a_record_of_a_failure_document_is_discarded_and_the_others_stay() -> None:
    stand = Stand()
    give_up(stand)
    found = stand.find()
    one = next(case for case in found.cases if case.image == "T1")
    discarding(stand).discard([one], {}, reason=REASON, by=PERSON)
    assert [case.image for case in stand.find().cases] == ["T2"]
    # Lambda may write the same document again.
    give_up(stand)
    assert [case.image for case in stand.find().cases] == ["T2"]
    stand.redrive.put_back(stand.find().cases, {})
    assert [event.image_id for event in stand.stream] == ["T2"]
    assert stand.find().cases == []


def test_a_replay_does_not_quarantine_a_discarded_record_again() -> None:
    stand = Stand()
    (key,) = stand.set_aside(b"{", functions=["write_to_dynamodb"], partition_key="T1")
    held = msgspec.json.decode(stand.objects.kept[key], type=QuarantinedRecord)
    discard(stand)
    stored: list[QuarantinedRecord] = []

    class Kept:
        longest_put = 1.0

        def put(self, record: QuarantinedRecord) -> None:
            stored.append(record)

    quarantine = QuarantineOfTheUnsettled(Kept(), stand.objects)
    quarantine.put(held)
    # Also for the index: the record of the table's consumer decides about both.
    quarantine.put(msgspec.structs.replace(held, function="write_to_es"))
    assert (stored, quarantine.redriven) == ([], 2)
    other = msgspec.structs.replace(held, sequence_number="99")
    quarantine.put(other)
    assert stored == [other]


def test_a_record_that_is_quarantined_again_after_its_discard_is_discarded_again() -> None:
    stand = Stand()
    for _ in range(2):
        stand.set_aside(image_event("T1", 7), reason="conflict")
        assert discard(stand).discarded == 1
    assert len(stand.under("discarded/")) == 2


def test_a_forged_object_does_not_replace_a_discarded_one_of_its_position() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=["write_to_es"], reason="conflict")
    discard(stand)
    (first,) = stand.under("discarded/")
    true = stand.objects.kept[first]
    stand.set_aside(image_event("T1", 8), functions=["write_to_es"], reason="conflict")
    case = stand.only()
    discard(stand)
    assert stand.objects.kept[first] == true
    (second,) = set(stand.under("discarded/")) - {first}
    assert second == f"{first.removesuffix('.json')}-{case.id}.json"
    assert stand.find().cases == []


def test_an_object_that_was_replaced_since_it_was_listed_stays() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=["write_to_dynamodb"], reason="conflict")
    found = stand.find()
    stand.objects.kept.clear()
    stand.set_aside(image_event("T1", 8), functions=["write_to_dynamodb"], reason="conflict")
    report = discarding(stand).discard(found.cases, {}, reason=REASON, by=PERSON)
    assert (report.discarded, report.changed_meanwhile) == (0, 1)
    assert [case.version for case in stand.find().cases] == [8]
