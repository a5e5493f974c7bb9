"""All three routes to the index end in the same, on real engines."""

import base64
import datetime as dt
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from doors.clock import SYSTEM_CLOCK
from doors.quarantine import BucketQuarantine
from functions.write_to_es.index import ensure_index
from functions.write_to_es.sink import ImageIndex
from functions.write_to_es.table_changes import TABLE_STREAM
from lockstep.local.mapping import invocation
from lockstep.local.mapping.forward import forwarded
from lockstep.local.mapping.settings import Settings
from lockstep.local.processes import Service, start
from lockstep.local.services import python_service
from lockstep.quarantine.direct_indexing import DirectIndexing
from lockstep.quarantine.finding import find
from lockstep.quarantine.redrive import Redrive
from lockstep.simulation.in_line import InLine
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Stack, write_local
from lockstep.stack.status import Behind, behind_table
from lockstep.stores.corrections import Corrections
from lockstep.stores.objects import BucketObjects
from lockstep.stream.kinesis import KinesisStream
from lockstep.stream.stream import Stream, StreamRecord, TrimHorizon
from lockstep.stream.table import TableStream, latest_stream
from shared.item import KEY
from shared.quarantine import quarantined
from tests.builders import change, fresh_tombstone, image, image_event
from tests.checkpoints import read_checkpoints
from tests.flow.conftest import World
from tests.flow.scenario import Consumer, Put, Replayed, Troubled

UPDATED, DELETED = "image.updated", "image.deleted"
SEED = 20261121
PATIENCE_SECONDS = 90.0  # a busy machine is slow, not broken


