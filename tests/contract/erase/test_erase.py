"""Erasing images on the real engines: a planted marker is nowhere afterwards, and others stay."""

import datetime as dt
from pathlib import Path

import msgspec
import pytest

from shared.stamps import FIRST_STAMP
from tests.builders import image, image_event
from tests.contract.erase.conftest import Planted
from tests.contract.erase.planting import MARKER, align, event, plant, put, put_object
from tests.contract.repair.hand import DAY, Hand, a_change, stamp

KEY = "holiday/Ada at the sea.jpg"


def test_a_marker_that_was_planted_everywhere_is_nowhere_afterwards(planted: Planted) -> None:
    plant(planted.stage, "ada.jpg")
    planted.upload("ada.jpg")
    stack = planted.stage.stack
    assert stack.pictures is not None
    planted.clients.s3.put_object(
        Bucket=stack.pictures.thumbnails, Key=f"ada.jpg/{'0' * 64}-320.webp", Body=MARKER.encode()
    )
    (dry,) = planted.erase("ada.jpg")["images"]
    assert dry["result"] == "not_applied"
    assert dry["found"].keys() == {
        "table",
        "index",
        "attributes of others in the table",
        "stray documents",
        "quarantine/",
        "redriven/",
        "discarded/",
        "aws/lambda/",
        "replaced/",
        "audits/",
        "audit under way",
        "pictures",
    }
    before = planted.with_marker()
    assert len(before) > 10
    receipt = planted.folder / "receipt.json"
    done = planted.erase("ada.jpg", "--apply", "--receipt", receipt)
    (one,) = done["images"]
    assert (one["result"], one["found"]) == ("erased", dry["found"])
    assert planted.with_marker() == []
    # Others are as they were, and what was discarded of them can still be redriven.
    got = planted.stage.answer("get", "other-1")
    assert got["result"] == "equal"
    cases = planted.stage.answer("quarantine", "list")["cases"]
    assert {(case["image_id"], case["action"]) for case in cases} == {
        ("other-1", "redrive"),
        ("other-2", "redrive"),
    }
    assert planted.stage.answer("redrive", "--apply")["report"]["redriven"] == len(cases)
    planted.stage.drain()
    assert (
        b"other-1"
        in dict(planted.objects())[
            f"{stack.bucket}/replaced/2026-11-21T070000.000000Z/events-000001.ndjson"
        ]
    )
    # The receipt has no id, and proves it again.
    assert b"ada" not in receipt.read_bytes()
    proof = planted.erase("--verify", receipt)
    assert (proof["result"], proof["erased"], proof["images"]) == ("gone", 1, [])
    assert planted.stage.lockstep("audit", "--values").exit_code == 0


def test_what_was_erased_does_not_come_back(planted: Planted) -> None:
    old = stamp(DAY)
    put(planted.stage, event("i-1", old))
    planted.erase("i-1", "--apply", "--receipt", planted.folder / "r.json")
    put(planted.stage, event("i-1", old), event("i-1", old + 5))
    assert planted.stage.answer("replay", "--since", "1h", "--apply")["records"] > 0
    assert planted.with_marker() == []
    # A second time there is nothing to do, and no new tombstone.
    (again,) = planted.erase("i-1", "--apply", "--receipt", planted.folder / "s.json")["images"]
    first = msgspec.json.decode((planted.folder / "r.json").read_bytes())["images"]
    assert (again["result"], again["found"]) == ("erased", {})
    assert again["version"] == first[0]["version"]


def test_a_picture_whose_key_is_no_id_goes_with_all_that_follows_from_it(planted: Planted) -> None:
    planted.upload(KEY)
    align(planted.stage, KEY)
    (image_id,) = (hit["image_id"] for hit in planted.stage.answer("search", "sea")["hits"])
    assert ":sha256-" in image_id
    (one,) = planted.erase(image_id, "--apply", "--receipt", planted.folder / "r.json")["images"]
    assert (one["result"], one["found"]) == ("erased", {"table": 1, "index": 1, "pictures": 1})
    assert planted.with_marker() == []
    # Who looks at the key again finds it in line.
    assert align(planted.stage, KEY) == "unchanged"


