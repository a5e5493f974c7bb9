"""Records that the real consumers quarantined, redriven with the operator's commands."""

import datetime as dt
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from lockstep.quarantine import count
from lockstep.stack.stack import write_local
from lockstep.stores.objects import BucketObjects
from tests.builders import image, image_event
from tests.contract.redrive.conftest import Stage
from tests.flow.scenario import Name


def case_of(stage: Stage, image_id: str) -> str:
    (case,) = stage.answer("quarantine", "list", "--image", image_id)["cases"]
    return str(case["id"])


def test_a_record_with_a_wrong_key_reaches_both_stores_and_both_objects_move(
    stage: Stage,
) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.drain()
    assert len(stage.keys("quarantine/")) == 2
    assert stage.answer("redrive")["ready"] == 1
    assert stage.names("T1") == {None}
    report = stage.answer("redrive", "--apply", "--rate", "100")["report"]
    assert (report["redriven"], report["put"], report["objects"]) == (1, 1, 2)
    stage.drain()
    assert stage.names("T1") == {"T1 at version 7"}
    assert stage.keys("quarantine/") == []
    assert len(stage.keys("redriven/write_to_")) == 2
    assert stage.answer("redrive", "--apply")["report"]["redriven"] == 0


def test_a_redriven_record_does_not_overwrite_a_newer_version(stage: Stage) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.put_raw(image_event("T1", 8), "T1")
    stage.drain()
    stage.answer("redrive", "--apply")
    stage.drain()
    assert stage.names("T1") == {"T1 at version 8"}
    assert stage.answer("audit")["result"] == "equal"


def test_a_deleted_image_stays_deleted_if_an_older_upload_is_redriven(stage: Stage) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.put_raw(image_event("T1", 8, "image.deleted"), "T1")
    stage.drain()
    stage.answer("redrive", "--apply")
    stage.drain()
    assert stage.names("T1") == {None}


def stamp(seconds: float = 0.0) -> int:
    """The stamp of a clock that is so far ahead."""
    return round((time.time() + seconds) * 1_000_000)


def put_one_after_another(stage: Stage, *events: dict[str, Any]) -> None:
    """Put events of image T1, each in a millisecond of its own, and let both consumers read it."""
    for event in events:
        stage.put_raw(event, "T1")
        stage.drain()
        time.sleep(0.002)


def conflict(stage: Stage, version: int | None = None) -> str:
    version = version or stamp()
    put_one_after_another(
        stage,
        image_event("T1", version, image=image("first", attributes={"a": "b"})),
        image_event("T1", version, image=image("second \x1b[2J")),
    )
    return case_of(stage, "T1")


def test_a_conflict_is_shown_side_by_side_and_never_raw(stage: Stage) -> None:
    case_id = conflict(stage)
    result = stage.lockstep("quarantine", "show", case_id)
    assert result.exit_code == 0, result.output
    (name,) = [line for line in result.stdout.splitlines() if " name " in line]
    assert r"second \x1b[2J" in name
    assert name.count("first") == 2
    assert "\x1b" not in result.output
    contents = stage.answer("quarantine", "show", case_id)["contents"]
    assert contents["table"] == contents["index"]
    assert contents["table"]["image"]["attributes"] == {"a": "b"}


@pytest.mark.parametrize(("choice", "name"), [("this", "second \x1b[2J"), ("stored", "first")])
def test_a_conflict_is_settled_by_choosing(stage: Stage, choice: str, name: str) -> None:
    case_id = conflict(stage)
    assert stage.answer("redrive", "--apply")["report"]["kept"] == {"choose": 1}
    stage.answer("redrive", "--choose", choice, case_id)
    assert len(stage.keys("quarantine/")) == 2
    stage.answer("redrive", "--choose", choice, case_id, "--apply")
    stage.drain()
    assert stage.names("T1") == {name}
    assert stage.keys("quarantine/") == []
    assert stage.answer("audit")["result"] == "equal"


