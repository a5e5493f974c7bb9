"""Each command of an operator on a deployed stack, with a state of the stack in which it acts."""

import datetime as dt
import socket
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lockstep.audit.audit import Audit
from lockstep.audit.pieces.ending import PiecesReport
from lockstep.audit.pieces.state import REPORTS, STATE, AuditState
from lockstep.pictures.bucket.transfer import PART_BYTES
from lockstep.pictures.reading import PictureSettings
from lockstep.stack.use_cases.pictures import bucket_pictures, key_aligner, picture_rows
from lockstep.stack.use_cases.search import search, search_request
from lockstep.web.addresses import HOST
from shared.item import item_from
from shared.picture_ids import PREFIX
from tests.builders import image, image_event, restored_table
from tests.contract.erase.planting import align, plant
from tests.contract.pictures.conftest import picture
from tests.contract.repair.hand import DAY, Hand, a_change, over_since_yesterday, stamp
from tests.gate.command import Command, failure, new_images, printed, written
from tests.gate.conftest import GatedStack
from tests.gate.evaluator import EVERYTHING
from tests.gate.recorded import CALLER
from tests.gate.replica import REPLICA_COMMANDS
from tests.gate.requests import DOMAIN, RESTORED, Asked

# What a person has who may run a command: managed policies of template.yaml.
PRODUCER, READER, AUDITOR = ("ProducerPolicy",), ("ReaderPolicy",), ("AuditorPolicy",)
PROBER = ("AuditorPolicy", "ProducerPolicy")
UPLOADER = ("UploaderPolicy",)
PICTURE_REPAIRER = ("AuditorPolicy", "UploaderPolicy")
SMOKER = ("AuditorPolicy", "ProducerPolicy", "ReaderPolicy")
OPERATOR = ("AuditorPolicy", "OperatorPolicy")
RESTORER = ("AuditorPolicy", "RestorePolicy")
ERASER = ("AuditorPolicy", "ProducerPolicy", "UploaderPolicy", "EraserPolicy")

MOMENT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)

ALL_EQUAL, DIFFERENT, UNKNOWN = 0, 1, 2


def restored_name() -> str:
    """A name for a table that somebody restores for the stack."""
    return f"{RESTORED}-{uuid.uuid4().hex[:12]}"


def _file(gated: GatedStack, *lines: Any) -> Path:
    path = gated.folder / "lines.ndjson"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, lines)))
    return path


# How each state comes about.


def differing(gated: GatedStack) -> None:
    """Different images, some ahead in the index; quarantined records; acknowledged losses."""
    hand, images = Hand(gated.stage), new_images(4)
    hand.write_both(*images)
    hand.delete_document(images[0])
    hand.newer_in_index(images[1])
    hand.delete_item(images[2])
    hand.version_moved(images[3])
    _quarantined(gated)
    gated.stage.give_up("write_to_es")
    _acknowledged(gated)


def _quarantined(gated: GatedStack) -> None:
    """An event with a wrong partition key, which both consumers have quarantined."""
    gated.stage.put_raw(image_event("Q1", stamp()), "Q2")
    gated.stage.drain()


def _losing(gated: GatedStack) -> None:
    gated.recorded.incoming = 5


def _acknowledged(gated: GatedStack) -> None:
    _losing(gated)
    with gated.everything_allowed():
        since = printed(gated, "status", code=UNKNOWN)["unknown_since"]
        assert failure(gated, "audit", "--acknowledge", since, "--reason", "imported") is None


def _consuming(gated: GatedStack) -> None:
    """The consumers read whenever somebody looks for a document."""
    written(gated)

    def look(asked: Asked) -> None:
        if "/_mget" in asked.path:
            gated.stage.drain()

    gated.gate.meanwhile = look


def _processing(gated: GatedStack) -> None:
    """The consumers read whenever somebody looks into the table."""
    written(gated)

    def look(asked: Asked) -> None:
        if asked.headers.get("x-amz-target", "").endswith(".BatchGetItem"):
            gated.stage.drain()

    gated.gate.meanwhile = look


def _smoking(gated: GatedStack) -> None:
    """The consumers read whenever somebody looks into the table, and the search finds all."""

    def look(asked: Asked) -> None:
        if asked.headers.get("x-amz-target", "").endswith(".BatchGetItem"):
            gated.stage.drain()

    def finds(text: str) -> list[str]:
        clients = gated.stage.clients
        clients.opensearch.indices.refresh(index=gated.stage.stack.index)
        return [one.image_id for one in search(clients, search_request(text)).result.hits]

    gated.gate.meanwhile = look
    gated.recorded.finds = finds


