"""A redrive that is killed in the middle, and run again."""

import datetime as dt
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from lockstep.quarantine.bucket import AT_ONCE
from lockstep.stream.stream import TrimHorizon
from shared.envelope import IMAGE_EVENTS
from shared.event import decode
from shared.quarantine import PREFIX, quarantined
from tests.builders import image_event, kinesis_record
from tests.contract.redrive.conftest import Stage

IMAGES, VERSIONS = 5, 100
RECORDS = IMAGES * VERSIONS


def set_aside(stage: Stage, number: int) -> None:
    """Quarantine a record as the table's consumer does."""
    event = image_event(f"T{number % IMAGES}", 1 + number // IMAGES)
    record = IMAGE_EVENTS.record(
        kinesis_record(event, position=number + 1, arrived_at=stage.now_ms())
    )
    held = quarantined(
        record,
        function="write_to_dynamodb",
        change=IMAGE_EVENTS.change(record),
        reason="refused_by_store",
        detail="because",
        at=dt.datetime.now(dt.UTC).isoformat(),
    )
    stage.write(held.key, msgspec.to_builtins(held))


def versions_on_stream(stage: Stage) -> dict[str, list[int]]:
    """The versions of each image, in the order of the stream."""
    found: dict[str, list[int]] = {}
    for shard in stage.stream.shards():
        for one in stage.stream.reader(shard.shard_id, TrimHorizon()).read(10_000).records:
            event = decode(one.data)
            found.setdefault(event.image_id, []).append(event.version)
    return found


def test_after_a_kill_the_same_command_goes_on_and_each_image_stays_in_order(
    stage: Stage,
) -> None:
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda number: set_aside(stage, number), range(RECORDS)))
    command = [sys.executable, "-m", "lockstep", "redrive", "--apply", "--state", str(stage.state)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not stage.keys("redriven/write_to_dynamodb/") and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert process.returncode < 0
    left = len(stage.keys(PREFIX))
    assert 0 < left <= RECORDS
    report = stage.answer("redrive", "--apply")["report"]
    assert (report["redriven"], report["kept"]) == (left, {})
    assert stage.keys(PREFIX) == []
    assert len(stage.keys("redriven/write_to_dynamodb/")) == RECORDS
    found = versions_on_stream(stage)
    assert len(found) == IMAGES
    for versions in found.values():
        assert list(dict.fromkeys(versions)) == list(range(1, VERSIONS + 1))
    assert sum(map(len, found.values())) <= RECORDS + AT_ONCE
