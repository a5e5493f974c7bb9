"""What only the index's consumer has set aside goes to the index alone, whatever feeds it."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_es.table_changes import TABLE_CHANGES_ON_KINESIS, TABLE_STREAM
from lockstep.stream.stream import TrimHorizon
from shared.change import Change
from shared.envelope import IMAGE_EVENTS, Envelope
from shared.event import Reason
from shared.quarantine import quarantined
from shared.sink import outcomes_of
from tests.builders import (
    change,
    image,
    image_event,
    kinesis_record,
    table_change_on_kinesis,
    table_record,
)
from tests.contract.redrive.conftest import Stage
from tests.flow.scenario import Name


def store(stage: Stage, consumer: Name, version: int, name: str) -> None:
    one = change("T1", version, image=image(name))
    outcomes_of([one], stage.consumers[consumer].sink.send)


def set_aside(stage: Stage, version: int, name: str, reason: Reason) -> None:
    """Quarantine a record as the consumer of the index does on this route."""
    at = stage.now_ms()
    event = image_event("T1", version, image=image(name))
    stored: Change = change("T1", version, image=image(name))
    raws: Mapping[str, tuple[Envelope, dict[str, Any]]] = {
        "Kinesis": (IMAGE_EVENTS, kinesis_record(event, arrived_at=at)),
        "DynamoDBStreams": (TABLE_STREAM, table_record(stored, arrived_at=at)),
        "KinesisDataStreamsForDynamoDB": (
            TABLE_CHANGES_ON_KINESIS,
            table_change_on_kinesis(table_record(stored, arrived_at=at), arrived_at=at),
        ),
    }
    envelope, raw = raws[stage.stack.index_from]
    record = envelope.record(raw)
    held = quarantined(
        record,
        function="write_to_es",
        change=envelope.change(record),
        reason=reason,
        detail="because",
        at=dt.datetime.now(dt.UTC).isoformat(),
    )
    stage.consumers["write_to_es"].quarantine.put(held)


def nothing_on_the_stream(stage: Stage) -> bool:
    return not any(
        stage.stream.reader(shard.shard_id, TrimHorizon()).read(1).records
        for shard in stage.stream.shards()
    )


def test_it_is_written_to_the_index_and_filed(routed: Stage) -> None:
    store(routed, "write_to_dynamodb", 4, "the image")
    set_aside(routed, 4, "the image", "refused_by_store")
    assert routed.answer("redrive")["ready"] == 1
    report = routed.answer("redrive", "--apply")["report"]
    assert (report["redriven"], report["put"], report["indexed"]) == (1, 0, 1)
    assert routed.names("T1") == {"the image"}
    assert routed.keys("quarantine/") == []
    assert len(routed.keys("redriven/write_to_es/")) == 1
    assert nothing_on_the_stream(routed)


@pytest.mark.parametrize(("version", "name"), [(9, "later"), (4, "the image")])
def test_a_conflict_that_is_over_is_filed(routed: Stage, version: int, name: str) -> None:
    for consumer in routed.consumers:
        store(routed, consumer, version, name)
    set_aside(routed, 4, "the image", "conflict")
    assert routed.answer("redrive", "--apply")["report"]["redriven"] == 1
    assert routed.names("T1") == {name}
    assert routed.keys("quarantine/") == []
    assert nothing_on_the_stream(routed)


def test_a_conflict_that_lasts_has_one_answer_the_tables_content(
    routed: Stage, tmp_path: Path
) -> None:
    store(routed, "write_to_dynamodb", 4, "in the table")
    store(routed, "write_to_es", 4, "forged in the index")
    set_aside(routed, 4, "in the table", "conflict")
    result = routed.lockstep("redrive", "--apply")
    assert "1 not redriven: the index has other content at its version" in result.stdout
    (case,) = routed.answer("quarantine", "list")["cases"]
    mending = tmp_path / "mended.ndjson"
    event = image_event("T1", 5, "image.deleted")
    mending.write_bytes(msgspec.json.encode({"id": case["id"], "event": event}))
    for words in (["--choose", "this", case["id"]], ["--mend", mending]):
        refused = routed.lockstep("redrive", *words, "--apply")
        assert refused.exit_code == 1
        assert "only the index's consumer has quarantined it: `--choose stored`" in " ".join(
            refused.stderr.split()
        )
        assert len(routed.keys("quarantine/")) == 1
    routed.answer("redrive", "--choose", "stored", case["id"])
    assert routed.names("T1") == {"in the table", "forged in the index"}
    routed.answer("redrive", "--choose", "stored", case["id"], "--apply")
    assert routed.names("T1") == {"in the table"}
    assert routed.keys("quarantine/") == []
    assert nothing_on_the_stream(routed)


def test_what_is_no_event_is_filed_by_the_tables_content_too(stage: Stage) -> None:
    store(stage, "write_to_dynamodb", 4, "in the table")
    stage.put_raw(b"{", "T1")
    stage.consumers["write_to_es"].drain(now=0.0)
    (case,) = stage.answer("quarantine", "list")["cases"]
    assert (case["consumers"], case["action"]) == (["write_to_es"], "choose")
    stage.answer("redrive", "--choose", "stored", case["id"], "--apply")
    assert stage.names("T1") == {"in the table"}
    assert stage.keys("quarantine/") == []