def test_an_image_that_is_uploaded_again_is_a_new_one_and_stays(planted: Planted) -> None:
    put(planted.stage, event("i-1", stamp(DAY)))
    receipt = planted.folder / "r.json"
    planted.erase("i-1", "--apply", "--receipt", receipt)
    put(planted.stage, event("i-1", stamp()))
    proof = planted.erase("--verify", receipt, code=1)
    (found,) = proof["images"]
    assert (proof["result"], found["image_id"], found["found"]) == ("uploaded_again", "i-1", {})
    uploaded = dt.datetime.fromisoformat(found["uploaded_at"])
    assert abs(uploaded.timestamp() - stamp() / 1e6) < 600
    (again,) = planted.erase("--again", receipt, "--apply", code=1)["images"]
    assert again["result"] == "uploaded_again"
    assert planted.stage.answer("get", "i-1")["result"] == "equal"


def test_what_a_restore_brings_back_is_found_by_its_hash_and_erased_again(
    planted: Planted,
) -> None:
    old = [a_change(f"i-{number}", stamp(DAY), MARKER) for number in range(3)]
    Hand(planted.stage).write_both(*old)
    receipt = planted.folder / "r.json"
    planted.erase("i-1", "i-2", "--apply", "--receipt", receipt)
    # Somebody writes them again from a copy, past the stream.
    hand = Hand(planted.stage)
    for one in [a_change(f"i-{number}", stamp(0), MARKER) for number in (1, 2)]:
        hand.delete_item(one)
        hand.write(hand.table_sink, one)
    proof = planted.erase("--verify", receipt, code=1)
    assert proof["result"] == "came_back"
    assert [(one["image_id"], one["found"]) for one in proof["images"]] == [
        ("i-1", {"table": 1}),
        ("i-2", {"table": 1}),
    ]
    dry = planted.erase("--again", receipt)
    assert [one["result"] for one in dry["images"]] == ["not_applied"] * 2
    second = planted.folder / "second.json"
    done = planted.erase("--again", receipt, "--apply", "--receipt", second)
    assert [(one["image_id"], one["result"]) for one in done["images"]] == [
        ("i-1", "erased"),
        ("i-2", "erased"),
    ]
    assert planted.erase("--verify", receipt, second)["result"] == "gone"
    assert planted.stage.answer("get", "i-0")["result"] == "equal"
    assert not planted.stage.lockstep("audit").exit_code


def test_images_are_chosen_by_an_attribute_with_exactly_this_value(planted: Planted) -> None:
    old = stamp(DAY)
    put(planted.stage, event("i-1", old), event("i-2", old), image_event("i-3", old))
    near = image("near", attributes={"person": f"{MARKER}2", "other": MARKER})
    put(planted.stage, event("i-4", old, image=near))
    # The table lacks one of them.
    Hand(planted.stage).delete_item(a_change("i-2", old, None))
    refused = planted.run("erase", "--where", f"person={MARKER}", "--wait", 1)
    assert refused.exit_code == 2
    assert "of image i-2 is on the stream and not in the table yet" in refused.stderr
    planted.stage.answer("replay", "--since", "1h", "--rate", "10000", "--apply")
    dry = planted.run("erase", "--where", f"person={MARKER}")
    assert dry.exit_code == 0, dry.output
    assert "2 images to erase:\n  i-1\n  i-2\n" in dry.stderr
    done = planted.erase(
        "--where", f"person={MARKER}", "--apply", "--receipt", planted.folder / "r.json"
    )
    assert [(one["image_id"], one["result"]) for one in done["images"]] == [
        ("i-1", "erased"),
        ("i-2", "erased"),
    ]
    for kept in ("i-3", "i-4"):
        assert planted.stage.answer("get", kept)["result"] == "equal"
    assert planted.erase("--where", f"person={MARKER}")["images"] == []


