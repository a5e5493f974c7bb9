"""Each hostile or odd picture is drawn or refused, within limits of memory and processor time."""

import json
import subprocess
import sys
from pathlib import Path

from lockstep.make_thumbnails.outcome import MEMORY_BYTES, SECONDS
from tests.hostile_pictures import decoding_bombs
from tests.hostile_pictures.drawn import CASES

ROOT = Path(__file__).parents[2]
MOST_MIB = MEMORY_BYTES >> 20


def test_each_hostile_picture_is_drawn_or_refused_in_one_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hostile_pictures.drawn"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [name for name, *_ in lines] == [case.name for case in CASES]
    ends = {name: end for name, end, *_ in lines}
    expected = {case.name: case.end for case in decoding_bombs.CASES}
    assert {name: ends[name] for name in expected} == expected
    # The reason is metadata of an object, which is ASCII.
    odd = [end for end in ends.values() if not end.isascii() or "\n" in end or len(end) > 300]
    assert odd == []
    assert [name for name, _, mib, _ in lines if mib >= MOST_MIB] == []
    assert [name for name, *_, seconds in lines if seconds > SECONDS + 2] == []
