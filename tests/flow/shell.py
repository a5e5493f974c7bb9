"""The command `lockstep` as a user runs it, on one state folder, and the processes behind it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil

from lockstep.local.state_folder import running
from tests.json_answers import check

DATA = Path(__file__).parents[2] / "data" / "tate-2000.ndjson"


class Shell:
    """The command `lockstep` on one state folder."""

    def __init__(self, state: Path) -> None:
        self.state = state

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "lockstep", *words, "--state", str(self.state)]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        process = self.start(*words)
        out, err = process.communicate(stdin, timeout=900)
        assert process.returncode == code, (words, out.decode(), err.decode())
        assert b"Traceback" not in err
        return out.decode()

    def json(self, *words: str, stdin: bytes = b"", code: int = 0) -> Any:
        typed = (*words, "--json")
        printed = self.run(*typed, stdin=stdin, code=code)
        check(typed, printed)
        return msgspec.json.decode(printed)

    def up(self, *words: str) -> None:
        self.run("up", "--detach", *words)

    def processes(self) -> dict[str, psutil.Process]:
        """Everything that runs for this folder, by what it is."""
        found = running(self.state)
        assert found is not None
        supervisor = psutil.Process(found.supervisor.pid)
        named = {_name(child): child for child in supervisor.children(recursive=True)}
        return {"supervisor": supervisor} | {name: one for name, one in named.items() if name}


def _name(process: psutil.Process) -> str | None:
    """What a process of the stack is, by its command line; None when it is gone."""
    try:
        line = " ".join(process.cmdline())
        if "mapping.worker" in line:
            parent = process.parent()
            line += " of " + " ".join(parent.cmdline() if parent else ())
    except psutil.NoSuchProcess:
        return None
    kinds = {
        "local.gateway": "search",
        "mapping.worker": "worker",
        "--function write_to_dynamodb": "write_to_dynamodb",
        "--function write_to_es": "write_to_es",
        "--function write_to_tablestore": "write_to_tablestore",
        "lockstep.local.kinesis": "kinesis",
        "lockstep.local.tablestore": "tablestore",
        "org.opensearch.bootstrap": "opensearch",
        "lockstep.engines.DynamoDb": "dynamodb",
        "lockstep.engines.S3": "s3",
    }
    return next((name for part, name in kinds.items() if part in line), None)


def first_lines(count: int, prefix: str = "") -> bytes:
    """Real records, with ids of their own for each prefix."""
    with DATA.open("rb") as file:
        lines = [next(file) for _ in range(count)]
    return b"".join(
        line.replace(b'"accession": "', f'"accession": "{prefix}'.encode()) for line in lines
    )
