"""The guide of a restore, word for word, on the real engines: each command prints what it says.

`pytest tests/nights --accept` writes into the guide what the commands print now.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.nights.guide import Player, read_guide, rewrite
from tests.nights.happenings import COPY, Night

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "restore.md"
SECTIONS = read_guide(GUIDE)
# This one ends with another table, so the stack serves no other night: it is the last.
SWITCHES = "Example: the table is lost"


@pytest.fixture
def without_copy(night: Night) -> Iterator[Night]:
    yield night
    dynamodb = night.clients.dynamodb
    with suppress(dynamodb.exceptions.ClientError):
        dynamodb.delete_table(TableName=COPY)


def test_the_guide_plays_both_cases() -> None:
    assert list(SECTIONS) == [SWITCHES, "Example: wrong events were accepted"]


# Most of it waits for engines that start, and for the consumers.
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("title", sorted(SECTIONS, key=SWITCHES.__eq__))
def test_a_restore_goes_as_the_guide_says(
    without_copy: Night, title: str, request: pytest.FixtureRequest
) -> None:
    night = without_copy
    accepts = request.config.getoption("--accept")
    player = Player(night.folder, night.happenings, accepts=accepts)
    player.play(read_guide(GUIDE)[title])
    if accepts:
        rewrite(GUIDE, player.printed)
    night.is_over = title != SWITCHES
