"""Another region takes over, by docs/guides/disaster-recovery.md, with two stacks as two regions.

What one machine cannot be is played: the replica is a copy of the table that lacks the last writes.
When the old region comes back, DynamoDB sends them; between regions the last write wins by time.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_dynamodb.table_settings import UnpreparedTableError
from lockstep.stack.stack import Endpoints
from lockstep.stream.stream import TrimHorizon
from tests.builders import image, image_event, restored_table
from tests.contract.redrive.conftest import Stage, staged

type Items = Mapping[str, Any]

# What both regions have, and what only the old one has, by the image: its name; None is a deletion.
BEFORE = dict.fromkeys((*(f"quiet-{n}" for n in range(12)), "late", "unread", "gone"), "before")
SINCE = {
    "late": "written just now",
    "new-late": "written just now",
    "new-apart": "in quarantine",
    "unread": "not read",
    "new-unread": "not read",
    "gone": None,
}
IMAGES = (*BEFORE, *(SINCE.keys() - BEFORE))


class Regions:
    """The old region and, after `taking_over`, the new one."""

    def __init__(self, old: Stage, endpoints: Endpoints, folder: Path) -> None:
        self.old = old
        self.replica = f"{old.stack.table}-replica"
        self._endpoints = endpoints
        self._folder = folder
        self._dynamodb: Any = old.clients.dynamodb
        restored_table(self._dynamodb, self.replica)
        self._sent: Items = {}

    def replicate(self) -> None:
        """Send what the old table holds now to the replica."""
        self._sent = self._items(self.old.stack.table)
        for item in self._sent.values():
            self._dynamodb.put_item(TableName=self.replica, Item=item)

    @contextmanager
    def taking_over(self) -> Iterator[Stage]:
        """Deploy a stack in the new region, with the replica as its table."""
        with staged(self._endpoints, self._folder, table=self.replica) as new:
            yield new

    def come_back(self) -> None:
        """Send what the old region wrote and had not sent: it wins where nobody wrote later."""
        here = self._items(self.replica)
        for image_id, item in self._items(self.old.stack.table).items():
            if item != self._sent.get(image_id) and here.get(image_id) == self._sent.get(image_id):
                self._dynamodb.put_item(TableName=self.replica, Item=item)

    def _items(self, table: str) -> Items:
        found = self._dynamodb.scan(TableName=table, ConsistentRead=True)["Items"]
        return {item["image_id"]["S"]: item for item in found}


@pytest.fixture
def regions(endpoints: Endpoints, tmp_path: Path) -> Iterator[Regions]:
    """The old region, when it fails.

    Not in the replica are a change and an upload that were written just now (`late`, `new-late`),
    what no consumer has read (`unread`, `new-unread`, and a deletion of `gone`), and `new-apart`,
    which is in quarantine.
    """
    with ExitStack() as stages:
        folders = [tmp_path / name for name in ("old", "new")]
        for folder in folders:
            folder.mkdir()
        old = stages.enter_context(staged(endpoints, folders[0]))
        made = Regions(old, endpoints, folders[1])
        put(old, *(event(image_id, name) for image_id, name in BEFORE.items()))
        old.drain()
        made.replicate()
        since = {image_id: event(image_id, name) for image_id, name in SINCE.items()}
        put(old, since["late"], since["new-late"])
        old.put_raw(since["new-apart"], "of another image")
        old.drain()
        put(old, since["unread"], since["new-unread"], since["gone"])
        yield made


_STAMPS = iter(range(10**9))


def event(image_id: str, name: str | None) -> dict[str, Any]:
    """An event with a version above those of all before; no name: a deletion."""
    version = int(time.time() * 1_000_000) + next(_STAMPS)
    if name is None:
        return image_event(image_id, version, "image.deleted")
    return image_event(image_id, version, "image.updated", image=image(name))


def put(stage: Stage, *events: Any) -> None:
    """Put events as a producer does."""
    file = stage.state / "events.ndjson"
    file.write_bytes(
        b"\n".join(one if isinstance(one, bytes) else msgspec.json.encode(one) for one in events)
    )
    stage.answer("put", file)


def prepared(regions: Regions) -> None:
    done = regions.old.lockstep("prepare", regions.replica, "--apply")
    assert done.exit_code == 0, done.output


def rebuilt(stage: Stage) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # The consumers of a stage run on request only.
        patch.setattr("lockstep.stack.use_cases.rebuild.written_until", lambda _: math.inf)
        done = stage.lockstep("rebuild", "--apply", "--settle", 0)
    assert done.exit_code == 0, done.output


def records(stage: Stage) -> list[bytes]:
    """The events that the stream still has: `aws kinesis get-records`."""
    return [
        one.data
        for listed in stage.stream.shards()
        for one in stage.stream.reader(listed.shard_id, TrimHorizon()).read(10_000).records
    ]


def names(stage: Stage) -> dict[str, str | None]:
    """What both stores say of each image: its name, or None if it is not there or deleted."""
    found = {one: stage.names(one) for one in IMAGES}
    assert {one: len(said) for one, said in found.items()} == dict.fromkeys(IMAGES, 1)
    return {one: said.pop() for one, said in found.items()}


def test_a_replica_that_is_not_prepared_is_refused(regions: Regions) -> None:
    with pytest.raises(UnpreparedTableError, match="lockstep prepare"), regions.taking_over():
        pass


def test_lost_is_what_was_unread_or_not_yet_in_the_replica_and_nothing_else(
    regions: Regions,
) -> None:
    prepared(regions)
    with regions.taking_over() as new:
        rebuilt(new)
        assert new.answer("audit")["result"] == "equal"
        lost = {one: None for one in IMAGES if one.startswith("new")}
        assert names(new) == BEFORE | lost


def test_what_producers_put_again_is_there(regions: Regions) -> None:
    """Their last minutes: some of it was in the replica, and stays as it is."""
    prepared(regions)
    with regions.taking_over() as new:
        rebuilt(new)
        put(new, *records(regions.old))
        new.drain()
        assert new.answer("audit")["result"] == "equal"
        # A producer puts it with the right key.
        assert names(new) == BEFORE | SINCE


def test_when_the_old_region_comes_back_nothing_is_lost(regions: Regions) -> None:
    prepared(regions)
    with regions.taking_over() as new:
        rebuilt(new)
        # Meanwhile an image changes whose last change is lost for now.
        put(new, event("unread", "changed in the new region"))
        new.drain()
        regions.come_back()
        # It did not come by the stream, so the table has it, and the index has not.
        assert new.names("new-late") == {"written just now", None}

        put(new, *records(regions.old))
        new.drain()
        for key in regions.old.keys("quarantine/"):
            new.write(key, regions.old.body(key))
        redriven = new.answer("redrive", "--apply")["report"]
        assert redriven["redriven"] == 1
        new.drain()
        assert new.answer("audit")["result"] == "equal"
        assert names(new) == BEFORE | SINCE | {"unread": "changed in the new region"}
