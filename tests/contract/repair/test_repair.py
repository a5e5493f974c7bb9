"""Corruptions of every kind on the real engines: all of them found, none invented, all mended."""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from functions.write_to_dynamodb.sink import ImageTable
from functions.write_to_es.document import document_from
from functions.write_to_es.sink import ImageIndex
from lockstep.audit.corrections import Corrections
from lockstep.connect import Clients
from shared.change import Change, change_from
from shared.event import decode
from shared.item import item_from
from shared.outcome import Applied
from shared.sink import Sink
from tests.builders import HORIZON, image, image_event, record
from tests.contract.redrive.conftest import Stage

EACH = 12
DAY = 86_400


def a_change(
    image_id: str,
    version: int,
    content: str | None,
    *,
    age: float = DAY,
    horizon: dt.timedelta = HORIZON,
) -> Change:
    """An image of that content, or a removal, that came so many seconds ago."""
    kind = "image.deleted" if content is None else "image.updated"
    fields = {} if content is None else {"image": image(content, tags=["a"], width=1)}
    event = image_event(image_id, version, kind, **fields)
    arrived_at = int((time.time() - age) * 1000)
    return change_from(
        decode(msgspec.json.encode(event)), record(event, arrived_at=arrived_at), horizon=horizon
    )


def over_since_yesterday(image_id: str, version: int) -> Change:
    """A tombstone past its time."""
    return a_change(image_id, version, None, age=9 * DAY, horizon=dt.timedelta(days=8))


def stamp(ago: float = 0) -> int:
    return int((time.time() - ago) * 1_000_000)


class Hand:
    """Somebody who changes the stores behind the sinks' back."""

    def __init__(self, stage: Stage) -> None:
        self.table = stage.stack.table
        self.index = stage.stack.index
        self.clients = Clients(stage.stack)
        self.dynamodb: Any = self.clients.dynamodb
        self.opensearch = self.clients.opensearch
        self.table_sink = ImageTable(self.clients.dynamodb, self.table, longest_request=0)
        self.index_sink = ImageIndex(self.opensearch, self.index, longest_request=0)
        self.corrections = Corrections(self.opensearch, self.index)

    def write(self, sink: Sink, *changes: Change) -> None:
        for request in sink.requests(changes):
            assert set(sink.send(request)) == {Applied()}

    def write_both(self, *changes: Change) -> None:
        self.write(self.table_sink, *changes)
        self.write(self.index_sink, *changes)

    def overwrite(self, change: Change, **fields: Any) -> None:
        """A document at its own version; `fields` replace, and those that are None are left out."""
        source = msgspec.to_builtins(document_from(change)) | fields
        self.opensearch.index(
            index=self.index,
            id=change.image_id,
            body={name: value for name, value in source.items() if value is not None},
            params={"version": str(change.version), "version_type": "external_gte"},
        )

    def update_item(self, image_id: str, expression: str, **more: Any) -> None:
        key = {"image_id": {"S": image_id}}
        self.dynamodb.update_item(
            TableName=self.table, Key=key, UpdateExpression=expression, **more
        )

    # The corruptions: each gets an image that both stores hold alike.

    def delete_document(self, was: Change) -> None:
        self.opensearch.delete(index=self.index, id=was.image_id)

    def delete_item(self, was: Change) -> None:
        self.dynamodb.delete_item(TableName=self.table, Key={"image_id": {"S": was.image_id}})

    def newer_in_table(self, was: Change) -> None:
        self.write(self.table_sink, a_change(was.image_id, was.version + 9, "newer"))

    def removed_in_table(self, was: Change) -> None:
        self.write(self.table_sink, a_change(was.image_id, was.version + 9, None))

    def newer_in_index(self, was: Change) -> None:
        self.write(self.index_sink, a_change(was.image_id, was.version + 9, "newer"))

    def removed_in_index(self, was: Change) -> None:
        self.write(self.index_sink, a_change(was.image_id, was.version + 9, None))

    def other_in_index(self, was: Change) -> None:
        self.overwrite(a_change(was.image_id, was.version, "other"))

    def other_in_table(self, was: Change) -> None:
        item = item_from(a_change(was.image_id, was.version, "other"))
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def tombstone_in_index(self, was: Change) -> None:
        self.overwrite(a_change(was.image_id, was.version, None))

    def tombstone_in_table(self, was: Change) -> None:
        item = item_from(a_change(was.image_id, was.version, None))
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def document_without_digest(self, was: Change) -> None:
        self.overwrite(was, digest=None)

    def document_of_another_image(self, was: Change) -> None:
        self.overwrite(was, image_id="somebody-else")

    def item_without_digest(self, was: Change) -> None:
        self.update_item(was.image_id, "REMOVE digest")

    def item_without_version(self, was: Change) -> None:
        self.update_item(was.image_id, "REMOVE version")

    def version_moved(self, was: Change) -> None:
        self.opensearch.update(
            index=self.index,
            id=was.image_id,
            body={"doc": {"width": 1}, "detect_noop": False},
        )

    def old_leftover(self, was: Change) -> None:
        old = a_change(was.image_id, was.version + 1, "left over", age=3_000 * DAY)
        self.write(self.index_sink, old)
        self.delete_item(was)

    # What only the values show.

    def name_changed_in_index(self, was: Change) -> None:
        self.overwrite(was, name="by hand")

    def tag_changed_in_table(self, was: Change) -> None:
        self.update_item(
            was.image_id,
            "SET image.tags[0] = :tag",
            ExpressionAttributeValues={":tag": {"S": "by hand"}},
        )

    def time_changed_in_index(self, was: Change) -> None:
        self.overwrite(was, occurred_at="2001-01-01T00:00:00Z")


