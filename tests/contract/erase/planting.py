"""Plants a marker in each place where a stack keeps content of an image."""

import datetime as dt
from typing import Any

import msgspec

from lockstep.audit.pieces.segments import SegmentBuilder
from lockstep.audit.pieces.state import STATE, WORK, AuditState
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.use_cases.pictures import bucket_pictures, key_aligner, picture_rows
from lockstep.stores.entry import Entry
from shared.picture_ids import PREFIX
from tests.builders import image, image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, stamp

MARKER = "c0ffee1234marker"


def put_object(stage: Stage, key: str, body: bytes) -> None:
    """Write an object of the quarantine's bucket."""
    stage.clients.s3.put_object(Bucket=stage.stack.bucket, Key=key, Body=body)


def event(image_id: str, version: int, **fields: Any) -> dict[str, Any]:
    """An event with the marker."""
    said = image(MARKER, attributes={"person": MARKER, "place": "sea"})
    return image_event(image_id, version, **{"image": said, **fields})


def put(stage: Stage, *events: dict[str, Any]) -> None:
    """Put events, which both consumers read then."""
    for one in events:
        stage.put_raw(one, one["image_id"])
    stage.drain()


def plant(stage: Stage, image_id: str) -> None:
    """Content of an image in each place that can keep some, and of others beside it."""
    old = stamp(DAY)
    put(stage, event(image_id, old), image_event("other-1", old))
    # Redriven, discarded, and in quarantine: a conflict of the same version, three times.
    for place in ("redrive", "discard", "stay"):
        put(stage, event(image_id, old, image=image(f"{MARKER} {place}")))
        cases = stage.answer("quarantine", "list")["cases"]
        newest = max(cases, key=lambda one: one["arrived_at"])["id"]
        if place == "redrive":
            stage.answer("redrive", newest, "--choose", "stored", "--apply")
        if place == "discard":
            stage.answer("quarantine", "discard", newest, "--reason", MARKER, "--apply")
    # A discarded batch with another image, and one that is moved after its redrive.
    stage.put_raw(event(image_id, old + 1), image_id)
    stage.put_raw(image_event("other-2", old), "other-2")
    stage.give_up("write_to_dynamodb")
    stage.drain()
    document = next(iter(stage.keys("aws/lambda/")))
    stage.write(f"redriven/{document}", stage.body(document))
    line = msgspec.json.encode(event(image_id, old)) + b"\n"
    other = msgspec.json.encode(image_event("other-1", old)) + b"\n"
    put_object(stage, "replaced/2026-11-21T070000.000000Z/events-000001.ndjson", line + other)
    report = {
        "image_id": image_id,
        "kind": "conflict",
        "table": {"image_id": image_id, "version": old, "digest": MARKER},
        "index": None,
    }
    put_object(stage, "audits/reports/R.ndjson", msgspec.json.encode(report) + b"\n")
    builder = SegmentBuilder(parts=2)
    builder.add([Entry(image_id, old, digest=MARKER), Entry("other-1", old, digest="x")])
    put_object(stage, f"{WORK}R/table-1-x", builder.build())
    state = AuditState(
        "R", values=False, started=1.0, parts=2, step="index", table=(f"{WORK}R/table-1-x",)
    )
    put_object(stage, STATE, msgspec.json.encode(state))
    # What somebody wrote past the stream.
    hand = Hand(stage)
    hand.update_item(
        image_id, "SET note_of_a_person = :note", ExpressionAttributeValues={":note": {"S": MARKER}}
    )
    stage.clients.opensearch.index(
        index=stage.stack.index, id=image_id, body={"name": MARKER}, params={"routing": "elsewhere"}
    )


def align(stage: Stage, key: str) -> str:
    """Bring the key of a picture in line, as the function does that hears of it."""
    pictures = bucket_pictures(stage.clients, PictureSettings(zone=dt.UTC))
    found = key_aligner(stage.clients, pictures, picture_rows(stage.clients)).align(PREFIX + key)
    stage.drain()
    stage.clients.opensearch.indices.refresh(index=stage.stack.index)
    return found
