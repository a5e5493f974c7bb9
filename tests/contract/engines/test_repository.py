"""The repository over real HTTP: whole files, the rest of a file, and every way to fail."""

import hashlib
import io
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from jgo.maven import MavenContext
from rich.console import Console
from urllib3 import Retry

from lockstep.local.engines.artifacts import DownloadError
from lockstep.local.engines.download import install, progress_on
from lockstep.local.engines.pins import Kit, Pin
from lockstep.local.engines.repository import Repository
from lockstep.local.ports import free_ports
from tests.certificates import self_signed

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


class Tunnels(socketserver.ThreadingTCPServer):
    """A proxy whose tunnels all lead to one port."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Tunnel)
        self.port = port
        self.opened = 0


class Tunnel(socketserver.StreamRequestHandler):
    server: Tunnels

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.server.opened += 1
        with socket.create_connection(("127.0.0.1", self.server.port)) as there:
            self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=copy, args=(there, self.connection)).start()
            copy(self.connection, there)


def copy(source: socket.socket, goal: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            goal.sendall(data)
        goal.shutdown(socket.SHUT_WR)


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


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A certificate, with its key, that no list of public authorities knows."""
    made = self_signed(
        "a company's authority",
        [
            (x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False),
            (x509.BasicConstraints(ca=True, path_length=None), True),
        ],
    )
    file = tmp_path / "authority.pem"
    file.write_bytes(made.key + made.certificate)
    return file


@pytest.fixture
def shop_with_tls(shop: Shop, authority: Path) -> Shop:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    shop.socket = context.wrap_socket(shop.socket, server_side=True)
    return shop


@pytest.fixture(params=["directly", "through a proxy"])
def way(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, shop_with_tls: Shop
) -> Iterator[None]:
    """How to reach the repository: a company often has a proxy that presents its certificate."""
    if request.param == "directly":
        yield
        return
    with Tunnels(shop_with_tls.server_port) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.01,)).start()
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy.server_address[1]}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield
        proxy.shutdown()
    assert proxy.opened


@pytest.mark.usefixtures("way")
def test_an_authority_that_the_system_trusts_counts(
    shop_with_tls: Shop, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    # Stands in for the system's store: only what asks the system reads it.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    maven = MavenContext(remote_repos={"shop": f"https://127.0.0.1:{shop_with_tls.server_port}"})
    home = install([KIT], tmp_path, QUIET, Repository(maven, Retry(total=0)))["s3"]
    assert (home / "lib" / "e.jar").read_bytes() == JAR


def test_without_a_network_it_is_one_clear_line(tmp_path: Path) -> None:
    nobody = free_ports(["nobody"], {})["nobody"]
    with pytest.raises(DownloadError, match="check the network") as raised:
        install([KIT], tmp_path, QUIET, repository_at(nobody))
    assert "\n" not in str(raised.value)
