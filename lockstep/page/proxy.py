"""A deployed stack's page on this machine: its search API, asked with the rights of whoever looks.

The API takes signed requests or tokens, and a browser by itself has neither.
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
from lockstep.web.addresses import HOST
from lockstep.web.server import Answer, Request, message

# API Gateway gives up after 30 seconds at most.
TIMEOUT = urllib3.Timeout(connect=3, read=35)
# A page's own request and those for suggestions.
AT_ONCE = 8

_SERVICE = "execute-api"
# What a Bearer header can carry (RFC 6750, 2.1).
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# An API that lives, and one whose stores do not answer.
_OF_THIS_API = frozenset({200, 503})
# What says how this one answer travelled, not what it is (RFC 9110, 7.6.1).
_OF_THE_WAY = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)

# The headers that show an API who asks for this URL with GET.
type Authorization = Callable[[str], Mapping[str, str]]


class PageError(UserError):
    """The stack's page cannot be shown; the message says why and what to do."""


def signed(credentials: Credentials | None, region: str) -> Authorization:
    """Signs each request (AWS Signature Version 4), for an API that takes those.

    Args:
        credentials: whose; botocore keeps them fresh.
        region: of the API.

    Raises:
        PageError: there are none.
    """
    if credentials is None:
        raise PageError("no AWS credentials to sign with: set them, or name an AWS_PROFILE")

    def authorization(url: str) -> Mapping[str, str]:
        request = AWSRequest("GET", url)
        SigV4Auth(credentials.get_frozen_credentials(), _SERVICE, region).add_auth(request)
        return dict(request.headers.items())

    return authorization


def token_in(file: Path) -> Authorization:
    """Hands each request the token that is in this file then, for an API that takes tokens."""

    def authorization(_url: str) -> Mapping[str, str]:
        try:
            token = file.read_text("utf-8", "replace").strip()
        except OSError as error:
            raise PageError(f"{file}: no token can be read: {error.strerror}") from error
        if not _TOKEN.fullmatch(token):
            raise PageError(f"{file}: what is in it is no token: one line, and nothing else in it")
        return {"Authorization": f"Bearer {token}"}

    return authorization


class SearchApi:
    """A search API, and a way in.

    Args:
        address: its URL, `https://...`, without a path.
        authorization: what lets a request in.
        shows: what that shows.
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
        # Of this one host: whatever a request names, nothing signed goes anywhere else.
        self._http = urllib3.connection_from_url(
            self._address, maxsize=AT_ONCE, block=True, timeout=TIMEOUT, retries=False
        )

    def check(self) -> None:
        """Return when the API lets us in, whether or not its stores answer.

        Raises:
            PageError: it does not, or cannot be reached.
        """
        answer = self.ask("/health", "")
        match answer.status:
            case 401:
                raise PageError(
                    f"{self._address} takes tokens (SearchAuth=JWT): "
                    "give --token-file one that is valid"
                )
            case 403:
                said = f"{self._address} does not let you in{_said(answer)}: "
                raise PageError(said + _NEEDS[self._shows])
            case status if status not in _OF_THIS_API:
                raise PageError(
                    f"{self._address} is no search API of Lockstep: it answers {status} to /health"
                )

    def ask(self, path: str, query: str) -> Answer:
        """Ask the API with GET.

        Args:
            path: encoded.
            query: encoded. Both go on in the one form that signatures are made for.

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
            raise PageError(f"{self._address} cannot be asked: {_cause(error)}") from error
        headers_of_it = tuple(
            (name, value)
            for name, value in found.headers.items()
            if name.lower() not in _OF_THE_WAY
        )
        return Answer(found.status, headers_of_it, found.data)

    def answer(self, request: Request) -> Answer:
        """The API's answer to a browser's request; 502 and the reason when there is none."""
        if request.method not in {"GET", "HEAD"}:
            return message(405, f"{request.method} is not done here: GET or HEAD")
        try:
            return self.ask(request.path, request.query)
        except PageError as error:
            return message(502, str(error))


_NEEDS = {
    "signature": "your role needs execute-api:Invoke",
    "token": "your token needs the scope that this API asks for; if it takes signed requests "
    "(SearchAuth=IAM), leave --token-file out",
}


class _Message(msgspec.Struct):
    message: str


def _said(answer: Answer) -> str:
    """What an API says to its no, if it says anything."""
    try:
        return f" ({printable(msgspec.json.decode(answer.body, type=_Message).message)})"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def _cause(error: Exception) -> str:
    """Why there is no answer, in a few words."""
    match error:
        case urllib3.exceptions.NameResolutionError():
            return "this name leads nowhere"
        case urllib3.exceptions.NewConnectionError():
            return getattr(error.__cause__, "strerror", None) or "no connection"
        case urllib3.exceptions.ConnectTimeoutError():
            return "no connection in time"
        case urllib3.exceptions.ReadTimeoutError():
            return "no answer in time"
        case urllib3.exceptions.ProtocolError():
            return "the connection was lost"
        case urllib3.exceptions.SSLError():
            return f"no TLS: {error}"
        case _:
            return str(error)


def application(api: SearchApi) -> ASGIApp:
    """The page, for browsers on this machine only."""
    return web.for_local_names(web.application(api.answer, at_once=AT_ONCE), HOST)
