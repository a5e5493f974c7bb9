"""The parameters: reads the query string of a request, or reports all errors in it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, get_args
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType

from functions.search_images.facets import ATTRIBUTE_PREFIX, MOST_FACET_VALUES
from functions.search_images.filters import Filters, instant
from functions.search_images.invalid import InvalidParametersError, ParameterProblem
from functions.search_images.search import SearchRequest, Sort
from shared.event import ATTRIBUTE_NAME_PATTERN
from shared.shortened import shortened

# Each value adds a clause to the query, and the length of a URL is limited.
MOST_VALUES = 8

# An error repeats at most this many characters of an invalid value.
MOST_REPEATED = 80


def _expecting(words: str) -> dict[str, str]:
    """Metadata of a type: what an error message names as expected."""
    return {"expected": words}


_SHORT = _expecting("at most 1,000 characters")

Value = Annotated[str, Meta(max_length=1000, extra=_SHORT)]
Values = Annotated[tuple[Value, ...], Meta(max_length=MOST_VALUES, extra=_SHORT)]
Pixels = Annotated[
    int, Meta(ge=0, le=2**53 - 1, extra=_expecting("a whole number of pixels, 0 to 2^53 - 1"))
]
Period = Annotated[
    str, Meta(description="1979, 1979-05, 1979-05-31 (UTC) or 1979-05-31T12:00:00Z.")
]


class ImagesParameters(msgspec.Struct, frozen=True):
    """The parameters of `GET /images`, without attributes. A tuple may be given several times."""

    q: (
        Annotated[str, Meta(description="The text of the search, in the query language.")]
        | UnsetType
    ) = UNSET
    tag: Annotated[Values, Meta(description="The image has all of these tags.")] = ()
    uploaded_by: Annotated[Values, Meta(description="The image has one of these values.")] = ()
    content_type: Annotated[Values, Meta(description="The image has one of these values.")] = ()
    taken_from: Period | UnsetType = UNSET
    taken_to: Period | UnsetType = UNSET
    min_width: Pixels | UnsetType = UNSET
    max_width: Pixels | UnsetType = UNSET
    min_height: Pixels | UnsetType = UNSET
    max_height: Pixels | UnsetType = UNSET
    sort: (
        Annotated[
            Sort,
            Meta(
                description="Default: `relevance` with `q`, `newest` without it.",
                extra=_expecting(" or ".join(get_args(Sort))),
            ),
        ]
        | UnsetType
    ) = UNSET
    size: Annotated[int, Meta(ge=1, le=100, extra=_expecting("a whole number from 1 to 100"))] = 20
    cursor: (
        Annotated[
            str,
            Meta(description="`next` of the previous page. Keep all other parameters unchanged."),
        ]
        | UnsetType
    ) = UNSET


class FacetParameters(msgspec.Struct, frozen=True):
    """The parameters of `GET /facets/NAME`, besides the text and the filters of the search."""

    contains: Annotated[
        Value,
        Meta(description="Only values with this text, in any case, with or without accents."),
    ] = ""
    size: Annotated[
        int,
        Meta(
            ge=1,
            le=MOST_FACET_VALUES,
            extra=_expecting(f"a whole number from 1 to {MOST_FACET_VALUES}"),
        ),
    ] = 50


# Filters by exact values, which may be blanks.
_EXACT = {field.name for field in msgspec.structs.fields(ImagesParameters) if field.default == ()}


class SuggestParameters(msgspec.Struct, frozen=True):
    """The parameters of `GET /images/suggest`."""

    q: Annotated[str, Meta(description="The text typed so far.")] = ""
    size: Annotated[int, Meta(ge=1, le=20, extra=_expecting("a whole number from 1 to 20"))] = 8


class NoParameters(msgspec.Struct, frozen=True):
    """Other requests have no parameters."""


class _AttributeParameter(msgspec.Struct, frozen=True):
    """The value of an attribute, as a parameter."""

    value: Value = ""


class _Mistakes:
    """Collects errors, so that one answer reports all of them."""

    def __init__(self) -> None:
        self._found: list[ParameterProblem] = []

    @contextmanager
    def of(self, parameter: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            self._found.append(ParameterProblem(parameter, str(error)))

    def tell(self) -> None:
        if self._found:
            raise InvalidParametersError(*self._found)


def parameters[T: msgspec.Struct](kind: type[T], query: str) -> T:
    """Read the parameters in a query string, except blank ones (`given`).

    Raises:
        InvalidParametersError: lists all errors.
    """
    mistakes = _Mistakes()
    found = _values_of(kind, _by_name(query), mistakes)
    mistakes.tell()
    return kind(**found)


def facet_request(query: str) -> tuple[SearchRequest, FacetParameters]:
    """The search that `GET /facets/NAME` requests with this query string, and its parameters.

    `sort` and `cursor` of a search change nothing.

    Raises:
        InvalidParametersError: lists all errors.
    """
    mistakes = _Mistakes()
    by_name = _by_name(query)
    own = {name: by_name[name] for name in FacetParameters.__struct_fields__ if name in by_name}
    rest = {name: values for name, values in by_name.items() if name not in own}
    found = FacetParameters(**_values_of(FacetParameters, own, mistakes))
    request, _ = _search(rest, mistakes)
    mistakes.tell()
    return request, found


def images_request(query: str) -> tuple[SearchRequest, ImagesParameters]:
    """The search that `GET /images` requests with this query string, and its parameters.

    Raises:
        InvalidParametersError: lists all errors.
    """
    mistakes = _Mistakes()
    found = _search(_by_name(query), mistakes)
    mistakes.tell()
    return found


def _search(
    by_name: Mapping[str, list[str]], mistakes: _Mistakes
) -> tuple[SearchRequest, ImagesParameters]:
    attributes = {
        name: values for name, values in by_name.items() if name.startswith(ATTRIBUTE_PREFIX)
    }
    others = {name: values for name, values in by_name.items() if name not in attributes}
    found = ImagesParameters(**_values_of(ImagesParameters, others, mistakes))
    periods: dict[str, str] = {}
    for name, text, last in (
        ("taken_from", found.taken_from, False),
        ("taken_to", found.taken_to, True),
    ):
        with mistakes.of(name):
            if not isinstance(text, UnsetType):
                periods[name] = instant(text, last=last)
    filters = Filters(
        tags=found.tag,
        attributes=_attributes(attributes, mistakes),
        uploaded_by=found.uploaded_by,
        content_types=found.content_type,
        **periods,
        min_width=_optional(found.min_width),
        max_width=_optional(found.max_width),
        min_height=_optional(found.min_height),
        max_height=_optional(found.max_height),
    )
    typed = _optional(found.q)
    by_default: Sort = "newest" if typed is None else "relevance"
    sort = by_default if found.sort is UNSET else found.sort
    return SearchRequest(text=typed, filters=filters, sort=sort), found


def given(query: str) -> Iterator[tuple[str, str]]:
    """The parameters in a query string: names and values, without blank ones.

    A form sends all its fields, so an empty value is no value. The same holds for a value of blanks
    only, except in a filter that matches exactly.
    """
    for name, value in parse_qsl(query):
        if value.strip() or name in _EXACT or name.startswith(ATTRIBUTE_PREFIX):
            yield name, value


def _by_name(query: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in given(query):
        found.setdefault(name, []).append(value)
    return found


def _values_of(
    kind: type[msgspec.Struct], by_name: Mapping[str, list[str]], mistakes: _Mistakes
) -> dict[str, Any]:
    fields = _fields(kind)
    found: dict[str, Any] = {}
    for name, values in by_name.items():
        with mistakes.of(name):
            if name not in fields:
                raise ValueError(f"unknown parameter, expected {', '.join(fields) or 'none'}")
            several = fields[name].default == ()
            value = _several(values) if several else _single(values)
            found[name] = _converted(value, kind, name)
    return found


@cache
def _fields(kind: type[msgspec.Struct]) -> Mapping[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(kind)}


def _converted(value: str | list[str], kind: type[msgspec.Struct], name: str) -> Any:
    """The value converted to the type of this field.

    Raises:
        ValueError: the value is invalid; says what is expected.
    """
    try:
        # msgspec keeps what it knows of a Struct, and would look at the type of a field anew.
        return getattr(msgspec.convert({name: value}, kind, strict=False), name)
    except msgspec.ValidationError:
        got = f", got {_cut(value)}" if isinstance(value, str) else ""
        expected = _expected(_fields(kind)[name].type)
        raise ValueError(f"expected {expected}{got}") from None


def _expected(kind: Any) -> str:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.Metadata(extra={"expected": str(words)}):
            return words
        case other:
            raise TypeError(f"{other} accepts any text")


def _cut(text: str) -> str:
    return shortened(" ".join(text.split()), MOST_REPEATED)


def _several(values: list[str]) -> list[str]:
    if len(values) > MOST_VALUES:
        raise ValueError(f"given {len(values)} times, at most {MOST_VALUES} are allowed")
    return values


def _single(values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError(f"given {len(values)} times, allowed once")
    return values[0]


def _attributes(
    by_name: Mapping[str, list[str]], mistakes: _Mistakes
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for parameter, values in sorted(by_name.items()):
        with mistakes.of(parameter):
            name = parameter.removeprefix(ATTRIBUTE_PREFIX)
            if re.match(ATTRIBUTE_NAME_PATTERN, name) is None:
                raise ValueError(
                    "the name of an attribute must be a letter, then letters, digits, _ and -"
                )
            found += [
                (name, _converted(value, _AttributeParameter, "value"))
                for value in _several(values)
            ]
    if len(by_name) > MOST_VALUES:
        with mistakes.of(ATTRIBUTE_PREFIX):
            raise ValueError(f"{len(by_name)} attributes, at most {MOST_VALUES}")
    return tuple(found)


def _optional[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
