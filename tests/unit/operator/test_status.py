"""The status: how far each consumer is behind, and when that counts as caught up."""

import datetime as dt
import time
from pathlib import Path

import boto3
import msgspec
import pytest
from aws_lambda_powertools import Logger
from botocore.stub import Stubber

from lockstep.commands.status import show_status
from lockstep.commands.waiting import Waiting
from lockstep.quarantine import QuarantineCounts
from lockstep.stack.deployed import DeployedMapping
from lockstep.stack.late_events import deployed_late_events, local_late_events
from lockstep.stack.progress import Progress
from lockstep.stack.stack import REPLICA_CONSUMER, LocalReplica
from lockstep.stack.status import (
    Behind,
    StoreHealth,
    behind_table,
    deployed_consumers,
    status_of,
    wait_until,
)
from lockstep.stream.backlog import UnknownBacklogError
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from lockstep.stream.stream import (
    AfterSequenceNumber,
    ListedShard,
    Position,
    Records,
    StreamRecord,
    StreamUnavailableError,
)
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from shared.stamps import LATE_EVENT
from tests.builders import deployed_stack

NOW = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)
STACK = deployed_stack(functions={"write_to_es": "f"})
NOTHING = QuarantineCounts(0, 0, {}, over_60_days=0)
AS_TYPED = "`lockstep {}`".format


def test_a_deployed_consumer_that_reads_tells_how_far_it_is() -> None:
    mapping = DeployedMapping("f", "uuid", "Enabled", NOW)
    progress = Progress(NOW.timestamp() - 200, 1400, caught_up=True)
    until = NOW - dt.timedelta(seconds=200)
    assert deployed_consumers({"write_to_es": mapping}, {"write_to_es": progress}) == {
        "write_to_es": Behind(None, 1400, caught_up=True, processed_until=until)
    }


@pytest.mark.parametrize("state", ["Disabled", "Disabling", "Deleting", "missing"])
def test_a_consumer_whose_mapping_does_not_read_has_not_caught_up(state: str) -> None:
    mapping = DeployedMapping("f", None, state, None)
    assert deployed_consumers({"write_to_es": mapping}, {}) == {
        "write_to_es": Behind(None, None, caught_up=False, reads=False)
    }


class Shards:
    """A table's stream: of each shard, when the records after each position arrived."""

    def __init__(self, **arrivals: list[int]) -> None:
        self._arrivals = arrivals

    def retention(self) -> float:
        raise NotImplementedError

    def shards(self) -> list[ListedShard]:
        return [ListedShard(name, frozenset(), "1") for name in self._arrivals]

    def reader(self, shard_id: str, position: Position) -> "Shards":
        done = int(position.sequence_number) if isinstance(position, AfterSequenceNumber) else 0
        return Shards(left=self._arrivals[shard_id][done:])

    def read(self, limit: int) -> Records:
        left = self._arrivals["left"]
        if left == [0]:
            raise StreamUnavailableError("no answer")
        found = [StreamRecord(str(at), "T1", b"", at) for at in left[:limit]]
        return Records(found, behind=bool(found), ended=False)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, Behind(None, 1000, caught_up=False)),
        ({"a": "1", "b": "1"}, Behind(None, 500, caught_up=False)),
        ({"a": "2", "b": "1"}, Behind(0, 0, caught_up=True)),
    ],
)
def test_what_reads_a_tables_stream_is_as_far_behind_as_the_oldest_record_left(
    after: dict[str, str], expected: Behind
) -> None:
    now = NOW.timestamp()
    early, late = round(now * 1000) - 1000, round(now * 1000) - 500
    assert behind_table(Shards(a=[early, late], b=[late]), after, now) == expected


def test_a_tables_stream_that_does_not_answer_leaves_the_backlog_unknown() -> None:
    with pytest.raises(UnknownBacklogError, match="no answer"):
        behind_table(Shards(a=[0]), {}, NOW.timestamp())


def test_a_stack_has_caught_up_when_every_consumer_has() -> None:
    done, late = Behind(0, 0, caught_up=True), Behind(3, 9, caught_up=False)
    nothing = QuarantineCounts(0, 0, {}, 0)
    assert status_of(STACK, {"a": done, "b": done}, nothing, Unread()).caught_up
    assert not status_of(STACK, {"a": done, "b": late}, nothing, Unread()).caught_up


