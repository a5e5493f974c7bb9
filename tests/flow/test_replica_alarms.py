"""The trouble of each alarm of a replica is caused on a running stack, seen, and ended.

As in `test_alarms.py`. The times of records are those in the file of DynamoDB Local.
"""

import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tablestore import Condition, OTSClient, Row, RowExistenceExpectation

from lockstep.local.replica import ensure_replica
from shared.item import KEY
from tests.builders import image_event
from tests.flow.alarm_stage import Stage, plays
from tests.flow.troubles import nothing, without_destination
from tools.engines import quick_folder
from tools.template.updates import REPLICA_TEMPLATE

HOUR = 3_600
MINUTE = 60


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stack of its own. If a test fails, its folder stays, with the logs."""
    failed = request.session.testsfailed
    folder = Path(tempfile.mkdtemp(prefix="lockstep-alarms-", dir=quick_folder()))
    made = Stage(folder, replicates=True)
    made.put(image_event("in-both-stores"))  # an index that is empty is wrong
    yield made
    made.close()
    if request.session.testsfailed == failed:
        shutil.rmtree(folder)


def replica(*names: str) -> Sequence[str]:
    """These alarms of the replica."""
    return [f"{name}-replica" for name in names]


@contextmanager
def stopped(stage: Stage) -> Iterator[None]:
    """The mapping of the replica does not run."""
    stage.stop_replica()
    try:
        yield
    finally:
        stage.start_replica()


def put(stage: Stage, image_id: str, **more: Any) -> None:
    """Put an item that is no event: the source may be any table."""
    item = {KEY: {"S": image_id}, **more}
    stage.clients.dynamodb.put_item(TableName=stage.stack.table, Item=item)


def put_long_ago(stage: Stage, image_id: str, *, hours: float) -> None:
    """Put an item as if that had been so long ago; the mapping of the replica does not run."""
    put(stage, image_id)
    (database,) = (stage.state / "dynamodb").glob("*.db")
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        done = connection.execute(
            "UPDATE us SET CreationDateTime = CreationDateTime - ? WHERE instr(StreamRecord, ?)",
            (round(hours * HOUR * 1000), f'"{image_id}"'),
        )
        assert done.rowcount == 1


def tablestore(stage: Stage) -> Any:
    address = stage.stack.endpoints.tablestore
    return OTSClient(address, "local", "local", "local", enable_native=False)


@plays(*replica("errors"))
def test_a_table_in_table_store_that_is_missing(stage: Stage) -> None:
    assert stage.stack.replica is not None
    tablestore(stage).delete_table(stage.stack.replica.table)
    put(stage, "without-a-table")
    stage.set_off(*replica("errors"), by=nothing)
    stage.look("replica-errors")
    ensure_replica(stage.stack)
    stage.caught_up()
    stage.act("replica-errors")
    stage.is_over(*replica("errors"))


@plays(*replica("quarantined"))
def test_an_item_that_table_store_cannot_hold(stage: Stage) -> None:
    digits = "1" + "0" * 30 + ".5"
    stage.set_off(*replica("quarantined"), by=lambda: put(stage, "unfit", number={"N": digits}))
    stage.look("replica-quarantined")
    put(stage, "unfit", number={"N": "1.5"})
    stage.caught_up()
    stage.act("replica-quarantined")
    stage.is_over(*replica("quarantined"))


@plays(*replica("out-of-order"))
def test_a_row_with_a_version_that_is_too_high(stage: Stage) -> None:
    assert stage.stack.replica is not None
    version = "9999-01-01T00:00:00.000/" + "0" * 40
    columns = [("lockstep_version", version), ("lockstep_at", 0), ("lockstep_deleted", False)]
    tablestore(stage).put_row(
        stage.stack.replica.table,
        Row([(KEY, "disordered")], columns),
        Condition(RowExistenceExpectation.IGNORE),
    )
    stage.set_off(*replica("out-of-order"), by=lambda: put(stage, "disordered"))
    stage.look("replica-out-of-order")
    stage.act("replica-out-of-order")
    stage.is_over(*replica("out-of-order"))


@plays(*replica("lags", "loss-is-near", "slow"))
def test_changes_that_are_late(stage: Stage) -> None:
    number = itertools.count()

    def trouble() -> None:
        with stopped(stage):
            put_long_ago(stage, f"late-{next(number)}", hours=11)

    stage.set_off(*replica("lags"), by=trouble)
    stage.is_on(*replica("loss-is-near"))
    stage.look("replica-lags")
    stage.goes_off(*replica("lags", "loss-is-near"), by=lambda: put(stage, "in-time"))
    stage.time.let_pass(HOUR)
    stage.set_off(*replica("slow"), by=trouble)
    stage.act("replica-lags")
    stage.is_over(*replica("slow"))


@plays(*replica("delivery-failed", "discarded"))
def test_changes_that_got_too_old(stage: Stage) -> None:
    assert stage.stack.replica is not None
    stage.caught_up()  # a batch is not too old if its first record is not
    with stage.bucket_missing(stage.stack.replica.bucket):
        with stopped(stage):
            put_long_ago(stage, "too-old", hours=21)
        stage.set_off(*replica("delivery-failed"), by=nothing)
    stage.set_off(*replica("discarded"), by=nothing)
    stage.look("replica-discarded")
    stage.act("replica-discarded")
    stage.is_over(*replica("delivery-failed", "discarded"))


@plays(*replica("dropped", "throttled"))
def test_no_room_for_the_function_and_none_for_failure_documents(stage: Stage) -> None:
    def no_room(template: dict[str, Any]) -> None:
        function = template["Resources"]["WriteToTablestore"]["Properties"]
        function["ReservedConcurrentExecutions"] = 0
        without_destination(template)

    stage.caught_up()
    stage.stop_replica()
    put_long_ago(stage, "dropped", hours=21)
    stage.start_replica(stage.changed_template(no_room, of=REPLICA_TEMPLATE))
    stage.set_off(*replica("dropped"), by=nothing)
    stage.look("replica-discarded")
    number = itertools.count()
    stage.set_off(*replica("throttled"), by=lambda: put(stage, f"waits-{next(number)}"))
    stage.look("throttled")
    stage.stop_replica()
    stage.start_replica()
    stage.caught_up()
    stage.act("replica-discarded")
    stage.is_over(*replica("dropped", "throttled"))


@plays(*replica("not-reading"))
def test_a_mapping_that_does_not_read(stage: Stage) -> None:
    stage.put(image_event("before"))
    stage.caught_up()
    stage.goes_off(*replica("not-reading"), by=nothing)
    with stopped(stage):
        stage.time.let_pass(25 * MINUTE)
        stage.is_on(*replica("not-reading"))
        stage.look("replica-not-reading")
    stage.act("replica-not-reading")
    stage.goes_off(*replica("not-reading"), by=nothing)
