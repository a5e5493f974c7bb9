"""The downloads of the API: one answer has as many images of a search as fit."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

import msgspec
from aws_lambda_powertools.event_handler import Response
from msgspec import UNSET, Meta, UnsetType
from opensearchpy import OpenSearch

from functions.search_images.export import ImageExport
from functions.search_images.formats import ExportFormat, encoding
from functions.search_images.invalid import InvalidParametersError, ParameterProblem
from functions.search_images.links import CURSOR, SORT, query_of
from functions.search_images.parameters import given, images_request, parameters
from functions.search_images.search import SearchRequest

MOST_IMAGES = 1000
# The response of a function has at most 6 MB: the text in it is JSON, with everything but ASCII
# escaped (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). One image has
# at most 256 KiB, and each of these bytes may be six.
MOST_ESCAPED_BYTES = 4 * 1024 * 1024

CONTENT_TYPES: Mapping[ExportFormat, str] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "ndjson": "application/x-ndjson",
}


class DownloadParameters(msgspec.Struct, frozen=True):
    """The parameters of a download, besides the text and the filters of the search."""

    size: Annotated[
        int,
        Meta(ge=1, le=MOST_IMAGES, extra={"expected": f"a whole number from 1 to {MOST_IMAGES:,}"}),
    ] = MOST_IMAGES
    cursor: (
        Annotated[
            str,
            Meta(description="As in `Link` of the answer before, for the images that follow."),
        ]
        | UnsetType
    ) = UNSET


def download_request(query: str) -> tuple[SearchRequest, DownloadParameters]:
    """The search of a download with this query string, and its parameters.

    Raises:
        InvalidParametersError: lists the errors.
    """
    pairs = list(given(query))
    own = [pair for pair in pairs if pair[0] in DownloadParameters.__struct_fields__]
    found = parameters(DownloadParameters, query_of(own))
    if any(name == SORT for name, _ in pairs):
        raise InvalidParametersError(
            ParameterProblem(SORT, "a download is in order of the image ids: remove it")
        )
    request, _ = images_request(query_of(pair for pair in pairs if pair not in own))
    return request, found


def download(client: OpenSearch, alias_live: str, form: ExportFormat, query: str) -> Response[str]:
    """The answer with the images of a search, from the beginning or after a cursor.

    Args:
        client: the client of the index.
        alias_live: the alias that hides tombstones.
        form: the form of the answer.
        query: the query string of the request.

    Raises:
        InvalidParametersError: the query string is invalid.
        InvalidCursorError: the cursor is invalid.
        TooSlowError: the index did not finish in time.
        OpenSearchException: the index did not answer, or the alias does not exist.
    """
    request, wanted = download_request(query)
    after = wanted.cursor if isinstance(wanted.cursor, str) else None
    export = ImageExport(client, alias_live, request, after)
    how = encoding(form, export)
    text, room, last, more = [how.head()], MOST_ESCAPED_BYTES, "", False
    for image in export.images():
        line = how.line(image)
        room -= len(json.dumps(line))
        if last and (len(text) > wanted.size or room < 0):
            more = True
            break
        text.append(line)
        last = image.image_id
    # Someone who opens the file sees whether it has all images.
    name = "images-part" if more or after is not None else "images"
    headers: dict[str, str | list[str]] = {
        "Content-Disposition": f'attachment; filename="{name}.{form}"'
    }
    if more:
        rest = [pair for pair in given(query) if pair[0] != CURSOR]
        follows = query_of([*rest, (CURSOR, export.cursor_after(last))])
        headers["Link"] = f'<images.{form}?{follows}>; rel="next"'
    return Response(HTTPStatus.OK.value, CONTENT_TYPES[form], "".join(text), headers=headers)
