"""Write the sample events in `events/`: `python -m tools.sample_events`.

They contain real records of data/tate-2000.ndjson. A test fails when a file is out of date.
"""

import base64
import datetime as dt
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec

from lockstep.local.gateway.event import event as gateway_event
from lockstep.source_files.converters import load_mapping
from lockstep.web.server import Request
from shared.change import Change, change_from
from shared.event import AGGREGATED_MAGIC, MAX_EVENT_BYTES, Reason
from shared.item import item_from
from tests.builders import (
    ARRIVED_AT,
    decoded,
    image_event,
    kinesis_record,
    record,
    table_change_on_kinesis,
    table_record,
)

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "events"
STREAM = "lockstep-images"

# Only short records, so that people can read the samples.
LONGEST_RECORD_BYTES = 500
# The samples have ids that no image of the demo has.
ID_PREFIX = "sample-"
MIXED = 100


@cache
def artworks() -> Sequence[tuple[str, dict[str, Any]]]:
    """The id and the fields of real images: the short records of data/tate-2000.ndjson."""
    tate = load_mapping("tate")
    with (ROOT / "data" / "tate-2000.ndjson").open("rb") as file:
        short = (line.rstrip(b"\n") for line in file if len(line) < LONGEST_RECORD_BYTES)
        events = [msgspec.json.decode(tate.convert(line)) for line in short]
    return [(ID_PREFIX + event["image_id"], event["image"]) for event in events]


# A literal, because each version of zlib may compress in another way.
GZIP = bytes.fromhex("1f8b08000000000002ffabae050043bfa6a302000000")


class Poison(msgspec.Struct, frozen=True):
    """A record that can never be applied, and the reason for its quarantine."""

    reason: Reason
    data: bytes
    partition_key: str


def event(artwork: int, revision: int, kind: str = "image.uploaded") -> dict[str, Any]:
    """An event of a real image; each revision is a minute later than the one before."""
    image_id, image = artworks()[artwork]
    at_ms = ARRIVED_AT - 3_600_000 + 60_000 * revision
    occurred = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
    fields: dict[str, Any] = {"occurred_at": f"{occurred:%Y-%m-%dT%H:%M:%S.%f}Z"}
    if kind != "image.deleted":
        tags = [*image.get("tags", []), f"revision {revision}"]
        fields["image"] = image | {"tags": tags}
    return image_event(image_id, at_ms * 1000, kind, **fields)


def poison() -> Mapping[str, Poison]:
    """Every kind of record that no consumer can apply, by name."""
    good = event(0, 1)
    text = msgspec.json.encode(good)
    image_id = good["image_id"]
    kinds: dict[str, tuple[Reason, bytes]] = {
        "not-utf8": ("not_utf8", text.replace(b'"name":"', b'"name":"\xe9\xff')),
        "utf-16": ("utf_16", text.decode().encode("utf-16-le")),
        "base64-twice": ("base64", base64.b64encode(text)),
        "gzip": ("compressed", GZIP),
        "byte-order-mark": ("not_json", b"\xef\xbb\xbf" + text),
        "cut-off": ("not_json", text[:-20]),
        "empty": ("not_json", b""),
        "nan": ("not_json", _with(good, b'"width":NaN')),
        "lone-surrogate": ("not_json", _with(good, rb'"description":"\ud800"')),
        "no-object": ("schema", b'["image.uploaded"]'),
        "unknown-type": ("schema", msgspec.json.encode(good | {"type": "image.moved"})),
        "unknown-field": ("schema", msgspec.json.encode(good | {"colour": "blue"})),
        "version-true": ("schema", msgspec.json.encode(good | {"version": True})),
        "version-float": ("decimal_point", msgspec.json.encode(good | {"version": 1.0})),
        "version-text": ("number_as_text", msgspec.json.encode(good | {"version": "1"})),
        "version-zero": ("schema", msgspec.json.encode(good | {"version": 0})),
        "huge-number": ("schema", _with(good, b'"width":1' + b"0" * 400)),
        "no-name": ("schema", msgspec.json.encode(good | {"image": {"width": 1}})),
        "no-image": ("null", msgspec.json.encode(image_event(image_id) | {"image": None})),
        "bad-id": ("id_characters", msgspec.json.encode(good | {"image_id": "../etc"})),
        "long-id": ("id_too_long", msgspec.json.encode(good | {"image_id": "a" * 257})),
        "null-width": ("null", _with(good, b'"width":null')),
        "no-zone": ("schema", msgspec.json.encode(good | {"occurred_at": "2026-11-21T08:00:00"})),
        "runaway-nesting": ("schema", b"[" * 3000 + b"]" * 3000),
        "too-large": ("too_large", text + b" " * (MAX_EVENT_BYTES + 1 - len(text))),
        "aggregated": ("aggregated", AGGREGATED_MAGIC + b"\x0a\x05lucky" + bytes(16)),
        "version-ahead": (
            "version_ahead",
            msgspec.json.encode(good | {"version": (ARRIVED_AT + 2 * 86_400_000) * 1000}),
        ),
    }
    records = {name: Poison(reason, data, image_id) for name, (reason, data) in kinds.items()}
    records["other-partition-key"] = Poison("partition_key", text, f"{image_id}-2")
    return records


