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
    """The last screen, with one mark for each time and each version; ids stay."""
    return [
        re.sub(r"\d{16}", "VERSION", re.sub(r" *\d+\.\d+ s\b", " TIME", line))
        for line in final_text(recording)
    ]
