"""A local stack with a replica in a Table Store, over a restart, a kill and an outage.

It is the last of its group: it starts the shared stack again, with the replica.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tablestore import ComparatorType, Condition, OTSClient, Row, SingleColumnCondition

from lockstep.stack.clients import Clients
from lockstep.stack.stack import REPLICA_CONSUMER, read_local
from shared.item import KEY
from shared.quarantine import CONSUMERS
from tests.builders import image, image_event
from tests.flow.shell import Shell

PATIENCE_SECONDS = 240.0  # a busy machine is slow, not broken
LIVING = SingleColumnCondition(
    column_name="lockstep_deleted",
    column_value=False,
    comparator=ComparatorType.EQUAL,
    pass_if_missing=False,
)


@pytest.fixture(scope="module")
def replicating(shell: Shell) -> Shell:
    """The shared stack, started again with a replica; its data is as before."""
    before = shell.json("audit")
    shell.run("down")
    shell.up("--replicate-to", "tablestore")
    after = shell.json("audit")
    assert (after["result"], after["table"]) == ("equal", before["table"])
    return shell


def client(shell: Shell) -> Any:
    address = read_local(shell.state).endpoints.tablestore
    return OTSClient(address, "local", "local", "local", enable_native=False)


def row(shell: Shell, image_id: str, only: Any = None) -> dict[str, Any] | None:
    """The columns of an image's row, as the SDK of Table Store reads them."""
    _, found, _ = client(shell).get_row("lockstep_images", [(KEY, image_id)], column_filter=only)
    return found and {name: value for name, value, _ in found.attribute_columns}


def put(shell: Shell, *events: dict[str, Any]) -> None:
    lines = b"".join(msgspec.json.encode(event) + b"\n" for event in events)
    shell.run("put", "-", stdin=lines)


def updated(image_id: str, version: int, name: str) -> dict[str, Any]:
    return image_event(image_id, version, "image.updated", image=image(name))


