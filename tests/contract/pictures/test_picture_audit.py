"""`lockstep pictures audit` on the real engines: it finds each difference, and repairs it."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.pictures.alignment import PictureRow
from lockstep.pictures.bucket.rows import PictureRows, salt_of
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.clients import Clients
from lockstep.stack.stack import LOCAL_REGION, Endpoints, PictureStores, Stack, write_local
from lockstep.stack.use_cases.pictures import bucket_pictures, key_aligner, picture_rows
from shared.change import change_from
from shared.event import Event
from shared.item import item_from
from shared.picture_ids import PREFIX
from tests.builders import record
from tests.contract.pictures.conftest import Place, picture
from tests.unit.operator.command import assert_one_line, lockstep

NO_ONE = "http://127.0.0.1:1"


class Audits:
    """The command on one place. The test is the consumer of the table."""

    def __init__(self, place: Place, stack: Stack, state: Path) -> None:
        self.place, self.state, self.clients = place, state, Clients(stack)
        self._applied = 0
        write_local(stack, state)

    def audit(self, *words: object, code: int = 0, grace: int = 0) -> Any:
        said = ("--grace", grace, "--json", "--state", self.state)
        result = lockstep("pictures", "audit", *words, *said)
        assert result.exit_code == code, result.output
        return msgspec.json.decode(result.stdout)

    def states(self, *words: object, code: int = 0, grace: int = 0) -> Any:
        return self.audit(*words, code=code, grace=grace)["states"]

    def consume(self) -> list[Event]:
        """Write what is new on the stream into the table, as the consumer does."""
        events = self.place.events()
        new, self._applied = events[self._applied :], len(events)
        for event in new:
            change = change_from(event, record(msgspec.json.encode(event)))
            self.place.dynamodb.put_item(TableName=self.place.images, Item=item_from(change))
        return new

    def align(self, *names: str) -> None:
        pictures = bucket_pictures(self.clients, PictureSettings(zone=dt.UTC))
        aligner = key_aligner(self.clients, pictures, picture_rows(self.clients))
        for name in names:
            aligner.align(PREFIX + name)
        self.consume()

    def rows(self) -> PictureRows:
        salt = salt_of(self.place.dynamodb, self.place.rows)
        return PictureRows(self.place.dynamodb, self.place.rows, salt)


@pytest.fixture
def audits(
    place: Place, kinesis_endpoint: str, dynamodb_endpoint: str, s3_endpoint: str, tmp_path: Path
) -> Audits:
    stack = Stack(
        Endpoints(kinesis_endpoint, dynamodb_endpoint, NO_ONE, s3_endpoint),
        stream=place.name,
        table=place.images,
        index="none",
        bucket="none",
        region=LOCAL_REGION,
        functions={},
        state=str(tmp_path),
        pictures=PictureStores(place.name, place.rows),
    )
    return Audits(place, stack, tmp_path)


def test_what_was_there_before_is_missing_and_a_repair_puts_it(audits: Audits) -> None:
    for name in ("a.jpg", "2024/été.jpg"):
        audits.place.upload(name, picture())
    audits.place.upload("notes.txt", b"no picture")
    assert audits.states(code=1) == {"missing": 3}
    found = audits.audit("--repair", code=1)
    assert (found["applied"], found["repairable"], found["repaired"]) == (False, 3, {})
    assert audits.place.events() == []
    found = audits.audit("--repair", "--apply")
    assert found["repaired"] == {"put": 2, "no picture": 1}
    # The consumer has not read the events yet: that is no difference.
    assert audits.states() == {"behind": 2, "no_picture": 1}
    audits.consume()
    assert audits.states("--read") == {"equal": 2, "no_picture": 1}


def test_replaced_and_deleted_pictures_are_found_and_repaired(audits: Audits) -> None:
    for name in ("same.jpg", "replaced.jpg", "deleted.jpg"):
        audits.place.upload(name, picture())
    audits.align("same.jpg", "replaced.jpg", "deleted.jpg")
    assert audits.states() == {"equal": 3}
    audits.place.upload("replaced.jpg", picture("blue"))
    audits.place.remove("deleted.jpg")
    assert audits.states(code=1) == {"equal": 1, "changed": 1, "gone": 1}
    found = audits.audit("--repair", "--apply")
    assert found["repaired"] == {"put": 1, "deleted": 1}
    assert sorted(event.type for event in audits.consume()) == ["image.deleted", "image.updated"]
    assert audits.states("--read") == {"equal": 2}


def test_what_changed_a_short_time_ago_is_left_alone(audits: Audits) -> None:
    audits.place.upload("a.jpg", picture())
    assert audits.states("--repair", "--apply", grace=10) == {"recent": 1}
    assert audits.place.events() == []


def test_an_event_that_somebody_wrote_and_did_not_put_is_put_as_it_is(audits: Audits) -> None:
    audits.place.upload("a.jpg", picture())
    audits.align("a.jpg")
    rows, now = audits.rows(), audits.place.now
    row = rows.read("a.jpg")
    assert isinstance(row, PictureRow)
    (event,) = audits.place.events()
    waits = msgspec.structs.replace(row, counter=row.counter + 1, event=msgspec.json.encode(event))
    assert rows.write("a.jpg", waits, row.counter, now)
    assert audits.states(code=1) == {"not_put": 1}
    assert audits.states("--repair", "--apply") == {"not_put": 1}
    assert audits.place.events() == [event, event]
    assert audits.states() == {"equal": 1}


def test_an_image_of_a_picture_that_no_row_knows_is_deleted(audits: Audits) -> None:
    audits.place.upload("a.jpg", picture())
    audits.align("a.jpg")
    audits.place.remove("a.jpg")
    for row in audits.place.stored_rows():
        audits.place.dynamodb.delete_item(TableName=audits.place.rows, Key={"key": row["key"]})
    assert audits.states(code=1) == {"unknown": 1}
    assert audits.audit("--repair", "--apply")["repaired"] == {"deleted": 1}
    (event,) = audits.consume()
    assert event.type == "image.deleted"
    assert audits.audit()["verdict"] == "equal"


def test_somebody_elses_event_is_told_and_never_overruled(audits: Audits) -> None:
    audits.place.upload("a.jpg", picture())
    audits.align("a.jpg")
    stored = audits.place.events()[0]
    later = Event(
        type="image.deleted",
        image_id="a.jpg",
        version=stored.version + 1,
        occurred_at=stored.occurred_at,
    )
    change = change_from(later, record(msgspec.json.encode(later)))
    audits.place.dynamodb.put_item(TableName=audits.place.images, Item=item_from(change))
    found = audits.audit("--repair", "--apply", code=1)
    assert (found["states"], found["repaired"]) == ({"other_event": 1}, {})
    assert len(audits.place.events()) == 1


def test_people_get_a_table_and_what_to_do(audits: Audits) -> None:
    audits.place.upload("a.jpg", picture())
    result = lockstep("pictures", "audit", "--grace", 0, "--state", audits.state)
    assert result.exit_code == 1
    assert "for example pictures/a.jpg: a picture without an event" in result.output
    assert "objects in the bucket: 1, images of them in the table: 0; different" in result.output
    assert "`lockstep pictures audit --repair` puts what is missing" in result.output


def test_a_repair_is_asked_for_by_its_name(audits: Audits) -> None:
    result = lockstep("pictures", "audit", "--apply", "--state", audits.state)
    assert_one_line(result, "--apply needs --repair")
