"""Sequence numbers: the 56 digits that order the records of a shard.

Derived from the numbers in AWS's own samples (docs/internals/facts.md, Kinesis). In hexadecimal a
number is

    2 CCCCCCCCC N PPPPPPPPPPPPPPPP 00 SSSSSSSSS HHHHHHHH 2

where C is the second in which its shard was created, N the last digit of the shard's number, P the
position in the shard, S the second of the record, H the shard's number; the outer 2s are the
version. P precedes S, so numbers increase in a shard even if the clock goes back. C is first, so a
child's numbers are above its parent's.
"""

from typing import NamedTuple

_VERSION = 2
_SHARD_AT, _SECOND_AT, _POSITION_AT, _DIGIT_AT, _CREATED_AT, _LEAD_AT = 4, 36, 80, 144, 148, 184
_SHARD_MASK = (1 << 32) - 1
_SECOND_MASK = (1 << 36) - 1
_POSITION_MASK = (1 << 64) - 1

# The highest position a number can carry; a closed shard's range ends there.
LAST_POSITION = (1 << 63) - 1


class InvalidSequenceNumberError(ValueError):
    """The text is not a sequence number of this layout."""


class SequenceNumber(NamedTuple):
    """The parts of a sequence number. `created` and `second` are in seconds since 1970."""

    created: int
    position: int
    second: int
    shard: int

    def __str__(self) -> str:
        """The number in decimal, with 56 digits, as in the API."""
        return str(
            prefix(self.created, self.shard)
            + (self.position << _POSITION_AT)
            + (self.second << _SECOND_AT)
        )


def prefix(created: int, shard: int) -> int:
    """The part that all numbers of one shard have in common; `at` adds the other parts."""
    return (
        (_VERSION << _LEAD_AT)
        | (created << _CREATED_AT)
        | ((shard & 0xF) << _DIGIT_AT)
        | (shard << _SHARD_AT)
        | _VERSION
    )


def at(shard_prefix: int, position: int, second: int) -> int:
    """The number of the record at a position, from the shard's prefix."""
    return shard_prefix + (position << _POSITION_AT) + (second << _SECOND_AT)


def position(text: str) -> int:
    """The position in a number of this layout."""
    return (int(text) >> _POSITION_AT) & _POSITION_MASK


def parse(text: str) -> SequenceNumber:
    """Parse a sequence number.

    Raises:
        InvalidSequenceNumberError: it does not have this layout.
    """
    number = int(text)
    found = SequenceNumber(
        created=(number >> _CREATED_AT) & _SECOND_MASK,
        position=(number >> _POSITION_AT) & _POSITION_MASK,
        second=(number >> _SECOND_AT) & _SECOND_MASK,
        shard=(number >> _SHARD_AT) & _SHARD_MASK,
    )
    if found.position > LAST_POSITION or str(found) != text:
        raise InvalidSequenceNumberError(f"{text} is not a sequence number of this layout")
    return found


def skipped(after: str, first: str) -> int | None:
    """How many records of a shard are between two of its numbers.

    Args:
        after: the number of a record; empty: count from the beginning of the shard.
        first: the number of a later record.

    Returns:
        None if they are numbers of another layout, or not of the same shard.
    """
    try:
        later = parse(first)
        earlier = parse(after) if after else later._replace(position=0)
    except ValueError:
        return None
    if (earlier.created, earlier.shard) != (later.created, later.shard):
        return None
    return max(0, later.position - earlier.position - 1)


def time_of(number: str) -> float | None:
    """When the record with this number arrived, in whole seconds since 1970.

    For a shard's starting number: when the shard was created. None if it is a number of another
    layout.
    """
    try:
        return float(parse(number).second)
    except ValueError:
        return None