@pytest.mark.parametrize(("choice", "name"), [("this", None), ("stored", "from a clock ahead")])
def test_a_deletion_that_a_clock_ahead_outran_is_settled_by_choosing(
    stage: Stage, choice: str, name: str | None
) -> None:
    ahead = image_event("T1", stamp(3_600), image=image("from a clock ahead"))
    put_one_after_another(stage, ahead, image_event("T1", stamp(), "image.deleted"))
    (case,) = stage.answer("quarantine", "list", "--reason", "outrun")["cases"]
    assert case["consumers"] == ["write_to_dynamodb", "write_to_es"]
    assert "ahead of its own arrival" in case["detail"]
    assert stage.answer("redrive", "--apply")["report"]["kept"] == {"choose": 1}
    assert stage.names("T1") == {"from a clock ahead"}
    stage.answer("redrive", "--choose", choice, case["id"], "--apply")
    stage.drain()
    assert stage.names("T1") == {name}
    assert stage.keys("quarantine/") == []
    assert stage.answer("audit")["result"] == "equal"


def test_a_revision_that_an_import_outran_is_settled_by_choosing(stage: Stage) -> None:
    imported = image_event("T1", stamp(-121 * 86_400))
    put_one_after_another(stage, imported, image_event("T1", 2), image_event("T1", 3))
    older, newer = stage.answer("quarantine", "list", "--reason", "outrun")["cases"]
    assert (older["version"], newer["version"]) == (2, 3)
    stage.answer("redrive", "--choose", "this", newer["id"], "--apply")
    stage.drain()
    assert stage.names("T1") == {"T1 at version 3"}
    late = stage.lockstep("redrive", "--choose", "this", older["id"], "--apply")
    assert (late.exit_code, "has been stored, above version 2" in late.stderr) == (1, True)
    stage.answer("redrive", "--choose", "stored", older["id"], "--apply")
    stage.drain()
    assert stage.names("T1") == {"T1 at version 3"}
    assert stage.keys("quarantine/") == []


def test_a_choice_leaves_the_next_number_to_a_source_that_counts(stage: Stage) -> None:
    case_id = conflict(stage, 7)
    result = stage.lockstep("redrive", "--choose", "this", case_id, "--apply")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 2)
    assert "above 7, and its source, which counts versions" in result.stderr
    put_one_after_another(stage, image_event("T1", 8))
    stage.answer("redrive", "--choose", "stored", case_id, "--apply")
    stage.drain()
    assert stage.names("T1") == {"T1 at version 8"}
    assert stage.keys("quarantine/") == []


def test_a_late_record_is_not_redriven_unless_an_operator_says_so(stage: Stage) -> None:
    occurred = dt.datetime.now(dt.UTC) - dt.timedelta(days=91)
    late = image_event(
        "T1", stamp(-91 * 86_400), occurred_at=msgspec.to_builtins(occurred), image=image("late")
    )
    stage.put_raw(late, "T9")
    stage.drain()
    assert stage.answer("redrive", "--apply")["report"]["kept"] == {"too_old": 1}
    stage.answer("redrive", "--choose", "this", case_of(stage, "T1"), "--apply")
    stage.drain()
    assert stage.names("T1") == {"late"}
    assert stage.keys("quarantine/") == []


def test_a_late_event_is_put_with_a_warning_and_taken(stage: Stage) -> None:
    occurred = dt.datetime.now(dt.UTC) - dt.timedelta(days=91)
    late, old = (
        image_event(image_id, stamp(seconds), occurred_at=msgspec.to_builtins(occurred))
        for image_id, seconds in (("T1", -91 * 86_400), ("T2", 0))
    )
    file = stage.state / "events.ndjson"
    file.write_bytes(b"\n".join(map(msgspec.json.encode, (late, old))))
    result = stage.lockstep("put", file)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        f"local stack {stage.state}",
        "late: 1 event over 90 days old, the first of image T1",
        "If an image was deleted meanwhile, check that it did not come back.",
    ]
    assert stage.answer("put", file)["late"] == 1
    stage.drain()
    assert (None in stage.names("T1"), stage.keys("quarantine/")) == (False, [])


def mend(stage: Stage, line: bytes, *words: str) -> Result:
    file = stage.state / "mended.ndjson"
    file.write_bytes(line)
    return stage.lockstep("redrive", "--mend", file, *words)


