"""Histories in which the index is ahead of the table, on the real engines, to their end."""

import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.repair.replaced import REPLACED
from shared.change import Change
from tests.builders import image_event
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, stamp

HOURS = 3_600_000_000  # in microseconds


def ran(stage: Stage, *words: object, code: int) -> Any:
    whole = ("audit", "--watermark", "10", *words, "--json")
    result = stage.lockstep(*whole)
    assert result.exit_code == code, result.output
    return msgspec.json.decode(result.stdout)


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "report.ndjson"


def items_of(hand: Hand) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = hand.dynamodb.scan(TableName=hand.table)["Items"]
    return sorted(items, key=lambda item: item["image_id"]["S"])


def restore(hand: Hand, items: list[dict[str, Any]]) -> None:
    """What a restore leaves of the table: these items, and no others."""
    for item in items_of(hand):
        hand.dynamodb.delete_item(TableName=hand.table, Key={"image_id": item["image_id"]})
    for item in items:
        hand.dynamodb.put_item(TableName=hand.table, Item=item)


def names(stage: Stage, changes: list[Change]) -> dict[str, set[str | None]]:
    return {one.image_id: stage.names(one.image_id) for one in changes}


def test_a_table_restored_to_20_days_ago_gets_back_what_only_the_index_has(
    stage: Stage, report: Path
) -> None:
    hand = Hand(stage)
    then = stamp(25 * DAY)
    before = [a_change(f"i{n}", then, f"image {n}", age=25 * DAY) for n in range(30)]
    hand.write_both(*before)
    restored = items_of(hand)
    since = [
        *(a_change(f"i{n}", stamp(), f"changed {n}") for n in range(3)),
        *(a_change(f"i{n}", stamp(), None) for n in range(3, 6)),
        *(a_change(f"new{n}", stamp(), f"new {n}") for n in range(9)),
    ]
    hand.write_both(*since)
    whole = items_of(hand)
    wanted = names(stage, [*before, *since])
    restore(hand, restored)

    found = ran(stage, "--report", report, code=1)
    assert found["differences"] == {"missing_in_table": 9, "table_behind": 6}
    assert found["ahead"] == {"image": 12, "removal": 3}
    shown = stage.lockstep("audit", "--watermark", "1").stdout
    assert f"`lockstep replay --since {found['replay_since'][:19]}" in shown
    assert "docs/guides/restore.md" in shown
    # A plain repair changes nothing, in either store.
    repaired = ran(stage, "--repair", "--apply", "--at-most", "100", code=1)
    assert (repaired["plan"]["changes"], repaired["plan"]["ahead"]) == (0, 15)
    assert (items_of(hand), ran(stage, code=1)["ahead"]) == (restored, {"image": 12, "removal": 3})

    dry = ran(stage, "--repair", "--index-wins", report, code=1)
    assert dry["plan"]["changes"] == 12
    assert items_of(hand) == restored
    answer = ("--repair", "--index-wins", report, "--apply", "--at-most", "100")
    done = ran(stage, *answer, code=1)
    assert done["answered"]["written"] == {"write_table": 12}
    assert done["after"]["ahead"] == {"removal": 3}
    done = ran(stage, *answer, "--kind", "removal", code=0)
    assert done["answered"]["written"] == {"write_table": 3}
    assert names(stage, [*before, *since]) == wanted
    assert [item["version"] for item in items_of(hand)] == [item["version"] for item in whole]
    # The same again: both stores are equal by now.
    again = ran(stage, *answer, "--kind", "image,removal", code=0)
    assert (again["plan"]["settled"], again["plan"]["changes"]) == (15, 0)


def test_an_emptied_table_gets_decomposed_names_back_byte_for_byte(
    stage: Stage, report: Path
) -> None:
    """The search composes characters in the index's analysis, never in the image."""
    hand = Hand(stage)
    written = (
        "경복궁의 봄",
        "Nguyễn ở Đà Nẵng",
        "がくぶち",
        "Café\u200b zum\u00ad Löwen",
        "ﻛﺘﺎﺏ ١٩٨٢",
    )
    names = [unicodedata.normalize(form, name) for name in written for form in ("NFC", "NFD")]
    hand.write_both(*(a_change(f"i{n}", stamp(DAY), name) for n, name in enumerate(names)))
    assert ran(stage, "--values", code=0)["result"] == "equal"
    items = items_of(hand)
    assert {item["image"]["M"]["name"]["S"] for item in items} == {*names}

    restore(hand, [])
    ran(stage, "--values", "--report", report, code=1)
    answer = ("--repair", "--index-wins", report, "--apply", "--at-most", "100")
    assert ran(stage, *answer, code=0)["answered"]["written"] == {"write_table": len(names)}
    assert ran(stage, "--values", code=0)["result"] == "equal"
    back = items_of(hand)
    for one in ("image", "digest", "version", "occurred_at", "arrived_at"):
        assert [item[one] for item in back] == [item[one] for item in items]


