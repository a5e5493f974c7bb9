"""Each hostile or odd picture has a clear end, within limits of memory and of processor time.

The limits are those of the process that reads it: 10 s of processor time, and 1,200 MiB of address
space. What it really needs is much less.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from lockstep.pictures.notes import NotAPictureError
from lockstep.pictures.within_limits.readers import Readers
from tests.hostile_pictures.case import GIB
from tests.hostile_pictures.measured import CASES, said_of

ROOT = Path(__file__).parents[2]
# Of a picture of 60 MB that must be in memory as a whole. The rest needs under 200.
MOST_MIB = 512


def test_each_hostile_picture_has_the_end_that_it_must_have() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.hostile_pictures.measured"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    measured: dict[str, dict[str, Any]] = {}
    for line in ran.stdout.splitlines():
        part = json.loads(line)
        measured.setdefault(part["name"], {}).update(part)
    ends = {name: part.get("end", f"status {part['status']}") for name, part in measured.items()}
    assert ends == {case.name: case.end for case in CASES}
    assert {part["status"] for part in measured.values()} == {0}
    too_large = {name: part["mib"] for name, part in measured.items() if part["mib"] > MOST_MIB}
    assert too_large == {}


def test_one_process_of_a_function_ends_with_each_as_it_must() -> None:
    """It reads them one after the other; none ends the process, and none changes the next end."""
    ends: dict[str, str] = {}
    with Readers(1, zone="UTC", gps=True) as readers:
        for case in CASES:
            content = case.make()
            pieces = [content] if isinstance(content, bytes) else content
            try:
                ends[case.name] = said_of(readers.picture(pieces, GIB))
            except NotAPictureError as refused:
                ends[case.name] = str(refused)
        processes = psutil.Process().children()
    assert ends == {case.name: case.end for case in CASES}
    assert len(processes) == 1


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    names = Counter(case.name for case in CASES)
    assert [name for name, count in names.items() if count > 1] == []
    assert len(CASES) >= 160
    # A refusal is a sentence without a line end; the rest names what was read.
    assert [case.name for case in CASES if not case.end or "\n" in case.end] == []