def _index_lost(gated: GatedStack) -> None:
    """The table has images, the index none; losses are acknowledged."""
    hand = Hand(gated.stage)
    hand.write(hand.table_sink, *new_images(2))
    _acknowledged(gated)


def _reported(gated: GatedStack) -> None:
    differing(gated)
    with gated.everything_allowed():
        report = gated.folder / "report.ndjson"
        assert failure(gated, "audit", "--report", report, code=DIFFERENT) is None


def _purgeable(gated: GatedStack) -> None:
    hand = Hand(gated.stage)
    hand.write_both(over_since_yesterday("T9", stamp(200 * DAY)), *new_images(1))


def _to_redrive(gated: GatedStack) -> None:
    """A conflict, a wrong key, a discarded batch, and what only the index's consumer has."""
    stage = gated.stage
    version = stamp()
    for name in ("first", "second"):
        stage.put_raw(image_event("C1", version, image=image(name)), "C1")
        stage.drain()
    _quarantined(gated)
    stage.put_raw(image_event("D1", stamp()), "D1")
    pointer = stage.give_up("write_to_dynamodb")
    del pointer["payload"]
    (gated.folder / "pointers.ndjson").write_bytes(msgspec.json.encode(pointer))
    hand = Hand(stage)
    hand.write(hand.table_sink, a_change("X1", stamp(), "in the table"))
    stage.put_raw(b"{", "X1")
    stage.consumers["write_to_es"].drain(now=0.0)
    # Somebody began to settle the record of the failure document.
    with gated.everything_allowed():
        cases = printed(gated, "quarantine", "list")["cases"]
    moved = [{"keys": one["objects"], "event": None} for one in cases if one["documents"]]
    stage.write("redriven/notes/1.json", {"records": moved})


def _traced(gated: GatedStack) -> None:
    """A record in quarantine, one redriven, one discarded, a document replaced, one of a batch."""
    written(gated)
    _quarantined(gated)
    with gated.everything_allowed():
        assert failure(gated, "redrive", "--apply") is None
        _quarantined(gated)
        assert _discard_all(gated) is None
    _quarantined(gated)
    gated.stage.write("replaced/2026-11-30T030000.000000Z/events-000001.ndjson", {"image_id": "D1"})
    gated.stage.give_up("write_to_dynamodb")


def _to_rebuild(gated: GatedStack) -> None:
    """While the new index is made, events arrive; the consumers are off until it is live."""
    hand = Hand(gated.stage)
    hand.write_both(*new_images(2))
    gated.recorded.disabled = 2

    def arrives(asked: Asked) -> None:
        if asked.method == "PUT" and asked.path.endswith("/_settings"):
            hand.write_both(a_change("M1", stamp(), "meanwhile"))
        if asked.path.endswith("/_aliases"):
            hand.write(hand.table_sink, a_change("M2", stamp(), "in the table only"))

    gated.gate.meanwhile = arrives


def _interrupted(gated: GatedStack) -> None:
    """A process was not allowed to switch to the new index, and ended."""
    hand = Hand(gated.stage)
    hand.write_both(*new_images(2))
    allowed = gated.gate.policies
    aliases = f"arn:aws:es:*:*:domain/{DOMAIN}/_aliases"
    switch = {"Effect": "Deny", "Action": "es:ESHttpPost", "Resource": aliases}
    gated.gate.policies = [EVERYTHING, {"Statement": [switch]}]
    ended = gated.in_a_process("rebuild", "--apply", "--settle", 0)
    gated.gate.policies = allowed
    assert ended.returncode == UNKNOWN, ended.stderr
    gated.recorded.disabled = 2


def _to_replay(gated: GatedStack) -> None:
    """An upload, an update, what both stores have already, and what is no event."""
    stage, hand = gated.stage, Hand(gated.stage)
    hand.write_both(a_change("R1", stamp(DAY), "before"))
    again = stamp()
    stage.put_raw(image_event("R2", again), "R2")
    stage.drain()
    for event in (
        image_event("R1", stamp(), "image.updated", image=image("after")),
        image_event("R3", stamp(), "image.uploaded", image=image("new")),
    ):
        stage.put_raw(event, event["image_id"])
    stage.put_raw(b"{", "R4")
    stage.write("replays/20260101-000000-001.json", {"stream": stage.stack.stream, "since": 0})


