"""Where the instructions of a consumer go: each step of a batch of 100 records by itself.

python -m benchmarks.speed.pieces SEGMENTS
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.speed.counting import counted, run, segment
from benchmarks.speed.growth import delivery_of
from benchmarks.speed.workload import BATCH, events, invocations
from functions.write_to_es.document import document_from
from shared.change import change_from
from shared.event import decode, digest
from shared.fold import fold
from shared.item import item_from
from shared.record import from_lambda

BATCHES = 3  # the last one is measured


def steps_of(records: Sequence[Mapping[str, Any]]) -> Mapping[str, Callable[[], object]]:
    """Each step with these records."""
    read = [from_lambda(one) for one in records]
    decoded = [decode(one.data) for one in read]
    changes = [change_from(event, record) for event, record in zip(decoded, read, strict=True)]
    items = [item_from(one) for one in changes]
    documents = [document_from(one) for one in changes]
    encode = msgspec.json.Encoder().encode
    images = [one.image for one in decoded]
    return {
        "read the record, base64": lambda: [from_lambda(one) for one in records],
        "decode and validate": lambda: [decode(one.data) for one in read],
        "digest": lambda: [digest(one) for one in images],  # type: ignore[arg-type]  # all have one
        "fold": lambda: fold(zip(changes, read, strict=True)),
        "all of a delivery but the store": delivery_of(records),
        "table: the item": lambda: [item_from(one) for one in changes],
        "table: encode the item": lambda: [encode(one) for one in items],
        "index: the document": lambda: [document_from(one) for one in changes],
        "index: encode the document": lambda: [encode(one) for one in documents],
    }


def table() -> str:
    """Instructions of each step for a record, in Markdown."""
    python, words = Path(sys.executable), ["-m", "benchmarks.speed.pieces"]
    run(python, words, {})
    lines = ["| step | instructions a record |", "| --- | ---: |"]
    for name, instructions in counted(python, words, {}).items():
        lines.append(f"| {name} | {instructions:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure the steps, and write the segments."""
    given = list(events(BATCHES * BATCH))
    batches = [one["Records"] for one in invocations(given, BATCH)]
    for records in batches[:-1]:  # the interpreter specializes its instructions
        for work in steps_of(records).values():
            work()
    steps = steps_of(batches[-1])
    found = [segment(name, BATCH, work) for name, work in steps.items()]
    Path(sys.argv[-1]).write_bytes(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
