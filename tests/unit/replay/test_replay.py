"""The replay: what it delivers, in which order, up to where, and what it says that it did not."""

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest
from botocore.exceptions import EndpointConnectionError

from doors.quarantine import BucketQuarantine
from lockstep.quarantine.bucket import discarded_by_operators
from lockstep.replay.progress import ProgressFiles, ReplayProgress, UnknownReplayError
from lockstep.replay.reading import StreamReplacedError
from lockstep.replay.replay import (
    SAVE_SECONDS,
    Replay,
    Replayed,
    ReplayParts,
    ReplayPlan,
    ReplayTarget,
    UnreadableStreamError,
    moment,
)
from lockstep.replay.settled import QuarantineOfTheUnsettled
from lockstep.simulation.fakes.kinesis import Kinesis
from lockstep.simulation.fakes.s3 import S3
from lockstep.stores.objects import BucketObjects
from lockstep.stream.shards import HASH_KEYS
from lockstep.stream.stream import (
    SKEW,
    PositionLostError,
    StreamDeniedError,
    StreamUnavailableError,
)
from shared.change import Change
from shared.horizon import LONGEST_RETENTION
from shared.outcome import Failed, Outcome, Refused
from shared.sink import MisconfiguredError, RequestFailedError, SinkError
from tests.builders import change, image_event
from tests.memory_sink import MemorySink
from tests.unit.replay.memory_stream import DAY, NAME, START, MemoryStream, MovingClock

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

BUCKET = "quarantine"
HOUR = 3600.0
ID = "20261121-080000-000"


class Sink(MemorySink):
    """Notes each change as it comes."""

    def __init__(self, *script: Any, **how: Any) -> None:
        super().__init__(*script, **how)
        self.came: list[tuple[str, int]] = []

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        self.came += [(one.image_id, one.version) for one in changes]
        return super().send(changes, within)


class Stand:
    """A stream, both stores and the bucket, in memory."""

    def __init__(
        self, *, table: MemorySink | None = None, index: MemorySink | None = None, **stream: Any
    ) -> None:
        self.time = MovingClock()
        self.stream = MemoryStream(self.time, **stream)
        self.table = table or Sink()
        self.index = index or Sink()
        self.s3 = S3(BUCKET)
        self.objects = BucketObjects(cast("S3Client", self.s3), BUCKET)
        self.files = ProgressFiles(self.objects)
        self.waits: list[str] = []

    def replay(self, progress: ReplayProgress, rate: float = 1_000.0) -> Replay:
        def quarantine() -> QuarantineOfTheUnsettled:
            bucket = BucketQuarantine(self.s3.put_object, BUCKET, longest_put=0.0)
            return QuarantineOfTheUnsettled(bucket, self.objects)

        parts = ReplayParts(
            name=NAME,
            stream=self.stream,
            region="us-east-1",
            targets=[
                ReplayTarget("table", "write_to_dynamodb", self.table, quarantine()),
                ReplayTarget("index", "write_to_es", self.index, quarantine()),
            ],
            files=self.files,
            discarded=lambda: discarded_by_operators(self.objects, "write_to_dynamodb"),
            clock=self.time.clock,
            timeout=60.0,
            rate=rate,
            on_wait=self.waits.append,
        )
        return Replay(parts, progress)

    def since(self, ago: float, rate: float = 1_000.0) -> Replay:
        since = round((self.time.now - ago) * 1000)
        return self.replay(ReplayProgress(NAME, since), rate)

    def apply(self, ago: float, rate: float = 1_000.0) -> Replayed:
        return self.since(ago, rate).apply(ID)

    def plan(self, ago: float) -> ReplayPlan:
        return self.since(ago).plan()

    def resume(self) -> Replayed:
        return self.replay(self.files.read(ID)).apply(ID)

    def keys_under(self, prefix: str = "quarantine/") -> list[str]:
        return list(self.objects.keys(prefix))

    def file_as_discarded(self, key: str) -> None:
        self.s3.objects[key.replace("quarantine/", "discarded/")] = self.s3.objects.pop(key)

    def file_as_redriven(self, key: str) -> None:
        self.s3.objects[key.replace("quarantine/", "redriven/")] = self.s3.objects.pop(key)

    def poison(self, ago: float = HOUR) -> None:
        self.stream.put_raw(b"no event", "bad", ago)


