"""Clients of boto3 that get bytes as answers: only the connection is missing. Arbitrary answers."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
BINARIES = st.binary().map(lambda data: base64.b64encode(data).decode())
VALUES = st.recursive(
    st.one_of(
        TEXTS.map(lambda text: {"S": text}),
        st.integers().map(lambda number: {"N": str(number)}),
        BINARIES.map(lambda text: {"B": text}),
        st.lists(BINARIES).map(lambda texts: {"BS": texts}),
        st.lists(TEXTS).map(lambda texts: {"SS": texts}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: {"L": values}),
        st.dictionaries(TEXTS, inner, max_size=3).map(lambda values: {"M": values}),
    ),
    max_leaves=10,
)
ITEMS = st.dictionaries(TEXTS, VALUES, max_size=4)
# In place of any value of an answer.
FOREIGN: st.SearchStrategy[Any] = st.sampled_from([None, 1, "1", -1.5, True, [], {}])


class _Raw:
    """The body of an answer that has arrived."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> list[bytes]:
        return [self._body]


def answered[C](client: C, answer: Callable[[str], tuple[int, bytes]]) -> C:
    """The client, with a status and a body for each operation, asked for by its name."""

    def send(request: Any, event_name: str, **_: object) -> AWSResponse:
        status, body = answer(event_name.rpartition(".")[2])
        raw: Any = _Raw(body)
        return AWSResponse(request.url, status, HTTPHeaders(), raw)

    events: Any = client
    events.meta.events.register("before-send", send)
    return client


def spoilt(draw: Callable[[st.SearchStrategy[Any]], Any], body: bytes) -> bytes:
    """The answer with one value, at any depth, replaced or removed."""
    page = msgspec.json.decode(body)
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for at, one in inner:
            places.append((value, at))
            if isinstance(one, dict | list):
                walk(one)

    walk(page)
    holder, at = draw(st.sampled_from(places))
    if isinstance(holder, dict) and draw(st.booleans()):
        del holder[at]
    else:
        holder[at] = draw(FOREIGN)
    return msgspec.json.encode(page)
