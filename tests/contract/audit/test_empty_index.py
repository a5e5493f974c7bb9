"""An index that is empty, because its domain is new, behind a table that is not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.local.engines.pins import EngineName
from lockstep.stack.stack import Endpoints
from lockstep.stack.use_cases.aliases import empty_index
from tests.contract.kinesis.server import running
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, stamp


def test_status_names_an_empty_index_behind_a_filled_table(
    engine: Callable[[EngineName], str], tmp_path: Path
) -> None:
    with running(tmp_path / "kinesis.db") as server:
        endpoints = Endpoints(server.url, engine("dynamodb"), engine("opensearch"), engine("s3"))
        stage = Stage(endpoints, tmp_path)
        assert stage.lockstep("status").exit_code == 0  # both are empty
        hand = Hand(stage)
        images = [a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(3)]
        hand.write_both(*images)
        for image in images:
            hand.delete_document(image)
        hand.opensearch.indices.refresh(index=hand.index)
        found = stage.lockstep("status")
        assert found.exit_code == 1
        words = " ".join(found.stdout.split())
        name = stage.stack.index
        assert f"wrong: index {name} is empty, and table {name} is not" in words
        assert "wrong: `lockstep rebuild" in words


@pytest.mark.parametrize("refreshed", [False, True])
def test_an_index_that_shows_nothing_yet_is_not_empty(stage: Stage, *, refreshed: bool) -> None:
    hand = Hand(stage)
    hand.write_both(a_change("T0", stamp(DAY), "image"))
    if refreshed:
        hand.opensearch.indices.refresh(index=hand.index)
    assert empty_index(stage.clients) == []
