"""The host names of servers on this machine: requests for other names are refused.

This prevents DNS rebinding: a web page could give its own host name the address 127.0.0.1, and use
the servers from its readers' browsers. The browser sends the page's name in the `Host` header.
"""

import re
from ipaddress import AddressValueError, IPv4Address

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lockstep.console.text import printable
from lockstep.web.addresses import HOST

MISDIRECTED = 421

# RFC 9110, 7.2: a host name or an address, IPv6 in brackets, and perhaps a port.
_AUTHORITY = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(:[0-9]*)?")
# A name in DNS has at most 253 characters.
_MOST_QUOTED = 253


def is_local(authority: str, host: str = HOST) -> bool:
    """Whether a `Host` header names this machine's loopback interface, or the address `host`.

    Loopback are localhost and its subdomains (RFC 6761, 6.3), 127.0.0.0/8 and [::1].
    """
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return False
    name = found["name"].lower()
    if name in {host, "localhost", "[::1]"} or name.endswith(".localhost"):
        return True
    try:
        return IPv4Address(name).is_loopback
    except AddressValueError:
        return False


class LocalNamesOnly:
    """The ASGI application `app`, for requests to local host names only; others get status 421.

    Args:
        app: the application.
        host: the address that it listens on.
    """

    def __init__(self, app: ASGIApp, host: str = HOST) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        names = Headers(scope=scope).getlist("host")
        if len(names) == 1 and is_local(names[0], self._host):
            await self._app(scope, receive, send)
            return
        named = printable(" and ".join(names)[:_MOST_QUOTED]) or "nothing"
        text = f"the Host header names {named}: use localhost or {self._host}\n"
        await PlainTextResponse(text, MISDIRECTED)(scope, receive, send)
