"""How the objects and failure documents of one record become one case."""

import hashlib

import msgspec

from lockstep.quarantine.cases import NeedsChoice
from shared.quarantine import TABLE_CONSUMER
from tests.builders import ARRIVED_AT, image_event, kinesis_record, sequence_number
from tests.unit.quarantine.stand import TABLE_MAPPING, Stand, document

# The key of a failure document of the table's event source mapping.
DOCUMENT = "aws/lambda/{}/shardId-000000000000/2026/11/21/2026-11-21T09.00.00-x"
EVENT = image_event("T1", 7)


def test_the_id_of_a_case_is_made_of_its_place_and_its_payload() -> None:
    stand = Stand()
    stand.set_aside(EVENT, position=3)
    payload = hashlib.sha256(msgspec.json.encode(EVENT)).hexdigest()
    place = f"lockstep-images/shardId-000000000000/{sequence_number(3)}/{payload}"
    assert stand.only().id == hashlib.sha256(place.encode()).hexdigest()[:10]


def with_document(stand: Stand, event: dict[str, object] = EVENT) -> str:
    key = DOCUMENT.format(TABLE_MAPPING)
    stand.objects.kept[key] = msgspec.json.encode(document(kinesis_record(event)))
    return key


def test_a_record_in_an_object_and_in_a_failure_document_is_one_case() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    where = with_document(stand)
    case = stand.only()
    assert case.functions == (TABLE_CONSUMER,)
    assert case.reasons == ("refused_by_store", "given_up")
    assert (case.keys, case.documents) == ((key,), (where,))


def test_a_record_that_was_redriven_and_is_in_quarantine_again_is_still_in_its_document() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    stand.objects.kept[key.replace("quarantine/", "redriven/")] = b"{}"
    where = with_document(stand)
    assert stand.only().documents == (where,)
    del stand.objects.kept[key]
    assert stand.find().cases == []


def moved(stand: Stand, key: str, **fields: object) -> str:
    """Somebody has copied the object, and an earlier release has written it."""
    whole = msgspec.json.decode(stand.objects.kept[key])
    other = key.replace(".json", "x.json")
    stand.objects.kept[other] = msgspec.json.encode(whole | fields)
    return other


def test_of_two_objects_of_a_record_a_choice_and_the_first_arrival_are_kept() -> None:
    stand = Stand()
    (key,) = stand.set_aside(EVENT, functions=[TABLE_CONSUMER])
    fields = {"reason": "conflict", "detail": "taken", "arrived_at": ARRIVED_AT - 5}
    other = moved(stand, key, **fields)
    case = stand.only()
    assert case.keys == (key, other)
    assert (case.verdict, case.detail) == (NeedsChoice("taken"), "taken")
    assert case.arrived_at == ARRIVED_AT - 5


def test_a_first_arrival_that_cannot_be_read_is_reported_with_the_reason() -> None:
    stand = Stand()
    stand.set_aside(EVENT)
    where = "redriven/first-arrival/T1/7.json"
    stand.objects.kept[where] = b"{"
    (unreadable,) = stand.find().unreadable
    assert unreadable.where == where
    assert unreadable.why.startswith("not a first arrival: ")
