"""The Kinesis endpoint as a process of its own, and a client of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from types_boto3_kinesis import KinesisClient

ROOT = Path(__file__).parents[3]
LISTENING = "kinesis: listening on "


class Server:
    """One process; `url` is where it answers."""

    def __init__(self, database: Path, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lockstep.local.kinesis", "--database", database, *options],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line.startswith(LISTENING), f"{line!r}, {self.process.communicate()[1]}"
        self.url = line.removeprefix(LISTENING).strip()

    def end(self, how: signal.Signals) -> tuple[int, str]:
        """Send the signal; exit code and what it wrote to stderr."""
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@contextmanager
def running(database: Path, *options: str) -> Iterator[Server]:
    server = Server(database, *options)
    try:
        yield server
    finally:
        server.end(signal.SIGKILL)


@contextmanager
def client_of(url: str) -> Iterator["KinesisClient"]:
    """A client that tells every refusal at once."""
    client = boto3.client(
        "kinesis",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=120, max_pool_connections=20),
    )
    with closing(client):
        yield client
