"""The OpenAPI document, generated from the types of parameters and answers."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec

from functions.search_images.downloads import CONTENT_TYPES, DownloadParameters
from functions.search_images.facets import ATTRIBUTE_PREFIX, FACET_PATTERN, FacetValues
from functions.search_images.parameters import (
    MOST_VALUES,
    FacetParameters,
    ImagesParameters,
    SuggestParameters,
    Value,
    Values,
)
from functions.search_images.problem import CONTENT_TYPE, Problem
from functions.search_images.record import ImageRecord
from functions.search_images.search import SearchResult
from functions.search_images.suggest import Suggestions
from shared.event import ATTRIBUTE_NAME_PATTERN, ImageId
from shared.schema import schemas

type Schema = Mapping[str, Any]

_REF = "#/components/schemas/{name}"
_PROBLEMS: Mapping[str, str] = {
    "400": "A parameter is unknown, repeated, or has an invalid value.",
    "500": "The function failed. Its log contains the cause.",
    "503": "The index or the table does not answer in time. Retry after `Retry-After`.",
}
# Parameters of a page of hits: of no use for a facet.
_OF_A_PAGE = {"size", "sort", "cursor"}
_DOWNLOAD_HEADERS = {
    "Content-Disposition": {
        "description": "The name of the file: `images-part` if it does not have all images.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": "The address of the images that follow, with `rel=next`; absent at the end.",
        "schema": {"type": "string"},
    },
}
_NO_FACET = {"404": "There is no such facet."}
_NO_IMAGE = {"404": "The image does not exist."}


@cache
def document() -> dict[str, Any]:
    """The document, in OpenAPI 3.1."""
    answers = (SearchResult, FacetValues, Suggestions, ImageRecord, Problem)
    (found, values, names, record, problem), components = schemas(answers, _REF)
    own = {
        "name": "own",
        "in": "query",
        "description": f"Attributes: `{ATTRIBUTE_PREFIX}NAME=VALUE`; the image has all of these. "
        "If a name is repeated, it has one of its values.",
        "style": "form",
        "explode": True,
        "schema": {
            "type": "object",
            "additionalProperties": {
                "oneOf": [msgspec.json.schema(Value), msgspec.json.schema(Values)]
            },
            "propertyNames": {
                "pattern": ATTRIBUTE_NAME_PATTERN.replace("^", f"^{re.escape(ATTRIBUTE_PREFIX)}", 1)
            },
            "maxProperties": MOST_VALUES,
        },
    }
    by_id = {
        "name": "image_id",
        "in": "path",
        "required": True,
        "schema": msgspec.json.schema(ImageId),
    }
    facet = {
        "name": "facet",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "pattern": FACET_PATTERN},
    }
    of_search = [
        one
        for one in _parameters(ImagesParameters)
        if one["name"] not in {"size", "sort", "cursor"}
    ]
    health = {"type": "object", "properties": {"status": {"const": "ok"}}, "required": ["status"]}

    def get(
        summary: str,
        answer: Schema,
        parameters: Iterable[Schema] = (),
        others: Mapping[str, str] = {},
        **more: Any,
    ) -> Schema:
        wrong = {"content": {CONTENT_TYPE: {"schema": problem}}}
        content = {"application/json": {"schema": answer}}
        right = {"description": summary, "content": content, **more}
        problems = {
            status: {"description": text, **wrong}
            for status, text in {**_PROBLEMS, **others}.items()
        }
        return {
            "get": {
                "summary": summary,
                "parameters": list(parameters),
                "responses": {"200": right, **dict(sorted(problems.items()))},
            }
        }

    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Find images",
            "version": "1",
            "description": "Searches the index; records come from the table. What you can type "
            "in `q`, and what each field means: docs/guides/search-api.md.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/images": get("Images that match", found, [*_parameters(ImagesParameters), own]),
            **{
                f"/images.{form}": get(
                    f"All images that match, in order of their ids, as {form.upper()}",
                    {"type": "string"},
                    [*_parameters(DownloadParameters), *of_search, own],
                    content={content_type.partition(";")[0]: {"schema": {"type": "string"}}},
                    headers=_DOWNLOAD_HEADERS,
                )
                for form, content_type in CONTENT_TYPES.items()
            },
            "/facets/{facet}": get(
                "The values of one facet, the most frequent first",
                values,
                [facet, *_parameters(FacetParameters), *of_search, own],
                _NO_FACET,
            ),
            "/images/suggest": get(
                "Suggested names while somebody types", names, _parameters(SuggestParameters)
            ),
            "/images/{image_id}": get(
                "The whole record of one image, from the table", record, [by_id], _NO_IMAGE
            ),
            "/health": get("The state of the index", health),
            "/openapi.json": get("This document", {"type": "object"}),
        },
        "components": {"schemas": components},
    }


def _parameters(kind: type[msgspec.Struct]) -> Iterable[Schema]:
    """The parameters of a request; all are optional."""
    (_,), components = schemas([kind], _REF)
    for name, schema in components[kind.__name__]["properties"].items():
        described = dict(schema)
        description = described.pop("description", None)
        yield {
            "name": name,
            "in": "query",
            **({} if description is None else {"description": description}),
            "schema": described,
        }
