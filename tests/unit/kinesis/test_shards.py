"""Hash ranges stay whole whatever is split and merged."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.stream.shards import (
    HASH_KEYS,
    HashRange,
    Merge,
    Split,
    hash_bytes,
    hash_key,
    parts,
    shard_id,
    shard_number,
    uniform,
    uniform_scaling,
    union,
)


def whole(ranges: list[HashRange]) -> bool:
    ordered = sorted(ranges)
    ends = ordered[0].start == 0 and ordered[-1].end == HASH_KEYS - 1
    return ends and all(low.end + 1 == high.start for low, high in pairwise(ordered))


def scaled(ranges: list[HashRange], target: int) -> list[HashRange]:
    left = list(ranges)
    for step in uniform_scaling(ranges, target):
        match step:
            case Split():
                left.remove(step.whole)
                left += parts(step)
            case Merge():
                left.remove(step.left)
                left.remove(step.right)
                left.append(union(step))
        assert whole(left)
    return sorted(left)


@given(st.integers(1, 50))
def test_a_new_stream_takes_every_key_in_even_parts(count: int) -> None:
    ranges = uniform(count)
    assert len(ranges) == count
    assert whole(ranges)
    sizes = {each.end - each.start for each in ranges[:-1]}
    assert len(sizes) <= 1


@given(
    st.sets(st.integers(1, HASH_KEYS - 1), max_size=12).map(sorted),
    st.integers(1, 25),
)
def test_uniform_scaling_ends_even_from_any_division(cuts: list[int], target: int) -> None:
    ranges = [HashRange(low, high - 1) for low, high in pairwise([0, *cuts, HASH_KEYS])]
    assert scaled(ranges, target) == uniform(target)


def test_doubling_only_splits_and_halving_only_merges() -> None:
    doubling = list(uniform_scaling(uniform(4), 8))
    halving = list(uniform_scaling(uniform(8), 4))
    assert [type(step) for step in doubling] == [Split] * 4
    assert [type(step) for step in halving] == [Merge] * 4


def test_scaling_to_the_current_count_does_nothing() -> None:
    assert list(uniform_scaling(uniform(5), 5)) == []


@pytest.mark.parametrize("at", [10, 9, 21])
def test_a_cut_outside_the_range_is_refused(at: int) -> None:
    with pytest.raises(ValueError, match="is not above"):
        parts(Split(HashRange(10, 20), at))


def test_ranges_apart_are_not_merged() -> None:
    with pytest.raises(ValueError, match="not adjacent"):
        union(Merge(HashRange(0, 4), HashRange(6, 9)))


def test_the_hash_key_is_the_md5_of_the_partition_key_as_a_number() -> None:
    # RFC 1321's own test: MD5("abc").
    assert hash_key("abc") == hash_bytes(0x900150983CD24FB0D6963F7D28E17F72)


@pytest.mark.parametrize("text", ["shardId-1", "shard-000000000001", "shardId-0000000000011"])
def test_only_twelve_digits_make_a_shard_id(text: str) -> None:
    assert shard_number(text) is None
    assert shard_number(shard_id(11)) == 11
