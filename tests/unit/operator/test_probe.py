"""The rules of a probe, and what it changes in the wait for a deployed stack."""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from botocore.stub import ANY

from lockstep.quarantine import QuarantineCounts
from lockstep.stack.clients import Clients
from lockstep.stack.deployed import DeployedMapping
from lockstep.stack.probe import Probe, ProbeError, marker_id
from lockstep.stack.stack import IndexFrom
from lockstep.stack.status import Behind, Probed, Status, status_of
from lockstep.stack.use_cases import consumers as progress
from lockstep.stores.entry import Entry
from lockstep.stream.kinesis import OpenShard
from lockstep.stream.losses import Unread
from shared.quarantine import CONSUMERS, INDEX_CONSUMER, TABLE_CONSUMER
from tests.builders import clock
from tests.unit.operator.command import lockstep
from tests.unit.operator.test_losses_of_a_stack import NOW, Account

SHARD = OpenShard("shardId-000000000000", "0")
MARKER = marker_id(SHARD.shard_id)
STAMP = 1_795_248_000_500_000
AHEAD = STAMP + 3600 * 1_000_000


class Store:
    """A store that has only tombstones."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}

    def lookup(self, image_ids: Sequence[str]) -> Mapping[str, Entry]:
        return {
            one: Entry(one, self.versions[one], deleted=True)
            for one in image_ids
            if one in self.versions
        }


class Kinesis:
    """A stream of which each record reaches both stores at once, or fails."""

    def __init__(self, *stores: Store, failures: Sequence[str] = ()) -> None:
        self.put: list[tuple[int, str]] = []
        self._stores = stores
        self._failures = [*failures]

    def put_record(self, **asked: Any) -> Mapping[str, Any]:
        if self._failures:
            error: Any = {"Error": {"Code": self._failures.pop(0), "Message": "no"}}
            raise ClientError(error, "PutRecord")
        event = msgspec.json.decode(asked["Data"])
        assert (event["type"], event["image_id"]) == ("image.deleted", asked["PartitionKey"])
        self.put.append((event["version"], asked["ExplicitHashKey"]))
        for store in self._stores:
            store.versions[event["image_id"]] = event["version"]
        return {"ShardId": SHARD.shard_id}


def probed(
    kinesis: Kinesis, table: Store, index: Store, sleep: Callable[[float], None] = lambda _: None
) -> Probed:
    waited = 0.0

    def slept(seconds: float) -> None:
        nonlocal waited
        waited += seconds
        sleep(seconds)

    at = clock(now=lambda: STAMP / 1_000_000, elapsed=lambda: waited, sleep=slept)
    client: Any = kinesis
    stores = {TABLE_CONSUMER: table, INDEX_CONSUMER: index}
    return Probe(client, "s", shards=lambda: [SHARD], stores=stores, clock=at).run(30.0, 1.0)


def test_a_marker_in_the_store_is_followed_by_another() -> None:
    """The first one shows only that its batch was delivered, not that all of it is settled."""
    table, index = Store(), Store()
    kinesis = Kinesis(table, index)
    assert [*probed(kinesis, table, index).in_store_of] == [*CONSUMERS]
    assert kinesis.put == [(STAMP, "0"), (STAMP + 1, "0")]


def test_a_consumer_that_writes_only_the_first_marker_has_not_caught_up() -> None:
    table, index = Store(), Store()

    class OnlyOnce(Kinesis):
        def put_record(self, **asked: Any) -> Mapping[str, Any]:
            before = index.versions.get(MARKER)
            answer = super().put_record(**asked)
            if before is not None:
                index.versions[MARKER] = before
            return answer

    found = probed(OnlyOnce(table, index), table, index)
    assert ([*found.in_store_of], found.seconds) == ([TABLE_CONSUMER], 30.0)


def test_the_marker_of_another_probe_shows_nothing_of_ours() -> None:
    table, index = Store(), Store()
    kinesis = Kinesis(table, index)
    versions = index.versions

    def overtaken(_: float) -> None:
        """The other probe has put its markers long before ours, by a clock that is ahead."""
        table.versions[MARKER] = versions[MARKER] = AHEAD

    table.versions[MARKER] = 5
    first = Kinesis()  # its record does not arrive
    found = probed(first, table, index, overtaken)
    assert found.in_store_of == []
    assert [version for version, _ in first.put][-1] == AHEAD + 1
    assert [*probed(kinesis, table, index).in_store_of] == [*CONSUMERS]


def test_a_stream_that_throttles_gets_the_marker_later() -> None:
    table, index = Store(), Store()
    throttled = Kinesis(table, index, failures=["ProvisionedThroughputExceededException"] * 2)
    assert [*probed(throttled, table, index).in_store_of] == [*CONSUMERS]


@pytest.mark.parametrize(
    ("code", "times"), [("AccessDeniedException", 1), ("ThrottlingException", 100)]
)
def test_a_stream_that_takes_no_marker_is_named(code: str, times: int) -> None:
    with pytest.raises(ProbeError, match=f"stream s does not accept a marker: .*{code}"):
        probed(Kinesis(failures=[code] * times), Store(), Store())


def test_a_clock_that_is_days_behind_is_named() -> None:
    table = Store()
    table.versions[MARKER] = STAMP + 48 * 3600 * 1_000_000
    with pytest.raises(ProbeError, match=r"the clock of this machine.*more than a day after"):
        probed(Kinesis(table), table, Store())


def test_a_probe_needs_a_time() -> None:
    found = lockstep("status", "--probe")
    assert found.exit_code == 2
    assert "use --probe with --wait SECONDS" in found.stderr


# A deployed stack

LAGS = {719: 90_000.0}  # hours since the stream was created: the last age, which is high


@pytest.fixture
def stubs() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


class Deployed(Account):
    """Both consumers lag by the metrics, which are minutes late. `stuck` ones write no marker."""

    def __init__(
        self,
        stubs: ExitStack,
        monkeypatch: pytest.MonkeyPatch,
        *,
        lanes: int = 1,
        index_from: IndexFrom = "Kinesis",
        stuck: Sequence[str] = (),
    ) -> None:
        super().__init__(stubs, index_from)
        self._stores = {consumer: Store() for consumer in CONSUMERS}
        self._stuck = stuck
        monkeypatch.setattr(progress, "table_reader", lambda _: self._stores[TABLE_CONSUMER])
        monkeypatch.setattr(progress, "index_reader", lambda _: self._stores[INDEX_CONSUMER])
        monkeypatch.setattr(progress, "_status", _only_consumers)
        monkeypatch.setattr(progress, "store_health", lambda _: {})
        mappings = {
            consumer: DeployedMapping(consumer, "uuid", "Enabled", NOW, lanes)
            for consumer in CONSUMERS
        }
        monkeypatch.setattr(progress, "deployed_mappings", lambda _: mappings)
        self.refreshed: list[str] = []
        indices = types.SimpleNamespace(refresh=self._refresh)
        self.clients.opensearch = types.SimpleNamespace(indices=indices)  # type: ignore[assignment]  # the one call
        seconds = iter(range(1000))
        self.clients.clock = clock(
            now=NOW.timestamp, elapsed=lambda: float(next(seconds)), sleep=lambda _: None
        )
        put = self.clients.kinesis.put_record
        monkeypatch.setattr(self.clients.kinesis, "put_record", partial(self._put, put))

    def _refresh(self, *, index: str) -> None:
        self.refreshed.append(index)

    def _put(self, put: Callable[..., Any], **asked: Any) -> Any:
        event = msgspec.json.decode(asked["Data"])
        for consumer, store in self._stores.items():
            if consumer not in self._stuck:
                store.versions[event["image_id"]] = event["version"]
        return put(**asked)

    def wait(self, *, rounds: int = 2) -> Status:
        for _ in range(rounds):
            self._round()
        self.stream()
        table_streams = self.stack.index_from == "DynamoDBStreams"
        self.metrics(LAGS, LAGS, {719: 5.0}, *([{719: 5.0}] if table_streams else []))
        return progress.wait(self.clients, 1.0, probes=True)

    def _round(self) -> None:
        shard = {
            "ShardId": SHARD.shard_id,
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "9"},
            "SequenceNumberRange": {"StartingSequenceNumber": "1"},
        }
        kinesis = self.stubs["kinesis"]
        latest = {"StreamName": "images", "ShardFilter": {"Type": "AT_LATEST"}}
        kinesis.add_response("list_shards", {"Shards": [shard]}, latest)
        marker = {"StreamName": "images", "PartitionKey": MARKER, "ExplicitHashKey": "0"}
        put = {"ShardId": SHARD.shard_id, "SequenceNumber": "1"}
        kinesis.add_response("put_record", put, {**marker, "Data": ANY})


def _only_consumers(clients: Clients, seen: Mapping[str, Behind]) -> Status:
    return status_of(clients.stack, seen, QuarantineCounts(0, 0, {}, 0), Unread())


def test_markers_show_at_once_what_metrics_show_minutes_later(
    stubs: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Deployed(stubs, monkeypatch)
    found = account.wait()
    assert found.caught_up
    assert {one.processed_until for one in found.consumers.values()} == {NOW}
    assert found.probe is not None
    assert [*found.probe.in_store_of] == [*CONSUMERS]
    assert account.refreshed == ["i"]


@pytest.mark.parametrize("stuck", [(INDEX_CONSUMER,), CONSUMERS])
def test_a_stuck_consumer_of_a_deployed_stack_has_not_caught_up(
    stubs: ExitStack, monkeypatch: pytest.MonkeyPatch, stuck: Sequence[str]
) -> None:
    found = Deployed(stubs, monkeypatch, stuck=stuck).wait(rounds=1)
    assert found.exit_code == 1
    assert found.probe is not None
    assert [*found.probe.in_store_of] == [one for one in CONSUMERS if one not in stuck]


def test_several_batches_of_a_shard_at_a_time_need_the_metrics_too(
    stubs: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The marker is in one of the lanes only."""
    found = Deployed(stubs, monkeypatch, lanes=2).wait()
    assert [one.caught_up for one in found.consumers.values()] == [False, False]


def test_an_index_that_is_fed_from_the_table_needs_the_metrics_too(
    stubs: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shards of the table's stream are others."""
    found = Deployed(stubs, monkeypatch, index_from="DynamoDBStreams").wait()
    caught_up = {name: one.caught_up for name, one in found.consumers.items()}
    assert caught_up == {TABLE_CONSUMER: True, INDEX_CONSUMER: False}