def test_the_version_that_a_correction_will_have_is_shown(stage: Stage) -> None:
    """`show` said "unknown" where `redrive --mend` read the version 1."""
    stage.put_raw(image_event("T1", "1"), "T1")
    stage.put_raw(b"hello", "T2")
    stage.drain()
    case_id = case_of(stage, "T1")
    shown = stage.lockstep("quarantine", "show", case_id)
    assert "1, as `redrive --mend` reads it" in shown.stdout
    event = {"type": "image.uploaded", "image_id": "T1", "image": image("mended")}
    result = mend(stage, msgspec.json.encode({"id": case_id, "event": event}))
    assert "as version 1" in result.stdout
    assert "unknown" in stage.lockstep("quarantine", "show", case_of(stage, "T2")).stdout


def test_exported_records_are_corrected_in_the_file_and_leave_the_quarantine(stage: Stage) -> None:
    stage.put_raw(image_event("a/b", 7, image=image("first")), "not a valid id")
    stage.put_raw(b"\xff\x1b[2J\xc2\x9b2J", "T2")
    stage.drain()
    file = stage.state / "records.ndjson"
    result = stage.lockstep("quarantine", "export", "--all", "-o", file)
    assert (result.exit_code, result.stderr) == (0, "2 records exported\n")
    first, second = map(msgspec.json.decode, file.read_bytes().splitlines())
    assert first["event"]["image"] == image("first")
    assert (second["event"], second["record"]["text"]) == (None, "\\xff\x1b[2J\x9b2J")
    printed = stage.lockstep("quarantine", "export", second["id"])
    assert msgspec.json.decode(printed.stdout) == second
    assert not {"\x1b", "\x9b"} & set(printed.output)
    unchanged = stage.lockstep("redrive", "--mend", file)
    assert (unchanged.exit_code, len(unchanged.stderr.splitlines())) == (1, 2)
    first["event"]["image_id"] = "a_b"
    second["event"] = image_event("T2", 1, image=image("second"))
    assert (
        mend(stage, b"\n".join(map(msgspec.json.encode, [first, second])), "--apply").exit_code == 0
    )
    stage.drain()
    assert (stage.names("a_b"), stage.names("T2")) == ({"first"}, {"second"})
    assert stage.keys("quarantine/") == []


def test_a_record_that_is_settled_while_it_is_exported_is_named(stage: Stage) -> None:
    stage.put_raw(b"{", "T1")
    stage.drain()
    case_id = case_of(stage, "T1")
    assert stage.lockstep("quarantine", "export", "ffff").exit_code == 2
    for key in stage.keys("quarantine/"):
        stage.write(key, {"no": "record"})
    broken = stage.lockstep("quarantine", "export", "--all")
    assert (broken.exit_code, broken.stdout) == (0, "")
    assert "skipped: quarantine/" in broken.stderr
    assert stage.lockstep("quarantine", "export", case_id).exit_code == 2


def test_an_undecodable_record_stays_until_it_is_corrected(stage: Stage) -> None:
    stage.put_raw(b"\xff\x1b[2J", "T1")
    stage.put_raw(image_event("T1", 3), "T1")
    stage.drain()
    assert stage.answer("redrive", "--apply")["report"]["kept"] == {"correct": 1}
    case_id = case_of(stage, "T1")
    shown = stage.lockstep("quarantine", "show", case_id)
    assert r"\xff\x1b[2J" in shown.stdout
    assert "\x1b" not in shown.output
    event = image_event("T1", 4, image=image("mended"))
    line = msgspec.json.encode({"id": case_id, "event": event})
    assert mend(stage, line).exit_code == 0
    assert len(stage.keys("quarantine/")) == 2
    assert mend(stage, line, "--apply").exit_code == 0
    stage.drain()
    assert stage.names("T1") == {"mended"}
    assert stage.keys("quarantine/") == []
    key = stage.keys("redriven/write_to_es")[0]
    kept = stage.clients.s3.get_object(Bucket=stage.stack.bucket, Key=key)["Body"].read()
    trace = msgspec.json.decode(kept)
    assert (trace["redriven"]["how"], trace["redriven"]["event"]["version"]) == ("mended", 4)
    assert trace["payload"]


