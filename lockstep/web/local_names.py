"""Requests to servers on this machine must be for a local host name, and from a local web page.

So no web page from the internet can use them in the browser of a developer. A page can give its own
host name the address 127.0.0.1 (DNS rebinding); then the header `Host` contains the page's name. A
page can also send requests to 127.0.0.1; then the header `Origin` contains the page's name.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lockstep.console.text import printable
from lockstep.web.addresses import HOST

# RFC 9110, 7.2: a host name or an address, IPv6 in brackets, and perhaps a port.
_AUTHORITY = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+)(:[0-9]*)?")
# A name in DNS has at most 253 characters.
_MOST_QUOTED = 253


@dataclass(frozen=True, slots=True)
class Misdirected:
    """Why a request is refused, as an HTTP status and one line."""

    status: int
    text: str


def refusal(hosts: Sequence[str], origins: Sequence[str], listening: str) -> Misdirected | None:
    """Why a server refuses a request; None if it accepts it.

    Local are localhost and its subdomains (RFC 6761, 6.3), 127.0.0.0/8, [::1], and `listening`.

    Args:
        hosts: the values of the request's `Host` headers. There must be one, with a local name.
        origins: the values of its `Origin` headers. Each must be a page with a local name.
        listening: the address that the server listens on.
    """
    if len(hosts) != 1 or not _is_local(hosts[0], listening):
        named = _quoted(hosts)
        return Misdirected(421, f"the Host header names {named}: use localhost or {listening}\n")
    if not all(_is_local(origin.partition("://")[2], listening) for origin in origins):
        named = _quoted(origins)
        return Misdirected(403, f"a web page of {named} may not use this server of localhost\n")
    return None


def _is_local(authority: str, listening: str) -> bool:
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return False
    name = found["name"].lower()
    if name in {listening, "localhost", "[::1]"} or name.endswith(".localhost"):
        return True
    try:
        return IPv4Address(name).is_loopback
    except AddressValueError:
        return False


def _quoted(values: Sequence[str]) -> str:
    return printable(" and ".join(values)[:_MOST_QUOTED]) or "nothing"


class LocalNamesOnly:
    """The ASGI application `app`, which gets no request that `refusal` refuses.

    Args:
        app: the application.
        host: the address that it listens on.
    """

    def __init__(self, app: ASGIApp, host: str = HOST) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        answers = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            found = refusal(headers.getlist("host"), headers.getlist("origin"), self._host)
            if found is not None:
                answers = PlainTextResponse(found.text, found.status)
        await answers(scope, receive, send)
