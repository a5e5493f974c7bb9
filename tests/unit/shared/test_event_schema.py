"""The published schema accepts what the validator accepts, except for what it lists."""

import datetime as dt
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.event import (
    IMAGE_ID_PATTERN,
    MAX_VALUE_BYTES,
    MAX_VERSION,
    TIME_PATTERN,
    InvalidEventError,
    Time,
    decode,
)
from shared.record import event_in
from tests.builders import image, image_event, record
from tests.images import TIMES, images
from tests.unit.shared.test_event import ACCEPTED, NO_EVENT
from tools.event_schema import EXCEPTIONS, event_schema

SCHEMA_FILE = Path(__file__).parents[3] / "docs" / "event.schema.json"
SCHEMA = event_schema()
# Without a checker of formats: most validators have none by default.
JUDGE = jsonschema.Draft202012Validator(SCHEMA)


def schema_accepts(event: object) -> bool:
    return JUDGE.is_valid(event)


def validator_accepts(data: bytes) -> bool:
    try:
        decode(data)
    except InvalidEventError:
        return False
    return True


# What JSON Schema cannot say: an example of each exception.
EXCEPTIONAL = {
    "An integer has": msgspec.json.encode(image_event(image=image(width=1024.0))),
    "x-max-bytes limits": json.dumps(
        image_event(image=image("é" * MAX_VALUE_BYTES)), ensure_ascii=False
    ).encode(),
    "An event has at most": msgspec.json.encode(
        image_event(image=image(tags=["t" * MAX_VALUE_BYTES] * 33))
    ),
    "An event is UTF-8": msgspec.json.encode(image_event()).replace(b"T02680 at", rb"\ud800"),
    "If a name is there": b'{"version":"x",' + msgspec.json.encode(image_event())[1:],
    "The partition key": msgspec.json.encode(image_event("another")),
    "The version is at most": msgspec.json.encode(image_event(version=MAX_VERSION)),
}


@pytest.mark.parametrize("rule", EXCEPTIONS)
def test_the_schema_lists_what_only_the_validator_refuses(rule: str) -> None:
    (data,) = (data for begin, data in EXCEPTIONAL.items() if rule.startswith(begin))
    assert rule in SCHEMA["x-exceptions"]
    assert schema_accepts(json.loads(data))
    with pytest.raises(InvalidEventError):
        event_in(record(data, partition_key="T02680"))


def test_each_example_is_of_a_listed_exception() -> None:
    assert len(EXCEPTIONAL) == len(EXCEPTIONS)


@pytest.mark.parametrize("event", [*ACCEPTED.values(), *NO_EVENT.values()])
def test_both_agree_on_the_examples(event: dict[str, Any]) -> None:
    data = msgspec.json.encode(event)
    assert (
        schema_accepts(json.loads(data)) == validator_accepts(data) == (event in ACCEPTED.values())
    )


# Documents that the schema describes. hypothesis-jsonschema 0.23.1 does not run with the pinned
# hypothesis, and the schema needs few keywords.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def described(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Any document that this part of the schema accepts; of texts, only short ones."""
    match schema:
        case {"$ref": str(name)}:
            return described(SCHEMA["$defs"][name.rpartition("/")[2]])
        case {"enum": list(values)}:
            return st.sampled_from(values)
        case {"type": "string", "pattern": str(pattern)}:
            return st.from_regex(pattern)
        case {"type": "string"}:
            return TEXTS.filter(lambda text: len(text) >= schema.get("minLength", 0))
        case {"type": "integer", "minimum": int(least), "maximum": int(most)}:
            return st.integers(least, most) | st.sampled_from([least, most])
        case {"type": "array", "items": dict(items), "maxItems": int(most)}:
            return st.lists(described(items), max_size=most)
        case {"propertyNames": dict(names), "additionalProperties": dict(values)}:
            keys = described({"type": "string"} | names)
            return st.dictionaries(keys, described(values), max_size=schema["maxProperties"])
        case {"properties": dict(fields), "additionalProperties": False}:
            found = {name: described(field) for name, field in fields.items()}
            required = {name: found.pop(name) for name in schema["required"]}
            return st.fixed_dictionaries(required, optional=found)
        case other:
            raise NotImplementedError(other)


@given(described(SCHEMA).filter(schema_accepts))
def test_the_validator_accepts_what_the_schema_describes(event: dict[str, Any]) -> None:
    decode(msgspec.json.encode(event))