def _to_prepare(gated: GatedStack) -> None:
    """The index reads a Kinesis stream of the table's changes, so there is each setting."""
    gated.recorded.outputs |= {"IndexFrom": "KinesisDataStreamsForDynamoDB"}
    kinesis, stream = gated.stage.clients.kinesis, gated.stage.stack.changes_stream
    if stream not in kinesis.list_streams()["StreamNames"]:
        kinesis.create_stream(StreamName=stream, ShardCount=1)


def _audited(gated: GatedStack) -> None:
    """A nightly audit has ended, and another one is under way."""
    report = PiecesReport(
        run="20261130T030000Z",
        values=False,
        begun=MOMENT,
        ended=MOMENT,
        audit=Audit("equal", table=1, index=1, differences={}, seconds=1.0),
        invocations=1,
        seconds=1.0,
        read_units=1.0,
    )
    gated.stage.write(f"{REPORTS}{report.run}.json", msgspec.to_builtins(report))
    state = AuditState("20261201T030000Z", values=False, started=0.0, parts=1)
    gated.stage.write(STATE, msgspec.to_builtins(state))


def _erased(gated: GatedStack) -> None:
    """An image was erased, and an audit is under way."""
    _audited(gated)
    Hand(gated.stage).write_both(a_change("E1", stamp(DAY), "to erase"))
    _consume_meanwhile(gated)
    with gated.everything_allowed():
        receipt = gated.folder / "receipt.json"
        assert failure(gated, "erase", "E1", "--apply", "--receipt", receipt) is None


def _to_erase(gated: GatedStack) -> None:
    """Content of an image in each place that keeps some; the consumers read meanwhile."""
    _kept_index(gated)
    plant(gated.stage, "E1")
    Hand(gated.stage).write_both(a_change("E2", stamp(DAY), "without a picture"))
    pictures, s3 = gated.stage.stack.pictures, gated.stage.clients.s3
    assert pictures is not None
    s3.put_object(Bucket=pictures.bucket, Key="pictures/E1", Body=picture())
    s3.put_object(Bucket=pictures.thumbnails, Key=f"E1/{'0' * 64}-320.webp", Body=picture())
    align(gated.stage, "E1")
    s3.create_multipart_upload(Bucket=pictures.bucket, Key="pictures/E1")
    _consume_meanwhile(gated)


def _consume_meanwhile(gated: GatedStack) -> None:
    def look(asked: Asked) -> None:
        if asked.headers.get("x-amz-target", "").endswith(".BatchGetItem"):
            gated.stage.drain()

    gated.gate.meanwhile = look


def _kept_index(gated: GatedStack) -> None:
    """A rebuild has kept an index, with a document of the image."""
    client, index = gated.stage.clients.opensearch, f"{gated.stage.stack.index}-000000"
    client.indices.create(index=index, body={"mappings": {"dynamic": "true"}})
    client.index(index=index, id="E1", body={"image_id": "E1", "deleted": False})


# How each command runs.


def _status(gated: GatedStack) -> str | None:
    """What could not be read is a line, too: there must be one of each kind."""
    found = printed(gated, "status", code=DIFFERENT)
    (wrong,), warnings = found["wrong"], found["warnings"]
    guards = [one.partition(" has no ")[2].partition(":")[0] for one in warnings]
    if "is empty, and table" not in wrong or guards != [
        "deletion protection",
        "point-in-time recovery",
    ]:
        return f"{wrong}, {warnings}"
    return None


def _watch(gated: GatedStack) -> str | None:
    """What may not be read is a reason in its line, not the end."""
    found = printed(gated, "watch", "--count", 1)
    if found["errors"]:
        return f"{found['errors']}"
    read = (found["audit"]["images"], found["alarms"]["off"], found["shards"]["busiest_share"])
    return None if read == (1, 2, 0.75) else f"{found}"


def _put(gated: GatedStack) -> str | None:
    return failure(gated, "put", _file(gated, image_event("P1", stamp())))


def _uploading(gated: GatedStack) -> None:
    """An upload of a large picture has begun, and was interrupted."""
    pictures = gated.stage.stack.pictures
    assert pictures is not None
    gated.stage.clients.s3.create_multipart_upload(
        Bucket=pictures.bucket, Key=f"{PREFIX}large.jpg", ContentType="image/jpeg"
    )


