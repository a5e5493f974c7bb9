"""What audit, status and rebuild say about wrong aliases, on the real engines."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_es.aliases import LIVE_FILTER
from functions.write_to_es.index import definition
from lockstep.local.engines.pins import EngineName
from lockstep.stack.stack import Endpoints
from shared.outcome import Applied
from tests.builders import change, fresh_tombstone, image
from tests.contract.kinesis.server import running
from tests.contract.redrive.conftest import Stage

CORRECTION = "` shows how to correct it\n"


@pytest.fixture
def stage(tmp_path: Path, engine: Callable[[EngineName], str]) -> Iterator[Stage]:
    """A stack that has caught up, with two images and a tombstone in both stores."""
    with running(tmp_path / "kinesis.db") as kinesis:
        own = Endpoints(kinesis.url, engine("dynamodb"), engine("opensearch"), engine("s3"))
        made = Stage(own, tmp_path)
        images = [change(f"T{n}", 1, image=image("Sunrise")) for n in range(2)]
        for consumer in made.consumers.values():
            outcomes = consumer.sink.send([*images, fresh_tombstone("T2", 2)])
            assert set(outcomes) == {Applied()}
        made.clients.opensearch.indices.refresh(index=made.stack.index)
        assert made.lockstep("status").exit_code == 0
        yield made
        made.clients.opensearch.indices.delete(index=f"{made.stack.index}-0*")


def without_filter(stage: Stage) -> str:
    index, live = f"{stage.stack.index}-000001", stage.stack.live
    stage.clients.opensearch.indices.delete_alias(index=index, name=live)
    stage.clients.opensearch.indices.put_alias(index=index, name=live)
    return f"alias {live} does not hide deleted images of {index}"


def elsewhere(stage: Stage) -> str:
    index, live = f"{stage.stack.index}-000001", stage.stack.live
    stage.clients.opensearch.indices.delete_alias(index=index, name=live)
    stage.clients.opensearch.indices.create(
        index=f"{stage.stack.index}-000009",
        body={**definition(), "aliases": {live: {"filter": LIVE_FILTER}}},
    )
    return f"alias {live} names {stage.stack.index}-000009, but the consumers write to {index}"


@pytest.mark.parametrize("astray", [without_filter, elsewhere])
def test_audit_status_and_rebuild_name_the_wrong_alias_and_rebuild_sets_it(
    stage: Stage, astray: Callable[[Stage], str]
) -> None:
    problem = astray(stage)
    for command in ("audit", "status"):
        shown = stage.lockstep(command)
        assert shown.exit_code == 1, shown.output
        assert f"wrong: {problem}\n" in shown.stdout
        assert CORRECTION in shown.stdout
        told = stage.lockstep(command, "--json")
        assert msgspec.json.decode(told.stdout)["wrong"] == [problem]
    plan = stage.lockstep("rebuild")
    assert plan.exit_code == 0
    assert f"wrong: {problem}\n" in plan.stdout
    index = f"{stage.stack.index}-000001"
    assert f"both aliases would be set to {index}; nothing would be filled" in plan.stdout

    done = stage.lockstep("rebuild", "--apply")
    assert done.exit_code == 0, done.output
    assert f"corrected: {problem}\n" in done.stdout
    assert f"{index} is in use; 0 images copied from the table" in done.stdout
    assert stage.answer("audit")["result"] == "equal"
    assert [hit["image_id"] for hit in stage.answer("search", "sunrise")["hits"]] == ["T0", "T1"]


def test_an_index_of_another_release_is_named(stage: Stage) -> None:
    index, live = f"{stage.stack.index}-000001", stage.stack.live
    older: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(definition()))
    del older["mappings"]["properties"]["checksum"]
    del older["mappings"]["properties"]["width"]
    client = stage.clients.opensearch
    client.indices.delete(index=index)
    both = {stage.stack.index: {}, live: {"filter": LIVE_FILTER}}
    client.indices.create(index=index, body={**older, "aliases": both})
    shown = stage.lockstep("status")
    assert shown.exit_code == 1
    assert (
        f"wrong: index {index} is not of this release: mappings.properties.width is missing and "
        "1 more difference\n"
    ) in shown.stdout


def test_a_lost_index_is_named_and_rebuilt(stage: Stage) -> None:
    client = stage.clients.opensearch
    client.indices.delete(index=f"{stage.stack.index}-000001")
    problem = f"there is no index behind {stage.stack.index} and {stage.stack.live}"
    told = stage.lockstep("audit").stdout
    assert f"\nindex {stage.stack.index} does not exist\n" in told
    for command in (["audit"], ["status"], ["status", "--wait", "1"]):
        shown = stage.lockstep(*command)
        assert shown.exit_code == 1, shown.output
        assert f"wrong: {problem}\n" in shown.stdout
        assert CORRECTION in shown.stdout
    plan = stage.lockstep("rebuild")
    assert plan.exit_code == 0, plan.output
    assert "-000001 would be filled from the table, and get both aliases" in plan.stdout
    done = stage.lockstep("rebuild", "--apply")
    assert done.exit_code == 0, done.output
    assert f"corrected: {problem}\n" in done.stdout
    assert "3 images copied from the table (" in done.stdout
    assert stage.answer("audit")["result"] == "equal"
    assert stage.answer("search", "sunrise")["total"] == 2
