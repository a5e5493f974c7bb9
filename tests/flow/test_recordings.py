"""The recordings of the README show what the commands print today."""

import re
from collections.abc import Sequence

import pytest

from tools.recordings.picture import final_text
from tools.recordings.recorder import Recording, read_recording
from tools.recordings.scenes import RECORDINGS, SCENES


@pytest.mark.parametrize("name", SCENES)
def test_a_recording_ends_as_its_commands_do_today(name: str) -> None:
    """After a change of what they print: `make recordings`."""
    recorded = read_recording(RECORDINGS / f"{name}.cast")
    assert _without_figures(recorded) == _without_figures(SCENES[name].play())


def _without_figures(recording: Recording) -> Sequence[str]:
    """The last screen, with one mark for each time, each version and the id of an example."""
    return [
        re.sub(r"in_index: D\d+: write version \d{16}", "in_index: ID: write VERSION", line)
        for line in (re.sub(r" *\d+\.\d+ s\b", " TIME", one) for one in final_text(recording))
    ]
