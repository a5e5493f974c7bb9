"""Shards: how the space of hash keys is divided, and what splitting and merging do to it. Pure."""

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
    """Cut a range in two: the second part begins at `at`."""

    whole: HashRange
    at: int


@dataclass(frozen=True, slots=True)
class Merge:
    """Join two neighbouring ranges, `left` below `right`."""

    left: HashRange
    right: HashRange


type Step = Split | Merge


def hash_key(partition_key: str) -> bytes:
    """Where a partition key falls: sixteen bytes, which compare as the number they are."""
    return md5(partition_key.encode(), usedforsecurity=False).digest()


def hash_bytes(key: int) -> bytes:
    """A hash key in the form that `hash_key` gives."""
    return key.to_bytes(_HASH_BYTES)


def shard_id(number: int) -> str:
    """The id that the API shows for a stream's shard of this number."""
    return f"shardId-{number:012}"


def shard_number(identifier: str) -> int | None:
    """The number in a shard id; None if it is none."""
    found = _SHARD_ID.fullmatch(identifier)
    return int(found[1]) if found else None


def uniform(count: int) -> list[HashRange]:
    """The whole space in `count` ranges of one size; the last takes what division leaves over."""
    size = HASH_KEYS // count
    starts = [size * place for place in range(count)]
    return [HashRange(here, after - 1) for here, after in pairwise([*starts, HASH_KEYS])]


def parts(step: Split) -> tuple[HashRange, HashRange]:
    """What a split leaves.

    Raises:
        ValueError: the cut does not lie inside the range, so one part would be empty.
    """
    if not step.whole.start < step.at <= step.whole.end:
        raise ValueError(f"{step.at} is not above {step.whole.start} and up to {step.whole.end}")
    return HashRange(step.whole.start, step.at - 1), HashRange(step.at, step.whole.end)


def union(step: Merge) -> HashRange:
    """What a merge leaves.

    Raises:
        ValueError: the ranges are not neighbours in that order.
    """
    if step.left.end + 1 != step.right.start:
        raise ValueError(f"{step.left} and {step.right} are not adjacent")
    return HashRange(step.left.start, step.right.end)


def uniform_scaling(open_ranges: Sequence[HashRange], target: int) -> Iterator[Step]:
    """The splits and merges that leave `target` ranges of one size, in the order to do them.

    As with AWS, ranges in between may live shortly: first every wanted boundary is cut, then
    what lies between two of them is joined. A range that is right already is left alone.
    """
    wanted = uniform(target)
    pieces: list[HashRange] = []
    for whole in sorted(open_ranges):
        rest = whole
        for boundary in (each.start for each in wanted if whole.start < each.start <= whole.end):
            cut = Split(rest, boundary)
            yield cut
            left, rest = parts(cut)
            pieces.append(left)
        pieces.append(rest)
    for goal in wanted:
        first, *others = [piece for piece in pieces if goal.start <= piece.start <= goal.end]
        for other in others:
            join = Merge(first, other)
            yield join
            first = union(join)
