"""Forged quarantine: what the index's role can write never reaches the table by itself.

The role may put any object under `quarantine/write_to_es/`, and any failure document that is not of
the table's mapping. The table is written only by what is put onto the stream.
"""

from typing import Any

import msgspec
import pytest

from tests.builders import image_event, kinesis_record
from tests.unit.quarantine.stand import TABLE_MAPPING, Stand, document

DELETION = image_event("T1", 9, "image.deleted")


def forge(stand: Stand, event: dict[str, Any] | bytes, **said: Any) -> str:
    """Put an object as the index's role can: under its own key, with any text."""
    place = {name: said.pop(name) for name in ("position", "partition_key") if name in said}
    before = dict(stand.objects.kept)
    (key,) = stand.set_aside(event, functions=["write_to_es"], **place)
    body = msgspec.json.decode(stand.objects.kept[key]) | said
    stand.objects.kept = before | {key: msgspec.json.encode(body)}
    return key


@pytest.mark.parametrize("function", ["write_to_dynamodb", "write_to_es", "write_to_everything"])
def test_a_body_that_names_the_tables_consumer_does_not_reach_the_table(function: str) -> None:
    stand = Stand()
    forge(stand, DELETION, function=function)
    report = stand.apply()
    assert (stand.stream, report.put, report.indexed) == ([], 0, 1)
    assert stand.only_side() == ("write_to_es",)


def test_a_forged_object_at_the_position_of_a_record_of_the_table_is_a_case_of_its_own() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=["write_to_dynamodb"])
    forge(stand, DELETION)
    cases = stand.find().cases
    assert len({case.id for case in cases}) == 2
    assert [case.functions for case in sorted(cases, key=lambda one: one.version or 0)] == [
        ("write_to_dynamodb",),
        ("write_to_es",),
    ]
    stand.apply()
    assert [(event.type, event.version) for event in stand.stream] == [("image.uploaded", 7)]


@pytest.mark.parametrize(
    "said",
    [
        {"reason": "conflict"},
        {"holds": "table_change"},
        {"arrived_at": 0},
        {"function": "write_to_dynamodb", "image_id": "T9", "partition_key": "T9"},
    ],
)
def test_a_copy_of_a_record_of_the_table_does_not_keep_it_from_the_stream(
    said: dict[str, Any],
) -> None:
    """The same payload is the same case; the object of the table decides what it is."""
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=["write_to_dynamodb"])
    forge(stand, image_event("T1", 7), **said)
    (case,) = stand.find().cases
    assert case.functions == ("write_to_dynamodb", "write_to_es")
    stand.apply()
    assert [(event.image_id, event.version) for event in stand.stream] == [("T1", 7)]
    assert stand.under("quarantine/") == []


def test_an_object_that_is_replaced_between_finding_and_applying_is_left() -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7), functions=["write_to_dynamodb"])
    key = forge(stand, image_event("T1", 7))
    found = stand.find()
    forge(stand, DELETION, function="write_to_dynamodb")
    stand.apply(found)
    assert [(event.type, event.version) for event in stand.stream] == [("image.uploaded", 7)]
    assert stand.under("quarantine/") == [key]


def test_when_the_record_of_the_table_is_settled_meanwhile_its_copy_is_not_put() -> None:
    stand = Stand()
    (key,) = stand.set_aside(image_event("T1", 7), functions=["write_to_dynamodb"])
    forge(stand, image_event("T1", 7))
    found = stand.find()
    del stand.objects.kept[key]
    assert (stand.apply(found).settled_meanwhile, stand.stream) == (1, [])


@pytest.mark.parametrize("mapping", ["of-the-index", "gone", "uuid-of-another", ""])
@pytest.mark.parametrize("function", ["Table-1", "write_to_dynamodb", "Index-1"])
def test_a_forged_document_is_taken_apart_under_the_prefix_of_the_index(
    mapping: str, function: str
) -> None:
    stand = Stand()
    records = [
        kinesis_record(DELETION, position=1),
        kinesis_record(b"{", position=2),
    ]
    body = msgspec.json.encode(document(*records, function=function))
    stand.objects.kept[f"aws/lambda/{mapping}/shard/x"] = body
    report = stand.apply()
    assert (stand.stream, report.put, report.indexed) == ([], 0, 1)
    assert stand.under("quarantine/write_to_dynamodb/") == []
    assert len(stand.under("quarantine/write_to_es/")) == 1
    assert stand.apply().redriven == 0


def test_an_object_named_as_the_tables_mapping_does_not_reach_the_table() -> None:
    """The template's policy denies the index's role `aws/lambda/UUID/*`, not `aws/lambda/UUID`."""
    stand = Stand()
    body = msgspec.json.encode(document(kinesis_record(DELETION), function="Table-1"))
    stand.objects.kept[f"aws/lambda/{TABLE_MAPPING}"] = body
    report = stand.apply()
    assert (stand.stream, report.put, report.indexed) == ([], 0, 1)
    assert stand.under("redriven/write_to_dynamodb/") == []


def test_a_document_of_the_tables_mapping_goes_back_onto_the_stream() -> None:
    stand = Stand()
    body = msgspec.json.encode(document(kinesis_record(image_event("T1", 7)), function="Index-1"))
    stand.objects.kept["aws/lambda/uuid/shard/x"] = body
    stand.apply()
    assert [(event.image_id, event.version) for event in stand.stream] == [("T1", 7)]
    assert len(stand.under("redriven/write_to_dynamodb/")) == 1


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("sequenceNumber", "one", "invalid literal for int"),
        ("sequenceNumber", "1" * 1024, "too long for a key"),
        ("sequenceNumber", None, "not a record of a stream"),
        ("sequenceNumber", 1.5, "not a record of a stream"),
        ("partitionKey", [], "not a record of a stream"),
        ("approximateArrivalTimestamp", 1e15, "out of range"),
    ],
)
def test_a_forged_document_does_not_keep_others_from_being_redriven(
    field: str, value: object, why: str
) -> None:
    stand = Stand()
    stand.set_aside(image_event("T1", 7))
    bad = kinesis_record(DELETION)
    bad["kinesis"] |= {field: value}
    key = "aws/lambda/of-the-index/shard/x"
    stand.objects.kept[key] = msgspec.json.encode(document(kinesis_record()) | payload_of(bad))
    found = stand.find()
    assert [(one.where, why in one.why) for one in found.unreadable] == [(key, True)]
    assert stand.apply(found).redriven == 1
    assert stand.under("aws/lambda/") == [key]


def payload_of(*records: dict[str, Any]) -> dict[str, Any]:
    return {"payload": {"Records": list(records)}}