def until(shell: Shell, condition: Callable[[Any], bool]) -> Any:
    """The status that fits first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        process = shell.start("status", "--json")
        status = msgspec.json.decode(process.communicate()[0])
        if condition(status):
            return status
        assert time.monotonic() < deadline, status


def test_state_survives_down_and_up_and_the_replica_is_one_more_consumer(
    replicating: Shell,
) -> None:
    status = replicating.json("status", "--wait", "240", "--probe")
    assert status["caught_up"] is True
    assert set(status["consumers"]) == {*CONSUMERS, REPLICA_CONSUMER}
    assert status["discarded"][REPLICA_CONSUMER] == 0
    assert status["replica"] == {
        "table": "lockstep_images",
        "bucket": "lockstep-replica-quarantine",
    }
    assert client(replicating).list_table() == ("lockstep_images",)


def test_rows_follow_the_images_through_a_kill_of_the_mapping(replicating: Shell) -> None:
    put(replicating, image_event("kept"), image_event("changed"), image_event("removed"))
    replicating.run("status", "--wait", "240")
    first = {name: row(replicating, name) for name in ("kept", "changed", "removed")}
    assert all(first.values())

    replicating.processes()[REPLICA_CONSUMER].kill()
    put(
        replicating,
        updated("changed", 2, "Changed"),
        image_event("removed", 2, "image.deleted"),
    )
    assert replicating.json("status", "--wait", "240")["caught_up"] is True

    assert row(replicating, "kept") == first["kept"]
    changed = row(replicating, "changed")
    assert changed is not None
    assert first["changed"] is not None
    assert changed["lockstep_version"] > first["changed"]["lockstep_version"]
    assert "Changed" in str(changed)
    # The table keeps a tombstone of a deleted image, so the replica has it as a row.
    removed = row(replicating, "removed")
    assert removed is not None
    assert (removed["deleted"], removed["lockstep_deleted"]) == (True, False)


def test_a_load_copies_what_was_there_before_the_stream(replicating: Shell) -> None:
    """The stream began with the replica; the images of the runs before have no rows yet."""
    items = replicating.json("audit")["table"]
    would = replicating.json("tablestore", "load")
    assert would["written"] == items
    kept = row(replicating, "kept")
    done = replicating.json("tablestore", "load", "--apply")
    assert done["finished"] is True
    assert done["newer"] >= 3
    assert done["written"] + done["newer"] == items
    assert row(replicating, "kept") == kept
    again = replicating.json("tablestore", "load", "--apply")
    assert (again["there"], again["newer"]) == (done["written"], done["newer"])


def test_an_audit_proves_the_replica_equal_and_repairs_what_was_harmed(
    replicating: Shell, tmp_path: Path
) -> None:
    words = ("tablestore", "audit", "--values")
    equal = replicating.json(*words)
    assert (equal["result"], equal["source"]) == ("equal", replicating.json("audit")["table"])
    columns = row(replicating, "kept")
    assert columns is not None
    harmed = Row([(KEY, "kept")], [*(columns | {"digest": "harmed"}).items()])
    client(replicating).put_row("lockstep_images", harmed, Condition("IGNORE"))
    client(replicating).delete_row("lockstep_images", Row([(KEY, "changed")]), Condition("IGNORE"))
    found = replicating.json(*words, "--repair", code=1)
    assert found["audit"]["differences"] == {"missing_in_replica": 1, "other_values": 1}
    html = tmp_path / "audit.html"
    applied = ("--repair", "--apply", "--at-most", "100", "--html", str(html))
    done = replicating.json(*words, *applied)
    assert done["repaired"]["changed"] == 2
    report = html.read_text("utf-8")
    assert "2 rows differ" in report
    assert "2 rows were changed; 0 had become equal before." in report
    assert "The source and the replica are equal" in report
    assert report.count('<article class="example"') == 2
    assert done["after"]["result"] == "equal"
    assert row(replicating, "kept") == columns


def test_an_item_that_is_removed_from_the_table_leaves_a_tombstone(replicating: Shell) -> None:
    stack = read_local(replicating.state)
    clients = Clients(stack)
    clients.dynamodb.delete_item(TableName=stack.table, Key={KEY: {"S": "removed"}})
    clients.opensearch.delete(index=stack.index, id="removed")  # so that the audit agrees
    replicating.run("status", "--wait", "240")
    removed = row(replicating, "removed")
    assert removed is not None
    assert removed.keys() == {
        f"lockstep_{name}" for name in ("version", "at", "deleted", "purge_at")
    }
    assert row(replicating, "removed", LIVING) is None


def test_an_item_that_the_replica_cannot_hold_is_quarantined_and_redriven(
    replicating: Shell,
) -> None:
    """It is written past the producer. Only the replica reads the stream of the table."""
    stack = read_local(replicating.state)
    dynamodb = Clients(stack).dynamodb
    key = {KEY: {"S": "unfit"}}
    words = ("tablestore", "quarantine")
    assert replicating.json(*words, "list")["keys"] == []
    unfit = {"N": "0.1234567890123456789"}
    dynamodb.put_item(TableName=stack.table, Item=key | {"n": unfit})
    try:
        replicating.run("status", "--wait", "240")
        [one] = replicating.json(*words, "list")["keys"]
        assert (one["key"], one["reasons"]) == ('{"image_id":{"S":"unfit"}}', ["refused_by_store"])
        shown = replicating.json(*words, "show", one["id"])
        assert (shown["would"], shown["item"]["n"], shown["row"]) == ("refused", unfit, None)
        stays = replicating.json("tablestore", "redrive", "--apply", code=1)
        assert "is no Integer and no Double" in stays["report"]["kept"][0]["detail"]
        assert row(replicating, "unfit") is None

        # While the consumer is stopped, only the redrive can write the corrected item.
        consumer = replicating.processes()[REPLICA_CONSUMER]
        consumer.suspend()
        try:
            dynamodb.put_item(TableName=stack.table, Item=key | {"n": {"N": "0.5"}})
            would = replicating.json("tablestore", "redrive")["would"]
            assert would == {"repair": 1}
            report = replicating.json("tablestore", "redrive", "--apply")["report"]
            assert (report["repaired"], report["objects"], report["kept"]) == (1, 1, [])
            repaired = row(replicating, "unfit")
            assert repaired is not None
            assert repaired["n"] == 0.5
        finally:
            consumer.resume()
        again = replicating.json("tablestore", "redrive", "--apply")["report"]
        assert (again["repaired"], again["equal"], again["objects"]) == (0, 0, 0)
    finally:
        dynamodb.delete_item(TableName=stack.table, Key=key)
    replicating.run("status", "--wait", "240")
    assert row(replicating, "unfit", LIVING) is None


def test_a_purge_leaves_tombstones_that_are_not_expired(replicating: Shell) -> None:
    before = row(replicating, "unfit")
    assert before is not None
    done = replicating.json("tablestore", "purge", "--apply")
    assert (done["finished"], done["expired"], done["malformed"]) == (True, 0, [])
    assert row(replicating, "unfit") == before


def test_an_outage_of_the_table_store_holds_back_only_its_consumer(replicating: Shell) -> None:
    store = replicating.processes()["tablestore"]
    store.send_signal(signal.SIGSTOP)
    try:
        put(replicating, image_event("meanwhile"))
        status = until(
            replicating,
            lambda found: (
                {name for name, one in found["consumers"].items() if one["caught_up"]}
                == {*CONSUMERS}
            ),
        )
        assert status["caught_up"] is False
        assert replicating.json("audit")["result"] == "equal"
    finally:
        store.send_signal(signal.SIGCONT)
    assert replicating.json("status", "--wait", "240")["caught_up"] is True
    assert row(replicating, "meanwhile") is not None
