"""Facets: the values of a field among the images found, and how many images have each.

An image may have several tags, so filters by tags narrow a search, and their facet counts what is
left. Of the other fields an image has one value, so several filters of one field widen a search.
Their facet leaves its own filter out: it counts what each value would find in place of those that
are chosen (docs/decisions/2026-11-30-a-facet-leaves-its-own-filter-out.md).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import msgspec

from functions.search_images.containing import contains, pattern
from functions.search_images.fields import ATTRIBUTE_NAME, ATTRIBUTE_VALUE, ATTRIBUTES
from shared.event import ATTRIBUTE_NAME_PATTERN

FACET_VALUES = 10
MOST_FACET_VALUES = 200
# So many values of a facet come from each shard. With as few as are shown, a value that is not
# frequent in every shard would be missing, or counted too low.
FACET_VALUES_OF_A_SHARD = 1000
# API Gateway accepts 10,240 bytes of address and headers, and in an address each of these bytes may
# be three (https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html).
LONGEST_FACET_BYTES = 1000

TAG, CONTENT_TYPE, UPLOADED_BY, YEAR = "tag", "content_type", "uploaded_by", "year"
# The prefix of a parameter that filters by an attribute, and of the name of its facet.
ATTRIBUTE_PREFIX = "attr."
# The facets of fields, and where the index has their values.
_PATHS: Mapping[str, str] = {
    TAG: "tags.keyword",
    CONTENT_TYPE: "content_type",
    UPLOADED_BY: "uploaded_by",
}
# Years have no name here, because an answer has all of them.
FACET_NAMES = f"{', '.join(_PATHS)} or {ATTRIBUTE_PREFIX}NAME"
_ATTRIBUTE = ATTRIBUTE_NAME_PATTERN.removeprefix("^")
FACET_PATTERN = rf"^(?:(?:{'|'.join(_PATHS)})(?![\s\S])|attr\.{_ATTRIBUTE})"
_YEARS: Mapping[str, Any] = {
    "date_histogram": {
        "field": "taken_at",
        "calendar_interval": "year",
        # The year in UTC, from 0 to 10000. With `yyyy`, both 0 and 1 would be `0001`.
        "format": "uuuu",
        "min_doc_count": 1,
    }
}

type Clause = Mapping[str, Any]


class FacetValue(msgspec.Struct, frozen=True):
    """A value, and the number of images that have it."""

    value: str
    count: int


class Facets(msgspec.Struct, frozen=True):
    """The most frequent values of all hits, most frequent first. A search takes each as a filter.

    So the empty text and texts of more than `LONGEST_FACET_BYTES` are left out. `year` has all
    years, in their order. `attributes` has the attributes that are facets of this stack, by name.
    `more` names the facets that have more values, as `GET /facets/NAME` takes them.
    """

    tags: list[FacetValue]
    content_type: list[FacetValue]
    uploaded_by: list[FacetValue]
    year: list[FacetValue]
    attributes: dict[str, list[FacetValue]] = {}
    more: list[str] = []


class FacetValues(msgspec.Struct, frozen=True):
    """Values of one facet, most frequent first. `more` tells whether there are others."""

    values: list[FacetValue]
    more: bool


NO_FACETS = Facets([], [], [], [])


def aggregations(attributes: Sequence[str], chosen: Mapping[str, Clause]) -> Mapping[str, Any]:
    """The request for all facets of a search.

    Args:
        attributes: the names of the attributes that are facets.
        chosen: the filters by facets with one value an image (`filters.by_facet`).
    """
    if not chosen:
        return _aggregations_of_all(tuple(attributes))
    return {
        name: _counted(name, 2 * FACET_VALUES, None, chosen) for name in _facet_names(attributes)
    }


@cache
def _aggregations_of_all(attributes: tuple[str, ...]) -> Mapping[str, Any]:
    """The request for all facets of a search without filters by facets."""
    names = _facet_names(attributes)
    return {name: _counted(name, 2 * FACET_VALUES, None, {}) for name in names}


def _facet_names(attributes: Sequence[str]) -> Sequence[str]:
    return [*_PATHS, YEAR, *(f"{ATTRIBUTE_PREFIX}{name}" for name in attributes)]


def aggregation(name: str, containing: str, chosen: Mapping[str, Clause]) -> dict[str, Any]:
    """The request for the values of one facet that contain a text; see `aggregations`."""
    including = pattern(containing)
    return {name: _counted(name, FACET_VALUES_OF_A_SHARD, including, chosen)}


def is_facet(name: str) -> bool:
    """Whether this is the name of a facet: of a field, or of any attribute."""
    return re.match(FACET_PATTERN, name) is not None


def facets_in(answer: Mapping[str, Any], attributes: Sequence[str]) -> Facets:
    """The facets in an answer to `aggregations`."""
    found = {
        name: _shown(counted, FACET_VALUES) for name, counted in answer.items() if name != YEAR
    }
    values = {name: one.values for name, one in found.items()}
    return Facets(
        tags=values[TAG],
        content_type=values[CONTENT_TYPE],
        uploaded_by=values[UPLOADED_BY],
        year=list(_values(answer[YEAR])),
        attributes={name: values[f"{ATTRIBUTE_PREFIX}{name}"] for name in attributes},
        more=[name for name, one in found.items() if one.more],
    )


def values_in(answer: Mapping[str, Any], name: str, containing: str, size: int) -> FacetValues:
    """The first values in an answer to `aggregation`."""
    return _shown(answer[name], size, containing)


def _counted(
    name: str, size: int, including: str | None, chosen: Mapping[str, Clause]
) -> Mapping[str, Any]:
    others = [clause for other, clause in chosen.items() if other != name]
    return {
        "filter": {"bool": {"filter": others}},
        "aggs": {"values": _of(name, size, including)},
    }


def _of(name: str, size: int, including: str | None) -> Mapping[str, Any]:
    if name == YEAR:
        return _YEARS
    if name in _PATHS:
        return _most_frequent(_PATHS[name], size, including)
    # An image has an attribute once, so the pairs with this name are as many as their images.
    named = {"term": {ATTRIBUTE_NAME: name.removeprefix(ATTRIBUTE_PREFIX)}}
    values = _most_frequent(f"{ATTRIBUTE_VALUE}.keyword", size, including)
    return {
        "nested": {"path": ATTRIBUTES},
        "aggs": {"values": {"filter": named, "aggs": {"values": values}}},
    }


def _most_frequent(path: str, size: int, including: str | None) -> Mapping[str, Any]:
    """The most frequent values. More than are shown, because `_values` drops long ones.

    The empty text is no value: a form sends it for a field that nobody filled in.
    """
    which = {"exclude": [""]} if including is None else {"include": including}
    how = {"size": size, "shard_size": FACET_VALUES_OF_A_SHARD, **which}
    return {"terms": {"field": path, **how}}


def _shown(counted: Mapping[str, Any], size: int, containing: str = "") -> FacetValues:
    found = [one for one in _values(counted) if contains(one.value, containing)]
    found.sort(key=lambda one: (-one.count, one.value))
    others = _terms(counted)["sum_other_doc_count"]
    return FacetValues(found[:size], more=len(found) > size or others > 0)


def _values(counted: Mapping[str, Any]) -> Iterator[FacetValue]:
    buckets: Iterable[Mapping[str, Any]] = _terms(counted)["buckets"]
    for one in buckets:
        value = _value(one)
        if len(value.encode()) <= LONGEST_FACET_BYTES:
            yield FacetValue(value, one["doc_count"])


def _terms(counted: Mapping[str, Any]) -> Mapping[str, Any]:
    """The innermost of the aggregations that `_counted` asks for."""
    found = counted
    while "buckets" not in found:
        found = found["values"]
    return found


def _value(bucket: Mapping[str, Any]) -> str:
    if "key_as_string" not in bucket:
        return str(bucket["key"])
    # The year 10000 comes as `+10000`. In an address, a plus sign is a blank.
    return str(bucket["key_as_string"]).removeprefix("+")
