"""The filters of a search: they restrict which images can be found."""

import calendar
import datetime as dt
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from functions.search_images.fields import ATTRIBUTE_NAME, ATTRIBUTE_VALUE, ATTRIBUTES

# Times are as strict as those of an event.
_Time = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_PERIOD = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)


# The alias for reading hides tombstones, too. This holds whatever somebody did to the alias.
NOT_DELETED: Mapping[str, Any] = {"term": {"deleted": False}}


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """What an image must have to be found. Values match exactly.

    An image has all of `tags` and `attributes` (name and value), one of `uploaded_by` and one of
    `content_types`. Ranges include both ends. Times come from `instant`.
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
    """The filters as OpenSearch clauses."""
    found: list[dict[str, Any]] = [{"term": {"tags.keyword": tag}} for tag in filters.tags]
    found += [_attribute(name, value) for name, value in filters.attributes]
    if filters.uploaded_by:
        found.append({"terms": {"uploaded_by": filters.uploaded_by}})
    if filters.content_types:
        found.append({"terms": {"content_type": filters.content_types}})
    for path, least, most in (
        ("taken_at", filters.taken_from, filters.taken_to),
        ("width", filters.min_width, filters.max_width),
        ("height", filters.min_height, filters.max_height),
    ):
        ends = {"gte": least, "lte": most}
        if given := {name: end for name, end in ends.items() if end is not None}:
            found.append({"range": {path: given}})
    return found


def instant(text: str, *, last: bool) -> str:
    """The first or the last instant of a year, a month, a day or a time with a zone.

    Raises:
        ValueError: the text is none of these; says what is expected.
    """
    try:
        if (period := _PERIOD.fullmatch(text)) is None:
            return msgspec.convert(text, _Time).astimezone(dt.UTC).isoformat()
        year, month, day = period.groups()
        date = dt.date(int(year), int(month or (12 if last else 1)), int(day or 1))
        if day is None and last:
            date = date.replace(day=calendar.monthrange(date.year, date.month)[1])
        time = "23:59:59.999Z" if last else "00:00:00Z"
        return f"{date.isoformat()}T{time}"
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise ValueError(
            "expected a year, a month, a day or a time with a zone: 1979, 1979-05, 1979-05-31, "
            "1979-05-31T12:00:00Z"
        ) from None


def _attribute(name: str, value: str) -> dict[str, Any]:
    both = [{"term": {ATTRIBUTE_NAME: name}}, {"term": {f"{ATTRIBUTE_VALUE}.keyword": value}}]
    return {"nested": {"path": ATTRIBUTES, "query": {"bool": {"filter": both}}}}