VALID = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["image.uploaded", "image.updated"]),
        "image_id": st.from_regex(IMAGE_ID_PATTERN),
        "version": st.integers(1, MAX_VERSION),
        "occurred_at": TIMES,
        "image": images(TEXTS),
    }
)


@given(VALID)
def test_the_schema_accepts_what_the_validator_accepts(event: dict[str, Any]) -> None:
    decode(msgspec.json.encode(event))
    assert schema_accepts(event)


# JSON Schema takes 1.0 for an integer; the validator does not.
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | fractions | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
offsets = st.timedeltas(-dt.timedelta(hours=23), dt.timedelta(hours=23)).map(
    lambda offset: dt.timezone(dt.timedelta(minutes=offset // dt.timedelta(minutes=1)))
)
zones = st.timezones() | offsets
# Also what only looks like a time: a month 13, an hour 24, a year 0.
nearly_times = st.from_regex(
    r"\A[0-9]{4}-(0[0-9]|1[0-3])-([0-2][0-9]|3[0-2])[Tt_ ]([01][0-9]|2[0-4]):[0-6][0-9]:[0-6][0-9]"
    r"(\.[0-9]{0,9})?([Zz]|[+-](1[0-9]|0[0-9]|2[0-4]):?[0-6][0-9]|[+-][01][0-9])?\Z"
)
times = st.datetimes(timezones=zones).map(dt.datetime.isoformat) | nearly_times | TEXTS
nearly_images = st.fixed_dictionaries(
    {"name": TEXTS | json_values},
    optional={
        "description": TEXTS | json_values,
        "width": st.integers(-1, 2**54) | json_values,
        "taken_at": times,
        "tags": st.lists(TEXTS, max_size=66) | json_values,
        "attributes": st.dictionaries(st.from_regex(r"[A-Za-z_][\w -]{0,66}"), TEXTS) | json_values,
        "other": json_values,
    },
)
nearly_events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["image.uploaded", "image.deleted", "image.x"]) | json_values,
        "image_id": st.from_regex(r"[\w.:-]{0,4}") | json_values,
        "version": st.integers(-1, 2**54) | json_values,
        "occurred_at": st.just("2026-11-21T08:00:00Z") | times | json_values,
    },
    optional={"image": nearly_images | json_values, "other": json_values},
)


@settings(max_examples=300)
@given(nearly_events | json_values)
def test_both_agree_on_anything(event: object) -> None:
    assert schema_accepts(event) == validator_accepts(msgspec.json.encode(event))


FIELDS = [*SCHEMA["properties"], *SCHEMA["$defs"]["Image"]["properties"], "other"]


@settings(max_examples=300)
@given(VALID, st.sampled_from(FIELDS), json_values | times, st.booleans())
def test_both_agree_on_an_event_with_one_other_value(
    event: dict[str, Any],
    field: str,
    value: object,
    in_image: bool,  # noqa: FBT001 - drawn
) -> None:
    changed = {**event, "image": {**event["image"]}}
    (changed["image"] if in_image else changed)[field] = value
    assert schema_accepts(changed) == validator_accepts(msgspec.json.encode(changed))


def decodes(time: str) -> bool:
    event = msgspec.json.encode(image_event(event_type="image.deleted", occurred_at=time))
    return validator_accepts(event)


@settings(max_examples=300)
@given(nearly_times | st.from_regex(TIME_PATTERN))
def test_the_pattern_of_times_is_exact(time: str) -> None:
    assert bool(re.search(TIME_PATTERN, time)) == decodes(time)


@pytest.mark.parametrize("month", range(14))
def test_the_pattern_of_times_knows_the_days_of_each_month(month: int) -> None:
    for year in (0, 1, 4, 100, 400, 1900, 1996, 2000, 2100, 2400, 9996, 9999):
        for day in range(33):
            time = f"{year:04}-{month:02}-{day:02}T00:00:00Z"
            assert bool(re.search(TIME_PATTERN, time)) == decodes(time), time


def test_the_pattern_of_times_knows_every_leap_year() -> None:
    for year in range(10_000):
        time = f"{year:04}-02-29T00:00:00Z"
        try:
            msgspec.convert(time, Time)
        except msgspec.ValidationError:
            is_leap = False
        else:
            is_leap = True
        assert bool(re.search(TIME_PATTERN, time)) == is_leap, time


def test_the_published_schema_is_the_one_the_code_makes() -> None:
    assert msgspec.json.decode(SCHEMA_FILE.read_bytes()) == SCHEMA, (
        "run `make generated` and commit what changed"
    )
