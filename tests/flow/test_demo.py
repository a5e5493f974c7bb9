"""The demo: one command that runs the whole system once."""

import re
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import msgspec
import urllib3

from tests.flow.shell import first_lines
from tests.json_answers import check


def test_the_demo_says_all_in_one_json_object_and_its_page_shows_pictures_until_ctrl_c(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data.ndjson"
    data.write_bytes(first_lines(300))
    command = [sys.executable, "-m", "lockstep", "demo", "--json", "--stay", "--data", str(data)]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert demo.stderr is not None
    said = iter(demo.stderr.readline, "")
    page = next(line for line in said if line.startswith("the search page: ")).split()[-1]
    text = urllib3.request("GET", page).data.decode()
    links = [unescape(link) for link in re.findall(r'<img[^>]* src="([^"]+)"', text)]
    answers = [urllib3.request("GET", link) for link in links]
    assert len(answers) > 10
    for answer in answers:
        assert (answer.status, answer.headers["content-type"]) == (200, "image/webp")
        assert answer.data
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=240)
    assert demo.returncode == 0, err
    check(command[3:], out)
    found = msgspec.json.decode(out)
    assert (found["put"], found["pictures"]) == (300, 36)
    assert (found["table"], found["index"]) == (336, 336)
    assert found["audit"] == "equal"
    assert found["seconds"].keys() == {
        *("up", "put", "upload", "catch_up", "audit", "search", "draw"),
    }
