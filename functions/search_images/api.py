"""The HTTP API: its paths and answers (docs/guides/search-api.md).

What only some paths need is imported when such a request comes: the page with its templates, the
OpenAPI document.
"""

# ruff: noqa: PLC0415

import re
from collections.abc import Callable, Mapping, Sequence
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
from functions.search_images.facets import FACET_NAMES, MOST_FACET_VALUES, FacetValues, is_facet
from functions.search_images.invalid import InvalidParametersError, ParameterProblem
from functions.search_images.links import (
    CONTAINS,
    CURSOR,
    FACET,
    IMAGE,
    Pairs,
    pairs_in,
    value_of,
    without,
)
from functions.search_images.parameters import (
    ImagesParameters,
    NoParameters,
    SuggestParameters,
    facet_request,
    images_request,
    parameters,
)
from functions.search_images.problem import CONTENT_TYPE as PROBLEM
from functions.search_images.problem import Problem, problem, unavailable
from functions.search_images.record import ImageRecord, record
from functions.search_images.search import (
    SearchRequest,
    SearchResult,
    TooSlowError,
    facet_values,
    page,
    run_query,
)
from functions.search_images.suggest import suggest
from shared.event import IMAGE_ID_PATTERN

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from functions.search_images.formats import ExportFormat
    from functions.search_images.page.filters import OpenFacet
    from functions.search_images.page.paging import ResultPlace
    from functions.search_images.page.rendering import Site
    from functions.search_images.page_settings import PageSettings
    from functions.search_images.picture_links import PictureLinks

type ApiResponse = Response[str]

_ID = re.compile(IMAGE_ID_PATTERN)
_ADDRESS = re.compile(r"/(health|openapi\.json|images(\.csv|\.ndjson|/[^/]+)?|facets/[^/]+)?")
_METHODS = ("GET", "HEAD")

# Headers of all answers: do not cache, and do not render in a frame.
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Stores:
    """The clients of the index and the table.

    `dynamodb` returns the client of the table; the first call creates it. A search needs none.
    """

    index: OpenSearch
    alias_live: str
    dynamodb: "Callable[[], DynamoDBClient]"
    table: str