def before(ago: float) -> str:
    return moment(round((START - ago) * 1000))


def test_each_record_goes_to_both_stores_and_is_counted_by_its_fate() -> None:
    stand = Stand()
    for version, ago in ((1, 3 * HOUR), (2, 2 * HOUR)):
        stand.stream.put("T1", version, ago=ago)
    stand.stream.put("T2", 1, ago=HOUR)
    stand.poison()
    first = stand.apply(4 * HOUR)
    assert first.records == 4
    expected = {"Applied": 2, "Quarantined": 1, "Stale": 1}
    assert first.outcomes == {"table": expected, "index": expected}
    assert stand.table.stored == stand.index.stored
    assert stand.table.versions == {"T1": 2, "T2": 1}
    assert len(stand.keys_under()) == 2
    assert {key.split("/")[1] for key in stand.keys_under()} == {
        "write_to_dynamodb",
        "write_to_es",
    }


def test_a_second_replay_changes_nothing() -> None:
    stand = Stand(shards=2)
    for number in range(20):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    stand.poison()
    stand.apply(2 * HOUR)
    was = dict(stand.table.stored), dict(stand.index.stored), stand.keys_under()
    again = stand.apply(2 * HOUR)
    counts = {"Duplicate": 20, "Quarantined": 1}
    assert again.outcomes == {"table": counts, "index": counts}
    assert (stand.table.stored, stand.index.stored, stand.keys_under()) == was
    assert stand.s3.overwritten == []


def test_the_plan_counts_and_writes_nothing() -> None:
    stand = Stand(shards=2)
    for number in range(30):
        stand.stream.put(f"T{number}", 1, ago=3 * HOUR if number < 10 else HOUR)
    plan = stand.plan(2 * HOUR)
    assert (plan.records, sum(plan.shards.values()), len(plan.shards)) == (20, 20, 2)
    assert plan.oldest == before(3 * HOUR)
    assert (plan.span.complete, plan.seconds) == (True, 0.0)
    assert stand.table.sent == []
    assert stand.s3.objects == {}


def test_an_empty_stream_has_nothing_to_replay() -> None:
    stand = Stand()
    assert (stand.plan(HOUR).oldest, stand.plan(HOUR).records) == (None, 0)
    done = stand.apply(HOUR)
    assert (done.records, done.span.complete) == (0, True)
    assert stand.s3.objects == {}


def test_only_what_arrived_since_then_is_delivered_to_the_millisecond() -> None:
    stand = Stand()
    stand.stream.put("before", 1, ago=HOUR + 0.001)
    stand.stream.put("at", 1, ago=HOUR)
    stand.stream.put("after", 1, ago=HOUR - 0.001)
    stand.apply(HOUR)
    assert stand.table.versions.keys() == {"at", "after"}


