"""`lockstep update` and `lockstep delete` on the real engines, with what may come between."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from lockstep.images.edits import Edit
from lockstep.images.outcomes import ChangedImage
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases.changes import delete, update
from lockstep.stream.stream import TrimHorizon
from shared.clock import Clock
from tests.builders import image, image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import Hand, a_change, stamp

EDIT = Edit({"name": "ours"})


@contextmanager
def consuming(stage: Stage) -> Iterator[None]:
    """Both consumers read all the time, as in a stack that runs."""
    ends = threading.Event()

    def consume() -> None:
        while not ends.wait(0.05):
            stage.drain()

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def typed(stage: Stage, *words: object, code: int = 0) -> Any:
    with consuming(stage):
        result = stage.lockstep(*words, "--wait", "60", "--json")
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


def put(stage: Stage, image_id: str = "i-1", version: int | None = None, **fields: Any) -> int:
    """An event arrives, and both consumers process it."""
    version = stamp() if version is None else version
    stage.put_raw(image_event(image_id, version, **fields), image_id)
    stage.drain()
    return version


class Racing:
    """A client of the stream: something happens before and after each of its requests."""

    def __init__(self, stage: Stage, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._client = stage.clients.producing
        self._before = before
        self._after = after

    def put_records(self, **request: Any) -> Mapping[str, Any]:
        self._before()
        answer: Mapping[str, Any] = self._client.put_records(**request)
        self._after()
        return answer


def raced(
    stage: Stage,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> Clients:
    """The clients of a command; the consumers read whenever it waits."""
    clients = Clients(stage.stack)
    real = clients.clock

    def sleep(seconds: float) -> None:
        stage.drain()
        real.sleep(seconds)

    clients.clock = Clock(real.now, real.elapsed, sleep, real.chance)
    clients.producing = Racing(stage, before, after)  # type: ignore[assignment]
    return clients


def updated(clients: Clients) -> ChangedImage:
    return update(clients, "i-1", EDIT, version=None, seconds=60)


def fates(changed: ChangedImage) -> Sequence[tuple[str, Any]]:
    return [(one.fate, (one.image or {}).get("name")) for one in changed.others]


def test_an_update_goes_through_the_stream_into_both_stores(stage: Stage) -> None:
    read = put(stage, image=image("Low tide", tags=["a"], attributes={"artist": "X"}))
    words = ("--set", "name=High tide", "--set", "attributes.year=1888", "--add-tag", "b")
    found = typed(stage, "update", "i-1", *words)
    assert found["result"] == "delivered"
    assert found["read"]["version"] == read < found["put"]["version"]
    content = image("High tide", tags=["a", "b"], attributes={"artist": "X", "year": "1888"})
    for store in ("put", "table", "index"):
        assert found[store]["image"] == content
        assert found[store]["event_type"] == "image.updated"
    (record,) = [one for one in records(stage) if one["version"] == found["put"]["version"]]
    assert record["image"] == content
    assert stage.answer("audit", "--values")["result"] == "equal"


def records(stage: Stage) -> list[Any]:
    """All events on the stream."""
    return [
        msgspec.json.decode(one.data)
        for shard in stage.stream.shards()
        for one in stage.stream.reader(shard.shard_id, TrimHorizon()).read(1_000).records
    ]


def test_deletions_leave_tombstones_in_both_stores(stage: Stage) -> None:
    for number in range(5):
        put(stage, f"i-{number}")
    found = typed(stage, "delete", "i-1", "i-2", "never", "i-1", "i-3", code=1)["images"]
    assert [(one["image_id"], one["result"]) for one in found] == [
        ("i-1", "delivered"),
        ("i-2", "delivered"),
        ("never", "absent"),
        ("i-3", "delivered"),
    ]
    for one in found:
        states = [one[store] and one[store]["state"] for store in ("table", "index")]
        assert states == ([None] * 2 if one["result"] == "absent" else ["tombstone"] * 2)
    assert stage.answer("audit", "--values")["result"] == "equal"
    again = typed(stage, "delete", "i-1", code=1)["images"]
    assert [one["result"] for one in again] == ["absent"]
    assert "it is deleted, at version" in again[0]["detail"]
    shown = stage.lockstep("update", "i-1", "--set", "name=x")
    assert shown.exit_code == 1
    assert shown.stdout.startswith("i-1: absent: it is deleted, at version")


def theirs(stage: Stage, version: int) -> Callable[[], None]:
    """Somebody else's event arrives."""
    event = image_event("i-1", version, "image.updated", image=image("theirs"))
    return lambda: stage.put_raw(event, "i-1")