def _upload(gated: GatedStack) -> str | None:
    """A picture in one piece, and one in parts."""
    folder = gated.folder / "pictures"
    folder.mkdir(exist_ok=True)
    (folder / "small.jpg").write_bytes(picture())
    (folder / "large.jpg").write_bytes(picture("blue") + b"\0" * PART_BYTES)
    return failure(gated, "upload", folder)


def _pictured(gated: GatedStack) -> None:
    """A picture that is in line, and one that nobody has seen yet."""
    pictures, clients = gated.stage.stack.pictures, gated.stage.clients
    assert pictures is not None
    for name in ("known.jpg", f"new-{uuid.uuid4().hex}.jpg"):
        clients.s3.put_object(Bucket=pictures.bucket, Key=f"{PREFIX}{name}", Body=picture())
    settings = PictureSettings(zone=dt.UTC)
    aligner = key_aligner(clients, bucket_pictures(clients, settings), picture_rows(clients))
    aligner.align(f"{PREFIX}known.jpg")
    gated.stage.drain()


def _audit_pictures(gated: GatedStack) -> str | None:
    return failure(gated, "pictures", "audit", "--read", "--grace", 0, code=DIFFERENT)


def _repair_pictures(gated: GatedStack) -> str | None:
    words = ("--repair", "--apply", "--read", "--grace", 0)
    return failure(gated, "pictures", "audit", *words)


def _update(gated: GatedStack) -> str | None:
    new = f"name={uuid.uuid4().hex}"
    return failure(gated, "update", "T0", "--set", new, "--wait", 60)


def _delete(gated: GatedStack) -> str | None:
    """A new image: the table then has it no more."""
    name = f"D{uuid.uuid4().hex[:8]}"
    Hand(gated.stage).write_both(a_change(name, stamp(DAY), "to delete"))
    return failure(gated, "delete", name, "--wait", 60)


def _erase(gated: GatedStack) -> str | None:
    """All content of an image in each place, and an image without a picture: all must be gone."""
    receipt = gated.folder / f"{uuid.uuid4().hex}.json"
    words = ("erase", "E1", "E2", "--apply", "--wait", 60, "--receipt", receipt)
    found = printed(gated, *words)["images"]
    return None if [one["result"] for one in found] == ["erased", "erased"] else str(found)


def _verify(gated: GatedStack) -> str | None:
    return failure(gated, "erase", "--verify", gated.folder / "receipt.json")


def _find_pictures(gated: GatedStack, *words: str) -> str | None:
    pictures = gated.stage.stack.pictures
    assert pictures is not None
    source = f"s3://{pictures.bucket}/{PREFIX}"
    return failure(gated, "import", "--from-s3-pictures", source, *words)


def _import_pictures(gated: GatedStack) -> str | None:
    return _find_pictures(gated, "--apply")


def _import(gated: GatedStack) -> str | None:
    source = _file(gated, {"image_id": "P1", "image": image("imported")})
    return failure(gated, "import", "--apply", source)


def _page(gated: GatedStack) -> str | None:
    """It asks for the page, and then finds that its port is taken."""
    with socket.create_server((HOST, 0)) as taken:
        said = gated.lockstep("page", "--port", taken.getsockname()[1]).output
    return None if "choose another --port" in said else said


def _export(gated: GatedStack) -> str | None:
    """All images as a table, which is no JSON."""
    result = gated.lockstep("search", "image", "--csv")
    return None if result.exit_code == 0 else result.output


def _audit(gated: GatedStack) -> str | None:
    report = gated.folder / "audit.html"
    return failure(gated, "audit", "--sample", 2, code=DIFFERENT) or failure(
        gated, "audit", "--html", report, code=DIFFERENT
    )


def _repair(gated: GatedStack) -> str | None:
    # What the index is ahead with stays different.
    words = ("audit", "--repair", "--apply", "--at-most", 90)
    return failure(gated, *words, code=DIFFERENT)


def _answer(winner: str) -> Callable[[GatedStack], str | None]:
    def run(gated: GatedStack) -> str | None:
        report = gated.folder / "report.ndjson"
        words = ("audit", "--repair", f"--{winner}-wins", report, "--apply", "--at-most", 90)
        # One image is still missing in the index.
        return failure(gated, *words, code=DIFFERENT)

    return run


def _acknowledge(gated: GatedStack) -> str | None:
    with gated.everything_allowed():
        since = printed(gated, "status", code=UNKNOWN)["unknown_since"]
    return failure(gated, "audit", "--acknowledge", since, "--reason", "imported")


def _purge(gated: GatedStack) -> str | None:
    return None if printed(gated, "purge", "--apply")["purged"] == 1 else "nothing was purged"