def test_parents_come_before_their_children_and_each_image_in_order() -> None:
    table = Sink()
    stand = Stand(table=table, shards=2, page=7)
    kinesis = stand.stream.kinesis

    def put_all(version: int, ago: float) -> None:
        for number in range(40):
            stand.stream.put(f"T{number}", version, ago=ago)

    put_all(1, 5 * HOUR)
    left, _ = kinesis.open_shards
    stand.time.now -= 4 * HOUR
    kinesis.split(left, HASH_KEYS // 4)
    stand.time.now += 4 * HOUR
    put_all(2, 3 * HOUR)
    stand.time.now -= 2 * HOUR
    kinesis.merge(*kinesis.open_shards[1:])
    stand.time.now += 2 * HOUR
    put_all(3, HOUR)
    done = stand.apply(6 * HOUR)
    assert done.records == 120
    for number in range(40):
        assert [version for image, version in table.came if image == f"T{number}"] == [1, 2, 3]


def test_the_shard_that_is_furthest_back_is_read_first() -> None:
    stand = Stand(shards=2, page=5)
    for number in range(60):
        stand.stream.put(f"T{number}", 1, ago=HOUR - number)
    stand.apply(2 * HOUR)
    # Neither shard is read to its end before the other one.
    reads = stand.stream.reads[2:]
    middle = reads[len(reads) // 4 : -len(reads) // 4]
    assert len(set(middle)) == 2


def test_what_arrives_while_it_runs_is_not_part_of_it() -> None:
    stand = Stand(page=10)
    for number in range(30):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    replay = stand.since(2 * HOUR, rate=10)

    def produce(_: object) -> None:
        """Faster than the replay: it would never end."""
        stand.time.now += SKEW.total_seconds() + 1
        for number in range(100):
            stand.stream.put(f"new{number}", round(stand.time.now))

    done = replay.apply(ID, produce)
    assert done.records == 30
    assert done.span.until == before(0)


def test_the_rate_is_kept() -> None:
    stand = Stand()
    for number in range(100):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    done = stand.apply(2 * HOUR, rate=10)
    assert 9 <= stand.time.now - START <= 11
    assert 9 <= done.seconds <= 11


def test_an_object_that_is_still_written_is_no_unfinished_replay() -> None:
    stand = Stand()
    stand.files.save(ID, ReplayProgress(NAME, since=1))
    stand.objects.write(f"replays/{ID}.json-60ffc876-89fc-43b7-9f16-9688350c54ad", b'{"stream":')
    assert [replay_id for replay_id, _ in stand.files.all()] == [ID]


@pytest.mark.parametrize(
    ("oldest", "since", "created", "complete"),
    [
        (3 * DAY, 2 * DAY, 100 * DAY, True),  # an older record is still there
        (2 * DAY, 2 * DAY, 100 * DAY, True),  # the very record
        (2 * DAY, 3 * DAY, 100 * DAY, False),  # perhaps trimmed, when the retention was shorter
        (None, 3 * DAY, 100 * DAY, False),
        (None, 23 * HOUR, 100 * DAY, True),  # no retention is shorter than a day
        (2 * HOUR, 23 * HOUR, 100 * DAY, True),
        (2 * HOUR, 7 * DAY, 5 * HOUR, True),  # all that a new stream ever had
        (5 * HOUR, 7 * DAY, 2 * DAY, False),
    ],
)
def test_it_says_whether_the_stream_holds_all_that_was_asked_for(
    oldest: float | None, since: float, created: float, *, complete: bool
) -> None:
    stand = Stand(created_at=START - created, retention=30 * DAY)
    if oldest is not None:
        stand.stream.put("T1", 1, ago=oldest)
    for span in (stand.plan(since).span, stand.apply(since).span):
        assert span.complete is complete
        assert span.since == before(since)
        if not complete:
            held = DAY if oldest is None else max(oldest, DAY)
            assert span.read_from == before(held)


def test_a_stream_younger_than_its_retention_holds_all_that_it_ever_had() -> None:
    stand = Stand(created_at=START - HOUR, retention=7 * DAY)
    stand.stream.put("T1", 1, ago=HOUR - 1)
    stand.stream.put("T2", 1, ago=1)
    replay = stand.since(7 * DAY)
    stand.time.now += 1  # the time that was asked for is now older than the retention
    assert replay.plan().span.complete


def test_expired_records_are_told() -> None:
    stand = Stand(retention=2 * DAY)
    stand.stream.put("gone", 1, ago=3 * DAY)
    stand.stream.put("there", 1, ago=DAY)
    done = stand.apply(4 * DAY)
    assert done.span.read_from == before(DAY)
    assert stand.table.versions == {"there": 1}
    assert not done.span.complete


@pytest.mark.parametrize("loses_positions", [True, False])
def test_records_that_expire_while_it_runs_are_told(*, loses_positions: bool) -> None:
    stand = Stand(retention=2 * DAY, page=10)
    stand.stream.loses_positions = loses_positions
    for number in range(20):
        stand.stream.put(f"T{number}", 1, ago=DAY)
    for number in range(10):
        stand.stream.put(f"young{number}", 1, ago=HOUR)

    def wait_long(done: Replayed) -> None:
        if done.records == 10:
            stand.time.now += 1.5 * DAY

    done = stand.since(DAY).apply(ID, wait_long)
    assert not done.span.complete
    assert done.span.read_from > before(DAY)
    assert {f"young{number}" for number in range(10)} < stand.table.versions.keys()
    assert "T15" not in stand.table.versions


def test_a_record_over_thirty_days_old_is_never_delivered() -> None:
    month = LONGEST_RETENTION.total_seconds()
    stand = Stand(retention=365 * DAY, page=1)
    stand.stream.put("old", 1, ago=month + 60)
    stand.stream.put("soon", 1, ago=month - 1)
    stand.stream.put("becomes", 1, ago=month - 60)
    stand.stream.put("young", 1, ago=DAY)
    plan = stand.plan(60 * DAY)
    assert (plan.records, plan.span.complete, plan.span.too_old) == (3, False, True)

    def wait(done: Replayed) -> None:
        if done.records == 1:
            stand.time.now += 120

    done = stand.since(60 * DAY).apply(ID, wait)
    assert stand.table.versions.keys() == stand.index.versions.keys() == {"soon", "young"}
    assert (done.records, done.span.complete) == (2, False)


def test_a_throttled_store_is_asked_until_each_record_is_settled_and_counted_once() -> None:
    throttled = RequestFailedError("index: 429 too many requests")
    index = Sink({"T1": Failed("slow down")}, *[throttled] * 30)
    stand = Stand(index=index)
    for number in range(5):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    done = stand.apply(2 * HOUR)
    assert done.outcomes == {"table": {"Applied": 5}, "index": {"Applied": 5}}
    assert stand.table.versions == stand.index.versions
    assert "index: index: 429 too many requests" in stand.waits
    assert len(stand.table.sent) == 1


def test_a_stream_that_does_not_answer_is_read_again() -> None:
    stand = Stand(page=2)
    for number in range(10):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    replay = stand.since(2 * HOUR)
    throttled = StreamUnavailableError("ProvisionedThroughputExceededException")

    def break_it(done: Replayed) -> None:
        if done.records == 4:
            stand.stream.errors.extend([throttled] * 20)

    done = replay.apply(ID, break_it)
    assert done.records == 10
    assert len(stand.waits) == 20
    stand.stream.errors.extend([throttled] * 20)
    with pytest.raises(UnreadableStreamError, match="lockstep-images: Provisioned"):
        stand.plan(2 * HOUR)


def test_a_position_that_the_stream_never_has_is_no_endless_loop() -> None:
    stand = Stand()
    stand.stream.errors.extend([PositionLostError("a timestamp in the future")] * 20)
    with pytest.raises(UnreadableStreamError, match="a timestamp in the future"):
        stand.apply(HOUR)


def test_without_permission_it_stops_and_keeps_its_progress() -> None:
    stand = Stand(page=2)
    for number in range(10):
        stand.stream.put(f"T{number}", 1, ago=HOUR)

    def break_it(done: Replayed) -> None:
        if done.records == 4:
            stand.stream.errors.append(StreamDeniedError("KMSAccessDeniedException"))

    with pytest.raises(UnreadableStreamError, match="KMSAccessDenied"):
        stand.since(2 * HOUR).apply(ID, break_it)
    assert stand.files.read(ID).records == 4
    done = stand.resume()
    assert done.outcomes["table"] == {"Applied": 10}


@pytest.mark.parametrize("cut", range(1, 10))
def test_an_interrupted_replay_resumes_where_it_was(cut: int) -> None:
    stand = Stand(shards=2, page=3)
    for number in range(40):
        stand.stream.put(f"T{number}", 1, ago=HOUR - number)
    stand.poison()
    calls = 0

    def interrupt(_: Replayed) -> None:
        nonlocal calls
        calls += 1
        if calls == cut:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stand.since(2 * HOUR).apply(ID, interrupt)
    (unfinished,) = stand.plan(HOUR).unfinished
    assert (unfinished.id, unfinished.since) == (ID, before(2 * HOUR))
    assert unfinished.records == stand.files.read(ID).records
    done = stand.resume()
    assert done.records == 41
    assert done.outcomes["table"] == done.outcomes["index"] == {"Applied": 40, "Quarantined": 1}
    assert done.span.complete
    assert stand.keys_under("replays/") == []
    with pytest.raises(UnknownReplayError, match="no unfinished replay has the ID"):
        stand.files.read(ID)


def test_after_a_kill_what_was_saved_is_not_replayed_again() -> None:
    stand = Stand(page=10)
    for number in range(100):
        stand.stream.put(f"T{number}", 1, ago=HOUR)

    class Killed(BaseException):
        pass

    def kill(done: Replayed) -> None:
        if done.records == 90:
            body = stand.s3.objects[f"replays/{ID}.json"]
            saved.append(msgspec.json.decode(body, type=ReplayProgress))
            raise Killed

    saved: list[ReplayProgress] = []
    with pytest.raises(Killed):
        stand.since(2 * HOUR, rate=10).apply(ID, kill)
    assert 90 - 10 * SAVE_SECONDS - 10 <= saved[0].records < 90
    # What is in the bucket at the kill, without the save at the end.
    done = stand.replay(saved[0]).apply(ID)
    assert done.records == 100
    assert len(stand.table.versions) == 100
    fates = done.outcomes["table"]
    assert fates["Applied"] + fates["Duplicate"] == 100


def test_shards_that_were_split_since_an_interruption_are_replayed() -> None:
    stand = Stand(page=3)
    for number in range(20):
        stand.stream.put(f"T{number}", 1, ago=HOUR)
    with pytest.raises(KeyboardInterrupt):
        stand.since(2 * HOUR).apply(ID, _interrupt)
    stand.stream.kinesis.split(stand.stream.kinesis.open_shards[0], HASH_KEYS // 2)
    for number in range(20):
        stand.stream.put(f"T{number}", 2)
    done = stand.resume()
    assert done.records == 40
    assert set(stand.table.versions.values()) == {2}


def test_a_stream_that_was_created_again_is_not_resumed() -> None:
    stand = Stand()
    stand.stream.put("T1", 1, ago=HOUR)
    with pytest.raises(KeyboardInterrupt):
        stand.since(2 * HOUR).apply(ID, _interrupt)
    stand.time.now += 60
    stand.stream = MemoryStream(stand.time)
    with pytest.raises(StreamReplacedError, match="created again"):
        stand.resume()


def test_misconfiguration_stops_it() -> None:
    index = Sink(MisconfiguredError("index images: 403"))
    stand = Stand(index=index)
    stand.stream.put("T1", 1, ago=HOUR)
    with pytest.raises(MisconfiguredError, match="403"):
        stand.apply(2 * HOUR)
    assert stand.files.read(ID).records == 0
    assert stand.resume().records == 1


def test_what_was_redriven_is_not_quarantined_again() -> None:
    stand = Stand()
    stand.poison()
    stand.stream.put_raw(b"another", "worse", HOUR)
    stand.apply(2 * HOUR)
    first, *others = stand.keys_under()
    assert len(others) == 3
    stand.file_as_redriven(first)
    done = stand.apply(2 * HOUR)
    assert stand.keys_under() == others
    assert done.redriven == 2  # one record, for both stores
    assert done.outcomes["table"] == {"Quarantined": 2}


def test_what_only_the_tables_consumer_quarantined_and_was_redriven_is_settled_for_both() -> None:
    stand = Stand()
    stand.poison()
    stand.apply(2 * HOUR)
    # The index is fed from the table: its consumer never read the record.
    of_table, of_index = stand.keys_under()
    stand.s3.objects.pop(of_index)
    stand.file_as_redriven(of_table)
    done = stand.apply(2 * HOUR)
    assert (stand.keys_under(), done.redriven) == ([], 2)


def test_what_an_operator_discarded_reaches_no_store_although_both_would_take_it_now() -> None:
    refused: dict[str, Outcome | SinkError] = {"T1": Refused("not today")}
    stand = Stand(table=Sink(always=refused))
    stand.stream.put("T1", 7, ago=HOUR)
    stand.stream.put("T2", 8, ago=HOUR)
    stand.apply(2 * HOUR)
    (of_table,) = stand.keys_under()
    stand.file_as_discarded(of_table)
    refused.clear()
    stand.index.stored.clear()
    done = stand.apply(2 * HOUR)
    assert (done.discarded, done.records) == (1, 2)
    assert stand.table.versions == stand.index.versions == {"T2": 8}
    assert stand.keys_under() == []


def test_what_the_indexs_consumer_quarantined_and_was_discarded_is_tried_on_the_index() -> None:
    stand = Stand(index=Sink(always={"T1": Refused("never")}))
    stand.stream.put("T1", 7, ago=HOUR)
    stand.apply(2 * HOUR)
    (of_index,) = stand.keys_under()
    stand.file_as_discarded(of_index)
    done = stand.apply(2 * HOUR)
    assert (done.discarded, done.redriven, stand.keys_under()) == (0, 1, [])


def test_what_only_the_indexs_consumer_quarantined_is_not_settled_for_the_table() -> None:
    stand = Stand()
    stand.poison()
    stand.apply(2 * HOUR)
    of_table, of_index = stand.keys_under()
    stand.s3.objects.pop(of_table)
    stand.file_as_redriven(of_index)
    done = stand.apply(2 * HOUR)
    assert (stand.keys_under(), done.redriven) == ([of_table], 1)


def test_progress_that_cannot_be_saved_does_not_stop_it() -> None:
    stand = Stand(page=10)
    for number in range(30):
        stand.stream.put(f"T{number}", 1, ago=HOUR)

    def full(done: Replayed) -> None:
        if done.records == 10:
            stand.s3.put_object = _refused  # type: ignore[method-assign]

    done = stand.since(2 * HOUR, rate=1).apply(ID, full)
    assert done.records == 30
    assert any("the progress is not saved" in wait for wait in stand.waits)


def _refused(**_: Any) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="s3", error=None)


def _interrupt(done: Replayed) -> None:
    if done.records:
        raise KeyboardInterrupt


def reshard(kinesis: Kinesis, chance: random.Random) -> None:
    """Seldom: split a shard, or merge two."""
    if chance.random() < 0.05:
        shard = chance.choice(kinesis.open_shards)
        kinesis.split(shard, (shard.hashes.start + shard.hashes.end) // 2 + 1)
    elif chance.random() < 0.05 and len(kinesis.open_shards) > 1:
        kinesis.merge(*kinesis.open_shards[:2])


@pytest.mark.parametrize("seed", range(40))
def test_whatever_was_lost_and_however_often_it_is_interrupted_both_stores_end_the_same(
    seed: int,
) -> None:
    chance = random.Random(seed)
    stand = Stand(shards=2, page=chance.randint(1, 20))
    highest: Counter[str] = Counter()
    stand.time.now -= 5 * HOUR
    for _ in range(chance.randint(20, 120)):
        stand.time.now += 60
        image_id, version = f"T{chance.randrange(12)}", chance.randrange(1, 50)
        # The same version always has the same content.
        event = image_event(image_id, version, "image.updated" if version % 3 else "image.deleted")
        stand.stream.put_raw(msgspec.json.encode(event), image_id)
        highest[image_id] = max(highest[image_id], version)
        for store in (stand.table, stand.index):
            if chance.random() < 0.5:  # the others are lost
                store.write(change(image_id, version, event["type"]))
        reshard(stand.stream.kinesis, chance)
    stand.time.now = START

    def interrupt(_: Replayed) -> None:
        if chance.random() < 0.05:
            raise KeyboardInterrupt

    replay = stand.since(6 * HOUR)
    while True:
        try:
            done = replay.apply(ID, interrupt)
        except KeyboardInterrupt:
            replay = stand.replay(stand.files.read(ID))
        else:
            break
    assert done.records == len(stand.stream.kinesis.accepted)
    assert stand.table.versions == stand.index.versions == highest
    assert stand.keys_under() == []
