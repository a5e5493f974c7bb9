"""Any bytes of a record give an event, or a refusal with its reason, alike in both consumers."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast, get_args

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lockstep.simulation.components import INDEX, TABLE, image_index, image_table
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.stores.entry import from_document
from shared.batch import Delivery
from shared.change import Put, change_from
from shared.deliver import deliver
from shared.event import (
    MAX_EVENT_BYTES,
    MAX_VERSION,
    Event,
    Image,
    InvalidEventError,
    Reason,
    decode,
    digest,
    encode,
)
from shared.item import change_in_item
from shared.quarantine import QuarantinedRecord
from shared.record import event_in
from shared.sink import Sink
from tests.builders import ARRIVED_AT, clock, image, image_event, kinesis_record, record
from tests.images import TIMES, images

CORPUS = sorted((Path(__file__).parents[1] / "corpus/decode").iterdir())
MOST_ITEM_BYTES = 400 * 1024  # docs/internals/facts.md, DynamoDB
MOST_TERM_BYTES = 32_766  # docs/internals/facts.md, OpenSearch
# Only two times may be encoded longer than they came: .1 as .100000, +0100 as +01:00.
MOST_GROWTH = 2 * 6

FIELDS = [*Event.__struct_fields__, *Image.__struct_fields__]

# Input that often breaks parsers, to insert anywhere into a valid event.
TOKENS = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\x00", b"\n", b"\xff", b"\xc0\x80"),
    *(b"\\ud800", b"\\udc00\\ud800", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xf3\x89\x9a\xc2"),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"1.0", b"true", b"null", b"9" * 400),
    *(b"9007199254740992", b"18446744073709551616", b"[" * 2_000, b'{"a":' * 2_000),
    *(b'"version":1,', b'"type":"image.deleted",', b'"image":null,', b'"\\u0000":1,'),
    *(b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59.9999999-23:59", b"e", b" " * 300_000),
]

text = st.text(max_size=30)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    text,
    st.sampled_from(["T1", "\ud800", "\x00", "é" * 5_000, "x" * 8_193, "image.deleted"]),
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
texts = text | st.sampled_from(["\x00", "\U0001f4f7" * 2_048, "é" * 4_096, '"}}\n{"delete":{}}'])
heads = {
    "image_id": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,255}", fullmatch=True),
    "version": st.integers(1, MAX_VERSION),
    "occurred_at": TIMES,
}
events = st.one_of(
    st.fixed_dictionaries({"type": st.just("image.deleted"), **heads}),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["image.uploaded", "image.updated"]),
            **heads,
            "image": images(texts),
        }
    ),
)


@st.composite
def nearly_events(draw: st.DrawFn) -> Any:
    """An event with one or two arbitrary values."""
    event: dict[str, Any] = draw(events)
    for _ in range(draw(st.integers(1, 2))):
        into = draw(st.sampled_from([event, event.get("image", event)]))
        if isinstance(into, dict):
            known = st.sampled_from([*event, *FIELDS])
            into[draw(known | text)] = draw(anything)
    return event


def written(document: Any, *, as_ascii: bool) -> bytes:
    """Encode as Python's own encoder does, with NaN and lone surrogates."""
    return json.dumps(document, ensure_ascii=as_ascii).encode(errors="surrogatepass")


documents = st.builds(written, nearly_events() | anything, as_ascii=st.booleans())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid event, damaged in a few places."""
    data = msgspec.json.encode(
        image_event(image=image(tags=["a"], attributes={"artist": "x"}, width=1))
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 12))
        put = draw(st.sampled_from(TOKENS) | st.binary(max_size=6))
        data = data[:at] + put + data[at + gone :]
    return data


class Box:
    """A quarantine that keeps its records."""

    longest_put = 0.0

    def __init__(self) -> None:
        self.records: list[QuarantinedRecord] = []

    def put(self, held: QuarantinedRecord) -> None:
        self.records.append(held)


def judged(data: bytes) -> Event | None:
    """The event, if it is valid; only the documented error is caught."""
    try:
        return decode(data)
    except InvalidEventError as error:
        invalid = error
    assert invalid.reason in get_args(Reason)
    assert invalid.detail.encode()
    return None


def delivered(records: Sequence[Any], sink: Sink) -> tuple[Delivery, Box]:
    box = Box()
    function = "write_to_dynamodb"
    return (
        deliver(
            records,
            to=sink,
            quarantine=box,
            function=function,
            clock=clock(),
            remaining=lambda: 99.0,
        ),
        box,
    )


def check(data: bytes, partition_key: str | None = None) -> None:
    """Check the bytes of one record in every part that reads them."""
    event = judged(data)
    if event is not None:
        assert len(data) <= MAX_EVENT_BYTES
        # Encoded again it is equal, and valid unless it grew over the limit.
        again = encode(event)
        assert msgspec.json.decode(again, type=Event) == event
        assert len(again) <= len(data) + MOST_GROWTH
        assert judged(again) == (event if len(again) <= MAX_EVENT_BYTES else None)
    key = partition_key or (event.image_id if event else "T02680")
    arrived = max(ARRIVED_AT, event.version // 1000 if event else 0)
    one = kinesis_record(data, partition_key=key, arrived_at=arrived)
    table, index = DynamoDB(TABLE), OpenSearch(INDEX, now=lambda: 0.0)
    by_table, in_box = delivered([one], image_table(cast("Any", table)))
    by_index, in_other_box = delivered([one], image_index(cast("Any", index)))
    assert by_table.counts == by_index.counts, "one consumer accepts what the other refuses"
    assert by_table.checkpoint is by_index.checkpoint is None
    assert [held.reason for held in in_box.records] == [
        held.reason for held in in_other_box.records
    ]
    accepted = event is not None and key == event.image_id
    assert by_table.counts == ({"Applied": 1} if accepted else {"Quarantined": 1})
    for held in in_box.records:
        assert base64.b64decode(held.payload) == data
        assert msgspec.json.decode(msgspec.json.encode(held), type=QuarantinedRecord) == held
    if not accepted:
        return
    assert event is not None
    read = record(data, partition_key=key, arrived_at=arrived)
    change = change_from(event_in(read), read)
    [item], [document] = table.items.values(), index.documents.values()
    assert change_in_item(item) == change
    assert len(msgspec.json.encode(item)) < 2 * MOST_ITEM_BYTES
    entry = from_document({"_id": key, "_version": document.version, "_source": document.source})
    assert not entry.malformed
    if isinstance(change, Put):
        assert entry.digest == change.digest == digest(change.image)
        values = [*change.image.attributes.values()] if change.image.attributes else []
        assert all(len(value.encode()) <= MOST_TERM_BYTES for value in values)


@pytest.mark.parametrize("case", CORPUS, ids=lambda path: path.name)
def test_the_findings_of_earlier_runs(case: Path) -> None:
    check(case.read_bytes())


@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes) -> None:
    check(data)


@given(events, st.booleans())
def test_both_stores_accept_every_valid_event(event: Any, as_ascii: bool) -> None:  # noqa: FBT001 - drawn
    data = written(event, as_ascii=as_ascii)
    assert judged(data) is not None
    check(data)


@given(documents)
def test_documents_that_are_nearly_events(data: bytes) -> None:
    check(data)


@given(mutated())
@example(b"")
def test_events_damaged_in_a_few_places(data: bytes) -> None:
    check(data)


@given(st.text(min_size=1, max_size=256))
def test_any_partition_key(key: str) -> None:
    check(msgspec.json.encode(image_event()), key)
