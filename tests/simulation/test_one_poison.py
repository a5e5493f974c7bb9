"""One poison record in 10,000 is quarantined by the first invocation, and delays nothing else."""

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
from lockstep.simulation.plan import seeded_random
from lockstep.simulation.poller import Poller
from shared.deliver import deliver
from shared.event import Event, Image, encode
from shared.stamps import time_of
from tests.builders import clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

type Store = Literal["table", "index"]
type Kind = Literal["none", "undecodable", "refused", "condemned"]

RECORDS, BATCH, POISON = 10_000, 100, 4_321
BAD = "refused by the store"
REMAINING_SECONDS = 900.0


class Counting:
    """A connection without faults that counts requests."""

    def __init__(self) -> None:
        self.requests = 0

    def send[T](self, apply: Callable[[], T]) -> T:
        self.requests += 1
        return apply()

    def part_failures(self, _: int, __: Sequence[str]) -> Mapping[int, PartFailure]:
        return {}


class Result(msgspec.Struct, frozen=True):
    """The result of the 10,000 records."""

    batches: list[list[str]]
    quarantined_in: list[int]  # the invocation that quarantined each record
    poison: str
    requests: int
    quarantine_requests: int
    written: list[str]


@cache
def consumed(store: Store, kind: Kind) -> Result:
    """Send all records through the real mapping core, delivery and sink."""
    stream = Kinesis(STREAM, now=lambda: START)
    for number in range(RECORDS):
        image_id, version = f"T{number}", int(START * 1_000_000) + number
        bad = number == POISON and kind in {"refused", "condemned"}
        image = Image(BAD if bad else "an image")
        data = encode(Event("image.uploaded", image_id, version, time_of(version), image))
        stream.accept(image_id, b"{" if number == POISON and kind == "undecodable" else data)
    connection, quarantine_connection = Counting(), Counting()
    bucket = S3(BUCKET, connection=quarantine_connection)
    table = DynamoDB(
        TABLE,
        connection=connection,
        refuses=lambda item: kind == "refused" and BAD in str(item["image"]),
        condemns=lambda item: kind == "condemned" and BAD in str(item.get("image")),
    )
    index = OpenSearch(INDEX, connection=connection, refuses=lambda source: source["name"] == BAD)
    sink = (
        image_table(cast("DynamoDBClient", table))
        if store == "table"
        else image_index(cast("opensearchpy.OpenSearch", index))
    )
    batches: list[list[str]] = []
    quarantined_in: list[int] = []

    def invoke(batch: Sequence[AcceptedRecord]) -> Returned:
        batches.append([one.sequence_number for one in batch])
        delivery = deliver(
            [one.as_lambda_record() for one in batch],
            to=sink,
            quarantine=bucket_quarantine(bucket.put_object),
            function="f",
            clock=clock(now=lambda: START),
            remaining=lambda: REMAINING_SECONDS,
        )
        quarantined_in.extend([len(batches) - 1] * (len(bucket.objects) - len(quarantined_in)))
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
    return Result(
        batches=batches,
        quarantined_in=quarantined_in,
        poison=stream.accepted[POISON].sequence_number,
        requests=connection.requests,
        quarantine_requests=quarantine_connection.requests,
        written=[one.image_id for one in written],
    )


@pytest.mark.parametrize(
    ("store", "kind", "more_requests"),
    [
        # It never reaches the store.
        ("table", "undecodable", 0),
        ("index", "undecodable", 0),
        # One check that the schema is ours: only then is the refusal final.
        ("table", "refused", 1),
        ("index", "refused", 1),
        # The whole request of 25 is refused. It is halved until only the poison record is left, two
        # requests per level.
        ("table", "condemned", 1 + 2 * 5),
    ],
)
def test_one_poison_record_delays_no_other(store: Store, kind: Kind, more_requests: int) -> None:
    without, result = consumed(store, "none"), consumed(store, kind)
    # Quarantined once, by the first invocation with it.
    first = next(at for at, batch in enumerate(result.batches) if result.poison in batch)
    assert result.quarantined_in == [first]
    assert result.quarantine_requests == 1
    # No additional invocation, and no record in two of them.
    assert result.batches == without.batches
    assert len(result.batches) == RECORDS // BATCH
    # Every other record is written once, in the same order.
    assert result.written == [one for one in without.written if one != f"T{POISON}"]
    assert 0 <= result.requests - without.requests <= more_requests
    assert without.quarantine_requests == 0
