"""A cursor says a place in one query's order; anything else is refused."""

import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.search_images.cursor import (
    HitPosition,
    InvalidCursorError,
    decode_cursor,
    encode_cursor,
)
from functions.search_images.filters import Filters
from functions.search_images.search import SearchRequest

TURNER = SearchRequest(text="turner")
PLACE = HitPosition(18.96299, "D13262")


def packed(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unpacked(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


@pytest.mark.parametrize(
    "place",
    [PLACE, HitPosition(0.0, "a"), HitPosition(1_795_248_000_500, "x" * 256, corrected=True)],
)
def test_what_was_written_is_read(place: HitPosition) -> None:
    assert decode_cursor(encode_cursor(place, TURNER), TURNER) == place


@pytest.mark.parametrize(
    "other",
    [
        SearchRequest(text="turne"),
        SearchRequest(text=None),
        SearchRequest(text="turner", sort="newest"),
        SearchRequest(text="turner", filters=Filters(tags=("sea",))),
    ],
)
def test_a_cursor_of_another_query_is_refused(other: SearchRequest) -> None:
    with pytest.raises(InvalidCursorError, match="of another search"):
        decode_cursor(encode_cursor(PLACE, TURNER), other)


def _altered(old: bytes, new: bytes) -> str:
    text = unpacked(encode_cursor(PLACE, TURNER))
    assert old in text
    return packed(text.replace(old, new))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "=",
        "é",
        "null",
        packed(b""),
        packed(b"\xff"),
        packed(b"[]"),
        packed(b"{}"),
        packed(b"[" * 5000),
        _altered(b"18.96299", b"-1"),
        _altered(b"18.96299", b"1e999"),
        _altered(b"18.96299", b"NaN"),
        _altered(b"18.96299", b'"18"'),
        _altered(b"18.96299", b"null"),
        _altered(b"18.96299", b"18.962990"),
        _altered(b'"D13262"', b'"../x"'),
        _altered(b'"D13262"', b'"D13262",1'),
        _altered(b'"D13262"', b"5"),
        _altered(b"false", b"0"),
        _altered(b",false", b""),
        _altered(b",", b", "),
        encode_cursor(PLACE, TURNER) + "=",
        encode_cursor(PLACE, TURNER) + "\n",
    ],
)
def test_what_nobody_here_wrote_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError, match="use `next` of the previous page"):
        decode_cursor(cursor, TURNER)


@given(st.text() | st.binary().map(packed))
@example("A")
def test_whatever_comes_is_a_cursor_or_refused(cursor: str) -> None:
    try:
        place = decode_cursor(cursor, TURNER)
    except InvalidCursorError:
        return
    assert encode_cursor(place, TURNER) == cursor
