"""The gate of the growth of search: what repeats may differ little, times only as a ratio."""

from pathlib import Path

import msgspec
import pytest

from benchmarks.search_growth import Record, Size, Waits, off

SIZE = Size(
    10_000, 1, index_bytes=15_000_000, audit_queries=11, waits={"word": Waits(12.0, 40.0, 6.0)}
)
ACCEPTED = {
    "10000 images, 1 shards": {"bytes_per_image": 1500.0, "audit_queries": 11, "ratio_word": 2.0}
}


def test_the_accepted_figures_pass() -> None:
    assert [*off([SIZE], ACCEPTED)] == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"index_bytes": 15_500_000}, "bytes_per_image is 1,550.0, accepted is 1,500.0"),
        ({"index_bytes": 14_500_000}, "bytes_per_image is 1,450.0, accepted is 1,500.0"),
        ({"audit_queries": 12}, "audit_queries is 12.0, accepted is 11.0"),
        ({"waits": {"word": Waits(16.0, 40.0, 6.0)}}, "ratio_word is 2.7, accepted is 2.0"),
    ],
)
def test_what_repeats_and_the_ratio_are_gated(changed: dict[str, object], named: str) -> None:
    (found,) = off([msgspec.structs.replace(SIZE, **changed)], ACCEPTED)
    assert found.startswith("10000 images, 1 shards: ")
    assert named in found


def test_only_what_is_accepted_is_compared() -> None:
    only = {"10000 images, 1 shards": {"audit_queries": 11.0}}
    assert [*off([msgspec.structs.replace(SIZE, index_bytes=1)], only)] == []


def test_a_faster_search_passes() -> None:
    fast = msgspec.structs.replace(SIZE, waits={"word": Waits(3.0, 4.0, 6.0)})
    assert [*off([fast], ACCEPTED)] == []


def test_a_slow_machine_and_a_size_without_accepted_figures_pass() -> None:
    slow = msgspec.structs.replace(SIZE, waits={"word": Waits(1200.0, 9000.0, 600.0)})
    assert [*off([slow, Size(20_000, 1, index_bytes=1)], ACCEPTED)] == []


def test_a_record_is_continued_where_it_ended(tmp_path: Path) -> None:
    record = Record(tmp_path)
    record.size(10_000, 5).index_bytes = 7
    record.save()
    again = Record(tmp_path)
    assert again.size(10_000, 5).index_bytes == 7
    assert again.size(10_000, 1).index_bytes is None
    assert len(again.sizes) == 2
