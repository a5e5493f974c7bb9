"""The parameters: a request's query string as what is asked, or every mistake in it by name."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET, Meta, UnsetType

from functions.search_images.filters import Filters, moment
from functions.search_images.problem import InvalidParametersError, ParameterProblem
from functions.search_images.search import Asked, Sort
from shared.event import ATTRIBUTE_NAME_PATTERN

# Stands in front of the name of a user's own field.
OWN = "attr."
# More would be a machine's mistake: each costs the index a clause, and an address has no room.
MOST_VALUES = 8

# Of a wrong value so many characters are said again.
MOST_SAID = 30


def _expecting(words: str) -> dict[str, str]:
    """For a type: what there is to write, where somebody wrote something else."""
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
    """What `GET /images` takes, beside users' own fields; of tuples there may be several."""

    q: Annotated[str, Meta(description="What a person typed.")] | UnsetType = UNSET
    tag: Annotated[Values, Meta(description="Has all of these tags.")] = ()
    uploaded_by: Annotated[Values, Meta(description="Is one of these.")] = ()
    content_type: Annotated[Values, Meta(description="Is one of these.")] = ()
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
                description="By default relevance with `q`, newest without.",
                extra=_expecting("relevance or newest"),
            ),
        ]
        | UnsetType
    ) = UNSET
    size: Annotated[int, Meta(ge=1, le=100, extra=_expecting("a whole number from 1 to 100"))] = 20
    cursor: (
        Annotated[str, Meta(description="`next` of the page before, all else being the same.")]
        | UnsetType
    ) = UNSET


class SuggestParameters(msgspec.Struct, frozen=True):
    """What `GET /images/suggest` takes."""

    q: Annotated[str, Meta(description="What was typed so far.")] = ""
    size: Annotated[int, Meta(ge=1, le=20, extra=_expecting("a whole number from 1 to 20"))] = 8


class NoParameters(msgspec.Struct, frozen=True):
    """What other requests take."""


class _Mistakes:
    """Collects what is wrong, to say it all at once."""

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
    """The parameters in a query string; a blank one counts as absent, for a form sends all it has.

    Raises:
        InvalidParametersError: with all that is wrong.
    """
    mistakes = _Mistakes()
    found = _found(kind, _given(query), mistakes)
    mistakes.tell()
    return kind(**found)


def asked(query: str) -> tuple[Asked, ImagesParameters]:
    """What `GET /images` asks for with this query string, and the parameters as they came.

    Raises:
        InvalidParametersError: with all that is wrong.
    """
    mistakes = _Mistakes()
    given = _given(query)
    own = {name: values for name, values in given.items() if name.startswith(OWN)}
    others = {name: values for name, values in given.items() if name not in own}
    found = ImagesParameters(**_found(ImagesParameters, others, mistakes))
    periods: dict[str, str] = {}
    for name, text, last in (
        ("taken_from", found.taken_from, False),
        ("taken_to", found.taken_to, True),
    ):
        with mistakes.of(name):
            if not isinstance(text, UnsetType):
                periods[name] = moment(text, last=last)
    filters = Filters(
        tags=found.tag,
        attributes=_own_fields(own, mistakes),
        uploaded_by=found.uploaded_by,
        content_types=found.content_type,
        **periods,
        min_width=_optional(found.min_width),
        max_width=_optional(found.max_width),
        min_height=_optional(found.min_height),
        max_height=_optional(found.max_height),
    )
    mistakes.tell()
    typed = _optional(found.q)
    by_default: Sort = "newest" if typed is None else "relevance"
    sort = by_default if found.sort is UNSET else found.sort
    return Asked(text=typed, filters=filters, sort=sort), found


def _given(query: str) -> Mapping[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in parse_qsl(query):
        if value.strip():
            given.setdefault(name, []).append(value)
    return given


def _found(
    kind: type[msgspec.Struct], given: Mapping[str, list[str]], mistakes: _Mistakes
) -> dict[str, Any]:
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    found: dict[str, Any] = {}
    for name, values in given.items():
        with mistakes.of(name):
            if name not in fields:
                raise ValueError(f"no such parameter: {', '.join(fields) or 'there are none here'}")
            several = fields[name].default == ()
            value = _few(values) if several else _only(values)
            found[name] = _read(value, fields[name].type)
    return found


def _read(value: str | list[str], kind: Any) -> Any:
    """The value as one of this kind.

    Raises:
        ValueError: it is none; says what would be one.
    """
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        said = f", not {_cut(value)}" if isinstance(value, str) else ""
        raise ValueError(f"expected {_expected(kind)}{said}") from None


def _expected(kind: Any) -> str:
    match msgspec.inspect.type_info(kind):
        case msgspec.inspect.Metadata(extra={"expected": str(words)}):
            return words
        case other:
            raise TypeError(f"{other} takes any text")


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"


def _few(values: list[str]) -> list[str]:
    if len(values) > MOST_VALUES:
        raise ValueError(f"given {len(values)} times, at most {MOST_VALUES} are taken")
    return values


def _only(values: list[str]) -> str:
    if len(values) > 1:
        raise ValueError(f"given {len(values)} times, once is enough")
    return values[0]


def _own_fields(given: Mapping[str, list[str]], mistakes: _Mistakes) -> tuple[tuple[str, str], ...]:
    found = []
    for parameter, values in sorted(given.items()):
        with mistakes.of(parameter):
            name = parameter.removeprefix(OWN)
            if re.match(ATTRIBUTE_NAME_PATTERN, name) is None:
                raise ValueError("a field's name is a letter, then letters, digits, _ and -")
            found.append((name, _read(_only(values), Value)))
    if len(found) > MOST_VALUES:
        with mistakes.of(OWN):
            raise ValueError(f"{len(found)} fields, at most {MOST_VALUES}")
    return tuple(found)


def _optional[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else value
