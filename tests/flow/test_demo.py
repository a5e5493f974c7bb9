"""The demo: one command that runs the whole system once."""

import subprocess
import sys
from pathlib import Path

import msgspec

from tests.flow.shell import first_lines
from tests.json_answers import check


def test_the_demo_says_all_in_one_json_object(tmp_path: Path) -> None:
    data = tmp_path / "data.ndjson"
    data.write_bytes(first_lines(300))
    command = [sys.executable, "-m", "lockstep", "demo", "--json", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=240)
    check(command[3:], done.stdout.decode())
    found = msgspec.json.decode(done.stdout)
    assert (found["put"], found["table"], found["index"]) == (300, 300, 300)
    assert found["audit"] == "equal"
    assert found["seconds"].keys() == {"up", "put", "catch_up", "audit", "search", "down"}