def test_a_table_that_was_emptied_and_refilled_while_it_feeds_the_index_keeps_every_image(
    stage: Stage, report: Path
) -> None:
    """The consumer of the table's stream writes a tombstone one version above each REMOVE."""
    hand = Hand(stage)
    kept = [a_change(f"i{n}", stamp(DAY), f"image {n}") for n in range(20)]
    hand.write_both(*kept)
    items = items_of(hand)
    removed = [a_change(one.image_id, one.version + 1, None) for one in kept]
    hand.write(hand.index_sink, *removed)
    ran(stage, "--repair", "--apply", "--at-most", "100", code=1)
    assert ran(stage, "--report", report, code=1)["ahead"] == {"removal": 20}
    assert items_of(hand) == items
    answer = ("--repair", "--table-wins", report, "--kind", "removal", "--apply")
    limited = stage.lockstep("audit", *answer)
    assert limited.exit_code == 2
    assert "20 of 20 images would be written: 100 % is more than 1 %" in limited.stderr
    done = ran(stage, *answer, "--at-most", "100", code=0)
    assert done["answered"]["written"] == {"replace_document": 20}
    assert items_of(hand) == items
    assert names(stage, kept) == {f"i{n}": {f"image {n}"} for n in range(20)}


def test_a_version_moved_13_hours_ahead_is_mended_and_the_next_event_is_not_stale(
    stage: Stage,
) -> None:
    hand = Hand(stage)
    was = a_change("T1", stamp(DAY), "image")
    hand.write_both(was)
    moved = a_change("T1", stamp() + 13 * HOURS, "image")
    hand.overwrite(moved, version=was.version, arrived_at=was.arrived_at)
    assert ran(stage, code=1)["differences"] == {"index_version_moved": 1}
    items = items_of(hand)
    done = ran(stage, "--repair", "--apply", "--at-most", "100", code=0)
    assert done["repaired"]["written"] == {"forget": 1, "write_index": 1}
    assert items_of(hand) == items
    next_event(stage, "T1")


def next_event(stage: Stage, image_id: str) -> None:
    """The next rightful event of the image reaches both stores."""
    stage.put_raw(image_event(image_id, stamp(), image={"name": "the next"}), image_id)
    stage.drain()
    assert stage.names(image_id) == {"the next"}


def test_the_table_wins_over_a_forged_document_and_put_brings_it_back(
    stage: Stage, report: Path
) -> None:
    hand = Hand(stage)
    hand.write_both(a_change("T1", stamp(DAY), "rightful"))
    hand.write(hand.index_sink, a_change("T1", stamp() + 13 * HOURS, "forged"))
    hand.overwrite(a_change("alone", stamp(DAY), "alone"), digest="none of ours")
    ran(stage, "--values", "--report", report, code=1)
    ran(stage, "--repair", "--apply", "--at-most", "100", code=1)
    assert stage.names("T1") == {"rightful", "forged"}
    done = ran(stage, "--repair", "--table-wins", report, "--apply", "--at-most", "100", code=0)
    assert done["answered"]["written"] == {"remove_document": 1, "replace_document": 1}
    assert done["answered"]["kept"].startswith(REPLACED)
    assert (stage.names("T1"), stage.names("alone")) == ({"rightful"}, {None})
    events, documents = (
        next(key for key in stage.keys(done["answered"]["kept"]) if name in key)
        for name in ("events", "documents")
    )
    kept = msgspec.json.decode(body_of(stage, documents))
    assert (kept["_id"], kept["_source"]["name"]) == ("alone", "alone")
    next_event(stage, "T1")
    # The operator erred: the forged document was the right one.
    back = report.with_name("back.ndjson")
    back.write_bytes(body_of(stage, events))
    result = stage.lockstep("put", back)
    assert result.exit_code == 0, result.output
    stage.drain()
    assert stage.names("T1") == {"forged"}
    assert ran(stage, code=0)["result"] == "equal"


