"""The sample events are what their names say, and the files in `events/` are up to date."""

import base64
from collections import Counter
from typing import get_args

import pytest

from functions.write_to_es.table_changes import (
    TABLE_CHANGES_ON_KINESIS,
    TABLE_STREAM,
    envelope_of,
)
from shared.event import InvalidEventError, Reason
from shared.record import Record, event_in, from_lambda
from tests.builders import CHANGES_STREAM, record
from tools.sample_events import (
    FOLDER,
    files,
    invocations,
    poison,
    put_records,
    table_invocations,
)


def test_the_files_are_as_the_builders_make_them() -> None:
    made = files()
    there = {path.relative_to(FOLDER) for path in FOLDER.rglob("*") if path.is_file()}
    stale = sorted(
        str(path)
        for path in made.keys() | there
        if path not in there or made.get(path) != (FOLDER / path).read_bytes()
    )
    assert stale == [], "run `python -m tools.sample_events`; delete what it does not write"


def test_events_is_no_package_for_it_would_hide_the_module_that_opensearch_py_imports() -> None:
    assert {path.suffix for path in files()} == {".json"}


@pytest.mark.parametrize("name", sorted(poison()))
def test_each_poison_is_refused_for_its_reason(name: str) -> None:
    bad = poison()[name]
    with pytest.raises(InvalidEventError) as refused:
        event_in(record(bad.data, partition_key=bad.partition_key))
    assert refused.value.reason == bad.reason


def test_the_poison_has_every_reason_that_a_record_alone_can_have() -> None:
    # A conflict takes two records (it is in the batch, see below), an outrun event another one that
    # arrived before, a store's refusal a store; only an item of the table is malformed.
    assert {bad.reason for bad in poison().values()} == {*get_args(Reason)} - {
        "malformed",
        "conflict",
        "outrun",
        "refused_by_store",
    }


def test_all_other_samples_are_valid_and_have_no_conflict() -> None:
    contents: dict[tuple[str, int], bytes] = {}
    for name in invocations().keys() - {"poison.json"}:
        for one in _records(name):
            event = event_in(one)
            assert contents.setdefault((event.image_id, event.version), one.data) == one.data


def test_poison_is_among_good_ones() -> None:
    valid = [_is_valid(one) for one in _records("poison.json")]
    assert valid[0]
    assert valid[-1]
    assert valid.count(False) == len(poison())


def test_the_poison_batch_has_a_conflict() -> None:
    good = [event_in(one) for one in _records("poison.json") if _is_valid(one)]
    versions = [(event.image_id, event.version) for event in good]
    assert len(versions) - len(set(versions)) == 1


def test_mixed_is_a_hundred_with_repeats_latecomers_and_deletions() -> None:
    records = _records("mixed-100.json")
    events = [event_in(one) for one in records]
    latest: dict[str, int] = {}
    late = 0
    for event in events:
        late += event.version < latest.get(event.image_id, 0)
        latest[event.image_id] = max(event.version, latest.get(event.image_id, 0))
    assert len(events) == 100
    assert len({one.data for one in records}) == 95
    assert late > 10
    assert {event.type for event in events} == {
        "image.uploaded",
        "image.updated",
        "image.deleted",
    }


def test_no_version_is_ahead_of_its_arrival() -> None:
    for name in invocations():
        for one in filter(_is_valid, _records(name)):
            assert event_in(one).version < one.arrived_at * 1000


@pytest.mark.parametrize("name", ["upload.json", "update.json", "delete.json"])
def test_a_put_record_input_says_what_the_invocation_of_that_name_says(name: str) -> None:
    put = put_records()[name]
    (invoked,) = _records(name)
    assert put["PartitionKey"] == invoked.partition_key
    assert base64.b64decode(put["Data"]) == invoked.data


@pytest.mark.parametrize("name", sorted(table_invocations()))
def test_a_sample_of_the_tables_changes_has_every_kind_of_them(name: str) -> None:
    records = table_invocations()[name]
    envelope = envelope_of(records, CHANGES_STREAM)
    kinds: Counter[str] = Counter()
    for one in map(envelope.record, records):
        try:
            kinds[type(envelope.change(one)).__name__] += 1
        except InvalidEventError as invalid:
            kinds[invalid.reason] += 1
    again = 2 if name == "table-changes-on-kinesis.json" else 0
    assert kinds == {"Put": 2 + again, "Remove": 2, "Purge": 1, "malformed": 1}
    assert envelope is (TABLE_CHANGES_ON_KINESIS if again else TABLE_STREAM)


def test_a_sample_of_the_tables_changes_has_values_of_every_type() -> None:
    stream = table_invocations()["table-stream.json"]
    types = {
        kind
        for one in stream
        for value in one["dynamodb"].get("NewImage", {}).values()
        for kind in value
    }
    assert types == {"S", "N", "B", "BOOL", "NULL", "M", "SS", "NS", "BS"}


def test_sequence_numbers_are_unique_over_all_samples() -> None:
    numbers = [one.sequence_number for name in invocations() for one in _records(name)]
    for records in table_invocations().values():
        envelope = envelope_of(records, CHANGES_STREAM)
        numbers += [envelope.record(one).sequence_number for one in records]
    assert len(numbers) == len(set(numbers))


def _records(name: str) -> list[Record]:
    return [from_lambda(one) for one in invocations()[name]]


def _is_valid(one: Record) -> bool:
    try:
        event_in(one)
    except InvalidEventError:
        return False
    return True