def test_a_consumer_whose_store_does_not_answer_has_not_caught_up() -> None:
    done = Behind(0, 0, caught_up=True)
    stores = {
        "table": StoreHealth("http://table", answers=True),
        "index": StoreHealth("http://index", answers=False, why="connection refused"),
    }
    both = {TABLE_CONSUMER: done, INDEX_CONSUMER: done}
    found = status_of(STACK, both, QuarantineCounts(0, 0, {}, 0), Unread(), stores)
    assert {name: one.caught_up for name, one in found.consumers.items()} == {
        TABLE_CONSUMER: True,
        INDEX_CONSUMER: False,
    }
    assert not found.caught_up


def test_waiting_looks_until_it_is_done() -> None:
    looks = iter([1, 2, 3])
    slept: list[float] = []
    seen = wait_until(
        lambda: next(looks),
        lambda one: one == 3,
        seconds=10,
        every=0.5,
        elapsed=lambda: 0,
        sleep=slept.append,
    )
    assert (seen, slept) == (3, [0.5, 0.5])


def test_waiting_ends_with_its_time_and_says_what_was_seen_last() -> None:
    times = iter([0, 1, 2, 3])
    seen = wait_until(
        lambda: "late",
        lambda _: False,
        seconds=2,
        every=1,
        elapsed=lambda: next(times),
        sleep=lambda _: None,
    )
    assert seen == "late"


def test_what_is_quarantined_is_told_with_its_age(capsys: pytest.CaptureFixture[str]) -> None:
    found = status_of(STACK, {}, QuarantineCounts(3, 2, {}, over_60_days=1), Unread())
    assert (found.quarantined, found.quarantined_records) == (3, 2)
    assert found.quarantined_over_60_days == 1
    show_status(found, AS_TYPED)
    told = capsys.readouterr().out
    assert "in quarantine: 2 (`lockstep quarantine list` lists them)" in told
    assert "quarantined over 60 days ago: 1 (redrive them before they are 90 days old)" in told
    show_status(msgspec.structs.replace(found, quarantined_over_60_days=0), AS_TYPED)
    assert "60 days ago" not in capsys.readouterr().out


def test_what_is_wrong_with_the_index_is_told_with_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = status_of(STACK, {}, NOTHING, Unread())
    show_status(msgspec.structs.replace(found, wrong=["alias a names b"]), AS_TYPED)
    told = capsys.readouterr().out.splitlines()
    assert "wrong: alias a names b" in told
    assert "wrong: `lockstep rebuild` shows how to correct it" in told
    assert all(line == line.rstrip() for line in told)


LOSS = Loss("write_to_dynamodb", NOW, NOW + dt.timedelta(seconds=5), 3, "s", "shardId-0", "1")


def test_what_cannot_be_read_any_more_is_told_with_its_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unknown = msgspec.structs.replace(LOSS, consumer="write_to_es", records=None)
    stopped = StoppedConsumer("write_to_es", "disabled", NOW - dt.timedelta(hours=1))
    found = status_of(STACK, {}, NOTHING, Unread((LOSS, unknown), (stopped,)))
    assert found.caught_up
    assert found.exit_code == 2

    show_status(found, "`lockstep {} --stack prod`".format)

    told = capsys.readouterr().out
    lines = told.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "write_to_dynamodb        3  2026-11-21T08:00:00Z  2026-11-21T08:00:05Z" in lines, told
    assert "write_to_es        unknown  2026-11-21T08:00:00Z  2026-11-21T08:00:05Z" in lines
    assert "`lockstep audit --acknowledge 2026-11-21T07:00:00Z --reason TEXT --stack prod`" in lines
    assert "write_to_es does not read: disabled since 2026-11-21T07:00:00Z" in lines
    assert lines[-1] == "status: unknown since 2026-11-21T07:00:00Z"


def test_what_the_mappings_discarded_is_counted_by_consumer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counts = QuarantineCounts(0, 0, {"write_to_dynamodb": 2, "write_to_es": 0}, over_60_days=0)
    found = status_of(STACK, {}, counts, Unread())
    assert found.exit_code == 0
    show_status(found, AS_TYPED)
    expected = "batches that were discarded: write_to_dynamodb 2, write_to_es 0"
    assert expected in capsys.readouterr().out
    show_status(status_of(STACK, {}, NOTHING, Unread()), AS_TYPED)
    assert "discarded" not in capsys.readouterr().out