def test_an_event_between_reading_and_put_is_overwritten_and_all_is_shown(stage: Stage) -> None:
    read = put(stage, image=image("as it was"))
    changed = updated(raced(stage, before=theirs(stage, read + 1)))
    assert changed.result == "overwrote"
    assert fates(changed) == [("overwritten", "theirs")]
    assert changed.read is not None
    assert changed.read.image == {"name": "as it was"}
    assert stage.names("i-1") == {"ours"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_newer_event_replaces_the_change_and_all_is_shown(stage: Stage, when: str) -> None:
    put(stage, image=image("as it was"))
    changed = updated(raced(stage, **{when: theirs(stage, stamp(-60))}))
    assert changed.result == "overtaken"
    assert fates(changed) == [("newer", "theirs")]
    assert changed.put is not None
    assert changed.put.image == {"name": "ours"}
    assert changed.table is not None
    assert changed.table.image == {"name": "theirs"}
    assert stage.names("i-1") == {"theirs"}


def test_a_late_event_between_put_and_delivery_is_overwritten_and_shown(stage: Stage) -> None:
    read = put(stage, image=image("as it was"))
    changed = updated(raced(stage, after=theirs(stage, read + 1)))
    assert (changed.result, fates(changed)) == ("overwrote", [("overwritten", "theirs")])
    assert stage.names("i-1") == {"ours"}


def test_an_event_older_than_what_was_read_takes_nothing_away(stage: Stage) -> None:
    read = put(stage, image=image("as it was"))
    changed = updated(raced(stage, before=theirs(stage, read - 1)))
    assert (changed.result, fates(changed)) == ("delivered", [])


def test_a_deletion_shows_the_update_that_it_overwrites(stage: Stage) -> None:
    read = put(stage, image=image("as it was"))
    clients = raced(stage, before=theirs(stage, read + 1))
    (changed,) = delete(clients, ["i-1"], version=None, seconds=60)
    assert (changed.result, fates(changed)) == ("overwrote", [("overwritten", "theirs")])
    assert changed.table is not None
    assert changed.table.state == "tombstone"


def test_an_event_that_the_table_does_not_have_yet_is_waited_for(stage: Stage) -> None:
    put(stage, image=image("as it was"))
    stage.put_raw(image_event("i-1", stamp(), "image.updated", image=image("x", tags=["t"])), "i-1")
    found = typed(stage, "update", "i-1", "--set", "name=ours")
    assert (found["result"], found["table"]["image"]) == ("delivered", image("ours", tags=["t"]))


def test_where_the_source_counts_versions_it_must_be_given(stage: Stage) -> None:
    for image_id in ("i-1", "i-2"):
        put(stage, image_id, 7)
    put(stage, "i-3")
    for words in (("update", "i-1", "--set", "name=x"), ("delete", "i-3", "i-1")):
        refused = stage.lockstep(*words)
        assert refused.exit_code == 2
        assert "image i-1 has version 7: its source counts versions" in refused.stderr
    assert stage.names("i-3") != {None}, "nothing is put"
    assert len(records(stage)) == 3
    assert "for one image" in stage.lockstep("delete", "i-1", "i-2", "--version", 8).stderr
    assert "give a higher --version" in stage.lockstep("delete", "i-1", "--version", 7).stderr
    assert typed(stage, "update", "i-1", "--set", "name=x", "--version", 8)["table"]["version"] == 8
    assert typed(stage, "delete", "i-2", "--version", 9)["images"][0]["table"]["version"] == 9


def test_a_dry_run_puts_nothing(stage: Stage) -> None:
    put(stage, image=image("Low tide", width=3))
    shown = stage.lockstep("update", "i-1", "--unset", "width", "--add-tag", "x", "--dry-run")
    assert shown.exit_code == 0
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert ["width", "3"] in rows
    assert ["tags", '["x"]'] in rows
    assert stage.lockstep("delete", "i-1", "--dry-run").exit_code == 0
    assert len(records(stage)) == 1


def test_without_consumers_it_says_that_the_event_waits_in_the_stream(stage: Stage) -> None:
    put(stage)
    result = stage.lockstep("update", "i-1", "--set", "name=x", "--wait", "0")
    assert result.exit_code == 2
    assert "is on the stream, and not yet in the table and the index" in result.stdout
    stage.drain()
    assert stage.names("i-1") == {"x"}


def test_an_event_that_a_consumer_has_quarantined_is_shown_with_the_reason(stage: Stage) -> None:
    put(stage, version=7, image=image("as it was"))
    clients = raced(stage, before=theirs(stage, 8))
    changed = update(clients, "i-1", EDIT, version=8, seconds=60)
    assert (changed.result, fates(changed)) == ("conflict", [("same_version", "theirs")])
    (case,) = stage.answer("quarantine", "list", "--image", "i-1")["cases"]
    assert (case["version"], case["reasons"]) == (8, ["conflict"])


def test_a_record_in_quarantine_does_not_hold_a_change_back(stage: Stage) -> None:
    put(stage, image=image("as it was"))
    stage.put_raw(b"{", "i-1")
    stage.drain()
    assert typed(stage, "update", "i-1", "--set", "name=ours")["result"] == "delivered"


def test_a_malformed_item_is_not_changed(stage: Stage) -> None:
    hand, was = Hand(stage), a_change("i-1", stamp(), "as it was")
    hand.write_both(was)
    hand.name_changed_in_table(was)
    for words in (("update", "i-1", "--set", "name=x"), ("delete", "i-1")):
        result = stage.lockstep(*words)
        assert result.exit_code == 2
        assert "the item of image i-1 in the table is malformed" in result.stderr
    assert records(stage) == []
