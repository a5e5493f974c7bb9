"""Discarding a record on the real engines: what is said of it comes true."""

import getpass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.builders import image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, stamp


def only_case(stage: Stage) -> dict[str, Any]:
    (case,) = stage.answer("quarantine", "list")["cases"]
    found: dict[str, Any] = case
    return found


def audited(stage: Stage, *words: object, code: int) -> Any:
    result = stage.lockstep("audit", "--watermark", "5", *words, "--json")
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


def quarantined_by_table_only(stage: Stage) -> Hand:
    """The index has an image, and the table's consumer has quarantined a record of it."""
    hand = Hand(stage)
    hand.write(hand.index_sink, a_change("T1", stamp(DAY), "in the index"))
    stage.put_raw(b"{", "T1")
    stage.consumers["write_to_dynamodb"].drain(now=0.0)
    return hand


@pytest.mark.parametrize(("winner", "names"), [("table", {None}), ("index", {"in the index"})])
def test_what_only_the_index_has_is_explained_until_the_discard_and_then_settled_by_an_answer(
    stage: Stage, tmp_path: Path, winner: str, names: set[str | None]
) -> None:
    quarantined_by_table_only(stage)
    assert audited(stage, code=1)["ahead"] == {"explained": 1}
    case_id = only_case(stage)["id"]
    discard = ("quarantine", "discard", case_id, "--reason", "the source gave it up")
    dry = stage.lockstep(*discard)
    said = " ".join(dry.stdout.split())
    assert "the index is ahead (image): a repair leaves it, and your answer settles it" in said
    assert "`lockstep audit --values --report FILE" in said
    assert "1 record would be discarded; nothing is changed yet: add --apply" in said
    assert (dry.exit_code, len(stage.keys("quarantine/")), stage.keys("discarded/")) == (0, 1, [])
    done = stage.answer(*discard, "--apply")
    assert (done["planned"][0]["audit"], done["planned"][0]["ahead"]) == ("ahead", "image")
    assert (done["report"]["discarded"], done["report"]["objects"]) == (1, 1)
    (key,) = stage.keys("discarded/")
    trace = stage.body(key)["discarded"]
    assert (trace["reason"], trace["by"]) == ("the source gave it up", getpass.getuser())
    # It is settled: nothing lists it, and nothing brings it back.
    assert stage.answer("quarantine", "list")["cases"] == []
    assert stage.answer("redrive", "--apply")["report"]["redriven"] == 0
    assert stage.lockstep(*discard).exit_code == 2
    replayed = stage.answer("replay", "--since", "1h", "--apply")
    assert (replayed["discarded"], stage.keys("quarantine/")) == (1, [])
    # It explains nothing any more, and an answer settles what only the index has.
    report = tmp_path / "report.ndjson"
    assert audited(stage, "--report", report, code=1)["ahead"] == {"image": 1}
    answer = ("--repair", f"--{winner}-wins", report, "--apply", "--at-most", "100")
    assert audited(stage, *answer, code=0)["after"]["result"] == "equal"
    assert stage.names("T1") == names
    told = msgspec.json.decode(stage.lockstep("trace", "T1", "--json").stdout)["events"]
    found = {one["what"]: one for one in told}
    assert found.keys() >= {"arrived", "quarantined", "discarded_by_operator"}
    assert found["discarded_by_operator"]["detail"] == f"by {trace['by']}: {trace['reason']}"
    assert ("replaced" in found) == (winner == "table")


def test_another_record_of_the_image_still_explains_the_difference(stage: Stage) -> None:
    quarantined_by_table_only(stage)
    stage.put_raw(b"[", "T1")
    stage.consumers["write_to_dynamodb"].drain(now=0.0)
    first, second = (one["id"] for one in stage.answer("quarantine", "list")["cases"])
    reason = ("--reason", "test")
    one = stage.answer("quarantine", "discard", first, *reason)["planned"]
    assert [one["audit"] for one in one] == ["explained"]
    both = stage.answer("quarantine", "discard", first, second, first, *reason)["planned"]
    assert [one["audit"] for one in both] == ["ahead", "ahead"]


def test_a_conflict_of_equal_stores_is_discarded_and_both_stay_equal(stage: Stage) -> None:
    version = stamp()
    for name in ("first", "second"):
        stage.put_raw(image_event("T1", version, image={"name": name}), "T1")
        stage.drain()
    case = only_case(stage)
    assert case["reasons"] == ["conflict"]
    done = stage.answer("quarantine", "discard", case["id"], "--reason", "a copy", "--apply")
    assert done["planned"][0]["audit"] == "equal"
    assert (stage.names("T1"), stage.keys("quarantine/")) == ({"first"}, [])
    assert audited(stage, code=0)["result"] == "equal"


def test_a_discarded_record_that_is_moved_back_is_redriven(stage: Stage) -> None:
    stage.put_raw(image_event("T1", 7), "T9")
    stage.drain()
    case_id = only_case(stage)["id"]
    stage.answer("quarantine", "discard", case_id, "--reason", "a mistake", "--apply")
    for key in stage.keys("discarded/"):
        stage.write(key.replace("discarded/", "quarantine/"), stage.body(key))
        stage.clients.s3.delete_object(Bucket=stage.stack.bucket, Key=key)
    assert only_case(stage)["id"] == case_id
    assert stage.answer("redrive", "--apply")["report"]["redriven"] == 1
    stage.drain()
    assert stage.names("T1") == {"T1 at version 7"}


def test_a_discard_needs_a_reason(stage: Stage) -> None:
    for words in ([], ["--reason", " "], ["--reason", "x" * 1_001]):
        result = stage.lockstep("quarantine", "discard", "x", *words)
        assert result.exit_code == 2
        assert "--reason" in result.stderr.splitlines()[-1]
