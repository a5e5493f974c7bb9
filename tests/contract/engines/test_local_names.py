"""No engine answers a web page of the internet, in the browser on the same machine."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import urllib3

from lockstep.local.engines.java import LOCAL_NAMES
from lockstep.local.engines.pins import EngineName
from lockstep.local.processes import start, stop, wait_until_ready
from tools.engines import READY_SECONDS, engine_service
from tools.local_names import ENGINES, compiled

# A name, and whether it is local: as in the tests of lockstep/web/local_names.py.
NAMES = {
    "127.0.0.1": True,
    "127.255.3.9:4711": True,
    "localhost": True,
    "LocalHost:4711": True,
    "opensearch.localhost:4711": True,
    "[::1]:4711": True,
    "host.docker.internal:4711": True,
    "evil.example": False,
    "evil.example:4711": False,
    "evillocalhost": False,
    "localhost.evil.example": False,
    "127.0.0.1.evil.example": False,
    "127.0.0.1000": False,
    "127.0.0.1.": False,
}
# A browser looks up no name for these, and a function in a container may use them.
ADDRESSES = ["203.0.113.1:4711", "172.17.0.2", "[2001:db8::1]:4711"]
# Requests that OpenSearch knows. The other engines check the name before the path.
REQUESTS = {"GET": "/_search", "POST": "/_search", "PUT": "/x/_doc/1", "DELETE": "/x"}


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_answers_to_local_names_only(
    engine: Callable[[EngineName], str], name: EngineName
) -> None:
    address = engine(name)
    for host, is_local in [*NAMES.items(), *((each, True) for each in ADDRESSES)]:
        for method, path in REQUESTS.items():
            answer = urllib3.request(
                method, address + path, headers={"Host": host}, body=b"", retries=False
            )
            assert (answer.status != 421) == is_local, (host, method)
            if not is_local:
                expected = f"the Host header names {host}: use localhost or 127.0.0.1\n"
                assert answer.data.decode() == expected


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_answers_to_pages_of_local_servers_only(
    engine: Callable[[EngineName], str], name: EngineName
) -> None:
    address = engine(name)
    for host, is_local in [*NAMES.items(), *((each, False) for each in ADDRESSES)]:
        for method, path in REQUESTS.items():
            origin = f"http://{host}"
            answer = urllib3.request(
                method, address + path, headers={"Origin": origin}, body=b"", retries=False
            )
            assert (answer.data.decode() != refused(origin)) == is_local, (host, method)
            assert is_local or answer.status == 403
            assert is_local or "Access-Control-Allow-Origin" not in answer.headers
    for origin in ("null", "file://", "chrome-extension://abc"):
        answer = urllib3.request("GET", address + path, headers={"Origin": origin})
        assert (answer.status, answer.data.decode()) == (403, refused(origin))


def refused(origin: str) -> str:
    return f"a web page of {origin} may not use this server of localhost\n"


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_refuses_what_no_client_sends(
    engine: Callable[[EngineName], str], name: EngineName
) -> None:
    address = urlsplit(engine(name))
    assert address.hostname is not None
    for headers in ("", "Host: localhost\r\nHost: evil.example\r\n", "Host: \r\n"):
        with socket.create_connection((address.hostname, address.port or 0)) as connection:
            connection.sendall(f"GET /_search HTTP/1.1\r\n{headers}\r\n".encode())
            status = int(connection.makefile("rb").readline().split()[1])
        assert status in {400, 421}, headers


def test_a_page_of_the_address_that_an_engine_listens_on_is_local(tmp_path: Path) -> None:
    service = engine_service("s3", tmp_path)
    # As if it listened there: not every machine has an address that is not loopback.
    command = [word.replace("=127.0.0.1", "=172.17.0.1") for word in service.command]
    child = start(replace(service, command=command))
    try:
        wait_until_ready([child], seconds=READY_SECONDS)
        address = f"http://{service.host}:{service.port}"
        for host, is_local in (("172.17.0.1:1", True), ("172.17.0.2:1", False)):
            origin = f"http://{host}"
            answer = urllib3.request("GET", address, headers={"Origin": origin})
            assert (answer.data.decode() != refused(origin)) == is_local
    finally:
        stop([child])


@pytest.mark.parametrize("name", ENGINES)
def test_an_engine_that_gets_no_port_ends(tmp_path: Path, name: EngineName) -> None:
    service = engine_service(name, tmp_path)
    with socket.create_server((service.host, service.port or 0)):
        child = start(service)
        assert child.process.wait(READY_SECONDS) != 0
    assert "Address already in use" in service.log.read_text()


def test_the_jar_is_what_its_sources_make() -> None:
    assert compiled() == LOCAL_NAMES.read_bytes(), "run: python -m tools.local_names"
