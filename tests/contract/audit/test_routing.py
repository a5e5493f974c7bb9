"""Documents that somebody wrote with a custom `routing`, in an index with several shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_es.document import document_from
from functions.write_to_es.index import ensure_index
from functions.write_to_es.settings import IndexSettings
from lockstep.repair.replaced import REPLACED
from lockstep.stores.routing import name_of
from shared.change import Change
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, over_since_yesterday, stamp
from tests.contract.repair.test_restore import ran

SHARDS = 5


@pytest.fixture(params=[SHARDS, 1], ids="{} shards".format)
def hand(request: pytest.FixtureRequest, stage: Stage) -> Hand:
    """Somebody who changes the stores by hand; the index has so many shards."""
    made = Hand(stage)
    made.opensearch.indices.delete(index=f"{made.index}-*")
    ensure_index(made.opensearch, made.index, IndexSettings(shards=request.param))
    fast = {"index": {"gc_deletes": "1s"}}
    made.opensearch.indices.put_settings(index=made.index, body=fast)
    return made


def write_routed(hand: Hand, change: Change, routing: str) -> None:
    """Write the document of a change as our sink does, but with a routing."""
    action = {
        "_id": change.image_id,
        "routing": routing,
        "version": change.version,
        "version_type": "external_gte",
    }
    written = hand.opensearch.bulk(
        index=hand.index,
        body=[{"index": action}, msgspec.to_builtins(document_from(change))],
    )
    assert not written["errors"], written


def elsewhere(hand: Hand, image_id: str) -> str:
    """A routing that leads to another shard than the ID does, if there are several shards."""
    for n in range(100):
        own, other = (_shard(hand, routing) for routing in (image_id, f"r/{n} ü"))
        if own != other:
            return f"r/{n} ü"
    return "r"


def _shard(hand: Hand, routing: str) -> int:
    found = hand.opensearch.search_shards(index=hand.index, params={"routing": routing})
    shard: int = found["shards"][0][0]["shard"]
    return shard


def found_by_search(hand: Hand, image_id: str) -> Sequence[str | None]:
    """The routing of each document with this `_id` that a search finds; None: it has none."""
    hand.opensearch.indices.refresh(index=hand.index)
    query = {"query": {"ids": {"values": [image_id]}}}
    hits = hand.opensearch.search(index=hand.index, body=query)["hits"]["hits"]
    return [hit.get("_routing") for hit in hits]


def several(hand: Hand) -> bool:
    return len(hand.opensearch.search_shards(index=hand.index)["shards"]) > 1


def lines(report: Path) -> dict[str, Any]:
    read = map(msgspec.json.decode, report.read_bytes().splitlines())
    return {line["image_id"]: line for line in read}


@pytest.mark.parametrize("values", [(), ("--values",)], ids=["versions", "values"])
def test_a_document_with_a_routing_is_a_difference_until_an_answer_removes_it(
    stage: Stage, hand: Hand, tmp_path: Path, values: Sequence[str]
) -> None:
    hand.write_both(*(a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(20)))
    foreign = [a_change(f"foreign-{n}", stamp(DAY), "by hand") for n in range(6)]
    for n, change in enumerate(foreign):
        write_routed(hand, change, f"r{n}")
    names = {f"foreign-{n}?routing=r{n}" for n in range(6)}
    report = tmp_path / "report.ndjson"

    found = ran(stage, *values, "--report", report, code=1)
    assert {name for name in lines(report) if "?" in name} == names
    assert "it was written with the routing 'r3'" in str(lines(report)["foreign-3?routing=r3"])
    assert found["result"] == "different"
    # A plain repair removes nothing that only the index has.
    ran(stage, "--repair", "--apply", "--at-most", "100", code=1)
    assert [found_by_search(hand, one.image_id) for one in foreign] == [[f"r{n}"] for n in range(6)]

    answer = ("--repair", "--table-wins", report, "--at-most", "100")
    assert ran(stage, *answer, code=1)["plan"]["changes"] >= 6
    ran(stage, *answer, "--apply", code=0)
    assert {one for change in foreign for one in found_by_search(hand, change.image_id)} == set()
    assert ran(stage, *values, code=0)["result"] == "equal"
    kept = b"".join(
        stage.clients.s3.get_object(Bucket=stage.stack.bucket, Key=key)["Body"].read()
        for key in stage.keys(REPLACED)
    )
    assert all(f'"_routing":"r{n}"'.encode() in kept for n in range(6))


def test_an_image_that_searches_find_twice_is_a_difference(
    stage: Stage, hand: Hand, tmp_path: Path
) -> None:
    right = [a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(20)]
    hand.write_both(*right)
    routing = elsewhere(hand, "T7")
    # The second document is equal to the first one; in one shard, it replaces it.
    write_routed(hand, right[7], routing)
    twice = found_by_search(hand, "T7")
    assert len(twice) == (2 if several(hand) else 1)
    report = tmp_path / "report.ndjson"

    ran(stage, "--report", report, code=1)
    ran(
        stage,
        "--repair",
        "--table-wins",
        report,
        "--apply",
        "--at-most",
        "100",
        code=0 if several(hand) else 1,
    )
    ran(stage, "--repair", "--apply", "--at-most", "100", code=0)
    assert found_by_search(hand, "T7") == [None]
    assert ran(stage, "--values", code=0)["result"] == "equal"


def test_an_image_that_was_written_again_with_a_routing_gets_its_document_back(
    stage: Stage, hand: Hand, tmp_path: Path
) -> None:
    right = [a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(20)]
    hand.write_both(*right)
    at = {"version": str(right[7].version), "version_type": "external_gte"}
    hand.opensearch.delete(index=hand.index, id="T7", params=at)
    routing = elsewhere(hand, "T7")
    write_routed(hand, right[7], routing)
    assert found_by_search(hand, "T7") == [routing]
    report = tmp_path / "report.ndjson"

    ran(stage, "--repair", "--apply", "--at-most", "100", code=1 if several(hand) else 0)
    assert None in found_by_search(hand, "T7")
    ran(stage, "--report", report, code=1 if several(hand) else 0)
    ran(stage, "--repair", "--table-wins", report, "--apply", "--at-most", "100", code=0)
    assert found_by_search(hand, "T7") == [None]
    assert ran(stage, "--values", code=0)["result"] == "equal"


def test_two_documents_of_one_id_are_removed_each_by_its_own_routing(
    stage: Stage, hand: Hand, tmp_path: Path
) -> None:
    change = a_change("foreign", stamp(DAY), "by hand")
    routings = ["a", "b", "c", "d", "e", "f"]
    for routing in routings:
        write_routed(hand, change, routing)
    twins = found_by_search(hand, "foreign")
    report = tmp_path / "report.ndjson"
    ran(stage, "--report", report, code=1)
    assert {name for name in lines(report) if "?" in name} == {
        f"foreign?routing={one}" for one in twins
    }
    ran(stage, "--repair", "--table-wins", report, "--apply", "--at-most", "100", code=0)
    assert found_by_search(hand, "foreign") == []


def test_a_routing_of_any_length_is_found(stage: Stage, hand: Hand) -> None:
    write_routed(hand, a_change("foreign", stamp(DAY), "by hand"), "long/ü " * 400)
    assert ran(stage, code=1)["differences"].get("malformed")


def test_a_purge_leaves_an_expired_tombstone_with_a_routing(stage: Stage, hand: Hand) -> None:
    write_routed(hand, over_since_yesterday("foreign", stamp(DAY)), "r")
    hand.opensearch.indices.refresh(index=hand.index)
    purged = stage.answer("purge", "--apply")
    assert purged["kept"] == {"malformed": 1}
    assert found_by_search(hand, "foreign") == ["r"]


def test_get_and_trace_name_a_second_document_of_an_image(stage: Stage, hand: Hand) -> None:
    own = a_change("T1", stamp(DAY), "as it was")
    hand.write_both(own, a_change("T2", stamp(DAY), "alone"))
    if not several(hand):
        return  # one shard has one document of an ID
    routing = elsewhere(hand, "T1")
    write_routed(hand, a_change("T1", stamp(DAY), "by hand"), routing)
    hand.opensearch.indices.refresh(index=hand.index)
    name = name_of("T1", routing)

    got = stage.lockstep("get", "T1", "--json")
    found = msgspec.json.decode(got.stdout)
    assert (got.exit_code, found["result"], found["routed"]) == (1, "different", [name])
    assert (
        f"the index also has {name}, which no consumer wrote" in stage.lockstep("get", "T1").stdout
    )
    assert stage.lockstep("get", "T2").exit_code == 0
    traced = stage.lockstep("trace", "T1", "--json")
    assert msgspec.json.decode(traced.stdout)["routed"] == [name]
    assert f"the index also has {name}" in stage.lockstep("trace", "T1").stdout
