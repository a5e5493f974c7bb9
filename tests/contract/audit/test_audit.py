"""The audit on the real engines, with all its ways of reading."""

import datetime as dt
import random
import time
from typing import Any

import msgspec
import pytest

from lockstep.audit.audit import audit
from lockstep.stack.use_cases.stores import scanner, searcher
from lockstep.stores import index as index_reader
from lockstep.stores.index import IndexReader
from lockstep.stores.readers import Segment
from lockstep.stores.table import TableReader
from shared.pace import Pace
from tests.builders import clock
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, over_since_yesterday, stamp


def test_every_way_of_reading_gives_the_same_result(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pages so small that their borders fall everywhere.
    monkeypatch.setattr(index_reader, "DOCUMENTS_PER_PAGE", 7)
    monkeypatch.setattr(index_reader, "WHOLE_DOCUMENTS_PER_PAGE", 7)
    hand = Hand(stage)
    old = [a_change(f"old-{n}", stamp(9 * DAY), f"old {n}", age=9 * DAY) for n in range(60)]
    new = [a_change(f"new-{n}", stamp(DAY), f"new {n}") for n in range(60)]
    hand.write_both(*old, *new, over_since_yesterday("over", stamp(DAY)))
    hand.delete_document(old[0])
    hand.delete_document(new[0])
    for n in range(20):  # foreign documents without an id, and with one and the same
        hand.opensearch.index(index=hand.index, id=f"foreign-{n}", body={"name": "x"})
        hand.opensearch.index(index=hand.index, id=f"twin-{n}", body={"image_id": "old-30"})
    expected = {"malformed": 40, "missing_in_index": 2}
    table, index = stage.clients.dynamodb, stage.clients.opensearch

    def differences(**how: Any) -> dict[str, int]:
        pace = how.pop("pace", None)
        scans, searches = how.pop("decoders", (None, None))
        found = audit(
            TableReader(table, hand.table, scanner=scans, pace=pace, **how),
            IndexReader(index, hand.index, searcher=searches, **how),
            quarantined_images=list,
            clock=clock(now=time.time, elapsed=time.monotonic),
        )
        assert found.reason is None
        return found.differences

    assert differences() == expected
    decoders = scanner(stage.clients), searcher(stage.clients)
    assert differences(decoders=decoders) == expected
    assert differences(decoders=decoders, whole=True) == expected
    since = dt.datetime.now(dt.UTC) - dt.timedelta(days=2)
    assert differences(since=since) == {"malformed": 40, "missing_in_index": 1}
    waited: list[float] = []
    assert differences(pace=Pace(50, clock(sleep=waited.append))) == expected
    # The clock stands, so the waits add up to the units used: 121 items of some hundred bytes, and
    # those that are looked up again.
    assert 5 < max(waited) * 50 < 100

    chance = random.Random(1).random
    entries = TableReader(table, hand.table)
    assert entries.count() == 121
    some = entries.sample(50, chance)
    assert (len(some), len(set(some))) == (50, 50)
    assert set(entries.sample(1000, chance)) >= {f"new-{n}" for n in range(60)}
    documents = IndexReader(index, hand.index)
    assert len(set(documents.sample(50, chance))) == 50
    assert documents.count() == 159


@pytest.mark.parametrize("segments", [2, 7])
def test_a_document_stays_in_its_segment_when_it_changes(stage: Stage, segments: int) -> None:
    """Each segment is read at another time: an image must be in one of them, whatever happens."""
    hand = Hand(stage)
    names = [f"T{n}" for n in range(60)]
    index = IndexReader(stage.clients.opensearch, hand.index)
    found: list[str] = []
    for number in range(segments):
        changed = stamp(DAY) + number
        hand.write_both(*(a_change(name, changed, f"image {number}") for name in names))
        entries = list(index.scan_segment(Segment(number, segments)))
        assert {entry.version for entry in entries} == {changed}
        found += [entry.image_id for entry in entries]
    assert sorted(found) == sorted(names)


def test_the_command_compares_a_sample_and_reports_the_confidence(stage: Stage) -> None:
    hand = Hand(stage)
    hand.write_both(*(a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(300)))
    hand.opensearch.indices.refresh(index=hand.index)
    result = stage.lockstep("audit", "--sample", "200", "--json")
    assert result.exit_code == 0, result.output
    found = msgspec.json.decode(result.stdout)
    assert found["result"] == "equal"
    assert 200 <= found["sample"]["images"] <= 300
    assert found["sample"]["at_most"] == pytest.approx(0.0183, abs=0.0002)
    said = stage.lockstep("audit", "--sample", "200", "--values", "--rate", "100000")
    assert "at most 1.83% of all images differ (95% confidence)" in said.stdout
    assert stage.lockstep("audit", "--within", "0").exit_code == 2
