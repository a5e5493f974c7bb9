"""The filters of a search: they restrict which images can be found."""

import calendar
import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from functions.search_images.facets import ATTRIBUTE_PREFIX, CONTENT_TYPE, UPLOADED_BY, YEAR
from functions.search_images.fields import ATTRIBUTE_NAME, ATTRIBUTE_VALUE, ATTRIBUTES
from shared.event import MAX_OFFSET

# Times are as strict as those of an event.
_Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
# An event has times of the years 1 to 9999, each in its own zone. In UTC, the first of them are in
# the year 0, and the last ones in the year 10000.
_PERIOD = re.compile(r"(\d{4}|10000)(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


# The alias for reading hides tombstones, too. This holds whatever somebody did to the alias.
NOT_DELETED: Mapping[str, Any] = {"term": {"deleted": False}}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What an image must have to be found. Values match exactly.

    An image has all of `tags`, one of `uploaded_by`, one of `content_types` and, for each name in
    `attributes` (name and value), one of the values with this name. Ranges include both ends. Times
    come from `instant`.
    """

    tags: tuple[str, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    uploaded_by: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    taken_from: str | None = None
    taken_to: str | None = None
    min_width: int | None = None
    max_width: int | None = None
    min_height: int | None = None
    max_height: int | None = None


def clauses(filters: Filters) -> list[dict[str, Any]]:
    """The filters that every facet counts within, as OpenSearch clauses."""
    found: list[dict[str, Any]] = [{"term": {"tags.keyword": tag}} for tag in filters.tags]
    found += _range("width", filters.min_width, filters.max_width)
    found += _range("height", filters.min_height, filters.max_height)
    return found


def by_facet(filters: Filters) -> dict[str, dict[str, Any]]:
    """The other filters as OpenSearch clauses, by the name of the facet that leaves it out."""
    found: dict[str, dict[str, Any]] = {}
    if filters.uploaded_by:
        found[UPLOADED_BY] = {"terms": {"uploaded_by": filters.uploaded_by}}
    if filters.content_types:
        found[CONTENT_TYPE] = {"terms": {"content_type": filters.content_types}}
    for period in _range("taken_at", filters.taken_from, filters.taken_to):
        found[YEAR] = period
    values: dict[str, list[str]] = {}
    for name, value in filters.attributes:
        values.setdefault(name, []).append(value)
    for name, several in values.items():
        found[f"{ATTRIBUTE_PREFIX}{name}"] = _attribute(name, several)
    return found


def instant(text: str, *, last: bool) -> str:
    """The first or the last instant of a year, a month, a day or a time with a zone.

    Raises:
        ValueError: the text is none of these; says what is expected.
    """
    try:
        if (period := _PERIOD.fullmatch(text)) is None:
            return _moment(msgspec.convert(text, _Time))
        year, *rest = period.groups()
        month, day = (None if part is None else int(part) for part in rest)
        return _end(int(year), month, day, last=last)
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise ValueError(
            "expected a year, a month, a day or a time with a zone: 1979, 1979-05, 1979-05-31, "
            "1979-05-31T12:00:00Z"
        ) from None


def _moment(time: dt.datetime) -> str:
    """The time in UTC, or with its offset if Python has no such year in UTC.

    Raises:
        OverflowError: neither Python nor the index can convert it to UTC.
    """
    try:
        return time.astimezone(dt.UTC).isoformat()
    except OverflowError:
        if abs(time.utcoffset() or dt.timedelta()) > MAX_OFFSET:
            raise
        return time.isoformat()


def _end(year: int, month: int | None, day: int | None, *, last: bool) -> str:
    """The first or the last instant of a year, a month or a day.

    Raises:
        ValueError: no calendar has this month or this day.
    """
    month = month if month is not None else 12 if last else 1
    _, days = calendar.monthrange(year, month)
    day = day if day is not None else days if last else 1
    if not 1 <= day <= days:
        raise ValueError(day)
    written = f"{year:04}" if year <= dt.MAXYEAR else f"+{year}"  # as ISO 8601 writes it
    time = "23:59:59.999Z" if last else "00:00:00Z"
    return f"{written}-{month:02}-{day:02}T{time}"


def _range(path: str, least: object, most: object) -> list[dict[str, Any]]:
    ends = {"gte": least, "lte": most}
    given = {name: end for name, end in ends.items() if end is not None}
    return [{"range": {path: given}}] if given else []


def _attribute(name: str, values: Sequence[str]) -> dict[str, Any]:
    one_of = {"terms": {f"{ATTRIBUTE_VALUE}.keyword": values}}
    both = [{"term": {ATTRIBUTE_NAME: name}}, one_of]
    return {"nested": {"path": ATTRIBUTES, "query": {"bool": {"filter": both}}}}