def test_a_source_that_counts_versions_must_give_the_next_one(planted: Planted) -> None:
    put(planted.stage, event("i-1", 7))
    refused = planted.run("erase", "i-1", "--apply")
    assert refused.exit_code == 2
    assert "its source counts versions" in refused.stderr
    assert planted.stage.answer("get", "i-1")["result"] == "equal"
    done = planted.erase("i-1", "--version", 8, "--apply", "--receipt", planted.folder / "r.json")
    assert (done["images"][0]["result"], done["images"][0]["version"]) == ("erased", 8)
    assert planted.with_marker() == []


def test_the_tombstone_is_above_what_is_in_quarantine(planted: Planted) -> None:
    """A replay may deliver that again, as long as the stream has it."""
    old = stamp(DAY)
    put(planted.stage, event("i-1", old))
    planted.stage.put_raw(event("i-1", old + 9), "other")
    planted.stage.drain()
    planted.stage.put_raw(event("i-1", old + 3, event_type="image.deleted"), "i-1")
    (one,) = planted.erase("i-1", "--apply", "--receipt", planted.folder / "r.json")["images"]
    assert one["version"] > old + 9 >= FIRST_STAMP
    assert planted.with_marker() == []


def test_content_that_only_the_quarantine_has_goes_though_no_event_can_have_its_id(
    planted: Planted,
) -> None:
    put(planted.stage, event("Ada at the sea", 3))
    (one,) = planted.erase("Ada at the sea", "--apply", "--receipt", planted.folder / "r.json")[
        "images"
    ]
    assert (one["result"], one["found"], one["version"]) == ("erased", {"quarantine/": 2}, None)
    assert planted.with_marker() == []


def test_there_is_nothing_of_an_unknown_image(planted: Planted) -> None:
    (one,) = planted.erase("never", code=1)["images"]
    assert (one["result"], one["found"]) == ("absent", {})


def test_an_object_of_which_nobody_knows_makes_the_end_unknown(planted: Planted) -> None:
    put(planted.stage, event("i-1", stamp(DAY)))
    put_object(planted.stage, "export/data.json.gz", b"?")
    done = planted.erase("i-1", "--apply", "--receipt", planted.folder / "r.json", code=2)
    assert [one.partition(":")[0] for one in done["unreadable"]] == ["export/data.json.gz"]


def test_nothing_is_erased_while_a_store_has_no_tombstone_yet(planted: Planted) -> None:
    put(planted.stage, event("i-1", stamp(DAY)))
    words = ("i-1", "--apply", "--wait", 1, "--receipt", planted.folder / "r.json", "--json")
    result = planted.stage.lockstep("erase", *words)  # the consumers do not run
    assert result.exit_code == 2
    (one,) = msgspec.json.decode(result.stdout)["images"]
    assert (one["result"], one["detail"].partition(":")[0]) == (
        "unknown",
        "no tombstone in the table and the index yet",
    )
    planted.stage.drain()
    assert (
        planted.erase("i-1", "--apply", "--receipt", planted.folder / "s.json")["images"][0][
            "result"
        ]
        == "erased"
    )


def test_nothing_is_erased_during_a_rebuild_that_copies_images(planted: Planted) -> None:
    put(planted.stage, event("i-1", stamp(DAY)))
    index = planted.stage.stack.index
    planted.clients.opensearch.indices.create(
        index=f"{index}-000009",
        body={"mappings": {"_meta": {"rebuild": {"replaces": None, "worker": WORKER}}}},
    )
    result = planted.run("erase", "i-1", "--apply")
    assert (result.exit_code, planted.stage.answer("get", "i-1")["result"]) == (2, "equal")
    assert f"a rebuild into {index}-000009 has not ended" in result.stderr


@pytest.mark.parametrize("words", [["--verify"], ["--again"]])
def test_a_receipt_must_be_one_of_this_stack(
    planted: Planted, tmp_path: Path, words: list[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}")
    result = planted.run("erase", *words, other)
    assert result.exit_code == 2
    assert "is no receipt of `lockstep erase`" in result.stderr


WORKER = {"host": "h", "pid": 1, "started_at": 1.0}