class Api:
    """The search API. Every request gets an answer, even if a store fails.

    Args:
        stores: returns the clients of the stores; the first call creates them.
        log: gets the causes of errors, which callers do not see.
        attributes: the names of the attributes that are facets.
        settings: returns the settings of the page. None: it has none.
        pictures: returns what makes links to the stack's own pictures; None if it has none.
    """

    def __init__(
        self,
        stores: Callable[[], Stores],
        log: Logger,
        attributes: Sequence[str] = (),
        settings: "Callable[[], PageSettings] | None" = None,
        pictures: "Callable[[], PictureLinks | None]" = lambda: None,
    ) -> None:
        self._stores = stores
        self._log = log
        self._attributes = attributes
        self._settings = settings
        self._pictures = pictures
        self._made: Site | None = None
        self._resolver = APIGatewayHttpResolver()
        self._add_addresses()
        self._add_problems()

    def answer(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer a request of API Gateway. Request and answer have payload format 2.0."""
        request, around = {**event}, event["requestContext"]
        method = around["http"]["method"]
        if method == "HEAD":
            http = {**around["http"], "method": "GET"}
            request["requestContext"] = {**around, "http": http}
        answer = self._resolver.resolve(request, context)
        if APIGatewayProxyEventV2(request).path == "/":
            answer = self._as_page(answer, request["rawQueryString"])
        answer["headers"] = {**_HEADERS, **answer["headers"]}
        return answer | {"body": ""} if method == "HEAD" else answer

    def _add_addresses(self) -> None:
        add = self._resolver.get
        add("/")(self._page)
        add("/images")(self._images)
        add("/images.csv")(self._csv)
        add("/images.ndjson")(self._ndjson)
        add("/images/suggest")(self._suggest)
        add("/facets/<facet>")(self._facet)
        add("/images/<image_id>")(self._record)
        add("/health")(self._health)
        add("/openapi.json")(self._openapi)

    def _add_problems(self) -> None:
        add = self._resolver.exception_handler
        add(NotFoundError)(self._not_found)
        add(InvalidParametersError)(_invalid_parameters)
        add(InvalidCursorError)(_invalid_cursor)
        add(TooSlowError)(_too_slow)
        add(ConnectionTimeout)(self._no_answer)
        for kind in (OpenSearchException, ClientError, BotoCoreError):
            add(kind)(self._unavailable)
        # If the index refuses a request, it is a bug of ours, like any other exception.
        for bug in (RequestError, Exception):
            add(bug)(self._bug)

    def _query(self) -> str:
        return str(self._resolver.current_event.raw_query_string or "")

    def _page(self) -> ApiResponse:
        pairs = pairs_in(self._query())
        search = without(pairs, FACET, CONTAINS)
        image_id = value_of(search, IMAGE)
        if image_id is not None:
            return self._one(search, image_id)
        from functions.search_images.page.filters import open_facet

        return self._results(search, open_facet(pairs))

    def _site(self) -> "Site":
        """The frame of the page; the first request for the page makes it."""
        if self._made is None:
            from functions.search_images.page.rendering import Site
            from functions.search_images.page_settings import NO_SETTINGS

            settings = NO_SETTINGS if self._settings is None else self._settings()
            self._made = Site(settings, self._pictures())
        return self._made

    def _html(self, whole: str) -> ApiResponse:
        return Response(HTTPStatus.OK.value, body=whole, headers={**self._site().headers})

    def _as_page(self, answer: dict[str, Any], query: str) -> dict[str, Any]:
        """The answer at the path of the page: convert problem details to HTML."""
        if answer["headers"]["Content-Type"] != PROBLEM:
            return answer
        from functions.search_images.page.problem import problem_page

        found = msgspec.json.decode(answer["body"], type=Problem)
        status, site = HTTPStatus(found.status), self._site()
        body = problem_page(pairs_in(query), status, found.detail, found.errors, site)
        return answer | {"body": body, "headers": answer["headers"] | site.headers}

    def _results(self, pairs: Pairs, opened: "OpenFacet | None") -> ApiResponse:
        from functions.search_images.page.paging import last_start, numbers, search_query
        from functions.search_images.page.results import results_page

        start = numbers(pairs).start
        what, given = images_request(search_query(pairs))
        found = self._hits(what, given, skip=start - 1)
        if found.total and not found.hits:  # images are gone since this link was made
            start = last_start(found.total, given.size)
            found = self._hits(what, given, skip=start - 1)
        values = None
        if opened is not None:
            values = self._values(what, opened.name, opened.containing, MOST_FACET_VALUES)
        whole = results_page(
            pairs, found, start, given.size, self._site(), opened=opened, values=values
        )
        return self._html(whole)

    def _one(self, pairs: Pairs, image_id: str) -> ApiResponse:
        from functions.search_images.page.record import record_page

        kept = self._kept(image_id)
        if kept is None:
            return _no_such_image()
        site, image = self._site(), kept.image
        links = site.pictures
        ours = links is not None and links.has(image_id, image.url)
        reason = links.reason(image_id, image.checksum) if links and ours else None
        place = self._place(pairs, image_id)
        return self._html(record_page(pairs, kept, place, site, no_thumbnail=reason))

    def _place(self, pairs: Pairs, image_id: str) -> "ResultPlace | None":
        """The place of an image in a search. The record does not depend on it."""
        from functions.search_images.page.paging import AROUND, numbers, place, search_query

        at = numbers(pairs).at
        if at is None:
            return None
        try:
            what, given = images_request(search_query(without(pairs, CURSOR)))
            first = max(1, at - AROUND - 1)
            around = msgspec.structs.replace(given, size=2 * AROUND + 3)
            found = self._hits(what, around, skip=first - 1)
        except InvalidParametersError:
            return None
        except (OpenSearchException, TooSlowError) as error:
            self._log.error("no place among the results", extra={"cause": repr(error)})
            return None
        return place(pairs, image_id, found, first, given.size)

    def _images(self) -> ApiResponse:
        return _json(self._found(self._query()))

    def _found(self, query: str) -> SearchResult:
        return self._hits(*images_request(query))

    def _hits(self, what: SearchRequest, given: ImagesParameters, *, skip: int = 0) -> SearchResult:
        after = given.cursor if isinstance(given.cursor, str) else None
        stores = self._stores()
        return page(
            stores.index,
            stores.alias_live,
            what,
            size=given.size,
            after=after,
            skip=skip,
            attributes=self._attributes,
        )

    def _facet(self, facet: str) -> ApiResponse:
        name = unquote(facet)
        if not is_facet(name):
            return problem(HTTPStatus.NOT_FOUND, f"no such facet: use {FACET_NAMES}")
        request, found = facet_request(self._query())
        return _json(self._values(request, name, found.contains, found.size))

    def _values(
        self, request: SearchRequest, facet: str, containing: str, size: int
    ) -> FacetValues:
        stores = self._stores()
        return facet_values(
            stores.index, stores.alias_live, request, facet, containing=containing, size=size
        )

    def _csv(self) -> ApiResponse:
        return self._download("csv")

    def _ndjson(self) -> ApiResponse:
        return self._download("ndjson")

    def _download(self, form: "ExportFormat") -> ApiResponse:
        from functions.search_images.downloads import download

        stores = self._stores()
        return download(stores.index, stores.alias_live, form, self._query())

    def _suggest(self) -> ApiResponse:
        found = parameters(SuggestParameters, self._query())
        stores = self._stores()
        return _json(suggest(stores.index, stores.alias_live, found.q, found.size))

    def _record(self, image_id: str) -> ApiResponse:
        parameters(NoParameters, self._query())
        kept = self._kept(unquote(image_id))
        return _no_such_image() if kept is None else _json(kept)

    def _kept(self, image_id: str) -> ImageRecord | None:
        if not _ID.match(image_id):
            return None
        stores = self._stores()
        return record(stores.dynamodb(), stores.table, image_id)

    def _health(self) -> ApiResponse:
        parameters(NoParameters, self._query())
        stores = self._stores()
        run_query(stores.index, stores.alias_live, {"size": 0, "terminate_after": 1})
        return _json({"status": "ok"})

    def _openapi(self) -> ApiResponse:
        from functions.search_images.openapi import document

        parameters(NoParameters, self._query())
        return _json(document())

    def _not_found(self, _: NotFoundError) -> ApiResponse:
        event = self._resolver.current_event
        if event.http_method not in _METHODS and _ADDRESS.fullmatch(event.path):
            allow: dict[str, str | list[str]] = {"Allow": ", ".join(_METHODS)}
            detail = f"{event.http_method} is not allowed: use {' or '.join(_METHODS)}"
            return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, headers=allow)
        return problem(HTTPStatus.NOT_FOUND, "nothing exists at this address")

    def _unavailable(self, error: Exception) -> ApiResponse:
        self._log.error("a store does not answer", extra={"cause": repr(error)})
        return unavailable("the images are not available now: retry later")

    def _no_answer(self, error: Exception) -> ApiResponse:
        """The index ends a search that takes too long. So this one may not answer any request."""
        self._log.error("the index does not answer in time", extra={"cause": repr(error)})
        return unavailable("the index does not answer in time: retry later")

    def _bug(self, error: Exception) -> ApiResponse:
        self._log.error("internal error", exc_info=error)
        detail = "internal error: the log contains the cause"
        return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def _json(found: object) -> ApiResponse:
    return Response(HTTPStatus.OK.value, "application/json", msgspec.json.encode(found).decode())


def _no_such_image() -> ApiResponse:
    return problem(HTTPStatus.NOT_FOUND, "the image does not exist")


def _invalid_parameters(error: InvalidParametersError) -> ApiResponse:
    return problem(HTTPStatus.BAD_REQUEST, str(error), error.errors)


def _invalid_cursor(error: InvalidCursorError) -> ApiResponse:
    return _invalid_parameters(InvalidParametersError(ParameterProblem("cursor", str(error))))


def _too_slow(_: Exception) -> ApiResponse:
    return unavailable("the search takes too long: simplify it, or retry later")