def test_the_quarantine_of_a_replica_is_told_with_its_bucket(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack = msgspec.structs.replace(STACK, replica=LocalReplica("r", "replica-bucket"))
    found = status_of(stack, {}, NOTHING, Unread())
    show_status(found, AS_TYPED)
    assert "replica-bucket" not in capsys.readouterr().out
    show_status(msgspec.structs.replace(found, replica_quarantined=2), AS_TYPED)
    expected = "in quarantine of write_to_tablestore: 2 (in the bucket replica-bucket)"
    assert expected in capsys.readouterr().out.splitlines()


def test_what_the_replica_lacks_is_nothing_that_table_and_index_lack() -> None:
    of_replica = msgspec.structs.replace(LOSS, consumer=REPLICA_CONSUMER)
    stopped = StoppedConsumer(REPLICA_CONSUMER, "not running", NOW)
    assert not Unread((of_replica,), (stopped,)).without(REPLICA_CONSUMER)
    both = Unread((LOSS, of_replica), (stopped,))
    assert both.without(REPLICA_CONSUMER) == Unread((LOSS,))


def test_late_events_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = status_of(STACK, {}, NOTHING, Unread())
    show_status(found, AS_TYPED)
    assert "late" not in capsys.readouterr().out
    show_status(msgspec.structs.replace(found, late_events=2), AS_TYPED)
    told = "late events in the last day: 2 (the log of write_to_dynamodb names them)"
    assert told in capsys.readouterr().out.splitlines()
    assert found.exit_code == 0


def test_late_events_of_a_deployed_stack_are_the_sum_of_the_metric_of_a_day() -> None:
    client = boto3.client(
        "cloudwatch", "eu-central-1", aws_access_key_id="local", aws_secret_access_key="local"
    )
    query = {
        "Id": "m0",
        "MetricStat": {
            "Metric": {
                "Namespace": "Lockstep/s",
                "MetricName": "Late",
                "Dimensions": [{"Name": "service", "Value": "write_to_dynamodb"}],
            },
            "Period": 3600,
            "Stat": "Sum",
        },
    }
    asked = {
        "MetricDataQueries": [query],
        "StartTime": NOW - dt.timedelta(days=1),
        "EndTime": NOW,
        "ScanBy": "TimestampAscending",
    }
    times = [NOW - dt.timedelta(hours=20), NOW - dt.timedelta(hours=1)]
    answer = {"MetricDataResults": [{"Id": "m0", "Timestamps": times, "Values": [2.0, 3.0]}]}
    with Stubber(client) as stub:
        stub.add_response("get_metric_data", answer, asked)
        assert deployed_late_events(client, "Lockstep/s", NOW.timestamp()) == 5


def test_the_metric_has_the_service_of_the_template() -> None:
    template = (Path(__file__).parents[3] / "template.yaml").read_text()
    assert "POWERTOOLS_SERVICE_NAME: write_to_dynamodb\n" in template


def test_late_events_of_a_local_stack_are_lines_of_its_log(tmp_path: Path) -> None:
    assert local_late_events(tmp_path, 0.0) == 0
    log = tmp_path / "logs" / "write_to_dynamodb.log"
    log.parent.mkdir()
    with log.open("w") as file:
        logger = Logger(service="write_to_dynamodb", stream=file)
        logger.warning(LATE_EVENT, extra={"image_id": "T1"})
        logger.warning(LATE_EVENT, extra={"image_id": "T2"})
        logger.warning("quarantined", extra={"detail": LATE_EVENT})
        file.write(f'{{"message": "{LATE_EVENT}", "times')
    now = time.time()
    assert local_late_events(tmp_path, now) == 2
    assert local_late_events(tmp_path, now + 86_401) == 0


def test_a_local_consumer_that_is_not_running_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stopped = StoppedConsumer("write_to_es", "not running", NOW)
    show_status(status_of(STACK, {}, NOTHING, Unread((), (stopped,))), AS_TYPED)
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "write_to_es does not read: not running since 2026-11-21T08:00:00Z",
        "See the logs of the stack, then start it again.",
        "status: unknown since 2026-11-21T08:00:00Z",
    ]


