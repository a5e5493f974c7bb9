"""How a stream's shards divide the hash keys, and how splits and merges change that. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import pairwise

# A hash key is an MD5 read as a number: https://docs.aws.amazon.com/streams/latest/dev/key-concepts.html
HASH_KEYS = 1 << 128
_HASH_BYTES = 16

_SHARD_ID = re.compile(r"shardId-(\d{12})")


@dataclass(frozen=True, slots=True, order=True)
class HashRange:
    """The hash keys from `start` to `end`, both included."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Split:
    """Split a range in two; the second part begins at `at`."""

    whole: HashRange
    at: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge two adjacent ranges, `left` below `right`."""

    left: HashRange
    right: HashRange


type Step = Split | Merge


def hash_key(partition_key: str) -> bytes:
    """The hash key of a partition key: sixteen bytes in big-endian order."""
    return md5(partition_key.encode(), usedforsecurity=False).digest()


def hash_bytes(key: int) -> bytes:
    """A hash key in the form that `hash_key` returns."""
    return key.to_bytes(_HASH_BYTES)


def shard_id(number: int) -> str:
    """The ID of the shard with this number."""
    return f"shardId-{number:012}"


def shard_number(identifier: str) -> int | None:
    """The number in a shard ID; None if the ID is invalid."""
    found = _SHARD_ID.fullmatch(identifier)
    return int(found[1]) if found else None


def uniform(count: int) -> list[HashRange]:
    """Divide all hash keys into `count` ranges of one size; the last one gets the remainder."""
    size = HASH_KEYS // count
    starts = [size * index for index in range(count)]
    return [
        HashRange(start, next_start - 1) for start, next_start in pairwise([*starts, HASH_KEYS])
    ]


def parts(step: Split) -> tuple[HashRange, HashRange]:
    """The two ranges that a split creates.

    Raises:
        ValueError: one part would be empty.
    """
    if not step.whole.start < step.at <= step.whole.end:
        raise ValueError(f"{step.at} is not above {step.whole.start} and up to {step.whole.end}")
    return HashRange(step.whole.start, step.at - 1), HashRange(step.at, step.whole.end)


def union(step: Merge) -> HashRange:
    """The range that a merge creates.

    Raises:
        ValueError: the ranges are not adjacent in this order.
    """
    if step.left.end + 1 != step.right.start:
        raise ValueError(f"{step.left} and {step.right} are not adjacent")
    return HashRange(step.left.start, step.right.end)


def uniform_scaling(open_ranges: Sequence[HashRange], target: int) -> Iterator[Step]:
    """The splits and merges, in order, after which there are `target` ranges of one size.

    As in AWS, there may be temporary ranges: first all splits are done, then all merges. A range
    that is already correct is not changed.
    """
    wanted = uniform(target)
    pieces: list[HashRange] = []
    for whole in sorted(open_ranges):
        rest = whole
        for boundary in (each.start for each in wanted if whole.start < each.start <= whole.end):
            split = Split(rest, boundary)
            yield split
            left, rest = parts(split)
            pieces.append(left)
        pieces.append(rest)
    for goal in wanted:
        first, *others = [piece for piece in pieces if goal.start <= piece.start <= goal.end]
        for other in others:
            merge = Merge(first, other)
            yield merge
            first = union(merge)
