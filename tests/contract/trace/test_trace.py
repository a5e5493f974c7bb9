"""`lockstep trace` tells the whole story of an image, each event once, and changes nothing."""

import datetime as dt
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from doors.quarantine import BucketQuarantine
from lockstep.local.mapping.batch import BatchRecord
from lockstep.local.mapping.failure import BucketDestination, failure_document
from lockstep.local.mapping.invocation import entry
from lockstep.local.mapping.steps import Discard
from lockstep.stream.stream import TrimHorizon
from shared.outcome import Failed
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from shared.sink import Sink
from tests.builders import image_event
from tests.contract.redrive.conftest import Stage, _mapping
from tests.emitted import consumed, logging_as
from tests.memory_sink import MemorySink

IMAGE = "T02680"
# An escape sequence that would clear a terminal, in what a producer sent.
FOREIGN = "\x1b[2J"


class Consumers:
    """Both consumers of a stage, with the log lines of the real handlers, in its folder."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.done: dict[tuple[str, str], int] = {}

    def waiting(self, function: str) -> Iterator[tuple[str, list[BatchRecord]]]:
        """What the consumer has not read yet, of each shard."""
        place = self.stage.consumers[function].place  # type: ignore[index]
        for listed in self.stage.stream.shards():
            source = msgspec.structs.replace(place, shard_id=listed.shard_id)
            read = self.stage.stream.reader(listed.shard_id, TrimHorizon()).read(1_000).records
            done = self.done.get((function, listed.shard_id), 0)
            if read[done:]:
                yield listed.shard_id, [entry(one, source) for one in read[done:]]

    def invoke(self, function: str, sink: Sink | None = None) -> None:
        """Invoke the handler with what waits; without a sink of its own, the store takes it."""
        its = self.stage.consumers[function].sink if sink is None else sink  # type: ignore[index]
        quarantine = BucketQuarantine(
            self.stage.clients.s3.put_object, self.stage.stack.bucket, longest_put=0.1
        )
        with logging_as(function) as (logger, written):
            for shard_id, entries in self.waiting(function):
                consumed(
                    [msgspec.json.decode(one.json) for one in entries],
                    lambda: its,
                    logger,
                    function=function,
                    now=time.time(),
                    quarantine=lambda: quarantine,
                )
                if sink is None:
                    self.settle(function, shard_id, len(entries))
            log = self.stage.state / "logs" / f"{function}.log"
            log.parent.mkdir(exist_ok=True)
            with log.open("a") as file:
                file.write(written.text)

    def discard(self, function: str) -> None:
        """Discard what waits, as an event source mapping does with old records."""
        place = self.stage.consumers[function].place  # type: ignore[index]
        for shard_id, entries in list(self.waiting(function)):
            discard = Discard(tuple(entries), "RecordAgeExceeded", 1, None, None)
            now = dt.datetime.now(dt.UTC)
            source = msgspec.structs.replace(place, shard_id=shard_id)
            document = failure_document(discard, source, at=now, new_id=_new_id)
            BucketDestination(
                self.stage.clients.s3.put_object,
                self.stage.stack.bucket,
                mapping_uuid=_mapping(function, self.stage.stack.stream),
                new_id=_new_id,
            ).write(document, now)
            self.settle(function, shard_id, len(entries))

    def settle(self, function: str, shard_id: str, count: int) -> None:
        key = function, shard_id
        self.done[key] = self.done.get(key, 0) + count


def _new_id() -> str:
    return str(uuid.uuid4())


def _next_millisecond() -> None:
    """Events in one millisecond have no order in time: what follows is in a later one."""
    now = int(time.time() * 1000)
    while int(time.time() * 1000) == now:
        pass


def stamp() -> int:
    _next_millisecond()
    return time.time_ns() // 1_000


def told_by(stage: Stage, *words: object, code: int = 0) -> dict[str, Any]:
    result = stage.lockstep("trace", IMAGE, *words, "--json")
    assert result.exit_code == code, result.output
    found: dict[str, Any] = msgspec.json.decode(result.stdout)
    return found


def story(found: Mapping[str, Any]) -> list[tuple[str, int | None, Sequence[str]]]:
    return [
        (event["what"], event.get("version"), event.get("consumers", []))
        for event in found["events"]
    ]


def durable(stage: Stage) -> Any:
    """All that a trace could change."""
    listed = stage.clients.s3.list_objects_v2(Bucket=stage.stack.bucket).get("Contents", [])
    stage.clients.opensearch.indices.refresh(index=stage.stack.index)
    return (
        [(one["Key"], one["ETag"], one["LastModified"]) for one in listed],
        stage.clients.dynamodb.scan(TableName=stage.stack.table)["Items"],
        stage.clients.opensearch.search(index=stage.stack.index, body={"version": True})["hits"],
        [
            stage.stream.reader(one.shard_id, TrimHorizon()).read(1_000).records
            for one in stage.stream.shards()
        ],
        {file: file.read_bytes() for file in sorted(stage.state.rglob("*")) if file.is_file()},
    )


def happened(stage: Stage) -> tuple[int, int, int]:
    """An image is refused, given up, redriven and deleted; returns the three versions."""
    both = Consumers(stage)
    refused, version = stamp(), stamp()
    bad = image_event(IMAGE, refused, type=f"image.changed{FOREIGN}")
    stage.put_raw(bad, IMAGE)
    stage.put_raw(image_event("another", refused), "another")
    both.invoke(TABLE_CONSUMER)
    both.invoke(INDEX_CONSUMER)
    _next_millisecond()
    stage.put_raw(image_event(IMAGE, version, occurred_at=now_text()), IMAGE)
    throttled = MemorySink(always={IMAGE: Failed("throttled")})
    both.invoke(TABLE_CONSUMER, throttled)
    both.invoke(TABLE_CONSUMER, throttled)
    _next_millisecond()
    both.discard(TABLE_CONSUMER)
    done = stage.answer("redrive", "--image", IMAGE, "--reason", "given_up", "--apply")
    assert done["report"]["redriven"] == 1
    both.invoke(TABLE_CONSUMER)
    both.invoke(INDEX_CONSUMER)
    deleted = stamp()
    stage.put_raw(image_event(IMAGE, deleted, "image.deleted", occurred_at=now_text()), IMAGE)
    both.invoke(TABLE_CONSUMER)
    both.invoke(INDEX_CONSUMER)
    return refused, version, deleted


def now_text() -> str:
    return dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z")


def test_the_story_of_an_image_is_told_once_and_in_order(stage: Stage) -> None:
    refused, version, deleted = happened(stage)
    before = durable(stage)
    found = told_by(stage)
    assert story(found) == [
        ("arrived", refused, []),
        ("quarantined", None, [TABLE_CONSUMER]),
        ("quarantined", None, [INDEX_CONSUMER]),
        ("arrived", version, []),
        ("not_settled", None, [TABLE_CONSUMER]),
        ("discarded", version, [TABLE_CONSUMER]),
        # The redrive notes its time when the record is on the stream again.
        ("arrived", version, []),
        ("redriven", version, [TABLE_CONSUMER]),
        ("settled", None, [TABLE_CONSUMER]),
        # The index's consumer settled both records in one batch.
        ("settled", None, [INDEX_CONSUMER]),
        ("arrived", deleted, []),
        ("settled", None, [TABLE_CONSUMER]),
        ("settled", None, [INDEX_CONSUMER]),
    ]
    moments = [event["at"] for event in found["events"]]
    assert moments == sorted(moments)
    first, by_table, _, _, failed, discarded = found["events"][:6]
    assert first["detail"].startswith("no valid event: schema: ")
    assert by_table["detail"].startswith("schema: ")
    assert by_table["sources"] == ["quarantine", "log"]
    assert (failed["times"], failed["detail"]) == (2, "throttled")
    assert discarded["detail"].endswith("RecordAgeExceeded")
    assert set(discarded["sources"]) == {"quarantine", "failure document"}
    for store in ("table", "index"):
        assert (found[store]["version"], found[store]["deleted"]) == (deleted, True)
    # The index does not store the provenance.
    assert found["table"]["sequence_number"] == found["events"][-1]["sequence_number"]
    assert "sequence_number" not in found["index"]
    assert found["not_read"] == []
    assert found["limits"] == []
    assert durable(stage) == before


def test_the_text_shows_ids_and_times_whole_and_controls_no_terminal(stage: Stage) -> None:
    happened(stage)
    shown = stage.lockstep("trace", IMAGE)
    assert shown.exit_code == 0
    numbers = {event["sequence_number"] for event in told_by(stage)["events"]} - {""}
    assert all(shown.stdout.count(f" {number}") for number in numbers)
    times = {event["at"] for event in told_by(stage)["events"]}
    assert times <= {line.split()[0] for line in shown.stdout.splitlines()}
    assert "\x1b" not in shown.output
    assert " ".join(shown.stdout.split()).count("deleted; its tombstone expires") == 2
    # What it costs is said first, on standard error.
    assert shown.stderr.startswith("reading 1 shard: ")
    assert max(map(len, shown.stderr.splitlines())) <= 80


def test_a_bound_and_a_time_limit_what_is_read(stage: Stage) -> None:
    happened(stage)
    unread = told_by(stage, "--at-most", 0, code=1)
    assert "stream" in {one["source"] for one in unread["not_read"]}
    assert {event["what"] for event in unread["events"]} >= {"quarantined", "redriven"}
    assert unread["records"] == 0
    _next_millisecond()
    since = now_text()
    stage.put_raw(image_event(IMAGE, stamp(), occurred_at=now_text()), IMAGE)
    later = told_by(stage, "--since", since)
    assert [event["what"] for event in later["events"]] == ["arrived"]
    assert later["objects"] == 0


def test_an_image_of_which_nothing_is_known(stage: Stage) -> None:
    shown = stage.lockstep("trace", "no such\x1b[2Jimage")
    assert shown.exit_code == 0
    assert shown.stdout.splitlines() == [
        "no event is known",
        "store  now",
        "table  nothing",
        "index  nothing",
    ]