def _with(good: Mapping[str, Any], member: bytes) -> bytes:
    """The event's JSON with one more member in its image that no encoder writes."""
    return msgspec.json.encode(good).replace(b'"image":{', b'"image":{' + member + b",")


def mixed() -> list[dict[str, Any]]:
    """A hundred events: some are duplicates, some come late, none is a conflict."""
    kinds = ("image.uploaded", "image.updated", "image.updated", "image.deleted", "image.updated")
    events = [
        event(10 + artwork, revision, kinds[revision - 1])
        for artwork in range(34)
        for revision in range(1, 2 + artwork % 5)
    ][: MIXED - 5]
    # The events of an image are not in order, and every nineteenth event comes twice.
    shuffled = [events[at * 37 % len(events)] for at in range(len(events))]
    return [*shuffled, *shuffled[::19]][:MIXED]


def invocations() -> Mapping[str, list[dict[str, Any]]]:
    """The `Records` of each sample invocation, by file name."""
    first, second, third, fourth = (event(at, 1) for at in (1, 2, 3, 4))
    gone = "image.deleted"
    batches: dict[str, list[dict[str, Any] | Poison]] = {
        "upload.json": [event(0, 1)],
        "update.json": [event(0, 2, "image.updated")],
        "delete.json": [event(0, 3, gone)],
        "out-of-order.json": [
            event(5, 3, "image.updated"),
            event(5, 1),
            event(5, 2, "image.updated"),
            event(6, 2, gone),
            event(6, 1),
        ],
        "duplicate.json": [event(7, 1), event(8, 1), event(7, 1), event(7, 1)],
        "poison.json": [
            first,
            second,
            *poison().values(),
            third,
            # Two contents claim one version: the first one is stored.
            third | {"image": fourth["image"]},
            fourth,
        ],
        f"mixed-{MIXED}.json": list(mixed()),
    }
    return {
        name: [_record(one, position) for position, one in enumerate(batch, start=1000 * number)]
        for number, (name, batch) in enumerate(batches.items(), start=1)
    }


def _record(one: dict[str, Any] | Poison, position: int) -> dict[str, Any]:
    data, key = (one.data, one.partition_key) if isinstance(one, Poison) else (one, None)
    return kinesis_record(
        data, partition_key=key, position=position, arrived_at=ARRIVED_AT + position
    )


def table_invocations() -> Mapping[str, list[dict[str, Any]]]:
    """The `Records` of sample invocations with changes of the table, by file name."""
    over_kinesis = [
        table_change_on_kinesis(one, position=position, arrived_at=ARRIVED_AT + position)
        for position, one in enumerate(_table_changes(60, 9_000), start=10_000)
    ]
    # The first two changes come twice, with different sequence numbers.
    again = [
        table_change_on_kinesis(one, position=position, arrived_at=ARRIVED_AT + position)
        for position, one in enumerate(_table_changes(60, 9_000)[:2], start=10_500)
    ]
    return {
        "table-stream.json": _table_changes(50, 8_000),
        "table-changes-on-kinesis.json": [*over_kinesis[::-1], *again],
    }


def replica_invocations() -> Mapping[str, list[dict[str, Any]]]:
    """The `Records` of sample invocations with changes of any table, by file name.

    An order is put, changed and removed. The item has a value of every type.
    """
    keys: Any = {"customer": {"S": "Ada"}, "order": {"N": "1842"}}
    new: Any = {
        **keys,
        "total": {"N": "99.95"},
        "items": {"L": [{"M": {"name": {"S": "ink"}, "count": {"N": "2"}}}]},
        "paid": {"BOOL": False},
        "note": {"NULL": True},
        "tags": {"SS": ["urgent", "gift"]},
        "sizes": {"NS": ["10", "-2.5"]},
        "label": {"B": base64.b64encode(b"\x89PNG").decode()},
        "parts": {"BS": [base64.b64encode(one).decode() for one in (b"\x02", b"\x00\x01")]},
        "price in EUR": {"N": "1234567890123456789"},
    }
    changed: Any = {**new, "paid": {"BOOL": True}, "note": {"S": "thank you"}}
    del changed["tags"]
    changes = {
        "put": {"new": new},
        "update": {"new": changed, "old": new},
        "delete": {"old": changed},
    }
    return {
        f"tablestore-{name}.json": [_change_of_an_order(keys, position=position, **change)]
        for position, (name, change) in enumerate(changes.items(), start=11_000)
    }


