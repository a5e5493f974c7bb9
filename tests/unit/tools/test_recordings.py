"""A recording as a picture that plays without a script."""

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tools.recordings.picture import final_text, svg
from tools.recordings.recorder import Header, Output, Recording, read_recording, record
from tools.recordings.scenes import RECORDINGS, SCENES

SVG = "{http://www.w3.org/2000/svg}"


def _recording(*texts: str, height: int = 3) -> Recording:
    outputs = [Output(float(at), "o", text) for at, text in enumerate(texts)]
    return Recording(Header(2, 80, height, "what it shows"), [*outputs, Output(9.0, "o", "$ ")])


@pytest.mark.parametrize("name", SCENES)
def test_a_picture_is_made_from_its_recording(name: str) -> None:
    """If not: `make recordings`."""
    picture = (RECORDINGS / f"{name}.svg").read_text()
    assert picture == svg(read_recording(RECORDINGS / f"{name}.cast"))


def test_a_line_that_is_overwritten_is_not_in_the_final_text() -> None:
    recording = _recording("10 %", "\r\x1b[2K20 %", "\r\x1b[2Kdone\r\n")
    assert final_text(recording) == ["done"]


def test_each_change_of_the_screen_is_one_step_and_each_text_is_there_once() -> None:
    picture = ET.fromstring(svg(_recording("a\r\n", "b\r\n")))  # noqa: S314 - ours
    texts = ["".join(one.itertext()) for one in picture.iter(f"{SVG}text")]
    assert texts == ["a", "b", "$"]
    assert len(list(picture.iter(f"{SVG}use"))) == 1 + 2 + 3
    style = next(picture.iter(f"{SVG}style")).text or ""
    assert re.findall(r"translateY\(-?(\d+)px\)", style.split("@keyframes")[1]) == [
        "0",
        "54",
        "108",
        "108",
    ]


def test_text_cannot_leave_the_picture() -> None:
    picture = svg(_recording("</text><script>alert(1)</script>&\r\n"))
    assert "<script" not in picture
    ET.fromstring(picture)  # noqa: S314 - ours


def test_a_command_runs_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    asks = "import os; print(os.get_terminal_size().columns, os.getcwd())"
    command = f'"{sys.executable}" -c "{asks}"'
    found = record("", [command], folder=tmp_path, height=20, env={})
    assert f"80 {tmp_path}" in "".join(final_text(found))


def test_a_character_that_arrives_in_two_parts_is_whole(tmp_path: Path) -> None:
    command = r"printf '\303'; sleep 0.3; printf '\251\n'"
    assert "é" in final_text(record("", [command], folder=tmp_path, height=20, env={}))
