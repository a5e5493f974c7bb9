"""What is not a complete success, the boto3 client asks again: it knows what to do about it."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from cryptography import x509

from lockstep.stores import quick_objects as module
from lockstep.stores.objects import Objects
from tests.certificates import self_signed
from tests.contract.redrive.test_objects import clients_of, quick_objects

BODY = b"as it was written"


class Answering(BaseHTTPRequestHandler):
    """Gives the next of `answers` to each request; the last one to all further requests."""

    protocol_version = "HTTP/1.1"
    answers: list[bytes]
    agents: list[str]

    def do_GET(self) -> None:
        self.agents.append(f"{self.headers.get('User-Agent', '')} {self.client_address[1]}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.wfile.write(said)
        self.close_connection = said != KEPT

    do_PUT = do_GET  # noqa: N815 - a name of http.server

    def log_message(self, *_: object) -> None:
        pass


def answer(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body) if length is None else length}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def served(
    *answers: bytes, tls: ssl.SSLContext | None = None, proxied: pytest.MonkeyPatch | None = None
) -> Iterator[tuple[Objects, list[str]]]:
    """The objects of a bucket that gives these answers; who asked, and from which port.

    With `proxied`, the environment names the server as the proxy, too.
    """
    agents: list[str] = []
    handler = type("Handler", (Answering,), {"answers": list(answers), "agents": agents})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scheme = "http" if tls is None else "https"
        endpoint = f"{scheme}://127.0.0.1:{server.server_port}"
        if proxied is not None:
            proxied.setenv("http_proxy", endpoint)
            proxied.setenv("no_proxy", "")
        clients = clients_of(endpoint)
        yield quick_objects(clients, "b"), agents
        server.shutdown()


def error(status: str, code: str) -> bytes:
    return answer(status, f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode())


WHOLE = answer("200 OK", BODY)
# After this one the connection stays open, as its headers say.
KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
ENDED = KEPT.replace(b"x", b"y")
WRITTEN = answer("200 OK", b"", 'ETag: "1"')
NOT_WHOLE = [
    answer("200 OK", BODY[:3], length=len(BODY)),
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY[:3],
    error("503 Slow Down", "SlowDown"),
    error("404 Not Found", "Unclear"),
    b"",
    b"HTTP/1.1 200",
]


def asked_by(agents: list[str]) -> list[bool]:
    """Whether boto3 sent a request, for each."""
    return [agent.startswith("Boto3") for agent in agents]


def test_a_complete_answer_needs_no_boto3() -> None:
    with served(WHOLE) as (objects, agents):
        assert objects.read("k") == BODY
    with served(WRITTEN) as (objects, more):
        objects.write("k", BODY)
        objects.write_new("k", BODY)
    with served(error("404 Not Found", "NoSuchKey")) as (objects, none):
        assert objects.read("k") is None
    assert asked_by(agents + more + none) == [False] * 4


@pytest.mark.parametrize("bad", NOT_WHOLE)
def test_an_answer_that_is_not_whole_is_asked_for_again_by_boto3(bad: bytes) -> None:
    with served(bad, WHOLE) as (objects, agents):
        assert objects.read("k") == BODY
    assert asked_by(agents) == [False, True]


@pytest.mark.parametrize("bad", [*NOT_WHOLE, answer("200 OK")])
@pytest.mark.parametrize("write", [lambda o: o.write("k", BODY), lambda o: o.write_new("k", BODY)])
def test_a_write_without_an_answer_is_written_again_by_boto3(
    bad: bytes, write: Callable[[Objects], None]
) -> None:
    with served(bad, WRITTEN) as (objects, agents):
        write(objects)
    assert asked_by(agents) == [False, True]


def test_a_refusal_is_the_error_of_boto3() -> None:
    with served(error("403 Forbidden", "AccessDenied")) as (objects, _):
        with pytest.raises(ClientError, match="AccessDenied"):
            objects.read("k")
        with pytest.raises(ClientError, match="AccessDenied"):
            objects.write("k", BODY)


def test_what_never_answers_is_not_asked_twice() -> None:
    with served(b"", WHOLE) as (objects, agents):
        assert [objects.read("k") for _ in range(3)] == [BODY] * 3
    assert asked_by(agents) == [False, True, True, True]


def test_a_connection_serves_many_requests_and_is_opened_again_after_its_end() -> None:
    with served(KEPT, KEPT, WHOLE, KEPT, KEPT) as (objects, agents):
        assert [objects.read("k") for _ in range(5)] == [b"x", b"x", BODY, b"x", b"x"]
    ports = [one.rpartition(" ")[2] for one in agents]
    assert (len(set(ports[:3])), len(set(ports[3:]))) == (1, 1)
    assert asked_by(agents) == [False] * 5


def test_after_a_connection_that_ended_unannounced_boto3_asks_once() -> None:
    with served(ENDED, KEPT) as (objects, agents):
        assert [objects.read("k") for _ in range(3)] == [b"y", b"x", b"x"]
    assert asked_by(agents) == [False, True, False]


@pytest.mark.parametrize("is_known", [True, False])
def test_only_boto3_is_asked_if_it_alone_trusts_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_known: bool
) -> None:
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = self_signed("bucket", [(names, False)])
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(made.certificate)
    key.write_bytes(made.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))  # of boto3
    if is_known:
        monkeypatch.setattr(module, "get_cert_path", lambda **_: str(certificate))
    with served(WHOLE, tls=tls) as (objects, agents):
        assert [objects.read("k"), objects.read("k")] == [BODY, BODY]
    assert asked_by(agents) == [not is_known] * 2


def test_boto3_alone_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(WHOLE, proxied=monkeypatch) as (objects, agents):
        assert objects.read("k") == BODY
    assert asked_by(agents) == [True]