@pytest.mark.parametrize("written", ["1", 1.0])
def test_the_next_versions_of_a_source_win_over_a_correction(stage: Stage, written: Any) -> None:
    stage.put_raw(image_event("T1", written), "T1")
    stage.drain()
    event = {"type": "image.uploaded", "image_id": "T1", "image": image("mended")}
    line = msgspec.json.encode({"id": case_of(stage, "T1"), "event": event})
    assert mend(stage, line, "--apply").exit_code == 0
    stage.drain()
    assert stage.names("T1") == {"mended"}
    for version in (2, 3):
        stage.put_raw(image_event("T1", version), "T1")
    stage.drain()
    assert stage.names("T1") == {"T1 at version 3"}
    assert stage.keys("quarantine/") == []
    assert stage.answer("audit")["result"] == "equal"


def test_a_correction_of_an_unknown_version_needs_the_version_or_stamp(stage: Stage) -> None:
    stage.put_raw(b"{", "T1")
    stage.drain()
    event = {"type": "image.uploaded", "image_id": "T1", "image": image("mended")}
    line = msgspec.json.encode({"id": case_of(stage, "T1"), "event": event})
    refused = mend(stage, line, "--apply")
    assert refused.exit_code == 1
    assert "write the `version` of the source into the event, or use `--stamp`" in refused.stderr
    assert mend(stage, line, "--apply", "--stamp").exit_code == 0
    stage.drain()
    assert (stage.names("T1"), stage.keys("quarantine/")) == ({"mended"}, [])


def test_a_wrong_line_of_a_correction_file_is_named_and_does_not_affect_others(
    stage: Stage,
) -> None:
    stage.put_raw(b"{", "T1")
    stage.drain()
    good = {"id": case_of(stage, "T1"), "event": image_event("T1", 3)}
    lines = b"no\n" + msgspec.json.encode({"id": "nowhere", "event": {}}) + b"\n"
    result = mend(stage, lines + msgspec.json.encode(good), "--apply")
    assert result.exit_code == 1
    assert "line 1: " in result.stderr
    assert "line 2: nowhere: no quarantined record has this ID" in result.stderr
    stage.drain()
    assert stage.names("T1") == {"T1 at version 3"}


def test_a_discarded_record_is_redriven_from_its_failure_document(stage: Stage) -> None:
    stage.put_raw(image_event("T1", 7), "T1")
    stage.put_raw(b"{", "T1")
    stage.give_up("write_to_es")
    stage.consumers["write_to_dynamodb"].drain(now=0.0)
    stage.consumers["write_to_es"].checkpoints.update(
        stage.consumers["write_to_dynamodb"].checkpoints
    )
    assert stage.names("T1") == {"T1 at version 7", None}
    report = stage.answer("redrive", "--apply")["report"]
    assert (report["redriven"], report["kept"]) == (1, {"correct": 1})
    assert stage.keys("aws/") == []
    assert len(stage.keys("redriven/aws/")) == 1
    # The one that is no event has now an object of its own for each consumer.
    assert len(stage.keys("quarantine/")) == 2
    stage.drain()
    assert stage.names("T1") == {"T1 at version 7"}


def pointer(stage: Stage) -> dict[str, Any]:
    """The failure document that SQS would get for a discarded record: without the record."""
    stage.put_raw(image_event("T1", 7), "T1")
    document = stage.give_up("write_to_es")
    for key in stage.keys("aws/"):
        stage.clients.s3.delete_object(Bucket=stage.stack.bucket, Key=key)
    del document["payload"]
    return document


def test_a_record_that_a_pointer_names_is_shown_like_any_other(
    stage: Stage, tmp_path: Path
) -> None:
    pointers = tmp_path / "pointers.ndjson"
    pointers.write_bytes(msgspec.json.encode(pointer(stage)))
    (case,) = stage.answer("quarantine", "list", "--pointers", pointers)["cases"]
    shown = stage.answer("quarantine", "show", case["id"], "--pointers", pointers)
    assert shown["case"]["reasons"] == ["given_up"]
    assert shown["contents"]["this"]["image"]["name"] == "T1 at version 7"
    assert stage.lockstep("quarantine", "show", case["id"]).exit_code == 2