# Documents that no sink writes, as another program may leave them in the index.
FOREIGN: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "empty": ({}, {}),
    "b/ad id": ({"name": "by hand"}, {}),
    "number": ({"image_id": "number", "version": 5, "deleted": False}, {}),
    "deleted": ({"image_id": "deleted", "version": 5, "deleted": True}, {}),
    "old": ({"image_id": "old", "version": 3, "arrived_at": 1_000}, {}),
    "other": ({"image_id": "somebody-else"}, {}),
    "highest": ({}, {"version": str(2**63 - 1), "version_type": "external"}),
}


def test_documents_that_only_the_index_has_and_no_sink_wrote_are_removed_by_an_answer(
    stage: Stage, report: Path
) -> None:
    hand = Hand(stage)
    hand.write_both(a_change("ours", stamp(DAY), "ours"))
    for image_id, (source, how) in FOREIGN.items():
        hand.opensearch.index(index=hand.index, id=image_id, body=source, params=how)
    everything = ("--repair", "--kind", "image,removal,outlived", "--at-most", "100")
    assert ran(stage, "--report", report, code=1)["ahead"] == {
        "image": 5,
        "outlived": 1,
        "removal": 1,
    }
    shown = stage.lockstep("audit", "--repair", "--apply", "--at-most", "100").stdout
    assert "only `audit --repair --table-wins FILE` settles it" in " ".join(shown.split())
    # Only the table can win: nobody knows what these documents should say.
    index_wins = ran(stage, *everything, "--index-wins", report, code=1)["plan"]
    assert (index_wins["changes"], index_wins["left"]) == (0, len(FOREIGN))
    # One changes after the audit, and one leaves: neither is as the report says.
    hand.opensearch.index(index=hand.index, id="empty", body={"name": "changed"})
    hand.opensearch.delete(index=hand.index, id="old")
    dry = ran(stage, *everything, "--table-wins", report, code=1)["plan"]
    assert (dry["changes"], dry["left"], dry["settled"]) == (len(FOREIGN) - 2, 1, 1)
    done = ran(stage, *everything, "--table-wins", report, "--apply", code=1)["answered"]
    assert done["written"] == {"remove_document": len(FOREIGN) - 2}
    assert [one["image_id"] for one in done["left"]] == ["empty"]
    kept = body_of(stage, f"{done['kept']}documents-000001.ndjson").splitlines()
    assert {msgspec.json.decode(line)["_id"] for line in kept} == FOREIGN.keys() - {"empty", "old"}
    # The next audit sees it as it is now.
    assert ran(stage, "--report", report, code=1)["ahead"] == {"image": 1}
    again = ran(stage, *everything, "--table-wins", report, "--apply", code=0)
    assert again["answered"]["written"] == {"remove_document": 1}
    assert stage.names("ours") == {"ours"}


def body_of(stage: Stage, key: str) -> bytes:
    got = stage.clients.s3.get_object(Bucket=stage.stack.bucket, Key=key)
    return got["Body"].read()


@pytest.mark.parametrize(
    "version",
    [{"S": "x"}, {"N": "1E+100"}, {"N": "5.5"}, {"L": [{"N": "1"}]}, {"NULL": True}, None],
)
def test_the_index_wins_over_a_malformed_item_only_if_its_version_is_as_it_was(
    stage: Stage, report: Path, version: dict[str, Any] | None
) -> None:
    hand = Hand(stage)
    was = a_change("T1", stamp(DAY), "image")
    hand.write_both(was)
    if version is None:
        hand.update_item("T1", "REMOVE version")
    else:
        hand.update_item("T1", "SET version = :v", ExpressionAttributeValues={":v": version})
    assert ran(stage, "--report", report, code=1)["ahead"] == {"malformed": 1}
    answer = ("--repair", "--index-wins", report, "--apply", "--at-most", "100")
    assert ran(stage, *answer, code=1)["plan"]["other_kinds"] == {"malformed": 1}
    hand.update_item("T1", "SET version = :v", ExpressionAttributeValues={":v": {"BOOL": True}})
    left = ran(stage, *answer, "--kind", "malformed", code=1)["plan"]
    assert (left["changes"], left["left"]) == (0, 1)
    ran(stage, "--report", report, code=1)
    done = ran(stage, *answer, "--kind", "malformed", code=0)
    assert done["answered"]["written"] == {"overwrite_table": 1}
