"""A deployed stack's page on this machine: its search API, asked with the rights of whoever looks.

The API takes signed requests or tokens, and a browser by itself has neither.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from lockstep import web
from lockstep.web import Answer, Request, message

HOST = "127.0.0.1"
# API Gateway gives up after 30 seconds at most.
TIMEOUT = urllib3.Timeout(connect=3, read=35)
# A page's own request and those for suggestions.
AT_ONCE = 8

_SERVICE = "execute-api"
# What says how this one answer travelled, not what it is (RFC 9110, 7.6.1).
_OF_THE_WAY = frozenset(
    {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
)

# The headers that show an API who asks for this URL with GET.
type Authorization = Callable[[str], Mapping[str, str]]


class PageError(Exception):
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
            token = file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PageError(f"{file}: no token can be read: {error}") from error
        return {"Authorization": f"Bearer {token}"}

    return authorization


class SearchApi:
    """A search API, and a way in.

    Args:
        address: its URL, `https://...`, without a path.
        authorization: what lets a request in.
    """

    def __init__(self, address: str, authorization: Authorization) -> None:
        self._address = address.rstrip("/")
        self._authorization = authorization
        # Of this one host: whatever a request names, nothing signed goes anywhere else.
        self._http = urllib3.connection_from_url(
            self._address, maxsize=AT_ONCE, block=True, timeout=TIMEOUT, retries=False
        )

    def check(self) -> None:
        """Return when the API lets us in, whether or not its stores answer.

        Raises:
            PageError: it does not, or cannot be reached.
        """
        match self.ask("/health", "").status:
            case 401:
                raise PageError(
                    f"{self._address} takes tokens (SearchAuth=JWT): "
                    "give --token-file one that is valid"
                )
            case 403:
                raise PageError(
                    f"{self._address} does not let you in: your role needs execute-api:Invoke"
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
            raise PageError(f"{self._address} cannot be asked: {error}") from error
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


def application(api: SearchApi) -> ASGIApp:
    """The page, for browsers on this machine only.

    Any web page may send its readers' browsers here under a name of its own that leads to
    127.0.0.1, and could read the answers: who calls us anything but local gets none.
    """
    answers = web.application(api.answer, at_once=AT_ONCE)
    return TrustedHostMiddleware(answers, [HOST, "localhost"], www_redirect=False)
