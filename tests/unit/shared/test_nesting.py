"""The limit of nesting is ours, so a verdict is the same whatever Python decodes the bytes."""

from collections.abc import Callable
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.local.kinesis.errors import KinesisError
from lockstep.local.kinesis.protocol import kinesis_requests
from lockstep.local.kinesis.wire import JSON
from lockstep.local.mapping.filters import filters_from
from lockstep.local.mapping.windows import returned_state
from lockstep.source_files.converters import parse_mapping
from shared.event import InvalidEventError, decode
from shared.nesting import MAX_NESTING, nests_too_deep

# Pythons stop at 1,498 levels (3.12.1) or at 9,999 (3.13.0).
TOO_DEEP = (MAX_NESTING + 1, 1_498, 1_499, 9_999, 10_000, 100_000)
# The bytes that decide about levels, and those that hide them.
TOKENS = (b"[", b"]", b"{", b"}", b'"', b"\\", b'{"a":', b",", b"1", b"\n", b"[" * 600, b"]" * 600)


def lists(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    ("data", "too_deep"),
    [
        (lists(MAX_NESTING), False),
        (lists(MAX_NESTING + 1), True),
        (b"[" * (MAX_NESTING + 1), True),
        (b'{"a":' * (MAX_NESTING + 1), True),
        (b"[" + b"[]," * 5_000 + b"[]]", False),
        (b'"' + b"[" * 5_000 + b'"', False),
        (b'"\\"' + b"[" * 5_000 + b'"', False),
        (b'"\\\\"' + b"[" * 5_000, True),
        (b'"' + b"[" * 5_000, False),
        (b"]" * 5_000 + b"[" * 5_000, False),
    ],
)
def test_only_open_brackets_outside_of_texts_count(data: bytes, *, too_deep: bool) -> None:
    assert nests_too_deep(data) is too_deep


@given(st.lists(st.sampled_from(TOKENS), max_size=40).map(b"".join))
def test_what_does_not_nest_too_deep_never_ends_a_decoders_stack(data: bytes) -> None:
    if not nests_too_deep(data):
        with suppress(msgspec.DecodeError):
            msgspec.json.decode(data)


def refusal(data: bytes) -> InvalidEventError:
    with pytest.raises(InvalidEventError) as raised:
        decode(data)
    return raised.value


@pytest.mark.parametrize("levels", TOO_DEEP)
@pytest.mark.parametrize("form", [lists, lambda levels: b"[" * levels])
def test_an_event_beyond_the_limit_is_refused_for_that(
    levels: int, form: Callable[[int], bytes]
) -> None:
    error = refusal(b'{"type":' + form(levels))
    assert (error.reason, error.detail) == (
        "schema",
        "too many levels: an event has three",
    )


def test_an_event_up_to_the_limit_is_refused_for_what_is_wrong() -> None:
    wrong = refusal(b'{"type":' + lists(MAX_NESTING - 1) + b"}")
    assert wrong.detail.startswith("$.type: expected a string, got an array")
    assert refusal(b"[" * MAX_NESTING).reason == "not_json"


def test_a_source_record_may_hold_lists_up_to_the_limit() -> None:
    by = parse_mapping(
        b'rest = "ignore"\n[fields]\nid = "image_id"\ntitle = "name"', "m", is_json=False
    )

    def convert(levels: int) -> bytes:
        return by.convert(b'{"id":"A","title":"T","x":' + lists(levels) + b"}")

    assert b'"A"' in convert(MAX_NESTING - 1)
    for levels in TOO_DEEP:
        with pytest.raises(InvalidEventError, match="too many levels"):
            convert(levels)


def test_a_filter_looks_into_a_record_up_to_the_limit() -> None:
    pattern = msgspec.json.encode({"data": {"a": [1]}}).decode()
    filters = filters_from({"Filters": [{"Pattern": pattern}]}, of_table=False)
    assert filters is not None

    def passes(levels: int) -> bool:
        return filters.match(b'{"a":1,"b":' + lists(levels) + b"}")

    assert passes(MAX_NESTING - 1)
    assert not any(map(passes, TOO_DEEP))


def test_a_windows_state_may_nest_up_to_the_limit() -> None:
    def response(levels: int) -> bytes:
        return b'{"state":{"a":' + lists(levels) + b"}}"

    assert returned_state(response(MAX_NESTING - 2)) is not None
    assert all(returned_state(response(levels)) is None for levels in TOO_DEEP)


def test_a_kinesis_request_may_nest_up_to_the_limit() -> None:
    def decoded(levels: int) -> object:
        body = b'{"Data":"","PartitionKey":"k","StreamName":"s","More":' + lists(levels) + b"}"
        return kinesis_requests(JSON).decode("PutRecord", body)

    assert decoded(MAX_NESTING - 1)
    for levels in TOO_DEEP:
        with pytest.raises(KinesisError, match="too many levels"):
            decoded(levels)
