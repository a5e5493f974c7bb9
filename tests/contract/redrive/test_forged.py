"""Forged quarantine on the real engines: the table gets nothing that the index's role wrote."""

import base64
from typing import Any

import msgspec
import pytest

from lockstep.stream.stream import TrimHorizon
from tests.builders import image_event
from tests.contract.redrive.conftest import Stage

DELETION = base64.b64encode(msgspec.json.encode(image_event("T1", 9, "image.deleted"))).decode()


def in_table(stage: Stage) -> tuple[int, str | None]:
    """The version of T1 in the table, and its name."""
    found = stage.stores.table("T1")
    assert found is not None
    return found.version, None if found.image is None else found.image.name


def records(stage: Stage) -> int:
    """How many records are on the stream."""
    return sum(
        len(stage.stream.reader(shard.shard_id, TrimHorizon()).read(10_000).records)
        for shard in stage.stream.shards()
    )


@pytest.fixture
def there(stage: Stage) -> Stage:
    """A stage that has image T1 in both stores."""
    stage.put_raw(image_event("T1", 7), "T1")
    stage.drain()
    assert in_table(stage) == (7, "T1 at version 7")
    return stage


def forged(stage: Stage, key: str, **said: Any) -> None:
    """Put an object that deletes T1, under the prefix of the index, with any text."""
    assert key.startswith("quarantine/write_to_es/")
    stream, shard_id, position = key.removeprefix("quarantine/write_to_es/").split("/")
    body = {
        "function": "write_to_es",
        "stream": stream,
        "shard_id": shard_id,
        "sequence_number": position.removesuffix(".json"),
        "partition_key": "T1",
        "arrived_at": stage.now_ms(),
        "image_id": "T1",
        "version": 9,
        "reason": "refused_by_store",
        "detail": "because",
        "quarantined_at": "2026-11-21T08:00:00+00:00",
        "payload": DELETION,
    }
    stage.write(key, body | said)


def test_a_body_that_names_the_tables_consumer_does_not_delete_from_the_table(
    there: Stage,
) -> None:
    key = f"quarantine/write_to_es/{there.stack.stream}/shardId-000000000000/1.json"
    forged(there, key, function="write_to_dynamodb")
    before = records(there)
    report = there.answer("redrive", "--apply")["report"]
    there.drain()
    assert (report["put"], report["indexed"], records(there)) == (0, 1, before)
    assert in_table(there) == (7, "T1 at version 7")


def test_an_object_at_the_position_of_a_record_of_the_table_neither_deletes_nor_loses_it(
    there: Stage,
) -> None:
    there.put_raw(image_event("T1", 8), "another key")
    there.drain()
    (theirs,) = there.keys("quarantine/write_to_es/")
    forged(there, theirs)
    cases = there.answer("quarantine", "list")["cases"]
    assert sorted((case["version"], case["consumers"]) for case in cases) == [
        (8, ["write_to_dynamodb"]),
        (9, ["write_to_es"]),
    ]
    report = there.answer("redrive", "--apply")["report"]
    there.drain()
    assert (report["put"], report["indexed"]) == (1, 1)
    assert in_table(there) == (8, "T1 at version 8")
    (key,) = there.keys("redriven/write_to_dynamodb/")
    assert there.body(key)["redriven"]["event"]["version"] == 8


def test_a_document_that_is_not_of_the_tables_mapping_deletes_nothing_from_the_table(
    there: Stage,
) -> None:
    document = there.give_up("write_to_dynamodb")
    for key in there.keys("aws/"):
        there.clients.s3.delete_object(Bucket=there.stack.bucket, Key=key)
    (record,) = document["payload"]["Records"]
    record["kinesis"] |= {"data": DELETION, "sequenceNumber": "1"}
    there.write("aws/lambda/some-other-uuid/shardId-000000000000/2026/11/21/x", document)
    before = records(there)
    report = there.answer("redrive", "--apply")["report"]
    there.drain()
    assert (report["put"], report["indexed"], records(there)) == (0, 1, before)
    assert there.keys("quarantine/") == there.keys("redriven/write_to_dynamodb/") == []
    assert len(there.keys("redriven/write_to_es/")) == 1
    assert in_table(there) == (7, "T1 at version 7")
