"""The repository over real HTTP: whole files, the rest of a file, and every way to fail."""

import hashlib
import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from jgo.maven import MavenContext
from rich.console import Console
from urllib3 import Retry

from lockstep.local.engines.artifacts import DownloadError
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import Kit, Pin
from lockstep.local.engines.repository import Repository
from lockstep.local.ports import free_ports

JAR = bytes(range(256)) * 1000
ADDRESS = "/org/example/engine/1.0/engine-1.0.jar"
KIT = Kit(
    "s3",
    "1.0",
    [Pin("org.example:engine:jar:1.0", hashlib.sha256(JAR).hexdigest(), len(JAR), "lib/e.jar")],
)
QUIET = progress_on(Console(file=io.StringIO()))


class Shop(ThreadingHTTPServer):
    """Serves one jar; can hang up in the middle, once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Counter)
        self.hangs_up_after: int | None = None
        self.ranges: list[str | None] = []

    def repository(self) -> Repository:
        return repository_at(self.server_port)


class Counter(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if self.path != ADDRESS:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(JAR) - start))
        self.end_headers()
        end, self.server.hangs_up_after = self.server.hangs_up_after, None
        self.wfile.write(JAR[start:end])

    def log_message(self, *_: object) -> None:
        """Nothing: the test's output is for people."""


def repository_at(port: int) -> Repository:
    maven = MavenContext(remote_repos={"shop": f"http://127.0.0.1:{port}"})
    return Repository(maven, Retry(total=0))


@pytest.fixture
def shop() -> Iterator[Shop]:
    with Shop() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_an_artifact_is_fetched_by_its_coordinate(shop: Shop, tmp_path: Path) -> None:
    home = install([KIT], tmp_path, QUIET, shop.repository())["s3"]
    assert (home / "lib" / "e.jar").read_bytes() == JAR
    assert shop.ranges == [None]


def test_a_lost_connection_is_one_clear_line_and_the_rest_comes_later(
    shop: Shop, tmp_path: Path
) -> None:
    shop.hangs_up_after = 100_000
    with pytest.raises(
        DownloadError, match=r"cannot download org\.example:engine.*resumes the download"
    ):
        install([KIT], tmp_path, QUIET, shop.repository())
    home = install([KIT], tmp_path, QUIET, shop.repository())["s3"]
    assert (home / "lib" / "e.jar").read_bytes() == JAR
    first, second = shop.ranges
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").removesuffix("-")) <= 100_000


def test_what_is_not_there_is_named_with_the_answer(shop: Shop, tmp_path: Path) -> None:
    unknown = Kit("s3", "1.0", [Pin("org.example:unknown:jar:1.0", "00", 1, "lib/u.jar")])
    with pytest.raises(DownloadError, match=r"cannot download org\.example:unknown:jar:1\.0.*404"):
        install([unknown], tmp_path, QUIET, shop.repository())


def test_without_a_network_it_is_one_clear_line(tmp_path: Path) -> None:
    nobody = free_ports(["nobody"], {})["nobody"]
    with pytest.raises(DownloadError, match="check the network") as raised:
        install([KIT], tmp_path, QUIET, repository_at(nobody))
    assert "\n" not in str(raised.value)
