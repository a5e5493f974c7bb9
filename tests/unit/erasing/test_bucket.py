"""Erasing content in a versioned bucket: every version of it, and nothing else."""

import base64
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import msgspec
import pytest
from moto import mock_aws

from lockstep.audit.pieces.segments import SegmentBuilder
from lockstep.audit.pieces.state import STATE, WORK, AuditState
from lockstep.erasing.audits import AuditEraser
from lockstep.erasing.bucket import BucketEraser, BucketSurvey
from lockstep.erasing.content import BucketContent
from lockstep.erasing.erased import Limit, judge_by
from lockstep.quarantine.finding import find
from lockstep.simulation.in_line import InLine
from lockstep.stores.entry import Entry
from lockstep.stores.object_versions import ObjectVersions
from lockstep.stores.objects import BucketObjects
from tests.builders import (
    ARRIVED_AT,
    CHANGES_STREAM,
    change,
    image,
    image_event,
    kinesis_record,
    table_record,
)
from tests.unit.quarantine.stand import TABLE_MAPPING, Stand, document

MARKER = "c0ffee-marker"
BUCKET = "quarantine"
LIMIT = Limit(version=9, arrived_at=ARRIVED_AT + 1_000)
DOCUMENT = f"aws/lambda/{TABLE_MAPPING}/shard/x"


def with_marker(image_id: str = "T1", version: int = 3, **fields: Any) -> dict[str, Any]:
    return image_event(image_id, version, **{"image": image(MARKER), **fields})


class Bucket:
    """A versioned bucket, and what erases image T1 in it."""

    def __init__(self, client: Any, name: str = BUCKET) -> None:
        self.client, self.name = client, name
        self.objects = BucketObjects(client, name)
        self.versions = ObjectVersions(client, name)
        judge = judge_by(lambda image_id: LIMIT if image_id == "T1" else None)
        content = BucketContent(judge, TABLE_MAPPING, CHANGES_STREAM)
        self.eraser = BucketEraser(self.versions, self.objects, content, InLine())
        self.audits = AuditEraser(self.versions, self.objects, judge, now=50.0)

    def put(self, key: str, body: Any) -> None:
        encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
        self.objects.write(key, encoded)

    def put_all(self, stand: Stand, place: str = "quarantine/") -> None:
        for key, body in stand.objects.kept.items():
            self.put(key.replace("quarantine/", place), body)

    def erase(self) -> BucketSurvey:
        found = self.eraser.survey()
        self.eraser.erase(found.held)
        self.audits.erase(self.audits.survey())
        return found

    def everything(self) -> dict[str, list[bytes]]:
        """The content of each version of each key, as S3 itself lists it."""
        found: dict[str, list[bytes]] = {}
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=self.name)
        for page in pages:
            for one in page.get("DeleteMarkers", ()):
                found.setdefault(one["Key"], [])
            for one in page.get("Versions", ()):
                answer = self.client.get_object(
                    Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"]
                )
                found.setdefault(one["Key"], []).append(answer["Body"].read())
        return found

    def is_clean(self) -> bool:
        return not any(has_marker(body) for bodies in self.everything().values() for body in bodies)


def has_marker(body: bytes) -> bool:
    """Also within what is encoded in base64, at any of its three places."""
    forms = [MARKER.encode()]
    forms += [
        base64.b64encode(b"x" * pad + MARKER.encode())[4 * bool(pad) : -4] for pad in range(3)
    ]
    return any(form in body for form in forms)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield Bucket(client)


def _quarantined(bucket: Bucket, place: str) -> None:
    stand = Stand()
    stand.set_aside(with_marker())
    bucket.put_all(stand, place)


def _broken(bucket: Bucket) -> None:
    stand = Stand()
    stand.set_aside(msgspec.json.encode(with_marker() | {"version": "one"}), partition_key="P")
    bucket.put_all(stand)


def _corrected(bucket: Bucket) -> None:
    stand = Stand()
    (key,) = stand.set_aside(b"not json " + MARKER.encode(), functions=["write_to_es"])
    trace = {"at": "2026-11-21T08:00:00+00:00", "how": "mended", "event": with_marker()}
    body = msgspec.json.decode(stand.objects.kept[key]) | {"redriven": trace}
    bucket.put(key.replace("quarantine/", "redriven/"), body)


def _of_the_table(bucket: Bucket) -> None:
    said = document(kinesis_record())
    records = [table_record(change("T1", 4, image=image(MARKER)), change("T1", 3))]
    bucket.put(DOCUMENT, said | {"payload": {"Records": records}})


