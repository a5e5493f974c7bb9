"""Which host names are local: those that no other computer can have."""

import asyncio
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from lockstep.web.local_names import LocalNamesOnly, is_local

LISTENING = "172.17.0.1"


def asked(*names: bytes) -> tuple[int, str]:
    """Status and text of the answer to a request with these `Host` headers."""
    got: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    scope = {"type": "http", "method": "GET", "headers": [(b"host", name) for name in names]}
    asyncio.run(LocalNamesOnly(PlainTextResponse("done"), LISTENING)(scope, receive, send))
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
    assert is_local(authority, LISTENING)
    assert asked(authority.encode()) == (200, "done")


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
    assert not is_local(authority, LISTENING)
    status, text = asked(authority.encode())
    named = authority or "nothing"
    assert (status, text) == (
        421,
        f"the Host header names {named}: use localhost or 172.17.0.1\n",
    )


def test_the_address_of_another_server_is_not_local() -> None:
    assert not is_local(LISTENING)


def test_a_request_names_one_host() -> None:
    assert asked()[0] == 421
    assert asked(b"localhost", b"evil.example") == (
        421,
        "the Host header names localhost and evil.example: use localhost or 172.17.0.1\n",
    )


def test_a_long_name_or_one_with_control_characters_is_shortened_and_escaped() -> None:
    status, text = asked(b"\x1b[2J" + b"x" * 100_000)
    assert status == 421
    assert text.startswith("the Host header names \\x1b[2Jxxx")
    assert len(text) < 400
