"""The purge on the real engines: a search, then deletes with version check."""

from collections.abc import Callable

import msgspec
import pytest

from lockstep.stores.corrections import Removal
from shared.change import Change
from shared.outcome import Applied, Stale
from shared.sink import MisconfiguredError
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, over_since_yesterday, stamp


def test_exactly_the_tombstones_that_nobody_needs_are_removed(stage: Stage) -> None:
    hand = Hand(stage)
    version = stamp(DAY)
    may_go = [over_since_yesterday(f"over-{n}", version) for n in range(150)]
    images = [a_change(f"image-{n}", version, "image") for n in range(20)]
    fresh = [a_change(f"fresh-{n}", version, None) for n in range(20)]
    table_missed_it: Change = a_change("missed", version - 1, "still there")
    hand.write_both(*images, *fresh)
    hand.write(hand.table_sink, table_missed_it)
    hand.write(hand.index_sink, *may_go, over_since_yesterday("missed", version))
    shown = stage.lockstep("purge", "--json")
    assert shown.exit_code == 0, shown.output
    found = msgspec.json.decode(shown.stdout)
    assert (found["expired"], found["removable"], found["purged"]) == (151, 150, 0)
    assert found["kept"] == {"removal_missing_in_table": 1}
    done = stage.lockstep("purge", "--apply")
    assert done.exit_code == 0, done.output
    assert "150 removed, 0 changed meanwhile, 0 failed" in done.stdout
    assert "the table has no such deletion" in done.stdout
    found = msgspec.json.decode(stage.lockstep("purge", "--json").stdout)
    assert (found["expired"], found["removable"]) == (1, 0)
    # The one that stayed is the only sign that the image was deleted. A repair leaves it, too.
    repaired = stage.lockstep(
        "audit", "--repair", "--apply", "--at-most", "100", "--watermark", "1", "--json"
    )
    assert repaired.exit_code == 1, repaired.output
    assert msgspec.json.decode(repaired.stdout)["audit"]["ahead"] == {"removal": 1}
    assert stage.names("missed") == {"still there", None}
    assert stage.names("image-3") == {"image"}


@pytest.mark.parametrize("correction", ["removal", "overwriting"])
def test_without_the_alias_nothing_is_corrected_and_no_index_is_created(
    stage: Stage, correction: str
) -> None:
    hand = Hand(stage)
    hand.opensearch.indices.delete(index=f"{hand.index}-*")
    corrected: dict[str, Callable[[], object]] = {
        "removal": lambda: hand.corrections.remove([Removal("T1", 1)]),
        "overwriting": lambda: hand.corrections.overwrite([a_change("T1", 1, "new")]),
    }
    with pytest.raises(MisconfiguredError, match="no such index"):
        corrected[correction]()
    assert not hand.opensearch.indices.exists(index=hand.index)


def test_a_removal_deletes_versions_not_above_it_and_leaves_nothing_of_a_missing_document(
    stage: Stage,
) -> None:
    hand = Hand(stage)
    hand.write(hand.index_sink, a_change("older", 4, "a"), a_change("newer", 6, "b"))
    outcomes = hand.corrections.remove([Removal(one, 5) for one in ("older", "newer", "nobody")])
    assert outcomes == [Applied(), Stale(), Applied()]
    there = hand.opensearch.mget(index=hand.index, body={"ids": ["older", "newer", "nobody"]})
    assert [one["found"] for one in there["docs"]] == [False, True, False]
    assert there["docs"][1]["_version"] == 6
