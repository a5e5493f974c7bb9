"""The version of a change: higher than what was read, and by the rules of the source."""

import pytest

from lockstep.images.versions import VersionError, next_version
from lockstep.producing.producer import Stamp
from shared.stamps import FIRST_STAMP, stamp_at

NOW = 1_795_248_000.0


def of(read: int, given: int | None = None) -> int:
    return next_version("i-1", read, Stamp(lambda: NOW), given)


def test_it_is_the_time_or_higher_than_what_was_read_if_that_is_ahead() -> None:
    assert of(stamp_at(NOW - 60)) == stamp_at(NOW)
    assert of(stamp_at(NOW + 60)) == stamp_at(NOW + 60) + 1
    assert of(FIRST_STAMP) == stamp_at(NOW)


@pytest.mark.parametrize("count", [1, 7, FIRST_STAMP - 1])
def test_where_the_source_counts_versions_it_must_be_given(count: int) -> None:
    with pytest.raises(VersionError, match=f"image i-1 has version {count}: its source counts"):
        of(count)


def test_a_given_version_is_taken_if_it_is_higher_and_of_the_same_kind() -> None:
    assert of(7, 8) == 8
    assert of(stamp_at(NOW), stamp_at(NOW) + 5) == stamp_at(NOW) + 5
    for read, given in ((7, 7), (7, 6), (stamp_at(NOW), 8)):
        with pytest.raises(VersionError, match="give a higher --version"):
            of(read, given)
    with pytest.raises(VersionError, match="must be a count, below 1000000000000000"):
        of(7, FIRST_STAMP)
