"""The API: each address and what answers there; docs/guides/search-api.md is its contract."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError
from opensearchpy import OpenSearch
from opensearchpy.exceptions import ConnectionTimeout, OpenSearchException, RequestError

from functions.search_images.cursor import InvalidCursorError
from functions.search_images.openapi import document
from functions.search_images.page import HEADERS, found_page, problem_page, record_page
from functions.search_images.parameters import (
    NoParameters,
    SuggestParameters,
    asked,
    parameters,
)
from functions.search_images.problem import CONTENT_TYPE as PROBLEM
from functions.search_images.problem import (
    InvalidParametersError,
    ParameterProblem,
    Problem,
    problem,
    unavailable,
)
from functions.search_images.record import Record, record
from functions.search_images.search import SearchResult, TooSlowError, answered, page
from functions.search_images.suggest import suggest
from functions.search_images.ways import IMAGE, pairs_in, query_of, value_of
from shared.event import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Answer = Response[str]

_ID = re.compile(IMAGE_ID_PATTERN)
_ADDRESS = re.compile(r"/(health|openapi\.json|images(/[^/]+)?)?")
_METHODS = ("GET", "HEAD")

# For every answer: nothing of it is to be kept, or taken for a page of its own.
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """Where images are found and where they are kept."""

    index: OpenSearch
    alias_live: str
    dynamodb: "DynamoDBClient"
    table: str


class Api:
    """All addresses. Any request gets an answer, whatever it is and whatever the stores do.

    Args:
        stores: connects to them, when they are first needed.
        log: for what its callers are not told.
    """

    def __init__(self, stores: Callable[[], Stores], log: Logger) -> None:
        self._stores = stores
        self._log = log
        self._resolver = APIGatewayHttpResolver()
        self._add_addresses()
        self._add_problems()

    def answer(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """The answer to a request of API Gateway, both in its payload format 2.0."""
        request, around = {**event}, event["requestContext"]
        method = around["http"]["method"]
        if method == "HEAD":
            http = {**around["http"], "method": "GET"}
            request["requestContext"] = {**around, "http": http}
        answer = self._resolver.resolve(request, context)
        if APIGatewayProxyEventV2(request).path == "/":
            answer = _for_people(answer, request["rawQueryString"])
        answer["headers"] = {**_HEADERS, **answer["headers"]}
        return answer | {"body": ""} if method == "HEAD" else answer

    def _add_addresses(self) -> None:
        add = self._resolver.get
        add("/")(self._page)
        add("/images")(self._images)
        add("/images/suggest")(self._suggest)
        add("/images/<image_id>")(self._record)
        add("/health")(self._health)
        add("/openapi.json")(self._openapi)

    def _add_problems(self) -> None:
        add = self._resolver.exception_handler
        add(NotFoundError)(self._not_found)
        add(InvalidParametersError)(_invalid)
        add(InvalidCursorError)(_invalid_cursor)
        for slow in (TooSlowError, ConnectionTimeout):
            add(slow)(_too_slow)
        for kind in (OpenSearchException, ClientError, BotoCoreError):
            add(kind)(self._unavailable)
        # What the index does not understand is a mistake of ours, like any other exception.
        for mistake in (RequestError, Exception):
            add(mistake)(self._our_mistake)

    def _query(self) -> str:
        return str(self._resolver.current_event.raw_query_string or "")

    def _page(self) -> Answer:
        pairs = pairs_in(self._query())
        image_id = value_of(pairs, IMAGE)
        if image_id is None:
            return _html(found_page(pairs, self._found(query_of(pairs))))
        kept = self._kept(image_id)
        return _no_such_image() if kept is None else _html(record_page(pairs, kept))

    def _images(self) -> Answer:
        return _json(self._found(self._query()))

    def _found(self, query: str) -> SearchResult:
        what, found = asked(query)
        after = found.cursor if isinstance(found.cursor, str) else None
        stores = self._stores()
        return page(stores.index, stores.alias_live, what, size=found.size, after=after)

    def _suggest(self) -> Answer:
        found = parameters(SuggestParameters, self._query())
        stores = self._stores()
        return _json(suggest(stores.index, stores.alias_live, found.q, found.size))

    def _record(self, image_id: str) -> Answer:
        parameters(NoParameters, self._query())
        kept = self._kept(unquote(image_id))
        return _no_such_image() if kept is None else _json(kept)

    def _kept(self, image_id: str) -> Record | None:
        stores = self._stores()
        return record(stores.dynamodb, stores.table, image_id) if _ID.match(image_id) else None

    def _health(self) -> Answer:
        parameters(NoParameters, self._query())
        stores = self._stores()
        answered(stores.index, stores.alias_live, {"size": 0, "terminate_after": 1})
        return _json({"status": "ok"})

    def _openapi(self) -> Answer:
        parameters(NoParameters, self._query())
        return _json(document())

    def _not_found(self, _: NotFoundError) -> Answer:
        event = self._resolver.current_event
        if event.http_method not in _METHODS and _ADDRESS.fullmatch(event.path):
            allow: dict[str, str | list[str]] = {"Allow": ", ".join(_METHODS)}
            detail = f"{event.http_method} is not done here: {' or '.join(_METHODS)}"
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers=allow)
        return problem(HTTPStatus.NOT_FOUND, "there is nothing at this address")

    def _unavailable(self, error: Exception) -> Answer:
        self._log.error("a store does not answer", extra={"cause": repr(error)})
        return unavailable("the images cannot be reached now")

    def _our_mistake(self, error: Exception) -> Answer:
        self._log.error("a mistake of ours", exc_info=error)
        detail = "that is a mistake of ours; the log has it"
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _json(found: object) -> Answer:
    return Response(HTTPStatus.OK.value, "application/json", msgspec.json.encode(found).decode())


def _html(whole: str) -> Answer:
    return Response(HTTPStatus.OK.value, body=whole, headers={**HEADERS})


def _for_people(answer: dict[str, Any], query: str) -> dict[str, Any]:
    """The answer at the page's address: a problem is told there on a page, too."""
    if answer["headers"]["Content-Type"] != PROBLEM:
        return answer
    told = msgspec.json.decode(answer["body"], type=Problem)
    body = problem_page(pairs_in(query), HTTPStatus(told.status), told.detail, told.errors)
    return answer | {"body": body, "headers": answer["headers"] | HEADERS}


def _no_such_image() -> Answer:
    return problem(HTTPStatus.NOT_FOUND, "there is no such image")


def _invalid(error: InvalidParametersError) -> Answer:
    return problem(HTTPStatus.BAD_REQUEST, str(error), error.errors)


def _invalid_cursor(error: InvalidCursorError) -> Answer:
    return _invalid(InvalidParametersError(ParameterProblem("cursor", str(error))))


def _too_slow(_: Exception) -> Answer:
    return unavailable("that takes too long: ask for less, or try again later")