def _quarantine(gated: GatedStack) -> str | None:
    pointers = gated.folder / "pointers.ndjson"
    found = printed(gated, "quarantine", "list", "--pointers", pointers)["cases"]
    if not found:
        return "no case"
    exported = failure(gated, "quarantine", "export", "--all", "--pointers", pointers)
    return (
        exported
        or failure(gated, "quarantine", "stats")
        or failure(gated, "quarantine", "show", found[0]["id"])
    )


def _redrive(gated: GatedStack) -> str | None:
    done = printed(gated, "redrive", "--apply")["report"]
    if not done["redriven"]:
        return f"{done}"
    with gated.everything_allowed():
        left = printed(gated, "quarantine", "list")["cases"]
    for case in left:
        choice = "this" if case["image_id"] == "C1" else "stored"
        said = failure(gated, "redrive", "--choose", choice, case["id"], "--apply")
        if said is not None:
            return said
    return "something is left" if gated.stage.keys("quarantine/") else None


def _discard(gated: GatedStack, *words: object) -> str | None:
    """Discard all that is in quarantine, and what the pointers of a state name."""
    with gated.everything_allowed():
        pointers = gated.folder / "pointers.ndjson"
        more = ("--pointers", pointers) if pointers.exists() else ()
        ids = [one["id"] for one in printed(gated, "quarantine", "list", *more)["cases"]]
    said = failure(gated, "quarantine", "discard", *ids, "--reason", "a test", *more, *words)
    return said if ids else "no case"


def _discard_all(gated: GatedStack) -> str | None:
    """The ARN of the caller is kept with each record."""
    said = _discard(gated, "--apply")
    if said is not None:
        return said
    kept = [gated.stage.body(key)["discarded"] for key in gated.stage.keys("discarded/")]
    if not kept or gated.stage.keys("quarantine/"):
        return "something is left"
    return None if {one["by"] for one in kept} == {CALLER} else f"{kept}"


def _rebuild(gated: GatedStack) -> str | None:
    done = printed(gated, "rebuild", "--apply", "--drop-old", "--settle", 0)
    return None if done["dropped"] and not done["not_copied"] else f"{done}"


def _replay(gated: GatedStack) -> str | None:
    # A replay waits until a store answers. So the operator ends it after some refusals.
    gated.gate.refusals_before_interrupt = 3
    return failure(gated, "replay", "--since", "1h", "--apply") or failure(
        gated, "replay", "--resume", "20260101-000000-001", "--apply", code=1
    )


def _prepare(*words: str, code: int) -> Callable[[GatedStack], str | None]:
    """Prepare a table that was just restored: what an earlier run did must not help."""

    def run(gated: GatedStack) -> str | None:
        table = restored_name()
        restored_table(gated.stage.clients.dynamodb, table)
        return failure(gated, "prepare", table, *words, code=code)

    return run


def _import_copy(*words: str) -> Callable[[GatedStack], str | None]:
    def run(gated: GatedStack) -> str | None:
        """Of the copy's images, the table has one with other content, and one not at all."""
        dynamodb, table = gated.stage.clients.dynamodb, restored_name()
        restored_table(dynamodb, table)
        for image_id, content in (("T0", "as it was"), ("T9", "lost")):
            item = item_from(a_change(image_id, stamp(2 * DAY), content))
            dynamodb.put_item(TableName=table, Item=item)
        found = printed(gated, "import", "--replace", f"dynamodb://{table}", *words)
        return None if (found["new"], found["replaced"]) == (1, 1) else f"{found}"

    return run


def _get(gated: GatedStack) -> str | None:
    """What could not be read is listed: nothing may be."""
    found = gated.lockstep("get", "X1", "--json")
    if found.exit_code not in (ALL_EQUAL, DIFFERENT, UNKNOWN):
        return f"{found.exit_code} {found.output[-500:]}"
    not_read = msgspec.json.decode(found.stdout)["not_read"] if found.stdout else found.output
    return f"{not_read}" if not_read else None


def _trace(gated: GatedStack) -> str | None:
    """What could not be read is listed: nothing may be."""
    found = gated.lockstep("trace", "D1", "--json")
    if found.exit_code not in (ALL_EQUAL, DIFFERENT):
        return f"{found.exit_code} {found.output[-500:]}"
    not_read = msgspec.json.decode(found.stdout)["not_read"]
    return f"{not_read}" if not_read else None


