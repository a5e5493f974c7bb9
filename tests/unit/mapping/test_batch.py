"""The batch is cut by number and by what the invocation really weighs."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep.local.mapping.batch import PAYLOAD_BYTES, WINDOW_BYTES, BatchRecord, Buffer, payload
from lockstep.local.mapping.settings import Settings
from tests.unit.mapping.play import entries, entry

# Of {"Records":[]} around the records.
AROUND = len(payload([]))


def buffer_of(*found: BatchRecord, batch_size: int = 10_000) -> Buffer:
    buffer = Buffer(Settings(batch_size=batch_size))
    buffer.add(found)
    return buffer


def numbers(batch: tuple[BatchRecord, ...]) -> list[str]:
    return [one.sequence_number for one in batch]


def test_the_payload_is_a_kinesis_event() -> None:
    found = [BatchRecord("1", "key", 0.0, b'{"a":1}'), BatchRecord("2", "key", 0.0, b'{"a":2}')]

    assert msgspec.json.decode(payload(found)) == {"Records": [{"a": 1}, {"a": 2}]}


def test_a_batch_takes_the_first_records_in_order() -> None:
    buffer = buffer_of(*entries("1", "2", "3"), batch_size=2)

    fullness = []
    for expected in (["1", "2"], ["3"]):
        fullness.append(buffer.full)
        assert numbers(buffer.cut()) == expected
    assert fullness == [True, False]
    assert not buffer.entries


def test_six_megabytes_to_the_byte_fit() -> None:
    """A batch is cut at 6 MB of invocation payload.

    Rule: payload.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    one, other = entry("1", size=100), entry("2", size=PAYLOAD_BYTES - AROUND - 100 - 1)
    buffer = buffer_of(one, other, entry("3"))

    assert buffer.full
    batch = buffer.cut()
    assert numbers(batch) == ["1", "2"]
    assert len(payload(batch)) == PAYLOAD_BYTES


def test_a_byte_more_than_six_megabytes_does_not_fit() -> None:
    one, other = entry("1", size=100), entry("2", size=PAYLOAD_BYTES - AROUND - 100)

    assert numbers(buffer_of(one, other).cut()) == ["1"]


def filling(payload_bytes: int, beside: int) -> BatchRecord:
    """A record that makes an invocation so large, with one of this size beside it."""
    return entry("more", size=payload_bytes - AROUND - beside - len(","))


@pytest.mark.parametrize(("missing", "full"), [(0, True), (1, False)])
def test_it_is_full_to_the_byte_however_often_it_is_added_to(missing: int, full: bool) -> None:  # noqa: FBT001 - a row
    buffer = buffer_of(entry("1", size=100))
    buffer.add([filling(PAYLOAD_BYTES - missing, beside=100)])
    assert buffer.full is full


@pytest.mark.parametrize(("missing", "full"), [(0, True), (1, False)])
def test_a_tumbling_windows_state_takes_its_room(missing: int, full: bool) -> None:  # noqa: FBT001 - a row
    buffer = Buffer(Settings(batch_size=10_000, tumbling_seconds=60))
    room = PAYLOAD_BYTES - WINDOW_BYTES
    buffer.add([entry("1", size=100), filling(room - missing, beside=100)])
    assert buffer.full is full


@pytest.mark.parametrize(("missing", "full"), [(0, True), (1, False)])
def test_what_was_cut_off_leaves_its_room_to_others(missing: int, full: bool) -> None:  # noqa: FBT001 - a row
    large = PAYLOAD_BYTES - AROUND - 50
    buffer = buffer_of(entry("1", size=100), entry("2", size=large))
    assert numbers(buffer.cut()) == ["1"]
    buffer.add([filling(PAYLOAD_BYTES - missing, beside=large)])
    assert buffer.full is full


def test_a_record_that_is_too_big_for_any_batch_goes_alone() -> None:
    buffer = buffer_of(entry("1", size=PAYLOAD_BYTES), entry("2"))

    assert numbers(buffer.cut()) == ["1"]
    assert numbers(buffer.cut()) == ["2"]


@given(sizes=st.lists(st.integers(0, 3_000_000), max_size=12), batch_size=st.integers(1, 5))
@example(sizes=[3_000_000] * 4, batch_size=5)  # too many bytes; few random lists have them
def test_cutting_loses_nothing_and_never_cuts_too_early(sizes: list[int], batch_size: int) -> None:
    found = [entry(str(at), size=size) for at, size in enumerate(sizes)]
    buffer = buffer_of(*found, batch_size=batch_size)
    batches = []
    while buffer.entries:
        batches.append(buffer.cut())

    assert [one for batch in batches for one in batch] == found
    assert all(len(payload(batch)) <= PAYLOAD_BYTES for batch in batches)
    for batch, following in pairwise(batches):
        if len(batch) < batch_size:
            assert len(payload([*batch, following[0]])) > PAYLOAD_BYTES
