"""`lockstep get` shows what both stores hold of one image, and calls it what an audit does."""

from typing import Any

import msgspec
import pytest

from lockstep.audit.compare import DifferenceKind
from lockstep.stack.stack import write_local
from tests.builders import image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import (
    CORRUPTIONS,
    Corruption,
    Hand,
    a_change,
    over_since_yesterday,
    stamp,
)

WAS = a_change("T1", stamp(3_600), "as it was")


def got(stage: Stage, image_id: str = "T1", *, code: int) -> Any:
    result = stage.lockstep("get", image_id, "--json")
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


def test_an_image_that_both_stores_have_is_shown_once_for_each(stage: Stage) -> None:
    Hand(stage).write_both(WAS)
    found = got(stage, code=0)
    assert (found["result"], found["difference"], found["differs"]) == ("equal", None, [])
    for store in ("table", "index"):
        held = found[store]
        assert (held["state"], held["version"]) == ("image", WAS.version)
        assert held["image"] == {"name": "as it was", "tags": ["a"], "width": 1}
    assert (found["quarantine"], found["not_read"]) == ([], [])
    shown = stage.lockstep("get", "T1").stdout
    assert shown.startswith("T1: equal: both stores have the same image\n")
    assert "*" not in shown


def test_an_id_that_no_image_can_have_is_named(stage: Stage) -> None:
    shown = stage.lockstep("get", "a b")
    assert shown.exit_code == 1
    assert shown.stdout.startswith("a b: absent: neither store has it. No image can have this ID: ")
    assert "No image" not in stage.lockstep("get", "T2").stdout


@pytest.mark.parametrize(
    ("kind", "spoil"), CORRUPTIONS, ids=[spoil.__name__ for _, spoil in CORRUPTIONS]
)
def test_a_difference_has_the_name_that_an_audit_gives_it(
    stage: Stage, kind: DifferenceKind, spoil: Corruption
) -> None:
    hand = Hand(stage)
    hand.write_both(WAS)
    spoil(hand, WAS)
    found = got(stage, code=1)
    assert (found["result"], found["difference"]) == ("different", kind)
    assert found["differs"]
    shown = stage.lockstep("get", "T1")
    assert shown.exit_code == 1
    assert shown.stdout.startswith(f"T1: different: {kind}\n")
    marked = [line.split()[1] for line in shown.stdout.splitlines() if line.startswith("*")]
    assert marked == found["differs"]


def test_a_value_that_somebody_changed_is_shown_and_marked(stage: Stage) -> None:
    hand = Hand(stage)
    hand.write_both(WAS)
    hand.name_changed_in_index(WAS)
    found = got(stage, code=1)
    assert "name" in found["differs"]
    assert "digest" in found["index"]["malformed"]
    assert [found[one]["image"]["name"] for one in ("table", "index")] == ["as it was", "by hand"]
    hand.name_changed_in_table(WAS)
    assert got(stage, code=1)["table"]["image"]["name"] == "by hand"


def test_a_tombstone_is_named_as_one_and_an_expired_one_counts_as_absent(stage: Stage) -> None:
    hand = Hand(stage)
    hand.write_both(a_change("T1", stamp(), None), over_since_yesterday("T2", stamp()))
    found = got(stage, code=1)
    assert found["result"] == "deleted"
    assert [found[one]["state"] for one in ("table", "index")] == ["tombstone", "tombstone"]
    assert stage.lockstep("get", "T1").stdout.startswith("T1: deleted: both stores have its tomb")
    found = got(stage, "T2", code=1)
    assert (found["result"], found["table"]["state"]) == ("absent", "expired_tombstone")
    assert "image" not in found["table"]


def test_an_image_that_nobody_put_is_absent(stage: Stage) -> None:
    found = got(stage, code=1)
    assert (found["result"], found["table"], found["index"]) == ("absent", None, None)
    assert stage.lockstep("get", "T1").stdout == "T1: absent: neither store has it\n"


def test_what_is_in_quarantine_of_the_image_is_listed_and_of_others_not(stage: Stage) -> None:
    stage.put_raw(image_event("Q1", stamp()), "T1")
    stage.put_raw(b"{", "T1")
    stage.put_raw(b"{", "T2")
    stage.drain()
    found = got(stage, code=1)
    assert [case["reasons"] for case in found["quarantine"]] == [["not_json"]]
    assert [case["reasons"] for case in got(stage, "Q1", code=1)["quarantine"]] == [
        ["partition_key"]
    ]
    shown = stage.lockstep("get", "T1").stdout
    assert "in quarantine: 1 record of this image" in shown
    assert found["quarantine"][0]["id"] in shown


def test_a_store_that_does_not_answer_is_named_and_the_other_is_shown(stage: Stage) -> None:
    Hand(stage).write_both(WAS)
    gone = msgspec.structs.replace(stage.stack.endpoints, opensearch="http://127.0.0.1:9")
    write_local(msgspec.structs.replace(stage.stack, endpoints=gone), stage.state)
    found = got(stage, code=2)
    assert (found["result"], found["difference"], found["index"]) == ("unknown", None, None)
    assert found["table"]["image"]["name"] == "as it was"
    assert [one["source"] for one in found["not_read"]] == ["index"]
    assert "NOT read: index" in stage.lockstep("get", "T1").stdout
