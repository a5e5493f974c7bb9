"""One poison record in 10,000: set aside by the invocation that first sees it, and nobody waits."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

import msgspec
import opensearchpy
import pytest

from lockstep.local.mapping.response import Returned
from lockstep.local.mapping.settings import Settings
from lockstep.simulation.clock import START, VirtualTime
from lockstep.simulation.components import (
    BUCKET,
    INDEX,
    REAL,
    STREAM,
    STREAM_ARN,
    TABLE,
    bucket_quarantine,
    image_index,
    image_table,
)
from lockstep.simulation.fakes.dynamodb import DynamoDB
from lockstep.simulation.fakes.kinesis import AcceptedRecord, Kinesis
from lockstep.simulation.fakes.network import PartFailure
from lockstep.simulation.fakes.opensearch import OpenSearch
from lockstep.simulation.fakes.s3 import S3
from lockstep.simulation.faults import Tally
from lockstep.simulation.faulty_network import Conditions
from lockstep.simulation.interpretation import HORIZON
from lockstep.simulation.plan import seeded_random
from lockstep.simulation.poller import Poller
from lockstep.stores.stamps import time_of
from shared.deliver import deliver
from shared.event import Event, Image, encode
from tests.builders import clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Store = Literal["table", "index"]
type Kind = Literal["none", "undecodable", "refused", "condemned"]

RECORDS, BATCH, POISON = 10_000, 100, 4_321
BAD = "what the store never takes"
NOBODY_ASKED = 900.0


class Counting:
    """A line on which nothing goes wrong; counts what goes over it."""

    def __init__(self) -> None:
        self.requests = 0

    def send[T](self, apply: Callable[[], T]) -> T:
        self.requests += 1
        return apply()

    def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
        return {}


class Seen(msgspec.Struct, frozen=True):
    """What the 10,000 records came to."""

    batches: list[list[str]]
    set_aside_in: list[int]  # the invocation after which each quarantined record lay there
    poison: str
    requests: int
    quarantine_requests: int
    written: list[str]


@cache
def consumed(store: Store, kind: Kind) -> Seen:
    """All records through the real mapping core, delivery and sink."""
    stream = Kinesis(STREAM, now=lambda: START)
    for number in range(RECORDS):
        image_id, version = f"T{number}", int(START * 1_000_000) + number
        bad = number == POISON and kind in {"refused", "condemned"}
        image = Image(BAD if bad else "an image")
        data = encode(Event("image.uploaded", image_id, version, time_of(version), image))
        stream.accept(image_id, b"{" if number == POISON and kind == "undecodable" else data)
    line, quarantine_line = Counting(), Counting()
    bucket = S3(BUCKET, connection=quarantine_line)
    table = DynamoDB(
        TABLE,
        connection=line,
        refuses=lambda item: kind == "refused" and BAD in str(item["image"]),
        condemns=lambda item: kind == "condemned" and BAD in str(item.get("image")),
    )
    index = OpenSearch(INDEX, connection=line, refuses=lambda source: source["name"] == BAD)
    sink = (
        image_table(cast("DynamoDBClient", table))
        if store == "table"
        else image_index(cast("opensearchpy.OpenSearch", index))
    )
    batches: list[list[str]] = []
    set_aside_in: list[int] = []

    def invoke(batch: Sequence[AcceptedRecord]) -> Returned:
        batches.append([one.sequence_number for one in batch])
        delivery = deliver(
            [one.as_lambda_record(STREAM_ARN) for one in batch],
            to=sink,
            quarantine=bucket_quarantine(bucket.put_object),
            function="f",
            horizon=HORIZON,
            clock=clock(now=lambda: START),
            remaining=lambda: NOBODY_ASKED,
        )
        set_aside_in.extend([len(batches) - 1] * (len(bucket.objects) - len(set_aside_in)))
        return Returned(msgspec.json.encode(delivery.response()))

    Poller(
        "f",
        stream=stream,
        settings=Settings(batch_size=BATCH, bisect=True, reports_item_failures=True),
        conditions=Conditions(VirtualTime(), Tally(), seeded_random(0)),
        components=REAL,
        invoke=invoke,
        is_durable=lambda _: False,
    ).drain()
    written = table.journal if store == "table" else index.journal
    return Seen(
        batches=batches,
        set_aside_in=set_aside_in,
        poison=stream.accepted[POISON].sequence_number,
        requests=line.requests,
        quarantine_requests=quarantine_line.requests,
        written=[one.image_id for one in written],
    )


@pytest.mark.parametrize(
    ("store", "kind", "more_requests"),
    [
        # It never gets as far as the store.
        ("table", "undecodable", 0),
        ("index", "undecodable", 0),
        # One look whether the schema is ours: only then is the store's refusal believed.
        ("table", "refused", 1),
        ("index", "refused", 1),
        # It condemns its request of 25, nothing of which is written: that is halved until only
        # the poison is left, twice a level.
        ("table", "condemned", 1 + 2 * 5),
    ],
)
def test_one_poison_record_delays_nobody(store: Store, kind: Kind, more_requests: int) -> None:
    without, seen = consumed(store, "none"), consumed(store, kind)
    # Set aside once, by the invocation that first saw it.
    first = next(at for at, batch in enumerate(seen.batches) if seen.poison in batch)
    assert seen.set_aside_in == [first]
    assert seen.quarantine_requests == 1
    # No invocation more than without it, and no record in two of them.
    assert seen.batches == without.batches
    assert len(seen.batches) == RECORDS // BATCH
    # Every neighbour is written, once, in the same order.
    assert seen.written == [one for one in without.written if one != f"T{POISON}"]
    assert 0 <= seen.requests - without.requests <= more_requests
    assert without.quarantine_requests == 0