def runs(*words: object, code: int = 0) -> Callable[[GatedStack], str | None]:
    return lambda gated: failure(gated, *words, code=code)


COMMANDS: Sequence[Command] = (
    Command("alarms check", AUDITOR, runs("alarms", "check"), repeats=True),
    Command("alarms drill", AUDITOR, runs("alarms", "drill"), repeats=True),
    Command("alarms drill --apply", OPERATOR, runs("alarms", "drill", "--apply", "--wait", 0)),
    *REPLICA_COMMANDS,
    Command("put", PRODUCER, _put, repeats=True),
    Command("upload", UPLOADER, _upload, _uploading),
    Command("pictures audit", AUDITOR, _audit_pictures, _pictured, repeats=True),
    Command("pictures audit --repair --apply", PICTURE_REPAIRER, _repair_pictures, _pictured),
    Command("import --from-s3-pictures", UPLOADER, _find_pictures, _pictured, repeats=True),
    Command("import --from-s3-pictures --apply", UPLOADER, _import_pictures, _pictured),
    Command("update", PROBER, _update, _processing, repeats=True),
    Command("delete", PROBER, _delete, _processing, repeats=True),
    Command("search", READER, runs("search", "image"), written, repeats=True),
    Command("search", AUDITOR, _export, written, repeats=True),
    Command("page", READER, _page, repeats=True),
    Command("status", AUDITOR, _status, _index_lost, repeats=True),
    Command("status --hot", AUDITOR, runs("status", "--hot"), written, repeats=True),
    Command("status --wait", AUDITOR, runs("status", "--wait", 0), written, repeats=True),
    Command("smoke", SMOKER, runs("smoke", "--wait", 60), _smoking, repeats=True),
    Command("status --wait --probe", PROBER, runs("status", "--wait", 60, "--probe"), _consuming),
    Command("watch", AUDITOR, _watch, _audited, repeats=True),
    Command("plan", AUDITOR, runs("plan"), _losing, repeats=True),
    Command("audit", AUDITOR, runs("audit"), written, repeats=True),
    Command("audit", AUDITOR, _audit, differing, repeats=True),
    Command("purge", AUDITOR, runs("purge"), _purgeable, repeats=True),
    Command("quarantine show", AUDITOR, _quarantine, _to_redrive, repeats=True),
    Command("get", AUDITOR, _get, _to_redrive, repeats=True),
    Command("quarantine discard", AUDITOR, _discard, _to_redrive, repeats=True),
    Command("trace", AUDITOR, _trace, _traced, repeats=True),
    Command("redrive", AUDITOR, runs("redrive"), _to_redrive, repeats=True),
    Command("rebuild", AUDITOR, runs("rebuild"), written, repeats=True),
    Command("replay", AUDITOR, runs("replay", "--since", "1h"), _to_replay, repeats=True),
    Command("import --apply", OPERATOR, _import, repeats=True),
    Command("prepare", RESTORER, _prepare(code=1), _to_prepare, repeats=True),
    Command("prepare --apply", RESTORER, _prepare("--apply", code=0), _to_prepare, repeats=True),
    Command("import dynamodb://TABLE", RESTORER, _import_copy(), written, repeats=True),
    Command(
        "import dynamodb://TABLE --apply",
        (*OPERATOR, "RestorePolicy"),
        _import_copy("--apply"),
        written,
        repeats=True,
    ),
    Command("erase", ERASER, runs("erase", "E1"), _to_erase, repeats=True),
    Command("erase", ERASER, runs("erase", "T0"), written, repeats=True),
    Command("erase --apply", ERASER, _erase, _to_erase),
    Command("erase --verify", ERASER, _verify, _erased, repeats=True),
    Command("audit --repair --apply", OPERATOR, _repair, differing),
    Command("audit --repair --index-wins", OPERATOR, _answer("index"), _reported),
    Command("audit --repair --table-wins", OPERATOR, _answer("table"), _reported),
    Command("audit --acknowledge", OPERATOR, _acknowledge, _losing),
    Command("purge --apply", OPERATOR, _purge, _purgeable),
    Command("redrive --apply", OPERATOR, _redrive, _to_redrive),
    Command("quarantine discard --apply", OPERATOR, _discard_all, _to_redrive),
    Command("rebuild --apply", OPERATOR, _rebuild, _to_rebuild),
    Command("rebuild --apply", OPERATOR, _rebuild, _interrupted),
    Command("replay --apply", OPERATOR, _replay, _to_replay),
)
