"""Which host names are local: those that no web page of the internet can have."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from lockstep.web.local_names import LocalNamesOnly

LISTENING = "172.17.0.1"


def asked(*hosts: str, origin: str | None = None, listening: str = LISTENING) -> tuple[int, str]:
    """Status and text of the answer to a request with these headers."""
    got: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    headers = [(b"host", host.encode()) for host in hosts]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    scope = {"type": "http", "method": "GET", "headers": headers}
    asyncio.run(LocalNamesOnly(PlainTextResponse("done"), listening)(scope, receive, send))
    start, *rest = got
    return start["status"], b"".join(part["body"] for part in rest).decode()


@pytest.mark.parametrize(
    "authority",
    [
        "localhost",
        "LocalHost:4711",
        "kinesis.localhost:4711",
        "127.0.0.1",
        "127.255.3.9:4711",
        "[::1]",
        "[::1]:4711",
        "172.17.0.1:4711",
    ],
)
def test_loopback_names_and_the_own_address_are_local(authority: str) -> None:
    assert asked(authority) == (200, "done")
    assert asked("localhost", origin=f"http://{authority}") == (200, "done")
    assert asked("localhost", origin=f"https://{authority}") == (200, "done")


@pytest.mark.parametrize(
    "authority",
    [
        "",
        ":4711",
        "evil.example",
        "evil.example:4711",
        "localhost.evil.example",
        "evillocalhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104  # a name in a header
        "[::2]",
        "[::1].evil.example",
        "::1",
        "localhost:x",
        "172.17.0.2",
        "xn--caf-dma.example",
        "localhost evil.example",
    ],
)
def test_all_other_names_are_refused_in_one_line(authority: str) -> None:
    assert asked(authority) == (
        421,
        f"the Host header names {authority or 'nothing'}: use localhost or 172.17.0.1\n",
    )
    assert asked("localhost", origin=f"http://{authority}") == (
        403,
        f"a web page of http://{authority} may not use this server of localhost\n",
    )


@pytest.mark.parametrize("origin", ["null", "localhost", "chrome-extension://abc", "file://"])
def test_what_is_no_page_of_a_local_server_is_refused(origin: str) -> None:
    assert asked("localhost", origin=origin)[0] == 403


def test_the_address_of_another_server_is_not_local() -> None:
    assert asked(LISTENING, listening="127.0.0.1")[0] == 421


def test_a_request_names_one_host() -> None:
    assert asked()[0] == 421
    assert asked("localhost", "evil.example") == (
        421,
        "the Host header names localhost and evil.example: use localhost or 172.17.0.1\n",
    )


def test_a_long_name_or_one_with_control_characters_is_shortened_and_escaped() -> None:
    for hosts, origin in (("\x1b[2J" + "x" * 100_000, None), ("localhost", "\x1b" * 100_000)):
        status, text = asked(hosts, origin=origin)
        assert status in {421, 403}
        assert "\\x1b" in text
        assert len(text) < 1_200
