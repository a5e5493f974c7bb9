"""Images for tests, made from the fields of `Image`: a new field is in every one of them."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import strategies as st

from shared.event import MAX_VERSION, Image

_FIELDS: Mapping[str, Mapping[str, Any]] = msgspec.json.schema_components([Image])[1]["Image"][
    "properties"
]
# RFC 3339 has offsets of whole minutes, an event of at most 18 hours.
ZONES = st.integers(-18 * 60, 18 * 60).map(
    lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))
)
TIMES = st.datetimes(timezones=ZONES).map(lambda time: time.isoformat())
TEXTS = st.text(max_size=20)
ATTRIBUTE_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,63}", fullmatch=True)


def whole_image(**fields: Any) -> dict[str, Any]:
    """An image with a value in every field; `fields` replace some."""
    return {name: _example(name) for name in _FIELDS} | fields


def images(texts: st.SearchStrategy[str] = TEXTS) -> st.SearchStrategy[dict[str, Any]]:
    """Any image, with any of its fields."""
    fields = {name: _values(name, texts) for name in _FIELDS}
    return st.fixed_dictionaries({"name": fields.pop("name").filter(bool)}, optional=fields)


def _example(field: str) -> Any:
    match _FIELDS[field]:
        case {"format": "date-time"}:
            return "1826-05-01T10:00:00.000001+01:15"
        case {"type": "integer"}:
            return MAX_VERSION
        case {"type": "array"}:
            return [f"{field} é", "landscape"]
        case {"type": "object"}:
            return {"artist": "J. M. W. Turner", "name": "not the name"}
        case {"type": "string"}:
            return f"{field} é"
        case other:
            raise NotImplementedError(other)


def _values(field: str, texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    match _FIELDS[field]:
        case {"format": "date-time"}:
            return TIMES
        case {"type": "integer"}:
            return st.integers(0, MAX_VERSION)
        case {"type": "array"}:
            return st.lists(texts, max_size=8)
        case {"type": "object"}:
            return st.dictionaries(ATTRIBUTE_NAMES, texts, max_size=8)
        case {"type": "string"}:
            return texts
        case other:
            raise NotImplementedError(other)
