"""A proxy for a deployed stack's search page: adds the user's credentials to each request.

The search API requires signed requests or tokens, and a browser has neither.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import msgspec
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from starlette.types import ASGIApp

from lockstep.console.errors import UserError
from lockstep.console.text import printable
from lockstep.web import server as web
from lockstep.web.local_names import LocalNamesOnly
from lockstep.web.server import Answer, Request, message

# API Gateway times out after at most 30 seconds.
TIMEOUT = urllib3.Timeout(connect=3, read=35)
# Concurrent requests: the page's own and those for suggestions.
AT_ONCE = 8

_SERVICE = "execute-api"
# The syntax of a bearer token (RFC 6750, 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# The statuses of /health of the search API: healthy, or a store is unavailable.
_HEALTH_STATUSES = frozenset({200, 503})
# Headers about the connection, not about the content (RFC 9110, 7.6.1).
_HOP_BY_HOP = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)

# The headers that authorize a GET request for a URL.
type Authorization = Callable[[str], Mapping[str, str]]


class PageError(UserError):
    """The stack's page is not available; the message says why and what to do."""


def signed(credentials: Credentials | None, region: str) -> Authorization:
    """Sign each request (AWS Signature Version 4), for an API with SearchAuth=IAM.

    Args:
        credentials: of the user; botocore refreshes them.
        region: of the API.

    Raises:
        PageError: there are no credentials.
    """
    if credentials is None:
        raise PageError("no AWS credentials found: set them, or set AWS_PROFILE")

    def authorization(url: str) -> Mapping[str, str]:
        request = AWSRequest("GET", url)
        SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, region).add_auth(request)
        return dict(request.headers.items())

    return authorization


def token_in(file: Path) -> Authorization:
    """Add the token in this file to each request, for an API with SearchAuth=JWT."""

    def authorization(_url: str) -> Mapping[str, str]:
        try:
            token = file.read_text("utf-8", "replace").strip()
        except OSError as error:
            raise PageError(f"{file}: cannot read the token: {error.strerror}") from error
        if not _TOKEN.fullmatch(token):
            raise PageError(
                f"{file}: not a token: the file must contain one line with the token only"
            )
        return {"Authorization": f"Bearer {token}"}

    return authorization


class SearchApi:
    """A client of a search API.

    Args:
        address: its URL, `https://...`, without a path.
        authorization: authorizes requests.
        shows: the kind of authorization.
    """

    def __init__(
        self,
        address: str,
        authorization: Authorization,
        shows: Literal["signature", "token"] = "signature",
    ) -> None:
        self._address = address.rstrip("/")
        self._authorization = authorization
        self._shows = shows
        # Connects to this host only, so that no signed request goes to another host.
        self._http = urllib3.connection_from_url(
            self._address, maxsize=AT_ONCE, block=True, timeout=TIMEOUT, retries=False
        )

    def check(self) -> None:
        """Check that the API accepts requests; its stores may be unavailable.

        Raises:
            PageError: it does not, or it cannot be reached.
        """
        answer = self.ask("/health", "")
        match answer.status:
            case 401:
                raise PageError(
                    f"{self._address} requires a valid token (SearchAuth=JWT): set --token-file"
                )
            case 403:
                reason = f"{self._address} denies access{_message_in(answer)}: "
                raise PageError(reason + _NEEDS[self._shows])
            case status if status not in _HEALTH_STATUSES:
                raise PageError(
                    f"{self._address} is not a search API of Lockstep: /health returns {status}"
                )

    def ask(self, path: str, query: str) -> Answer:
        """Send a GET request to the API.

        Args:
            path: encoded.
            query: encoded. Both are sent in the canonical encoding, which signatures require.

        Raises:
            PageError: there is no answer.
        """
        target = "/".join(quote(unquote_to_bytes(part), safe="") for part in path.split("/"))
        if pairs := parse_qsl(query, keep_blank_values=True):
            target += f"?{urlencode(pairs, quote_via=quote, safe='')}"
        try:
            headers = self._authorization(self._address + target)
            found = self._http.request("GET", target, headers=headers, decode_content=False)
        except (BotoCoreError, urllib3.exceptions.HTTPError) as error:
            raise PageError(f"the request to {self._address} failed: {_cause(error)}") from error
        forwarded = tuple(
            (name, value)
            for name, value in found.headers.items()
            if name.lower() not in _HOP_BY_HOP
        )
        return Answer(found.status, forwarded, found.data)

    def answer(self, request: Request) -> Answer:
        """The API's answer to a browser's request; 502 with the reason if there is none."""
        if request.method not in {"GET", "HEAD"}:
            return message(405, f"{request.method} is not allowed: use GET or HEAD")
        try:
            return self.ask(request.path, request.query)
        except PageError as error:
            return message(502, str(error))


_NEEDS = {
    "signature": "your role needs execute-api:Invoke",
    "token": "your token needs the scope that this API requires; if it requires signed requests "
    "(SearchAuth=IAM), omit --token-file",
}


class _Message(msgspec.Struct):
    message: str


def _message_in(answer: Answer) -> str:
    """The message in an error response, in parentheses, if there is one."""
    try:
        return f" ({printable(msgspec.json.decode(answer.body, type=_Message).message)})"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _cause(error: Exception) -> str:
    """The reason for a failed request, in a few words."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "the host name is not known"
        case urllib3.exceptions.NewConnectionError():
            return getattr(error.__cause__, "strerror", None) or "no connection"
        case urllib3.exceptions.ConnectTimeoutError():
            return "the connection timed out"
        case urllib3.exceptions.ReadTimeoutError():
            return "the answer timed out"
        case urllib3.exceptions.ProtocolError():
            return "the connection was lost"
        case urllib3.exceptions.SSLError():
            return f"the TLS handshake failed: {error}"
        case _:
            return str(error)


def application(api: SearchApi) -> ASGIApp:
    """The ASGI application of the page, for browsers on this machine only."""
    return LocalNamesOnly(web.application(api.answer, at_once=AT_ONCE))
