"""Sequence numbers say what AWS's say, and rise."""

import pytest

from lockstep.stream.sequence import (
    LAST_POSITION,
    InvalidSequenceNumberError,
    SequenceNumber,
    parse,
    skipped,
    time_of,
)

# From the Kinesis sample event in AWS's Lambda documentation: a record of shardId-000000000006
# that arrived at 1545084650.987.
OF_AWS = "49590338271490256608559692538361571095921575989136588898"


def test_a_number_of_aws_is_read_as_its_event_says() -> None:
    found = parse(OF_AWS)
    assert (found.shard, found.second) == (6, 1545084650)
    assert str(found) == OF_AWS


def test_a_number_has_56_digits() -> None:
    assert len(str(SequenceNumber(1_795_248_000, 1, 1_795_248_000, 0))) == 56
    assert len(str(SequenceNumber(4_000_000_000, LAST_POSITION, 4_000_000_000, 9_999))) == 56


def test_a_later_position_is_above_whatever_the_clock_said() -> None:
    earlier = SequenceNumber(1_795_248_000, 7, 1_795_249_999, 3)
    later = SequenceNumber(1_795_248_000, 8, 1_795_248_001, 3)
    assert int(str(later)) > int(str(earlier))


def test_a_shard_created_later_is_above_every_number_of_an_earlier_one() -> None:
    last_of_parent = SequenceNumber(1_795_248_000, LAST_POSITION, 1_795_999_999, 0xFFFF)
    first_of_child = SequenceNumber(1_795_248_001, 0, 1_795_248_001, 0)
    assert int(str(first_of_child)) > int(str(last_of_parent))


@pytest.mark.parametrize(
    "text", ["0", "1", "9" * 56, "9" * 128, OF_AWS[:-1], OF_AWS + "0", str(int(OF_AWS) + 1)]
)
def test_a_number_of_another_layout_is_refused(text: str) -> None:
    with pytest.raises(InvalidSequenceNumberError):
        parse(text)


def test_the_records_between_two_numbers_are_counted() -> None:
    def number(position: int, *, shard: int = 3, created: int = 1_795_248_000) -> str:
        return str(SequenceNumber(created, position, 1_795_248_009, shard))

    assert skipped(number(4), number(5)) == 0
    assert skipped(number(4), number(9)) == 4
    assert skipped("", number(1)) == 0
    assert skipped("", number(3)) == 2
    assert skipped(number(4), number(4)) == 0
    assert skipped(number(4), number(9, shard=4)) is None
    assert skipped(number(4), number(9, created=1_795_248_001)) is None
    assert skipped("12", number(9)) is None
    assert skipped(number(4), "of another layout") is None


def test_a_number_says_when_its_record_arrived() -> None:
    assert time_of(OF_AWS) == 1545084650.0
    assert time_of("12") is None
    assert time_of("of another layout") is None