def test_a_pointer_redrives_what_the_stream_still_holds(stage: Stage, tmp_path: Path) -> None:
    document = pointer(stage)
    lost = {**document, "KinesisBatchInfo": document["KinesisBatchInfo"]}
    lost["KinesisBatchInfo"] = lost["KinesisBatchInfo"] | {"shardId": "shardId-000000000077"}
    pointers = tmp_path / "pointers.ndjson"
    pointers.write_bytes(
        b"\n".join(
            msgspec.json.encode(one)
            for one in [{"Body": msgspec.json.encode(document).decode()}, lost]
        )
    )
    result = stage.answer("redrive", "--pointers", pointers, "--apply")
    assert result["report"]["redriven"] == 1
    (gone,) = result["gone"]
    assert (gone["shard_id"], gone["records"]) == ("shardId-000000000077", 1)
    stage.drain()
    assert stage.names("T1") == {"T1 at version 7"}
    assert stage.answer("redrive", "--pointers", pointers, "--apply")["report"]["redriven"] == 0


@pytest.mark.parametrize(("days", "action"), [(89, "redrive"), (91, "too_old")])
def test_a_record_may_be_put_back_until_it_is_90_days_old(
    stage: Stage, days: int, action: str
) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.drain()
    age_ms = days * 24 * 60 * 60 * 1000
    s3, bucket = stage.clients.s3, stage.stack.bucket
    for key in stage.keys("quarantine/"):
        record = msgspec.json.decode(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        record["arrived_at"] -= age_ms
        s3.put_object(Bucket=bucket, Key=key, Body=msgspec.json.encode(record))
    (case,) = stage.answer("quarantine", "list")["cases"]
    assert case["action"] == action


@pytest.mark.parametrize(("days", "why"), [(38, "for 38 days"), (0, "for an unknown time")])
def test_nothing_is_redriven_where_the_consumers_keep_tombstones_for_less(
    stage: Stage, days: int, why: str
) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.drain()
    write_local(msgspec.structs.replace(stage.stack, horizon_days=days), stage.state)
    for words in (["redrive"], ["redrive", "--apply"]):
        result = stage.lockstep(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert why in result.stderr
        assert "deploy this release first" in result.stderr
    assert stage.lockstep("quarantine", "list").exit_code == 0
    assert len(stage.keys("quarantine/")) == 2


def test_a_table_in_a_pipe_has_whole_ids_and_nothing_that_controls_a_terminal(
    stage: Stage,
) -> None:
    stage.put_raw(image_event("T" * 200, 2**53 - 1), "T" * 200)
    stage.put_raw(b"{", "\x1b[31mred")
    stage.put_raw(image_event("T1", 7), "T9")
    stage.drain()
    for words in (["redrive"], ["quarantine", "list"], ["quarantine", "stats"]):
        result = stage.lockstep(*words)
        assert result.exit_code == 0, result.output
        assert words[-1] == "stats" or "T" * 200 in result.stdout
        assert "\x1b" not in result.output
    stats = stage.answer("quarantine", "stats")
    assert (stats["records"], stats["images"]) == (3, 3)


def test_an_unknown_id_is_reported_in_one_line(stage: Stage) -> None:
    for words in (["quarantine", "show", "x"], ["redrive", "x"]):
        result = stage.lockstep(*words)
        assert result.exit_code == 2
        assert "lockstep quarantine list" in result.stderr


@pytest.mark.parametrize(
    ("consumer", "kind", "ahead"),
    [
        ("write_to_dynamodb", "missing_in_table", {"explained": 1}),
        ("write_to_es", "missing_in_index", {}),
    ],
)
def test_what_a_mapping_discarded_is_explained_and_counted(
    stage: Stage, consumer: Name, kind: str, ahead: dict[str, int]
) -> None:
    stage.put_raw(image_event("T1", 7), "T1")
    stage.give_up(consumer)
    (other,) = {"write_to_dynamodb", "write_to_es"} - {consumer}
    stage.consumers[other].drain(now=0.0)  # type: ignore[index]
    result = stage.lockstep("audit", "--watermark", "0", "--json")
    found = msgspec.json.decode(result.stdout)
    assert result.exit_code == 1
    assert found["differences"] == {kind: 1, "explained_by_quarantine": 1}
    assert found.get("ahead", {}) == ahead
    objects = BucketObjects(stage.clients.s3, stage.stack.bucket)
    now = dt.datetime.now(dt.UTC)
    counts = count(objects, stage.stack.table_mapping, now)
    assert counts.discarded == {consumer: 1, other: 0}
    assert (counts.objects, counts.over_60_days) == (0, 0)
    assert count(objects, stage.stack.table_mapping, now + dt.timedelta(61)).over_60_days == 1
