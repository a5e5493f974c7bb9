"""Whole batches through both real sinks: any order, any cut, any poison, few requests."""

import base64
import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from lockstep.quarantine import keys
from shared.quarantine import QuarantinedRecord
from tests.flow.conftest import World
from tests.tombstones import keep_tombstones
from tools.sample_events import invocations, poison

type Records = list[dict[str, Any]]

MIXED = invocations()["mixed-100.json"]
POISON = invocations()["poison.json"]


def orders(batch: Records) -> Mapping[str, list[Records]]:
    chance = random.Random(7)
    cuts = chance.sample(range(1, len(batch)), 3)
    return {
        "twice": [batch, batch],
        "reversed": [batch[::-1]],
        "shuffled": [chance.sample(batch, len(batch))],
        "record by record": [[record] for record in batch],
        **{f"cut at {cut}": [batch[:cut], batch[cut:]] for cut in cuts},
        **{f"cut at {cut}, last part first": [batch[cut:], batch[:cut]] for cut in cuts},
    }


def last_of_each(batch: Records) -> dict[str, tuple[int, bool]]:
    """What a batch comes to, worked out without any of our rules: version and whether deleted."""
    last: dict[str, tuple[int, bool]] = {}
    for record in batch:
        event = msgspec.json.decode(base64.b64decode(record["kinesis"]["data"]))
        said = (event["version"], event["type"] == "image.deleted")
        last[event["image_id"]] = max(said, last.get(event["image_id"], said))
    return last


@pytest.mark.parametrize("order", orders(MIXED))
def test_however_the_mixed_batch_is_delivered_both_stores_end_the_same(
    world: World, order: str
) -> None:
    keep_tombstones(world.clients.dynamodb, world.stack.table)
    for batch in orders(MIXED)[order]:
        for consumer in world.consumers.values():
            assert consumer.deliver(batch).checkpoint is None
    for store in (world.table, world.index):
        found = {entry.image_id: (entry.version, entry.deleted) for entry in store.scan()}
        assert found == last_of_each(MIXED)
    assert world.audit().result == "equal"
    assert list(keys(world.clients.s3, world.stack.bucket)) == []


def test_both_consumers_set_the_same_poison_aside_whole_and_store_its_neighbours(
    world: World,
) -> None:
    for consumer in world.consumers.values():
        assert consumer.deliver(POISON).response() == {"batchItemFailures": []}
    set_aside: dict[str, dict[str, tuple[str, str]]] = {}
    for key in keys(world.clients.s3, world.stack.bucket):
        body = world.clients.s3.get_object(Bucket=world.stack.bucket, Key=key)["Body"].read()
        record = msgspec.json.decode(body, type=QuarantinedRecord)
        assert record.key == key
        assert record.detail
        here = set_aside.setdefault(record.function, {})
        here[record.sequence_number] = (record.reason, record.payload)
    assert set_aside["write_to_dynamodb"] == set_aside["write_to_es"]
    delivered = {one["kinesis"]["sequenceNumber"]: one["kinesis"]["data"] for one in POISON}
    reasons = [reason for reason, _ in set_aside["write_to_es"].values()]
    assert sorted(reasons) == sorted([*(one.reason for one in poison().values()), "conflict"])
    for sequence_number, (_, payload) in set_aside["write_to_es"].items():
        assert payload == delivered[sequence_number]
    good = len(POISON) - len(reasons)
    assert world.audit().table == good
    assert world.audit().result == "equal"


def test_quarantine_delivered_again_keeps_the_first_reason(world: World) -> None:
    for _ in range(2):
        for consumer in world.consumers.values():
            consumer.deliver(POISON)
    found = list(keys(world.clients.s3, world.stack.bucket))
    assert len(found) == 2 * (len(poison()) + 1)