def history(chance: random.Random) -> list[dict[str, Any]]:
    """Uploads, updates and removals of a few images, late ones and repeats among them."""
    events = []
    for number in range(30):
        image_id = f"T{number}"
        for version in range(1, chance.randint(2, 8)):
            kind = chance.choice(["image.uploaded", UPDATED, UPDATED, DELETED])
            more = {} if kind == DELETED else {"image": picture(image_id, version)}
            events.append(image_event(image_id, version * 10, kind, **more))
    late = chance.sample(events, k=len(events) // 3)
    chance.shuffle(events)
    return [*events, *late]


def picture(image_id: str, version: int) -> dict[str, Any]:
    return image(
        f"{image_id} at {version}",
        width=2**53 - version,
        taken_at="1814-06-01T12:00:00+01:00",
        tags=["sea", f"revision {version}"],
        attributes={"artist": "Turner \u00e9\U0001f5bc"},
    )


class Routes:
    """A world whose table's changes are read as well, into two more indices."""

    def __init__(self, world: World) -> None:
        self.world = world
        name = self.changes = f"{world.stack.stream}-changes"
        clients = world.clients
        clients.dynamodb.update_table(
            TableName=world.stack.table,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        clients.kinesis.create_stream(StreamName=name, ShardCount=2)
        clients.kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        arn = latest_stream(clients.dynamodb, world.stack.table)
        self.table = TableStream(clients.dynamodbstreams, arn, clients.stack.region)
        self.direct = self._consumer(self.table, arn, f"{name}-direct")
        self.direct.entry = invocation.table_entry
        on_kinesis = f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
        self.over_kinesis = self._consumer(
            KinesisStream(clients.kinesis, name), on_kinesis, f"{name}-over-kinesis"
        )
        self.over_kinesis.changes_stream = name

    def _consumer(self, stream: Stream, arn: str, index: str) -> Consumer:
        clients, stack = self.world.clients, self.world.stack
        ensure_index(clients.opensearch, index)
        place = msgspec.structs.replace(self.world.consumers["write_to_es"].place, stream_arn=arn)
        return Consumer(
            name="write_to_es",
            sink=Troubled(ImageIndex(clients.opensearch, index, longest_request=0.1)),
            quarantine=BucketQuarantine(clients.s3.put_object, stack.bucket, longest_put=0.1),
            stream=stream,
            settings=Settings(batch_size=10, bisect=True, reports_item_failures=True),
            place=place,
        )

    def table_changes(self) -> list[StreamRecord]:
        found: list[StreamRecord] = []
        for shard in self.table.shards():
            reader = self.table.reader(shard.shard_id, TrimHorizon())
            while (read := reader.read(1000)).records:
                found += read.records
        return found

    def forward(self, changes: Sequence[StreamRecord], chance: random.Random) -> None:
        """As Kinesis Data Streams for DynamoDB does it, at its worst: any order, some twice."""
        entries = [forwarded(change.data, self.world.stack.table) for change in changes]
        entries += chance.sample(entries, k=len(entries) // 2)
        chance.shuffle(entries)
        kinesis = self.world.clients.kinesis
        for at in range(0, len(entries), 100):
            answer = kinesis.put_records(StreamName=self.changes, Records=entries[at:][:100])
            assert answer["FailedRecordCount"] == 0

    def drain(self) -> None:
        now = dt.datetime.now(dt.UTC).timestamp()
        self.direct.drain(now=now)
        self.over_kinesis.drain(now=now)

    def documents(self, index: str) -> Mapping[str, Any]:
        """Every document whole, with its version."""
        client = self.world.clients.opensearch
        client.indices.refresh(index=index)
        found = client.search(index=index, body={"size": 1000, "version": True})
        return {hit["_id"]: (hit["_version"], hit["_source"]) for hit in found["hits"]["hits"]}

    @property
    def indices(self) -> list[str]:
        return [self.world.stack.index, f"{self.changes}-direct", f"{self.changes}-over-kinesis"]


@pytest.fixture
def routes(world: World) -> Routes:
    return Routes(world)


def test_all_three_routes_end_in_the_same_index_for_the_same_events(routes: Routes) -> None:
    chance = random.Random(SEED)
    events = history(chance)
    half = len(events) // 2
    routes.world.run(Put(events[:half]), Put(events[half:]), Replayed("write_to_dynamodb"))
    routes.forward(routes.table_changes(), chance)
    routes.drain()
    first, *others = (routes.documents(index) for index in routes.indices)
    assert len(first) == 30
    assert {document["deleted"] for _, document in first.values()} == {True, False}
    assert others == [first, first]
    assert routes.world.audit().result == "equal"


def test_a_local_mapping_feeds_the_index_and_goes_on_where_it_was_killed(
    routes: Routes, tmp_path: Path
) -> None:
    stack, service = mapping_of_table(routes, tmp_path)
    table = routes.world.consumers["write_to_dynamodb"].sink
    for version in (1, 2):
        table.send([change("T1", version), fresh_tombstone(f"T{version + 1}", 1)])
        mapping = start(service)
        try:
            wait_for(lambda: behind(stack).caught_up)
        finally:
            mapping.process.kill()
            mapping.process.wait()
    found = routes.documents(stack.index)
    assert {image_id: version for image_id, (version, _) in found.items()} == {
        "T1": 2,
        "T2": 1,
        "T3": 1,
    }
    # Nothing was read a second time: that would have been told as a metric.
    told = (tmp_path / "logs" / "write_to_es.log").read_text()
    assert '"Applied"' in told
    assert '"Duplicate"' not in told
    assert '"Stale"' not in told


def test_a_local_mapping_names_the_region_of_the_stack(routes: Routes, tmp_path: Path) -> None:
    """DynamoDB Local names the region `ddblocal`, in the ARN of the stream and in each record."""
    stack, service = mapping_of_table(routes, tmp_path)
    routes.world.clients.dynamodb.put_item(TableName=stack.table, Item={KEY: {"S": "odd"}})
    mapping = start(service)
    try:
        wait_for(lambda: behind(stack).caught_up)
    finally:
        mapping.process.kill()
        mapping.process.wait()
    s3, bucket = routes.world.clients.s3, stack.bucket
    (listed,) = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/write_to_es/")["Contents"]
    kept = msgspec.json.decode(s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read())
    record = msgspec.json.decode(base64.b64decode(kept["payload"]))
    arn = f"arn:aws:dynamodb:{stack.region}:000000000000:table/{stack.table}/stream/"
    assert record["awsRegion"] == stack.region
    assert record["eventSourceARN"].startswith(arn)
    assert re.fullmatch("[0-9a-f]{32}", record["eventID"])


def mapping_of_table(routes: Routes, state: Path) -> tuple[Stack, Service]:
    """A stack whose index is fed by the table's stream, and the process of that mapping."""
    stack = msgspec.structs.replace(
        routes.world.stack,
        index=f"{routes.changes}-direct",
        state=str(state),
        index_from="DynamoDBStreams",
    )
    write_local(stack, state)
    module = ["lockstep.local.mapping", "--state", str(state), "--function", "write_to_es"]
    return stack, python_service("mapping", state, module)


def behind(stack: Stack) -> Behind:
    clients = Clients(stack)
    table = TableStream(
        clients.dynamodbstreams, latest_stream(clients.dynamodb, stack.table), stack.region
    )
    after = read_checkpoints(Path(stack.state or "") / "checkpoints.db").get("write_to_es", {})
    return behind_table(table, after, now=0.0)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_removal_by_hand_leaves_the_same_tombstone_whichever_way_it_is_told(
    routes: Routes,
) -> None:
    routes.world.run(Put([image_event("T1", 10)]))
    routes.world.clients.dynamodb.delete_item(
        TableName=routes.world.stack.table, Key={KEY: {"S": "T1"}}
    )
    routes.forward(routes.table_changes(), random.Random(SEED))
    routes.drain()
    _, *others = (routes.documents(index) for index in routes.indices)
    assert [(index["T1"][0], index["T1"][1]["deleted"]) for index in others] == [(11, True)] * 2


def test_what_somebody_else_put_into_the_table_is_set_aside_whole_and_holds_up_nobody(
    routes: Routes,
) -> None:
    odd: dict[str, Any] = {
        KEY: {"S": "odd"},
        "sizes": {"NS": ["1", "2"]},
        "thumbnail": {"B": b"\x00\xff"},
    }
    routes.world.clients.dynamodb.put_item(
        TableName=routes.world.stack.table, Item={KEY: {"S": "odd"}, **odd}
    )
    routes.world.run(Put([image_event("T1", 10)]))
    routes.drain()
    assert routes.documents(routes.indices[1]).keys() == {"T1"}
    s3, bucket = routes.world.clients.s3, routes.world.stack.bucket
    (listed,) = s3.list_objects_v2(Bucket=bucket, Prefix="quarantine/")["Contents"]
    kept = msgspec.json.decode(s3.get_object(Bucket=bucket, Key=listed["Key"])["Body"].read())
    assert (kept["reason"], kept["holds"], kept["partition_key"]) == (
        "malformed",
        "table_change",
        "odd",
    )
    payload = msgspec.json.decode(base64.b64decode(kept["payload"]))
    new = payload["dynamodb"]["NewImage"]
    assert new["thumbnail"] == {"B": "AP8="}
    assert sorted(new["sizes"]["NS"]) == ["1", "2"]


def test_a_change_that_was_set_aside_goes_straight_into_the_index(routes: Routes) -> None:
    routes.world.run(Put([image_event("T1", 10)]))
    (told,) = routes.table_changes()
    raw = msgspec.json.decode(invocation.table_entry(told, routes.direct.place).json)
    record = TABLE_STREAM.record(raw)
    held = quarantined(
        record,
        function="write_to_es",
        change=TABLE_STREAM.change(record),
        reason="refused_by_store",
        detail="because",
        at=dt.datetime.now(dt.UTC).isoformat(),
    )
    routes.direct.quarantine.put(held)
    clients = routes.world.clients
    objects = BucketObjects(clients.s3, routes.world.stack.bucket)
    found = find(objects, "", now=dt.datetime.now(dt.UTC), executor=InLine())
    report = Redrive(
        objects,
        lambda *_: pytest.fail("the table would call it a duplicate, and stream nothing"),
        "",
        clock=SYSTEM_CLOCK,
        executor=InLine(),
        index=DirectIndexing(
            routes.direct.sink,
            Corrections(clients.opensearch, routes.indices[1]),
            routes.world.table,
        ),
    ).put_back(found.cases, found.fetched)
    assert (report.redriven, report.indexed, report.kept) == (1, 1, {})
    assert routes.documents(routes.indices[1]) == routes.documents(routes.indices[0])
    assert list(objects.keys("quarantine/")) == []
