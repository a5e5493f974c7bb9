"""The guide of the seven nights, word for word: each command prints what the guide says.

`pytest tests/nights --accept` writes into the guide what the commands print now.
"""

from pathlib import Path

import pytest

from tests.nights.guide import Player, read_guide, rewrite
from tests.nights.happenings import Night

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "seven-nights.md"
NIGHTS = read_guide(GUIDE)


def test_the_guide_plays_all_seven() -> None:
    assert sorted({title[:3] for title in NIGHTS}) == [f"({letter})" for letter in "abcdefg"]


@pytest.mark.parametrize("title", NIGHTS)
def test_a_night_goes_as_the_guide_says(
    night: Night, title: str, request: pytest.FixtureRequest
) -> None:
    accepts = request.config.getoption("--accept")
    player = Player(night.folder, night.happenings, accepts=accepts)
    # Read it again: an accepted night before this one may have moved the lines.
    player.play(read_guide(GUIDE)[title])
    if accepts:
        rewrite(GUIDE, player.printed)
    night.is_over = True
