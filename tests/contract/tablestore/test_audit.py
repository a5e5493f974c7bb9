"""A replica is proved equal to its source: after a load, after kills and replays, after a repair.

DynamoDB Local is the source, with an attribute of every type. Table Store is the process of this
machine, and so is the consumer. `--rows` says how many items there are.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import batched
from pathlib import Path
from typing import Any

import pytest
from tablestore import CapacityUnit, Condition, ReservedThroughput, Row, TableMeta, TableOptions

from functions.write_to_tablestore import guard
from functions.write_to_tablestore.connect import connect
from functions.write_to_tablestore.keys import key_as_text
from functions.write_to_tablestore.settings import Credentials, settings_in
from functions.write_to_tablestore.sink import ReplicaTable
from lockstep.stores.items import TableItems
from lockstep.stores.segments import TableSegments
from lockstep.stream.losses import Unread
from lockstep.tablestore.audit import ReplicaAudit, RowDifference, audit_replica
from lockstep.tablestore.load import Load, LoadParts, StreamReader
from lockstep.tablestore.readers import ReplicaReader, SourceReader
from lockstep.tablestore.redrive import KeyRedrive, KeyRedriveReport
from lockstep.tablestore.repair import RowRepair
from lockstep.tablestore.repairing import apply
from lockstep.tablestore.rows import ReplicaRows
from tests.builders import clock
from tests.contract.tablestore.consumer import SETTINGS
from tests.contract.tablestore.source import BY_BOTH, Source, key_of, whole
from tests.contract.tablestore.test_process import client_of, running
from tests.contract.tablestore.test_redrive import Bucket, given_up

ROOT = Path(__file__).parents[3]
SEGMENTS = 4
KILLS = 3
CLOCK = clock(now=time.time, elapsed=time.monotonic, sleep=time.sleep)


class Place:
    """A source, its replica, and what an operator does with both."""

    def __init__(self, source: Source, address: str, endpoint: str) -> None:
        self.source = source
        self.address = address
        self.endpoint = endpoint
        self.label = guard.label_in(source.arn)
        settings = settings_in(SETTINGS | {"OTS_ENDPOINT": address})
        self.client = connect(settings, Credentials("local", "local"), 30)
        self.sink = ReplicaTable(self.client, "orders", BY_BOTH.key_columns, longest_request=5)
        self.rows = ReplicaRows(
            self.sink,
            self.client,
            "orders",
            BY_BOTH.key_columns,
            longest_request=5,
            deletions="tombstone",
        )

    def audit(self, *, values: bool = True) -> tuple[ReplicaAudit, list[RowDifference]]:
        found: list[RowDifference] = []
        answer = audit_replica(
            SourceReader(
                TableSegments(
                    self.source.client,
                    self.source.name,
                    1,
                    only=() if values else ["part", "sort"],
                ),
                TableItems(self.source.client, self.source.name),
                conversion=BY_BOTH,
                values=values,
            ),
            ReplicaReader(self.rows, label=self.label, values=values, clock=CLOCK),
            values=values,
            unread=Unread,
            clock=CLOCK,
            settled=time.time,  # the consumer has ended
            watermark=5,
            on_difference=found.append,
        )
        assert answer.reason is None
        return answer, found

    @property
    def row_repair(self) -> RowRepair:
        return RowRepair(
            TableItems(self.source.client, self.source.name),
            self.rows,
            conversion=BY_BOTH,
            key_types={"part": "N", "sort": "B"},
            label=self.label,
            clock=CLOCK,
        )

    def repair(self, differing: Sequence[RowDifference]) -> tuple[int, int, int]:
        done = apply(differing, self.row_repair, BY_BOTH, CLOCK)
        assert done.error is None
        return done.changed, done.equal, len(done.not_repaired)

    def redrive(self, bucket: Bucket) -> KeyRedriveReport:
        redrive = KeyRedrive(
            bucket.quarantine,
            bucket.objects,
            self.row_repair,
            clock=CLOCK,
            executor=bucket.executor,
        )
        return redrive.run(bucket.find().keys)

    @contextmanager
    def consumer(self) -> Iterator[subprocess.Popen[str]]:
        """The consumer, from the oldest record of the stream on."""
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.contract.tablestore.consumer",
                self.endpoint,
                self.source.arn,
                self.address,
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def consumed(self) -> None:
        """Let the consumer read all that there is."""
        with self.consumer() as process:
            after(process, -1)

    def write(self, at: int, **columns: Any) -> None:
        """Write a row by hand: exactly these columns."""
        row = Row(primary(at), [*columns.items()])
        self.client.put_row("orders", row, Condition("IGNORE"))

    def row(self, at: int) -> dict[str, Any]:
        _, row, _ = self.client.get_row("orders", primary(at), max_version=1)
        assert row is not None
        return {name: cell for name, cell, *_ in row.attribute_columns}


def after(process: subprocess.Popen[str], batches: int) -> None:
    """Wait until the consumer has delivered so many batches, or has nothing to do."""
    assert process.stdout is not None
    for line in process.stdout:
        batches -= 1
        if line == "idle\n" or not batches:
            return
    raise AssertionError("the consumer has ended")


def primary(at: int) -> list[tuple[str, Any]]:
    return [("part", at % 7 - 3), ("sort", bytearray([at % 256, at // 256, 255]))]


def text_of(at: int) -> str:
    return key_as_text(BY_BOTH.key_of(key_of(at)))


@pytest.fixture
def place(source: Source, dynamodb_endpoint: str, tmp_path: Path) -> Iterator[Place]:
    with running(tmp_path / "tablestore.db") as (_, address):
        client_of(address).create_table(
            TableMeta("orders", [("part", "INTEGER"), ("sort", "BINARY")]),
            TableOptions(),
            ReservedThroughput(CapacityUnit(0, 0)),
        )
        yield Place(source, address, dynamodb_endpoint)


class Changes:
    """Random inserts, changes and removals."""

    def __init__(self, source: Source, chance: random.Random, items: int) -> None:
        self._source = source
        self._chance = chance
        self._items = items
        self._next = items
        self.made = 0

    def make(self, number: int) -> None:
        for _ in range(number):
            self.made += 1
            match self._chance.randrange(3):
                case 0:
                    self._source.put(self._next, "inserted")
                    self._next += 1
                case 1:
                    self._source.put(self._chance.randrange(self._next), f"changed {self.made}")
                case _:
                    self._source.remove(self._chance.randrange(self._next))


def loaded(place: Place, changes: Changes, items: int) -> None:
    """Load, while the table changes and the consumer goes on."""

    class Changing(TableSegments):
        def page(self, segment: int, position: str | None) -> Any:
            changes.make(10)
            page = super().page(segment, position)
            changes.make(10)
            return page

    load = Load(
        LoadParts(
            source=Changing(place.source.client, place.source.name, SEGMENTS, items // 20),
            keys=["part", "sort"],
            stream=place.source.arn.partition(":table/")[2],
            target="local/orders",
            conversion=BY_BOTH,
            label=place.label,
            sink=place.sink,
            reader=lambda: StreamReader("Enabled", "OK"),
            clock=CLOCK,
            rows_at_once=50,
        ),
        applies=True,
    )
    done = load.run(load.beginning(SEGMENTS))
    assert done.counts.refused == 0


def equal(place: Place) -> ReplicaAudit:
    answer, found = place.audit()
    assert found == []
    assert answer.result == "equal"
    return answer


@pytest.fixture
def bucket(s3_endpoint: str) -> Iterator[Bucket]:
    with ThreadPoolExecutor(4) as executor:
        yield Bucket(s3_endpoint, executor)


def test_loaded_killed_replayed_redriven_harmed_and_repaired_it_is_proved_equal(
    place: Place, bucket: Bucket, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    items: int = pytestconfig.getoption("--rows")
    chance = random.Random(21)
    said = []
    place.source.put_all(range(items), "before")
    changes = Changes(place.source, chance, items)
    with place.consumer() as process:
        after(process, 1)
        loaded(place, changes, items)
        changes.make(items // 20)
    place.consumed()
    first = equal(place)
    said.append(f"loaded, with {changes.made} changes meanwhile: {first}")

    for _ in range(KILLS):
        with place.consumer() as process:
            after(process, chance.randrange(1, 2 + items // 100))
            changes.make(20)
            process.send_signal(signal.SIGKILL)
    place.consumed()
    said.append(f"killed {KILLS} times, replayed from the oldest record: {equal(place)}")

    place.source.new_records()
    changes.make(items // 20)
    lost = place.source.new_records()
    for batch in batched(lost, 100):
        given_up(bucket, batch)
    assert place.audit()[0].result == "different"
    redriven = place.redrive(bucket)
    assert redriven.repaired > 0
    assert [*bucket.find().keys] == []
    said.append(f"{len(lost)} discarded changes, redriven: {equal(place)}")
    place.consumed()
    said.append(f"replayed after the redrive: {equal(place)}")

    kinds = harm(place, items)
    answer, found = place.audit()
    assert {one.key: one.kind for one in found} == kinds
    assert answer.result == "different"
    said.append(f"harmed by hand: {answer}")
    unconvertible = sum(kind == "unconvertible" for kind in kinds.values())
    assert place.repair(found) == (len(found) - unconvertible, 0, 0)
    _, left = place.audit()
    assert [(one.kind, "huge" in one.detail) for one in left] == [("unconvertible", True)]
    for key in [one.key for one in left]:
        at = next(at for at in range(items) if text_of(at) == key)
        place.source.put(at, "corrected")
    place.consumed()
    said.append(f"repaired, and the item that could not be converted corrected: {equal(place)}")
    with capsys.disabled():
        sys.stdout.write("\n".join(["", *said, ""]))


def harm(place: Place, items: int) -> dict[str, str]:
    """Harm rows by hand, in each way; the kind of difference that each must have, by key."""
    living = [at for at in range(items) if is_living(place, at)][:9]
    gone = next(at for at in range(items) if not is_living(place, at))
    kinds: dict[str, str] = {}

    def is_now(at: int, kind: str) -> None:
        kinds[text_of(at)] = kind

    changed, typed, lost, more, removed, bare, later, odd, huge = living
    place.write(changed, **place.row(changed) | {"note": "harmed"})
    is_now(changed, "other_values")
    # The same value in another type.
    place.write(typed, **place.row(typed) | {"whole": str(place.row(typed)["whole"])})
    is_now(typed, "other_values")
    place.write(lost, **{name: cell for name, cell in place.row(lost).items() if name != "words"})
    is_now(lost, "other_values")
    place.write(more, **place.row(more) | {"not_of_the_item": 1.5})
    is_now(more, "other_values")
    place.client.delete_row("orders", Row(primary(removed)), Condition("IGNORE"))
    is_now(removed, "missing_in_replica")
    place.write(bare, note="without the columns of the version")
    is_now(bare, "malformed_version")
    later_version = guard.version("2999-01-01T00:00:00.000", "1")
    place.write(later, **place.row(later) | {"lockstep_version": later_version})
    is_now(later, "malformed_version")
    place.write(odd, **place.row(odd) | {"lockstep_deleted": "no"})
    is_now(odd, "malformed_version")
    place.source.client.put_item(
        TableName=place.source.name,
        Item={**whole(huge, "x"), "huge": {"N": "12345678901234567890123"}},
    )
    is_now(huge, "unconvertible")
    place.write(gone, **place.row(changed))
    is_now(gone, "missing_in_source")
    return kinds


def is_living(place: Place, at: int) -> bool:
    return not place.row(at)["lockstep_deleted"]


def test_without_values_only_keys_and_versions_are_compared(place: Place) -> None:
    place.source.put_all(range(30), "before")
    for at in range(5):
        place.source.remove(at)
    place.consumed()
    place.write(10, **place.row(10) | {"note": "harmed"})
    answer, found = place.audit(values=False)
    assert (answer.result, found, answer.source, answer.replica) == ("equal", [], 25, 30)
    place.write(11, note="harmed")
    place.client.delete_row("orders", Row(primary(12)), Condition("IGNORE"))
    place.write(1, **place.row(10))
    _, found = place.audit(values=False)
    assert {one.key: one.kind for one in found} == {
        text_of(11): "malformed_version",
        text_of(12): "missing_in_replica",
        text_of(1): "missing_in_source",
    }


def test_a_report_names_the_columns_that_differ(place: Place) -> None:
    place.source.put_all(range(3), "before")
    place.consumed()
    row = place.row(1) | {"note": "harmed", "more": 1}
    del row["is_new"]
    place.write(1, **row)
    _, [found] = place.audit()
    assert (found.kind, found.columns) == ("other_values", ("is_new", "more", "note"))
    assert found.version == row["lockstep_version"]
