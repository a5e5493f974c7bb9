"""The process and the thread: they lose nothing that they acknowledged, and end cleanly."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tablestore import CapacityUnit, OTSClient, ReservedThroughput, Row, TableMeta, TableOptions
from tablestore.retry import NoRetryPolicy

from lockstep.local.tablestore.server import LocalTableStore
from lockstep.local.tablestore.signatures import Account
from tests.unit.tablestore.client import IGNORE

ROOT = Path(__file__).parents[3]
LISTENING = "tablestore: listening on "
PROGRAM = (sys.executable, "-m", "lockstep.local.tablestore")
ROWS = 50


@contextmanager
def running(database: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and where it answers."""
    with subprocess.Popen(
        [*PROGRAM, "--database", database, *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith(LISTENING), line
            yield process, line.removeprefix(LISTENING).strip()
        finally:
            process.kill()


def client_of(address: str, account: Account | None = None) -> Any:
    account = account or Account()
    words = (account.key_id, account.secret, account.instance)
    return OTSClient(address, *words, retry_policy=NoRetryPolicy())


def create(client: Any) -> None:
    meta = TableMeta("rows", [("id", "INTEGER")])
    client.create_table(meta, TableOptions(), ReservedThroughput(CapacityUnit(0, 0)))


def put(client: Any, number: int) -> None:
    client.put_row("rows", Row([("id", number)], [("n", number)]), IGNORE)


def numbers(client: Any) -> list[int]:
    ends = ([("id", -1)], [("id", ROWS + 1)])
    _, _, rows, _ = client.get_range("rows", "FORWARD", *ends, max_version=1)
    return [row.attribute_columns[0][1] for row in rows]


def test_what_it_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    account = Account("key", "secret", "instance")
    options = ("--key-id", "key", "--secret", "secret", "--instance", "instance")
    with running(tmp_path / "tables.db", *options) as (process, address):
        client = client_of(address, account)
        create(client)
        for number in range(ROWS):
            put(client, number)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running(tmp_path / "tables.db") as (process, address):
        assert numbers(client_of(address)) == list(range(ROWS))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
    assert "Traceback" not in said


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*PROGRAM, "--port", port, "--database", tmp_path / "tables.db"],
            cwd=ROOT,
            capture_output=True,
            check=False,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"tablestore: cannot listen on port {port} of 127.0.0.1: Address already in use:"
        " use another --port or --host"
    )


def test_the_thread_starts_and_stops_as_often_as_one_likes(tmp_path: Path) -> None:
    store = LocalTableStore(tmp_path / "tables.db")
    store.start()
    first = store.address
    create(client_of(first))
    store.stop()
    with store:
        put(client_of(store.address), 1)
        assert numbers(client_of(store.address)) == [1]


def test_the_thread_leaves_nothing_open_if_its_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        store = LocalTableStore(tmp_path / "tables.db", port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            store.start()
    with LocalTableStore(tmp_path / "tables.db") as other:
        create(client_of(other.address))


def test_a_connection_that_was_idle_for_some_seconds_is_used_again(tmp_path: Path) -> None:
    with running(tmp_path / "tablestore.db") as (_, address):
        connection = http.client.HTTPConnection(address.removeprefix("http://"))
        for pause in (0, 6):
            time.sleep(pause)
            connection.request("POST", "/ListTable")
            assert connection.getresponse().read() != b""
        connection.close()