PLANTED: dict[str, Callable[[Bucket], None]] = {
    "quarantined": lambda bucket: _quarantined(bucket, "quarantine/"),
    "redriven": lambda bucket: _quarantined(bucket, "redriven/"),
    "discarded": lambda bucket: _quarantined(bucket, "discarded/"),
    "broken": _broken,
    "corrected": _corrected,
    "failure document": lambda bucket: bucket.put(
        DOCUMENT, document(kinesis_record(with_marker()))
    ),
    "redriven document": lambda bucket: bucket.put(
        f"redriven/{DOCUMENT}", document(kinesis_record(with_marker()))
    ),
    "change of the table": _of_the_table,
    "replaced event": lambda bucket: bucket.put(
        "replaced/2026-11-21T070000.000000Z/events-000001.ndjson",
        msgspec.json.encode(with_marker()) + b"\n",
    ),
    "replaced document": lambda bucket: bucket.put(
        "replaced/2026-11-21T070000.000000Z/documents-000001.ndjson",
        {"_id": "T1", "_source": {"name": MARKER, "version": 3}},
    ),
    "report of an audit": lambda bucket: bucket.put(
        "audits/reports/R.ndjson",
        {
            "image_id": "T1",
            "kind": "conflict",
            "table": {"image_id": "T1", "version": 3, "digest": MARKER},
            "index": None,
        },
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_no_version_of_any_object_has_the_content_afterwards(bucket: Bucket, planted: str) -> None:
    PLANTED[planted](bucket)
    assert not bucket.is_clean()
    # An earlier version, and one that a delete marker hides.
    for each in [*bucket.everything()]:
        body = bucket.objects.read(each)
        assert body is not None
        bucket.put(each, body)
        bucket.objects.delete(each)
        bucket.put(each, body)
    assert [one.image_id for held in bucket.erase().held for one in held.erased]
    assert bucket.everything() == {}
    assert bucket.eraser.survey() == BucketSurvey([], [], [])


@pytest.mark.parametrize("as_text", [False, True])
def test_a_document_of_several_images_is_written_again_and_can_be_redriven(
    bucket: Bucket, *, as_text: bool
) -> None:
    records = [
        kinesis_record(image_event("T0", 1), position=1),
        kinesis_record(with_marker(), position=2),
        kinesis_record(with_marker(version=4), position=3),
        kinesis_record(image_event("T2", 2), position=4),
    ]
    said = document(*records)
    if as_text:
        said["payload"] = msgspec.json.encode(said["payload"]).decode()
    bucket.put(DOCUMENT, said)
    bucket.erase()
    assert bucket.is_clean()
    (key,) = bucket.everything()
    rest = msgspec.json.decode(bucket.objects.read(key) or b"")
    assert {**rest, "payload": None} == {**said, "payload": None}
    found = find(
        bucket.objects,
        TABLE_MAPPING,
        now=dt.datetime.fromtimestamp(ARRIVED_AT / 1000 + 60, dt.UTC),
        executor=InLine(),
    )
    assert {one.image_id: one.verdict.why for one in found.cases} == {
        "T0": "can be redriven unchanged",
        "T2": "can be redriven unchanged",
    }
    assert found.unreadable == []


def test_what_is_written_again_stays_in_a_bucket_without_versioning(bucket: Bucket) -> None:
    bucket.client.create_bucket(Bucket="plain")
    plain = Bucket(bucket.client, "plain")
    others = [kinesis_record(image_event("T0", 1), position=1)]
    plain.put(DOCUMENT, document(*others, kinesis_record(with_marker(), position=2)))
    plain.put("discarded/write_to_es/s/h/1.json", _only_object(with_marker()))
    plain.erase()
    assert plain.is_clean()
    assert [*plain.everything()] == [DOCUMENT]
    assert msgspec.json.decode(plain.objects.read(DOCUMENT) or b"")["payload"]["Records"] == others


def _only_object(event: dict[str, Any]) -> bytes:
    stand = Stand()
    (key,) = stand.set_aside(event, functions=["write_to_es"])
    return stand.objects.kept[key]


def test_other_lines_of_a_file_stay(bucket: Bucket) -> None:
    other = msgspec.json.encode(image_event("T2", 1))
    key = "replaced/2026-11-21T070000.000000Z/events-000001.ndjson"
    bucket.put(key, msgspec.json.encode(with_marker()) + b"\n" + other + b"\n")
    bucket.erase()
    assert bucket.everything() == {key: [other + b"\n"]}


def test_a_note_keeps_which_records_were_moved_and_loses_the_image(bucket: Bucket) -> None:
    event = {"image_id": "T1", "version": 3, "arrived_at": ARRIVED_AT}
    records = [
        {"keys": ["quarantine/a"], "event": event},
        {"keys": ["quarantine/b"], "event": None},
    ]
    bucket.put("redriven/notes/1.json", {"records": records})
    bucket.erase()
    ((key, (body,)),) = bucket.everything().items()
    assert key != "redriven/notes/1.json"
    assert [one["keys"] for one in msgspec.json.decode(body)["records"]] == [
        ["quarantine/a"],
        ["quarantine/b"],
    ]
    assert b"T1" not in body


def test_an_earlier_version_of_another_image_does_not_become_the_present_one(
    bucket: Bucket,
) -> None:
    stand = Stand()
    (key,) = stand.set_aside(image_event("T2", 1), functions=["write_to_es"])
    bucket.put_all(stand)
    other = Stand()
    other.set_aside(with_marker(), functions=["write_to_es"])
    bucket.put_all(other)
    bucket.erase()
    assert bucket.is_clean()
    assert bucket.objects.read(key) is None
    assert len(bucket.everything()[key]) == 1


def test_content_of_an_image_that_was_uploaded_again_stays(bucket: Bucket) -> None:
    stand = Stand()
    later = LIMIT.arrived_at + 1
    stand.set_aside(with_marker(version=10), functions=["write_to_es"], arrived_at=later)
    bucket.put_all(stand)
    found = bucket.erase()
    assert [(one.image_id, one.arrived_at) for one in found.new] == [("T1", later)]
    assert not bucket.is_clean()


@pytest.mark.parametrize(("version", "later"), [(9, 1), (8, 1), (10, 0)])
def test_late_content_of_an_old_version_and_early_content_of_a_new_one_go(
    bucket: Bucket, version: int, later: int
) -> None:
    stand = Stand()
    stand.set_aside(with_marker(version=version), arrived_at=LIMIT.arrived_at + later)
    bucket.put_all(stand)
    bucket.erase()
    assert bucket.everything() == {}


def test_what_holds_no_content_stays_and_what_is_unknown_is_named(bucket: Bucket) -> None:
    kept = {
        "acknowledged/20261121T080000.000000Z.json": b"{}",
        "replays/1.json": b"{}",
        "audits/reports/R.txt": b"equal",
        "aws/lambda/m/pointer": msgspec.json.encode(document(kinesis_record(), payload=False)),
        "quarantine/nobody/x.json": b"{}",
        "export/x": b"?",
    }
    for key, body in kept.items():
        bucket.put(key, body)
    found = bucket.erase()
    assert [one.partition(":")[0] for one in found.unknown] == [
        "export/x",
        "quarantine/nobody/x.json",
    ]
    assert {key: body for key, (body,) in bucket.everything().items()} == kept


def _auditing(bucket: Bucket, *entries: Entry) -> AuditState:
    builder = SegmentBuilder(parts=3)
    builder.add(entries)
    state = AuditState(
        "R", values=False, started=40.0, parts=3, step="index", table=(f"{WORK}R/table-1-me",)
    )
    bucket.put(STATE, msgspec.json.encode(state))
    bucket.put(state.table[0], builder.build())
    return state


def test_an_audit_that_holds_the_image_ends_and_the_next_one_is_due(bucket: Bucket) -> None:
    for _ in range(2):
        _auditing(bucket, Entry("T0", 1, digest="x"), Entry("T1", 3, digest=MARKER))
    bucket.put(f"{WORK}R/left", MARKER.encode())
    bucket.put(f"{WORK}EARLIER/left", MARKER.encode())
    bucket.erase()
    assert bucket.is_clean()
    (key,) = (key for key, bodies in bucket.everything().items() if bodies)
    state = msgspec.json.decode(bucket.objects.read(key) or b"", type=AuditState)
    assert (key, state.step, state.started, state.result) == (STATE, "ended", 0.0, None)
    bucket.erase()
    assert [*bucket.everything()] == [STATE]
    assert bucket.audits.survey().left == []


@pytest.mark.parametrize(
    "entry",
    [
        Entry("T2", 3, digest="x"),
        Entry("T1", 9, deleted=True, checked_version=9),
        Entry("T1", 10, digest="x"),
    ],
)
def test_an_audit_that_holds_other_images_a_tombstone_or_the_new_image_goes_on(
    bucket: Bucket, entry: Entry
) -> None:
    state = _auditing(bucket, entry)
    bucket.erase()
    assert [*bucket.everything()] == [STATE, state.table[0]]
    found = msgspec.json.decode(bucket.objects.read(STATE) or b"", type=AuditState)
    assert found == state
