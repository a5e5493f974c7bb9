"""Versions of rows: their order as text is the order of the streams, then that of the records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_tablestore.guard import label_in, lowest_version, normalized_label, version

LABELS = st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds"))
NUMBERS = st.integers(1, 10**40 - 1)


@given(LABELS, NUMBERS, LABELS, NUMBERS)
def test_the_order_of_text_is_the_right_one(
    label: str, number: int, other_label: str, other: int
) -> None:
    one, two = version(label, str(number)), version(other_label, str(other))
    assert (one < two) == ((label, number) < (other_label, other))


@given(LABELS, NUMBERS, LABELS)
def test_what_a_load_writes_is_below_each_record_and_above_earlier_streams(
    label: str, number: int, earlier: str
) -> None:
    assert lowest_version(label) < version(label, str(number))
    if earlier < label:
        assert lowest_version(label) > version(earlier, str(number))


@pytest.mark.parametrize(
    ("label", "normalized"),
    [
        ("2026-11-30T01:23:45.678", "2026-11-30T01:23:45.678"),
        ("2026-11-30T01:23:45", "2026-11-30T01:23:45.000"),
        ("2026-11-30T01:23:45.6", "2026-11-30T01:23:45.600"),
        ("2026-11-30T01:23:45.678901", "2026-11-30T01:23:45.678"),
        ("2026-11-30T01:23:45.678Z", "2026-11-30T01:23:45.678"),
    ],
)
def test_a_label_always_has_milliseconds(label: str, normalized: str) -> None:
    assert normalized_label(label) == normalized
    assert label_in(f"orders/stream/{label}") == normalized


@pytest.mark.parametrize("label", ["", "latest", "2026-11-30", "2026-11-30T01:23:45.678/1"])
def test_what_is_no_label_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="no label of a stream"):
        normalized_label(label)


@pytest.mark.parametrize("number", ["", "-1", "1e3", "0" * 41, "٣"])
def test_what_is_no_sequence_number_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="sequence number"):
        version("2026-11-30T01:23:45.678", number)
