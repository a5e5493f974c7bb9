"""From an index of release 0.1.0 to this release, by what that release wrote (release_0_1_0/)."""

import threading
import time
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.search_images.search import search
from functions.write_to_es.aliases import LIVE_FILTER
from functions.write_to_es.index import OutdatedIndexError, Unchanged, ensure_index
from shared.change import Change, change_from
from tests.builders import decoded, record
from tests.contract.rebuild.place import Place

RELEASE = Path(__file__).with_name("release_0_1_0")
REFUSAL = "another release is deployed"
# A query that finds nothing in 0.1.0's index, and queries that do: each for the image of a number.
FOUND_NOW = {"경복궁": 0, "dusk": 3}
FOUND_ALWAYS = {"ΑΚΡΟΠΟΛΗ": 1, "da nang": 2, "الازهر": 4, "life's illusions": 7, "bowl": 10}


class Write(msgspec.Struct, frozen=True):
    """An event, and the `_bulk` request that release 0.1.0 sent for it."""

    moment: str
    event: dict[str, Any]
    arrived_at: int
    body: str

    def change(self, version: int, arrived_at: int) -> Change:
        """The change for the table, as of another version and arrival."""
        event = self.event | {"version": version}
        return change_from(decoded(event), record(event, arrived_at=arrived_at))

    def request(self, version: int, arrived_at: int) -> bytes:
        """The request, as of another version and arrival: a tombstone must not have expired."""
        action, document = (msgspec.json.decode(line) for line in self.body.splitlines())
        action["index"]["version"] = document["version"] = version
        if "expires_at" in document:
            document["expires_at"] += (arrived_at - self.arrived_at) // 1000
        document["arrived_at"] = arrived_at
        return b"".join(msgspec.json.encode(one) + b"\n" for one in (action, document))


@cache
def writes(moment: str) -> Sequence[Write]:
    lines = (RELEASE / "writes.ndjson").read_bytes().splitlines()
    every = [msgspec.json.decode(line, type=Write) for line in lines]
    return [one for one in every if one.moment == moment]


def write_as_0_1_0(place: Place, moment: str, version: int = 6) -> None:
    """Write the events of this moment, as the functions of release 0.1.0 do."""
    for one in writes(moment):
        arrived_at = time.time_ns() // 1_000_000
        place.write(one.change(version, arrived_at), to=[place.table])
        answer = place.client.bulk(body=one.request(version, arrived_at), index=place.alias)
        assert not answer["errors"], answer


def found(place: Place, text: str) -> set[str]:
    place.client.indices.refresh(index=f"{place.alias}-live")
    hits = search(place.client, f"{place.alias}-live", text, size=50).hits
    return {hit.image_id for hit in hits}


@pytest.fixture
def place(place: Place) -> Place:
    """The live index is one of release 0.1.0."""
    place.client.indices.delete(index=place.old)
    mapping: dict[str, Any] = msgspec.json.decode((RELEASE / "mapping.json").read_bytes())
    both: Mapping[str, Any] = {
        place.alias: {"is_write_index": True},
        f"{place.alias}-live": {"filter": LIVE_FILTER},
    }
    place.client.indices.create(index=place.old, body={**mapping, "aliases": both})
    write_as_0_1_0(place, "before")
    return place


def test_all_that_0_1_0_writes_during_and_after_the_rebuild_is_found(place: Place) -> None:
    with pytest.raises(OutdatedIndexError, match="lockstep rebuild"):
        ensure_index(place.client, place.alias)  # a deployment alone changes nothing
    assert [found(place, query) for query in FOUND_NOW] == [set()] * len(FOUND_NOW)

    stop, rounds = threading.Event(), 0

    def arrive() -> None:
        """All events of this moment, again and again, each time in a higher version."""
        nonlocal rounds
        while not stop.is_set():
            rounds += 1
            write_as_0_1_0(place, "during", 10 + rounds)

    events = threading.Thread(target=arrive)
    events.start()
    try:
        parts = msgspec.structs.replace(place.parts(), refusal=REFUSAL)
        done = place.run(parts, before_deploying=True)
        before_the_end = rounds
        while rounds < before_the_end + 2:  # a whole round goes into the new index
            assert events.is_alive()
            time.sleep(0.01)
    finally:
        stop.set()
        events.join()
    assert (done.index, done.replaced) == (place.new, place.old)
    assert place.versions(place.new).keys() == {
        one.event["image_id"] for moment in ("before", "during") for one in writes(moment)
    }

    write_as_0_1_0(place, "between")
    assert place.audit(place.parts().clock).result == "equal"
    moments = ("before", "during", "between")
    for query, number in (FOUND_NOW | FOUND_ALWAYS).items():
        assert found(place, query) == {f"{moment}-{number}" for moment in moments}, query
    assert place.shown() == len(moments) * 11
    assert ensure_index(place.client, place.alias) == Unchanged(place.new)  # the deployment


def test_the_names_come_back_byte_for_byte(place: Place) -> None:
    """Characters are composed for the search only: `_source` is as the event was."""
    parts = msgspec.structs.replace(place.parts(), refusal=REFUSAL)
    assert place.run(parts, before_deploying=True).audit.result == "equal"
    for one in writes("before"):
        source = place.client.get(index=place.new, id=one.event["image_id"])["_source"]
        assert source.get("name") == one.event.get("image", {}).get("name")
    decomposed = writes("before")[0].event["image"]["name"]
    assert decomposed != unicodedata.normalize("NFC", decomposed)


def test_the_searches_of_0_1_0_work_on_the_new_index_until_the_deployment(place: Place) -> None:
    lines = (RELEASE / "searches.ndjson").read_bytes().splitlines()
    searches = [msgspec.json.decode(line) for line in lines]

    def answers() -> list[set[str]]:
        live = f"{place.alias}-live"
        place.client.indices.refresh(index=live)
        hits = (
            place.client.search(index=live, body=one["body"])["hits"]["hits"] for one in searches
        )
        return [{hit["_id"] for hit in some} for some in hits]

    before = answers()
    assert all(before)
    place.run(msgspec.structs.replace(place.parts(), refusal=REFUSAL), before_deploying=True)
    assert all(some <= more for some, more in zip(before, answers(), strict=True))
