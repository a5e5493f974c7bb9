"""What an audit says the index is ahead with, and what a person reads about it."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lockstep.audit.ahead import ahead
from lockstep.audit.audit import Audit
from lockstep.audit.restored import Restored, restored
from lockstep.commands.audit import show_audit, show_ways_out
from lockstep.stores.entry import (
    Entry,
    from_document,
    from_item,
    from_whole_document,
    from_whole_item,
)
from shared.quarantine import INDEX_CONSUMER, TABLE_CONSUMER
from tests.unit.audit.stand import NOW, OLD, STAMP, YOUNG, Stand, a_change, a_document, an_item

DAY = 86_400


def test_images_are_counted_by_what_the_index_is_ahead_with() -> None:
    stand = Stand()
    stand.write(*(a_change(STAMP, image_id=f"both{n}") for n in range(3)))
    for image_id, content, arrived in (
        ("image", "a", YOUNG),
        ("removal", None, YOUNG),
        ("outlived", "a", OLD),
        ("explained", "a", OLD),
        ("index-only", "a", YOUNG),
    ):
        change = a_change(STAMP, content, image_id=image_id, arrived=arrived)
        stand.opensearch.documents[image_id] = a_document(change)
    malformed = an_item(a_change(STAMP, image_id="both0")) | {"deleted": {"N": "0"}}
    stand.dynamodb.items["both0"] = malformed
    del stand.opensearch.documents["both1"]
    stand.quarantined = [
        (TABLE_CONSUMER, "explained"),
        (INDEX_CONSUMER, "index-only"),
    ]
    for values in (False, True):
        found, differences = stand.audited(values=values)
        assert found.ahead == {
            "explained": 1,
            "image": 2,
            "malformed": 1,
            "outlived": 1,
            "removal": 1,
        }
        assert found.differences["explained_by_quarantine"] == 2
        assert {one.image_id: one.ahead for one in differences if one.ahead != "image"} == {
            "both0": "malformed",
            "both1": None,
            "explained": "explained",
            "outlived": "outlived",
            "removal": "removal",
        }


@pytest.mark.parametrize(
    ("arrivals", "since"),
    [
        ([NOW - 3 * DAY, NOW - 2 * DAY], NOW - 3 * DAY + 0.7),
        ([NOW - 130 * DAY, NOW - 2 * DAY], NOW - 2 * DAY + 0.7),
        ([NOW - 31 * DAY], None),
        ([0.0], None),
        ([NOW + 9 * DAY], NOW),
        ([], None),
    ],
)
def test_a_replay_is_advised_from_the_oldest_arrival_that_a_stream_may_still_hold(
    arrivals: list[float], since: float | None
) -> None:
    stand = Stand()
    for number, arrived in enumerate(arrivals):
        change = a_change(STAMP, image_id=f"i{number}", arrived=arrived + 0.7)
        stand.opensearch.documents[change.image_id] = a_document(change)
    stand.dynamodb.items["T1"] = an_item(a_change(STAMP, arrived=NOW - 9 * DAY))
    found = stand.audit().replay_since
    # An arrival to the millisecond; the end of the audit, if the arrival is in the future.
    off = 3 if since == NOW else 0.0005
    assert (found and found.timestamp()) == (since and pytest.approx(since, abs=off))


def test_the_claims_of_a_malformed_entry_are_the_same_however_it_is_read() -> None:
    """A plain audit reads fewer fields than one of all values, and the repair reads all."""
    change = a_change(STAMP, None)
    document = a_document(change, STAMP + 6, image_id="somebody-else")
    hit = {"_id": "T1", "_version": document.version, "_source": document.source}
    item = an_item(a_change(STAMP + 5)) | {"image_id": {"S": "T1"}}
    del item["digest"]
    for entry in (from_document(hit), from_whole_document(hit)):
        assert entry.malformed
        assert (entry.version, entry.checked_version) == (STAMP, STAMP + 6)
        assert (entry.deleted, entry.arrived_at) == (True, change.arrived_at)
    for entry in (from_item(item), from_whole_item(item)):
        assert entry.malformed
        assert (entry.version, entry.deleted) == (STAMP + 5, False)
        assert entry.arrived_at == change.arrived_at


@pytest.mark.parametrize("version", ["1E+100", "-5", "1E-3", f"{STAMP}.5"])
def test_an_item_with_an_impossible_version_is_audited(version: str) -> None:
    stand = Stand()
    item = an_item(a_change(STAMP)) | {"version": {"N": version}}
    stand.hold(item, a_document(a_change(STAMP)))
    for values in (False, True):
        assert stand.audit(values=values).ahead == {"malformed": 1}


@pytest.mark.parametrize("fields", [{"version": "x"}, {"version": True}, {"version": None}])
def test_a_document_that_states_no_version_claims_that_of_the_version_check(
    fields: dict[str, Any],
) -> None:
    document = a_document(a_change(STAMP), STAMP + 6, **fields)
    hit = {"_id": "T1", "_version": document.version, "_source": document.source}
    for entry in (from_document(hit), from_whole_document(hit)):
        assert entry.version == STAMP + 6
        table = from_item(an_item(a_change(STAMP + 5)))
        assert ahead(table, entry, now=NOW, explained=False) == "image"


@pytest.mark.parametrize(("arrived_at", "kind"), [(1, "outlived"), (0, "image"), (-1, "image")])
def test_any_known_arrival_counts(arrived_at: int, kind: str) -> None:
    entry = Entry("T1", 5, arrived_at=arrived_at)
    assert ahead(None, entry, now=NOW, explained=False) == kind


TO = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("age", "too_late"), [(dt.timedelta(days=91), False), (dt.timedelta(days=92), True)]
)
def test_a_restored_table_tells_its_restore_point(age: dt.timedelta, *, too_late: bool) -> None:
    described = {
        "CreationDateTime": TO + age,
        "RestoreSummary": {"RestoreDateTime": TO, "RestoreInProgress": False},
    }
    assert restored(described) == Restored(TO, TO + age, too_late)
    assert restored({"CreationDateTime": TO}) is None


def test_a_person_reads_the_ways_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = Audit(
        "different",
        1_000,
        1_009,
        {"missing_in_table": 9},
        1.0,
        ahead={"explained": 1, "image": 8},
        replay_since=dt.datetime(2026, 11, 20, 8, 0, 1, 70_000, tzinfo=dt.UTC),
        restored=Restored(TO, TO + dt.timedelta(days=1), too_late=False),
    )
    show_audit(found, "prod", Path(".lockstep"))
    show_ways_out(found, "prod", Path(".lockstep"))
    out = capsys.readouterr().out
    assert "the index is ahead with" in out
    assert "\n`lockstep replay --since 2026-11-20T08:00:01.070Z --stack prod`\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "docs/guides/restore.md" in out
    assert "explained: `lockstep redrive --stack prod`" in out
    assert "the table was restored to 2026-11-01T00:00:00Z" in out


def test_a_table_restored_too_far_back_is_a_warning() -> None:
    late = Restored(TO, TO + dt.timedelta(days=122), too_late=True)
    assert late.warning == (
        "the table was restored to 2026-11-01T00:00:00Z, but at 2027-03-03T00:00:00Z: more than "
        "91 days later, so deletions may be forgotten (docs/guides/restore.md)"
    )


def test_the_answer_for_programs_counts_kinds_and_names_the_time() -> None:
    found = Audit(
        "different",
        1,
        2,
        {"missing_in_table": 1},
        1.0,
        ahead={"image": 1},
        replay_since=dt.datetime(2026, 11, 20, 8, tzinfo=dt.UTC),
    )
    answer = msgspec.json.decode(msgspec.json.encode(found))
    assert (answer["ahead"], answer["replay_since"]) == ({"image": 1}, "2026-11-20T08:00:00Z")