KINDS: dict[str, Sequence[Callable[[Hand, Change], None]]] = {
    "missing_in_index": [Hand.delete_document],
    "missing_in_table": [Hand.delete_item, Hand.old_leftover],
    "index_behind": [Hand.newer_in_table, Hand.removed_in_table],
    "table_behind": [Hand.newer_in_index, Hand.removed_in_index],
    "conflict": [Hand.other_in_index, Hand.other_in_table, Hand.time_changed_in_index],
    "deleted_in_one": [Hand.tombstone_in_index, Hand.tombstone_in_table],
    "malformed": [
        Hand.document_without_digest,
        Hand.document_of_another_image,
        Hand.item_without_digest,
        Hand.item_without_version,
        Hand.name_changed_in_index,
        Hand.tag_changed_in_table,
    ],
    "index_version_moved": [Hand.version_moved],
}
CORRUPTIONS = [(kind, spoil) for kind, spoils in KINDS.items() for spoil in spoils]


@contextmanager
def live(hand: Hand) -> Iterator[list[str]]:
    """New and changed images all the while, each a moment sooner in one store than in the other."""
    written: list[str] = []
    done = threading.Event()
    broken: list[Exception] = []

    def write() -> None:
        try:
            while not done.wait(0.02):
                image_id = f"live-{len(written) % 40}"
                change = a_change(image_id, stamp(), f"live {len(written)}", age=0)
                sinks: list[Sink] = [hand.table_sink, hand.index_sink]
                for sink in sinks if len(written) % 2 else reversed(sinks):
                    hand.write(sink, change)
                    done.wait(0.01)
                written.append(image_id)
        except Exception as error:  # noqa: BLE001 - told by the test's own thread
            broken.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        done.set()
        thread.join()
    assert broken == []


def answer(stage: Stage, *words: object, code: int) -> Any:
    result = stage.lockstep("audit", "--watermark", "3", *words, "--json")
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


def test_all_corruptions_are_found_and_mended_and_none_invented_while_a_producer_writes(
    stage: Stage, tmp_path: Path
) -> None:
    hand = Hand(stage)
    good = [a_change(f"good-{n}", stamp(DAY), f"good {n}") for n in range(100)]
    removed = [a_change(f"removed-{n}", stamp(DAY), None) for n in range(20)]
    over = [over_since_yesterday(f"over-{n}", stamp(DAY)) for n in range(4)]
    spoilt = [
        (kind, spoil, a_change(f"{spoil.__name__}-{n}", stamp(DAY), f"image {n}"))
        for kind, spoil in CORRUPTIONS
        for n in range(EACH)
    ]
    hand.write_both(*good, *removed, *(change for _, _, change in spoilt))
    # A tombstone past its time in one store only is no difference.
    hand.write(hand.index_sink, *over)
    for _, spoil, change in spoilt:
        spoil(hand, change)
    with live(Hand(stage)) as written:
        report = tmp_path / "differences.ndjson"
        found = answer(stage, "--values", "--report", report, code=1)
        lines = [msgspec.json.decode(line) for line in report.read_bytes().splitlines()]
        assert {line["image_id"]: line["kind"] for line in lines} == {
            change.image_id: kind for kind, _, change in spoilt
        }
        assert found["differences"] == {
            kind: EACH * len(spoils) for kind, spoils in sorted(KINDS.items())
        }
        at_audit = len(written)
        repaired = answer(stage, "--values", "--repair", "--apply", "--at-most", "100", code=0)
        assert len(written) > at_audit > 0
    assert repaired["after"]["result"] == "equal"
    assert (repaired["repaired"]["told"], repaired["repaired"]["unfinished"]) == ([], [])
    assert repaired["repaired"]["passes"] <= 3
    assert sum(repaired["repaired"]["written"].values()) == len(spoilt)
    assert stage.names("newer_in_index-0") == {"newer"}
    assert stage.names("other_in_table-0") == {"other"}
    assert stage.names("name_changed_in_index-0") == {"image 0"}
    assert stage.names("tag_changed_in_table-0") == {"image 0"}
    assert stage.names("removed_in_index-0") == stage.names("old_leftover-0") == {None}


def test_a_repair_shows_first_stops_at_the_brake_and_tells_what_a_person_must_do(
    stage: Stage,
) -> None:
    hand = Hand(stage)
    hand.write(hand.table_sink, a_change("T1", stamp(DAY), "image"))
    hand.update_item("bad", "SET version = :v", ExpressionAttributeValues={":v": {"S": "\x1b[2J"}})
    shown = stage.lockstep("audit", "--repair")
    assert shown.exit_code == 1
    assert "T1: version" in shown.stdout
    assert "1 image would be written (50 % of all): `--apply` does it" in shown.stdout
    braked = stage.lockstep("audit", "--repair", "--apply")
    assert braked.exit_code == 2
    (line,) = [line for line in braked.stderr.splitlines() if line]
    assert "1 of 2 images would be written, 50 %, more than 1 %" in line
    assert stage.names("T1") == {"image", None}
    applied = stage.lockstep("audit", "--repair", "--apply", "--at-most", "50")
    assert applied.exit_code == 1
    assert "1 written, in 1 pass\n" in applied.stdout
    assert "needs a person: bad: the table's item is malformed" in applied.stdout
    assert "\x1b" not in applied.output
    assert stage.names("T1") == {"image"}