ANSWERS = StoreHealth("http://127.0.0.1:1", answers=True)
SILENT = StoreHealth("http://127.0.0.1:2", answers=False, why="connection refused")


def test_nobody_has_caught_up_with_a_store_that_does_not_answer() -> None:
    done = {name: Behind(0, 0, caught_up=True) for name in ("write_to_dynamodb", "write_to_es")}
    healthy = status_of(STACK, done, NOTHING, Unread(), {"table": ANSWERS, "index": ANSWERS})
    assert (healthy.caught_up, healthy.exit_code) == (True, 0)
    for store in ("table", "index"):
        stores = {"table": ANSWERS, "index": ANSWERS, store: SILENT}
        silent = status_of(STACK, done, NOTHING, Unread(), stores)
        assert (silent.caught_up, silent.exit_code) == (False, 1)


def test_the_health_of_each_store_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    yellow = msgspec.structs.replace(ANSWERS, cluster="yellow")
    stores = {"table": ANSWERS, "index": yellow}
    show_status(status_of(STACK, {}, NOTHING, Unread(), stores), AS_TYPED)
    assert "stores: the table answers, the index answers (its cluster is yellow)\n" in (
        capsys.readouterr().out
    )
    stores = {"table": ANSWERS, "index": SILENT}
    show_status(status_of(STACK, {}, NOTHING, Unread(), stores), AS_TYPED)
    assert (
        "stores: the table answers, the index does NOT answer\n"
        "NOT caught up: the index does not answer at http://127.0.0.1:2: connection refused\n"
    ) in capsys.readouterr().out


class TestWaiting:
    def test_it_names_each_consumer_that_it_waits_for(self) -> None:
        behind = Behind(1_234, 5_000, caught_up=False)
        deployed = Behind(None, 5_000, caught_up=False)
        off = Behind(None, None, caught_up=False, reads=False)
        unknown = Behind(None, None, caught_up=False)
        said = Waiting().words({"write_to_es": behind}, 0.0)
        assert said == "waiting for write_to_es: 1,234 records"
        assert Waiting().words({"a": deployed, "b": off, "c": unknown}, 0.0) == (
            "waiting for a: lag 5.0 s\n  and b: it does not read\n  and c: its backlog is unknown"
        )
        assert Waiting().words({}, 0.0) == "waiting for the stores to answer"

    def test_it_shows_the_rate_and_the_time_left_of_late(self) -> None:
        waiting = Waiting()

        def said(at: float, records: int) -> str:
            return waiting.words({"a": Behind(records, 9_000, caught_up=False)}, at)

        assert said(0.0, 100_000) == "waiting for a: 100,000 records"
        assert said(0.5, 100_000) == "waiting for a: 100,000 records"
        # The consumers may just have been started.
        assert said(1.5, 100_000) == "waiting for a: 100,000 records"
        assert said(2.0, 99_000) == "waiting for a: 99,000 records, 500/s, 0:03:18 left"
        assert said(10.0, 95_000) == "waiting for a: 95,000 records, 500/s, 0:03:10 left"
        # What was before the last ten seconds does not count.
        assert said(12.0, 89_000) == "waiting for a: 89,000 records, 1,000/s, 0:01:29 left"
        assert said(20.0, 95_000) == "waiting for a: 95,000 records, not becoming less"

    def test_of_a_consumer_whose_records_cannot_be_counted_the_lag_tells_the_time(self) -> None:
        waiting = Waiting()
        waiting.words({"a": Behind(None, 60_000, caught_up=False)}, 0.0)
        said = waiting.words({"a": Behind(None, 40_000, caught_up=False)}, 10.0)
        assert said == "waiting for a: lag 40.0 s, 0:00:20 left"

    def test_a_line_fits_a_terminal_of_80_columns(self) -> None:
        waiting = Waiting()
        waiting.words({"write_to_dynamodb": Behind(2_000_000, 9, caught_up=False)}, 0.0)
        left = {"write_to_dynamodb": Behind(1_990_000, 9, caught_up=False)}
        # Rich puts a sign and a blank before it.
        assert len(waiting.words(left, 10.0)) <= 78