def _change_of_an_order(keys: Any, *, position: int, **images: Any) -> dict[str, Any]:
    record = table_record(
        **images, key=[*keys], position=position, arrived_at=ARRIVED_AT + position
    )
    label = "2026-11-20T08:00:00.000"
    arn = f"arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/{label}"
    return record | {"eventSourceARN": arn}


def _table_changes(artwork: int, position: int) -> list[dict[str, Any]]:
    """Every kind of change of an item: new, changed, deleted, purged, malformed."""
    new = _change(event(artwork, 1))
    changed = _change(event(artwork, 2, "image.updated"))
    gone = _change(event(artwork + 1, 2, "image.deleted"))
    others: Any = {
        "seen_by": {"SS": ["somebody", "somebody else"]},
        "sizes": {"NS": ["1", "-2.5"]},
        "thumbnail": {"B": base64.b64encode(b"\x89PNG").decode()},
        "parts": {"BS": [base64.b64encode(b"\x00\x01").decode()]},
        "nothing": {"NULL": True},
    }
    malformed: Any = item_from(_change(event(artwork + 4, 1))) | {"version": {"NS": ["1", "2"]}}
    changes: list[dict[str, Any]] = [
        {"new": new},
        {"new": item_from(changed) | others, "old": new},
        {"new": gone, "old": _change(event(artwork + 1, 1))},
        # DynamoDB purges the first item (time to live). A person deletes the second one.
        {"old": _change(event(artwork + 2, 1, "image.deleted")), "by_time_to_live": True},
        {"old": _change(event(artwork + 3, 1))},
        {"new": malformed},
    ]
    return [
        table_record(**one, position=at, arrived_at=ARRIVED_AT + at)
        for at, one in enumerate(changes, start=position)
    ]


def _change(one: dict[str, Any]) -> Change:
    return change_from(decoded(one), record(one))


def put_records() -> Mapping[str, dict[str, Any]]:
    """Inputs of `aws kinesis put-record --cli-input-json`, by file name."""
    good = {
        "upload.json": event(0, 1),
        "update.json": event(0, 2, "image.updated"),
        "delete.json": event(0, 3, "image.deleted"),
    }
    puts = {name: (msgspec.json.encode(one), one["image_id"]) for name, one in good.items()} | {
        f"poison-{name}.json": (poison()[name].data, poison()[name].partition_key)
        for name in ("not-utf8", "cut-off", "unknown-field", "other-partition-key")
    }
    return {
        name: {
            "StreamName": STREAM,
            "PartitionKey": key,
            "Data": base64.b64encode(data).decode(),
        }
        for name, (data, key) in puts.items()
    }


def requests() -> Mapping[str, dict[str, Any]]:
    """Requests to the search API in the form of API Gateway, by file name."""
    image_id, image = artworks()[0]
    words = urlencode({"q": image["name"], "size": 3})
    targets = {
        "search.json": ("/images", words),
        "suggest.json": ("/images/suggest", words),
        "record.json": (f"/images/{image_id}", ""),
        "no-such-image.json": (f"/images/{ID_PREFIX}none", ""),
        "mistakes.json": ("/images", "size=0&colour=red"),
        "health.json": ("/health", ""),
    }
    return {
        name: gateway_event(Request("GET", path, query), name, ARRIVED_AT / 1000)
        for name, (path, query) in targets.items()
    }


def files() -> Mapping[Path, bytes]:
    """The path in `events/` and the content of every sample file."""
    batches = {**invocations(), **table_invocations(), **replica_invocations()}
    found: dict[Path, Any] = {Path(name): {"Records": it} for name, it in batches.items()}
    found |= {Path("put-record") / name: it for name, it in put_records().items()}
    found |= {Path("http") / name: it for name, it in requests().items()}
    return {
        path: msgspec.json.format(msgspec.json.encode(it)) + b"\n" for path, it in found.items()
    }


if __name__ == "__main__":
    for path, content in files().items():
        target = FOLDER / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(content)
