"""The rebuild on the real engines: what the new index holds, the switch, every interruption."""

import datetime as dt
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from functions.write_to_es.aliases import LIVE_FILTER
from functions.write_to_es.document import document_from
from functions.write_to_es.index import Added, Unchanged, definition, ensure_index
from functions.write_to_es.settings import IndexSettings
from lockstep.local.prepare import prepare
from lockstep.rebuild.export import Export
from lockstep.rebuild.indices import AnotherRebuildError, Indices, RebuildState
from lockstep.rebuild.lease import Lease
from lockstep.rebuild.parts import (
    ImageSource,
    NotFinishedError,
    NotSwitchedError,
    OtherReleaseError,
)
from lockstep.rebuild.rebuild import Rebuild
from lockstep.rebuild.shards import DOCUMENTS_PER_PAGE
from lockstep.rebuild.worker import RebuildWorker, this_worker
from lockstep.stack.clients import Clients
from lockstep.stores.table import WholePage
from shared.change import Change
from shared.horizon import HORIZON, RESTORABLE
from shared.item import item_from
from shared.outcome import Outcome, Refused
from shared.sink import MisconfiguredError, RequestFailedError, Sink
from tests.builders import change, image
from tests.contract.rebuild.exports import put_export
from tests.contract.rebuild.place import CrashError, Place, RealPlace, a_change

DAY = 86_400.0
ELSEWHERE = RebuildWorker("elsewhere", 1, 0.0)


def test_readers_and_writers_are_switched_to_an_equal_index(place: Place) -> None:
    place.write(*(a_change(f"T{n}", n) for n in range(1, 701)), a_change("gone", 5, None))
    before = place.versions(place.old)
    done = place.rebuild()
    assert (done.index, done.replaced) == (place.new, place.old)
    assert (done.kept, done.dropped) == ((place.old,), ())
    assert (done.copied, done.not_copied) == ({"table": 701, "index": 0}, [])
    assert (done.audit.result, done.exit_code) == ("equal", 0)
    assert place.behind(place.alias) == {place.new: {"is_write_index": True}}
    assert place.behind(f"{place.alias}-live") == {place.new: {"filter": LIVE_FILTER}}
    assert place.versions(place.new) == place.versions(place.old) == before
    assert place.shown() == 700
    place.write(a_change("T1", 9))
    assert (place.versions(place.new)["T1"], place.versions(place.old)["T1"]) == (9, 1)


def test_the_new_index_has_the_operators_settings_of_the_old_one(place: Place) -> None:
    by_hand = {"number_of_replicas": "0", "refresh_interval": "7s", "gc_deletes": "9s"}
    place.client.indices.put_settings(index=place.old, body={"index": by_hand})
    place.rebuild()
    shown = place.client.indices.get(index=place.new)[place.new]
    assert by_hand.items() <= shown["settings"]["index"].items()


def test_the_newer_version_of_either_store_is_copied(place: Place) -> None:
    place.write(*(a_change(one, 1) for one in ("both", "table", "index", "removed")))
    place.write(a_change("table", 2), a_change("new", 1), to=[place.table])
    place.write(a_change("index", 3), a_change("removed", 2, None), to=[place.index])
    place.rebuild()
    expected = {"both": 1, "table": 2, "new": 1, "index": 3, "removed": 2}
    assert place.versions(place.new) == expected
    assert place.shown() == 4


def test_a_document_with_a_routing_is_not_copied_and_keeps_the_old_index(
    place: RealPlace,
) -> None:
    place.client.indices.delete(index=place.old)
    ensure_index(place.client, place.alias, IndexSettings(shards=5))
    place.write(*(a_change(f"T{n}", 1) for n in range(9)))
    place.write(a_change("alone", 1), to=[place.index])
    for document in (a_change("foreign", 1), a_change("T7", 1), a_change("alone", 1)):
        source = msgspec.to_builtins(document_from(document))
        routing = {"routing": "r"}
        place.client.index(index=place.old, id=document.image_id, body=source, params=routing)
    done = place.rebuild(drop_old=True, at_most=50.0)
    copied = {**{f"T{n}": 1 for n in range(9)}, "alone": 1}
    assert place.versions(place.new) == copied
    assert {one.image_id for one in done.not_copied} == {
        f"{one}?routing=r" for one in ("foreign", "T7", "alone")
    }
    assert all("written with the routing 'r'" in one.detail for one in done.not_copied)
    assert (done.dropped, done.kept) == ((), (place.old,))


@pytest.mark.parametrize("output", ["DYNAMODB_JSON", "ION"])
def test_an_index_filled_from_an_export_equals_the_current_table(
    place: RealPlace, output: str
) -> None:
    then = [a_change(f"T{n}", 1) for n in range(5)]
    place.write(*then)
    s3 = place.clients.s3
    s3.create_bucket(Bucket=place.alias)
    items = [item_from(one) for one in then]
    uri = put_export(s3, place.alias, [items[:2], items[2:]], table=place.alias, output=output)
    place.write(a_change("T0", 2, None), a_change("T1", 2), a_change("T9", 1))
    place.write(a_change("T2", 2), to=[place.table])
    now = dt.datetime.now(dt.UTC)
    export = Export(s3, uri, place.alias, now=now)
    done = place.run(msgspec.structs.replace(place.parts(), items=export))
    assert done.copied == {"table": 6, "index": 3}
    assert place.versions(place.new) == {"T0": 2, "T1": 2, "T2": 2, "T3": 1, "T4": 1, "T9": 1}
    assert done.audit.result == "equal"


def test_a_rebuild_from_the_table_resumes_with_an_export_from_its_beginning(
    place: Place,
) -> None:
    place.write(*(a_change(f"T{n}", 1) for n in range(3)))
    note = RebuildState(replaces=place.old, worker=this_worker(), source="export x", position="7:9")
    Indices(place.client, place.alias).create(place.new, note)
    assert place.rebuild().copied == {"table": 3, "index": 0}


def test_what_the_old_index_is_ahead_with_is_copied_and_stays_in_the_audit(place: Place) -> None:
    long_ago = time.time() - HORIZON.total_seconds() - DAY
    place.write(*(a_change(one, 1) for one in ("T1", "newer", "removed", "bad-item")))
    place.write(a_change("lost", 1), a_change("outlived", 1, arrived=long_ago), to=[place.index])
    place.write(a_change("newer", 2), a_change("removed", 2, None), to=[place.index])
    place.write(a_change("alone", 2, None), to=[place.index])
    place.write(a_change("over", 2, None, arrived=long_ago), to=[place.index])
    bad = {"image_id": {"S": "bad-item"}, "version": {"N": "1"}}
    place.dynamodb.put_item(TableName=place.alias, Item=bad)
    place.write(a_change("explained", 1), to=[place.index])
    place.quarantined = [("write_to_dynamodb", "explained")]
    done = place.rebuild(drop_old=True)
    assert place.versions(place.new) == {
        "T1": 1,
        "explained": 1,
        "newer": 2,
        "removed": 2,
        "lost": 1,
        "outlived": 1,
        "alone": 2,
        "bad-item": 1,
    }
    kinds = {"explained": 1, "image": 2, "malformed": 1, "outlived": 1, "removal": 2}
    assert done.audit.ahead == kinds
    assert (done.exit_code, done.dropped) == (1, ())


def test_a_malformed_document_that_only_the_old_index_has_is_reported_and_kept_there(
    place: Place,
) -> None:
    place.write(a_change("T1", 1))
    place.client.index(index=place.old, id="bad", body={"name": "somebody's"})
    done = place.rebuild(drop_old=True, at_most=100.0)
    (told,) = done.not_copied
    assert (told.image_id, done.audit.result) == ("bad", "equal")
    assert (done.exit_code, done.kept, done.dropped) == (1, (place.old,), ())


class Refusing:
    """A sink that refuses one version, as an index does whose limits an image exceeds."""

    def __init__(self, sink: Sink, version: int) -> None:
        self._sink = sink
        self._version = version
        self.longest_send = sink.longest_send
        self.requests = sink.requests
        self.check = sink.check

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        good = [one for one in changes if one.version != self._version]
        outcomes = iter(self._sink.send(good, within) if good else ())
        return [next(outcomes) if one in good else Refused("too long") for one in changes]


def test_of_what_the_index_refuses_the_document_of_the_old_index_stays(place: Place) -> None:
    """The simulation found it: readers lost an image whose newer version is in quarantine."""
    place.write(a_change("T1", 1), a_change("T2", 1))
    place.write(a_change("T1", 2), to=[place.table])
    parts = place.parts()
    done = place.run(msgspec.structs.replace(parts, sink=Refusing(parts.sink, 2)))
    assert place.versions(place.new) == {"T1": 1, "T2": 1}
    assert [(one.image_id, one.detail) for one in done.not_copied] == [("T1", "too long")]
    assert (done.audit.differences, done.exit_code) == ({"index_behind": 1}, 1)


def test_an_index_that_was_restored_from_an_old_snapshot_gets_what_the_table_has(
    place: Place,
) -> None:
    then = [a_change(f"T{n}", 1) for n in range(20)]
    place.write(*then)
    place.rebuild()
    place.write(a_change("T0", 2), a_change("T1", 2, None), a_change("T20", 1))
    place.dynamodb.delete_item(TableName=place.alias, Key={"image_id": {"S": "T2"}})
    state = Indices(place.client, place.alias).state(place.new)
    for index in (place.old, place.new):
        place.client.indices.delete(index=index)
    both = {place.alias: {}, f"{place.alias}-live": {"filter": LIVE_FILTER}}
    place.client.indices.create(index=place.new, body={**definition(), "aliases": both})
    # The snapshot was taken during a rebuild.
    unfinished = msgspec.structs.replace(state, done=False)
    Indices(place.client, place.alias).save_state(place.new, unfinished)
    place.write(*then, to=[place.index])
    assert Rebuild(place.parts()).plan().stage == "finish"
    for _ in range(2):
        done = place.rebuild(at_most=10.0)
        versions = place.versions(done.index)
        assert (versions.pop("T0"), versions.pop("T1")) == (2, 2)
        assert versions == {f"T{n}": 1 for n in range(2, 21)}
        # It only cannot be known whether the table lost it, or deleted it long ago.
        assert done.audit.ahead == {"image": 1}
    assert done.index == f"{place.alias}-000003"


def test_an_expired_tombstone_still_deletes_the_older_image_of_the_table(place: Place) -> None:
    long_ago = time.time() - HORIZON.total_seconds() - DAY
    place.write(a_change("T1", 1), to=[place.table])
    place.write(a_change("T1", 2, None, arrived=long_ago), to=[place.index])
    place.rebuild()
    assert place.shown() == 0


def test_an_image_that_cannot_be_copied_is_reported_and_the_others_are_copied(place: Place) -> None:
    place.write(a_change("good", 1), a_change("mended", 1))
    place.dynamodb.put_item(
        TableName=place.alias, Item={"image_id": {"S": "bad"}, "version": {"N": "3"}}
    )
    place.dynamodb.delete_item(TableName=place.alias, Key={"image_id": {"S": "mended"}})
    place.dynamodb.put_item(
        TableName=place.alias, Item={"image_id": {"S": "mended"}, "name": {"S": "x"}}
    )
    done = place.rebuild()
    (told,) = done.not_copied
    assert told.image_id == "bad"
    assert "malformed" in told.detail
    assert place.versions(place.new) == {"good": 1, "mended": 1}, "the old index knows better"
    assert (done.audit.differences, done.exit_code) == ({"malformed": 2}, 1)


def test_a_bulk_that_reaches_the_old_index_after_the_switch_is_copied(place: Place) -> None:
    place.write(a_change("T1", 1), a_change("T2", 1))
    asked = []

    def settled() -> float:
        """One consumer lags at first; then the last bulk requests arrive."""
        asked.append(place.behind(place.alias))
        if len(asked) == 1:
            return 0.0
        place.into(place.old, a_change("T1", len(asked)))
        return math.inf

    late = a_change("T2", 7)
    place.run(place.parts(settled=settled, sleep=lambda _: None), settle=0.0)
    assert asked == [{place.new: {"is_write_index": True}}] * 2
    assert place.versions(place.new) == {"T1": 2, "T2": 1}
    place.into(place.old, late)
    assert place.rebuild().index == place.new
    assert place.versions(place.new)["T2"] == 7


class TestOnOneMachine:
    """The time of a function is not waited for: OpenSearch says which writes are in progress."""

    def test_the_old_index_is_followed_until_the_writes_of_before_have_ended(
        self, place: Place
    ) -> None:
        place.write(a_change("T1", 1))
        held = f"{place.alias}-0held"
        allocation = "index.routing.allocation.include._name"
        place.client.indices.create(
            index=held,
            body={"settings": {allocation: "nobody"}},
            params={"wait_for_active_shards": "0"},
        )
        writing = Indices(place.client, place.alias).writing
        write = threading.Thread(target=lambda: place.client.index(index=held, body={}))
        write.start()
        while not writing():
            assert write.is_alive()

        def sleep(_: float) -> None:
            """The request writes to the old index at its very end. The audit sleeps, too."""
            if not write.is_alive():
                return
            assert place.behind(place.alias) == {place.new: {"is_write_index": True}}
            place.into(place.old, a_change("T1", 7))
            place.client.indices.put_settings(index=held, body={allocation: None})
            write.join()

        done = place.run(place.parts(sleep=sleep), settle=None)
        assert not write.is_alive()
        assert place.versions(place.new) == {"T1": 7}
        assert done.copied == {"table": 1, "index": 1}

    def test_without_such_a_write_nothing_is_waited_for(self, place: Place) -> None:
        place.write(a_change("T1", 1))
        waits: list[float] = []
        assert place.run(place.parts(sleep=waits.append), settle=None).exit_code == 0
        assert waits == []

    def test_a_write_that_does_not_end_ends_the_wait(self, place: Place) -> None:
        place.write(a_change("T1", 1))
        parts = place.parts()
        indices = Endless(place.client, place.alias, IndexSettings())
        endless = msgspec.structs.replace(parts, indices=indices)
        with pytest.raises(NotFinishedError, match="a write that began before still runs"):
            place.run(endless, settle=None)
        assert place.rebuild().exit_code == 0


class Endless(Indices):
    """The indices of an engine with a write that never ends."""

    def writing(self) -> frozenset[str]:
        return frozenset({"node:1"})


class TestAnotherNumberOfShards:
    FIVE = IndexSettings(shards=5, replicas="auto", refresh_interval="700ms")

    def _settings(self, place: Place, index: str) -> Mapping[str, str]:
        its: Mapping[str, str] = place.client.indices.get(index=index)[index]["settings"]["index"]
        return its

    def test_a_rebuild_names_it_and_brings_it(self, place: Place) -> None:
        place.write(*(a_change(f"T{n}", n) for n in range(1, 301)), a_change("gone", 5, None))
        parts = place.parts(settings=self.FIVE)
        plan = Rebuild(parts).plan()
        assert plan.differences == ("it has 1 shard, and the stack wants 5",)
        assert plan.stage == "begin"
        done = place.run(parts)
        assert (done.audit.result, place.shown()) == ("equal", 300)
        its = self._settings(place, place.new)
        assert its["number_of_shards"] == "5"
        # The deployment keeps the other settings of the live index as the stack wants them.
        assert "auto_expand_replicas" not in its
        assert Rebuild(parts).plan().differences == ()

    def test_a_kept_index_does_not_hide_it(self, place: Place) -> None:
        """Otherwise the next rebuild would repeat the check of the kept one, and build nothing."""
        place.write(a_change("T1", 1))
        place.rebuild()
        assert place.run(place.parts(settings=self.FIVE)).index == f"{place.alias}-000003"
        assert self._settings(place, f"{place.alias}-000003")["number_of_shards"] == "5"

    def test_an_unfinished_index_of_another_number_is_not_completed(self, place: Place) -> None:
        note = RebuildState(replaces=place.old, worker=this_worker(), source="x")
        Indices(place.client, place.alias).create(place.new, note)
        with pytest.raises(MisconfiguredError, match=r"1 shard, and the stack wants 5.*--abandon"):
            Rebuild(place.parts(settings=self.FIVE)).plan()

    def test_a_lost_index_comes_back_as_the_stack_wants_it(self, place: Place) -> None:
        place.write(a_change("T1", 1))
        place.client.indices.delete(index=place.old)
        done = place.run(place.parts(settings=self.FIVE))
        its = self._settings(place, done.index)
        chosen = ("number_of_shards", "auto_expand_replicas", "refresh_interval")
        assert [its[name] for name in chosen] == ["5", "0-1", "700ms"]


class TestSeveralShards:
    IMAGES = 200

    @pytest.fixture
    def place(self, place: Place) -> Place:
        """The live index has five shards, with different numbers of documents."""
        place.client.indices.delete(index=place.old)
        five = definition()["settings"] | {"number_of_shards": "5"}
        both = {place.alias: {}, f"{place.alias}-live": {"filter": LIVE_FILTER}}
        body = {**definition(), "settings": five, "aliases": both}
        place.client.indices.create(index=place.old, body=body)
        place.write(*(a_change(f"T{n}", 1) for n in range(self.IMAGES)))
        return place

    def test_without_writes_no_document_is_read_again(self, place: Place) -> None:
        read: list[str] = []
        done = place.run(place.parts(client=place.reading(read)))
        assert done.audit.result == "equal"
        # Once at the first look, and once in the check at the end.
        assert len(read) == 2 * self.IMAGES

    def test_only_what_was_written_since_the_last_look_is_read(self, place: Place) -> None:
        read: list[str] = []
        client = place.reading(read)
        new: list[str] = []

        def sleep(_: float) -> None:
            """Write one image into the old index, at a moment between two looks."""
            if len(new) < 4:
                new.append(f"T{len(new)}")
                place.into(place.old, a_change(new[-1], 2))

        done = place.run(place.parts(client=client, sleep=sleep))
        assert len(new) == 4
        assert read[self.IMAGES : -self.IMAGES] == new
        assert done.copied == {"table": self.IMAGES, "index": len(new)}

    def test_more_documents_than_fit_a_page_are_all_read(self, place: Place) -> None:
        shards = Indices(place.client, place.alias).shards(place.old)
        empty = {
            shard: msgspec.structs.replace(mark, number=-1)
            for shard, mark in shards.look().marks.items()
        }
        images = [f"T{n}" for n in range(6 * DOCUMENTS_PER_PAGE)]
        # Deletions, because an index takes names more slowly.
        place.write(*(a_change(one, 2, None) for one in images), to=[place.index])
        written = shards.written_since(empty, shards.look())
        assert written is not None
        assert sorted(hit["_id"] for hit in written) == sorted(images)

    def test_an_index_that_was_replaced_under_its_name_is_read_whole(self, place: Place) -> None:
        """As a snapshot does that is restored: its shards have other histories."""
        shards = Indices(place.client, place.alias).shards(place.old)
        before = shards.look()
        place.client.indices.delete(index=place.old)
        ensure_index(place.client, place.alias)
        assert Indices(place.client, place.alias).shards(place.old).look().marks != before.marks
        assert shards.written_since(before.marks, before) is not None
        with pytest.raises(RequestFailedError, match="has no primary"):
            shards.written_since(before.marks, shards.look())
        marks = {"0": before.marks["0"]}
        place.write(*(a_change(f"T{n}", 1) for n in range(self.IMAGES)), to=[place.index])
        assert marks["0"].number < shards.look().marks["0"].number
        assert shards.written_since(marks, shards.look()) is None

    def test_an_index_of_which_no_shard_answers_cannot_be_followed(self, place: Place) -> None:
        place.client.indices.create(
            index=place.new,
            body={"settings": {"routing.allocation.require._name": "no node"}},
            params={"wait_for_active_shards": "0"},
        )
        with pytest.raises(RequestFailedError, match=f"index {place.new}: no shard answers"):
            Indices(place.client, place.alias).shards(place.new).look()

    def test_a_shard_whose_number_went_back_is_read_whole(self, place: Place) -> None:
        shards = Indices(place.client, place.alias).shards(place.old)
        look = shards.look()
        ahead = {
            shard: msgspec.structs.replace(mark, number=mark.number + 1)
            for shard, mark in look.marks.items()
        }
        assert shards.written_since(ahead, look) is None
        assert shards.written_since({}, look) is None
        assert list(shards.written_since(look.marks, look) or "all") == []


def test_a_rebuild_killed_after_any_change_resumes_and_readers_miss_nothing(place: Place) -> None:
    place.write(*(a_change(f"T{n}", 1) for n in range(300)), a_change("T300", 1, None))
    lives: list[str] = []
    for deaths in range(1, 100):
        try:
            done = place.run(place.parts(client=place.mortal(deaths)))
            break
        except CrashError:
            pass
        (live,) = place.behind(place.alias)
        assert place.behind(f"{place.alias}-live") == {live: {"filter": LIVE_FILTER}}
        lives.append(live)
        # The stream flows.
        place.write(a_change(f"late-{deaths}", 1), a_change(f"T{deaths}", 2))
        assert place.shown() == 300 + deaths
    assert lives == sorted(lives), "first one index was live, then the other"
    assert set(lives) == {place.old, place.new}
    assert done.audit.result == "equal"
    assert place.shown() == 300 + len(lives)
    assert list(place.client.indices.get(index=f"{place.alias}-*")) == [place.old, place.new]
    assert place.behind(place.alias) == {place.new: {"is_write_index": True}}
    assert not place.client.indices.exists_alias(name=f"{place.alias}-rebuild")


def test_a_rebuild_ends_for_now_if_a_consumer_lags_and_is_finished_later(place: Place) -> None:
    place.write(a_change("T1", 1))
    with pytest.raises(
        NotFinishedError, match="is live, but a consumer still processes older records"
    ):
        place.run(place.parts(settled=lambda: 0.0))
    assert place.behind(place.alias) == {place.new: {"is_write_index": True}}
    assert Rebuild(place.parts()).plan().stage == "finish"
    assert place.rebuild(drop_old=True).dropped == (place.old,)


def _delete(place: Place, *, purges: bool) -> None:
    """Delete an image; sometimes its tombstone is purged from the table and the new index."""
    place.write(a_change("T1", 2, None))
    if not purges:
        return
    params = {"version": "3", "version_type": "external"}
    place.client.delete(index=place.new, id="T1", params=params)
    place.dynamodb.delete_item(TableName=place.alias, Key={"image_id": {"S": "T1"}})


@pytest.mark.parametrize(
    ("days", "stage", "is_read"),
    [(RESTORABLE.days - 1, "repeat", True), (RESTORABLE.days + 1, "begin", False)],
)
def test_an_old_index_is_read_again_only_while_each_deletion_since_has_a_tombstone(
    place: Place,
    days: int,
    stage: str,
    is_read: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    place.write(a_change("T1", 1), a_change("T2", 1))
    assert place.rebuild().kept == (place.old,)
    _delete(place, purges=not is_read)
    read: list[str] = []
    later = place.parts(client=place.reading(read), days_later=days)
    assert Rebuild(later).plan().stage == stage
    place.run(later)
    assert ("T1" in read) is is_read


@pytest.mark.parametrize("days", [RESTORABLE.days - 1, RESTORABLE.days + 1])
def test_a_rebuild_that_ends_long_after_the_switch_does_not_read_the_old_index(
    place: Place, days: int
) -> None:
    place.write(a_change("T1", 1), a_change("T2", 1))
    with pytest.raises(NotFinishedError):
        place.run(place.parts(settled=lambda: 0.0))
    _delete(place, purges=days > RESTORABLE.days)
    read: list[str] = []
    later = place.parts(client=place.reading(read), days_later=days)
    plan = Rebuild(later).plan()
    assert (plan.stage, plan.replaces) == ("finish", place.old if days < RESTORABLE.days else None)
    done = place.run(later)
    assert (done.index, done.kept) == (place.new, (place.old,))
    assert ("T1" in read) is (days < RESTORABLE.days)


def test_a_new_index_that_was_not_switched_to_for_long_is_not_completed(place: Place) -> None:
    place.write(a_change("T1", 1))
    with pytest.raises(NotSwitchedError):
        place.rebuild(at_most=-1.0)
    later = place.parts(days_later=RESTORABLE.days + 1)
    message = f"{place.new} was begun over 91 days ago, .*`lockstep rebuild --abandon --apply`"
    with pytest.raises(MisconfiguredError, match=message):
        place.run(later)
    assert Rebuild(later).abandon(apply=True) == (place.new,)
    assert place.run(later).audit.result == "equal"


def test_an_old_index_that_is_written_too_fast_stays_live(place: Place) -> None:
    place.write(a_change("T1", 1))
    ticks = itertools.count(step=20.0)  # each look at the clock is 20 seconds later
    parts = place.parts()
    slow = msgspec.structs.replace(parts.clock, elapsed=lambda: next(ticks))
    with pytest.raises(NotFinishedError, match="written faster than it can be copied"):
        place.run(msgspec.structs.replace(parts, clock=slow))
    assert place.behind(place.alias) == {place.old: {"is_write_index": True}}
    assert place.rebuild().audit.result == "equal"


def test_two_rebuilds_do_not_run_at_once(place: Place) -> None:
    place.write(a_change("T1", 1))
    mine = place.parts(worker=this_worker())
    second: list[type[Exception]] = []

    def meanwhile() -> float:
        try:
            place.run(place.parts(worker=msgspec.structs.replace(this_worker(), pid=1)))
        except AnotherRebuildError as error:
            second.append(type(error))
        plan = Rebuild(mine).plan()
        assert (plan.worker, plan.worker_is) == (str(this_worker()), "at_work")
        return math.inf

    done = place.run(msgspec.structs.replace(mine, settled=meanwhile), settle=0.0)
    assert second == [AnotherRebuildError]
    assert done.audit.result == "equal"


@pytest.mark.parametrize("renewals", [3, None])
def test_a_rebuild_on_another_machine_is_taken_over_only_if_it_does_not_renew_its_lease(
    place: Place, renewals: int | None
) -> None:
    place.write(a_change("T1", 1))
    indices = Indices(place.client, place.alias)
    note = RebuildState(replaces=place.old, worker=ELSEWHERE)
    indices.create(place.new, note)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == renewals:
            indices.save_state(place.new, msgspec.structs.replace(note, beat=len(waits)))

    parts = place.parts(sleep=sleep)
    if renewals is None:
        assert place.run(parts).audit.result == "equal"
        assert sum(waits) > 45
    else:
        with pytest.raises(AnotherRebuildError, match="process 1 on elsewhere"):
            place.run(parts)
        assert place.behind(place.alias) == {place.old: {"is_write_index": True}}


def test_a_worker_whose_lease_was_taken_over_stops_at_its_next_renewal(place: Place) -> None:
    indices = Indices(place.client, place.alias)
    clock = place.parts().clock
    first = Lease.create(
        indices, place.new, RebuildState(replaces=place.old, worker=ELSEWHERE), clock
    )
    Lease.take_over(indices, place.new, this_worker(), clock)
    with pytest.raises(AnotherRebuildError):
        first.save(filled=True)
    assert indices.state(place.new).filled is False


def test_an_index_in_which_readers_would_find_fewer_images_does_not_go_live(place: Place) -> None:
    changes = [a_change(f"T{n}", 1) for n in range(20)]
    for one in changes:
        document = msgspec.to_builtins(document_from(one)) | {"digest": "none of ours"}
        place.client.index(
            index=place.alias,
            id=one.image_id,
            body=document,
            params={"version": "1", "version_type": "external"},
        )
    with pytest.raises(NotSwitchedError, match=r"find 20 images .* would find 0 .*100 % fewer"):
        place.rebuild(at_most=99.0)
    assert place.shown() == 20
    place.write(*changes, to=[place.table])
    done = place.rebuild()
    assert (place.shown(), done.audit.result) == (20, "equal")


def test_an_alias_that_a_late_request_left_behind_does_not_disturb_the_next_rebuild(
    place: Place,
) -> None:
    place.write(a_change("T1", 1))
    place.client.indices.put_alias(index=place.old, name=f"{place.alias}-rebuild")
    assert place.rebuild().audit.result == "equal"
    assert not place.client.indices.exists_alias(name=f"{place.alias}-rebuild")


def test_the_old_index_is_deleted_if_requested_and_all_is_equal(place: Place) -> None:
    place.write(a_change("T1", 1))
    place.rebuild()
    done = place.rebuild(drop_old=True)
    assert (done.index, done.kept, done.dropped) == (place.new, (), (place.old,))
    assert list(place.client.indices.get(index=f"{place.alias}-*")) == [place.new]
    assert place.rebuild().index == f"{place.alias}-000003"


def test_the_old_index_stays_while_the_stores_differ(place: Place) -> None:
    place.write(a_change("T1", 1))
    place.dynamodb.put_item(TableName=place.alias, Item={"image_id": {"S": "bad"}})
    done = place.rebuild(drop_old=True)
    assert (done.audit.result, done.dropped) == ("different", ())
    assert place.client.indices.exists(index=place.old)


def test_an_unfinished_rebuild_can_be_abandoned(place: Place) -> None:
    place.write(a_change("T1", 1))
    rebuild = Rebuild(place.parts())
    assert rebuild.abandon(apply=True) == ()
    Indices(place.client, place.alias).create(
        place.new, RebuildState(replaces=place.old, worker=this_worker())
    )
    assert rebuild.plan().stage == "go_on"
    assert rebuild.abandon(apply=False) == (place.new,)
    assert place.client.indices.exists(index=place.new)
    assert rebuild.abandon(apply=True) == (place.new,)
    assert list(place.client.indices.get(index=f"{place.alias}-*")) == [place.old]
    assert rebuild.plan().stage == "begin"


def hidden(place: Place) -> None:
    """Somebody sets the alias for reading again, without its filter."""
    place.client.indices.delete_alias(index=place.old, name=f"{place.alias}-live")
    place.client.indices.put_alias(index=place.old, name=f"{place.alias}-live")


def elsewhere(place: Place) -> None:
    """Somebody moves the alias for reading to another index."""
    place.client.indices.delete_alias(index=place.old, name=f"{place.alias}-live")
    both = {f"{place.alias}-live": {"filter": LIVE_FILTER}}
    place.client.indices.create(index=place.new, body={**definition(), "aliases": both})


def twice(place: Place) -> None:
    """Somebody adds another index to the alias for writing."""
    place.client.indices.create(index=place.new, body={"aliases": {place.alias: {}}})


def gone(place: Place) -> None:
    """Somebody removes the alias for writing."""
    place.client.indices.delete_alias(index=place.old, name=place.alias)


def forbidden(place: Place) -> None:
    """Somebody forbids writing."""
    place.client.indices.put_alias(
        index=place.old, name=place.alias, body={"is_write_index": False}
    )


class TestWrongAliases:
    @pytest.mark.parametrize("astray", [hidden, elsewhere, twice, gone, forbidden])
    def test_both_aliases_are_set_and_nothing_is_filled(
        self, place: Place, astray: Callable[[Place], None]
    ) -> None:
        place.write(a_change("T1", 1), a_change("removed", 2, None))
        astray(place)
        plan = Rebuild(place.parts()).plan()
        assert (plan.stage, plan.index, plan.replaces) == ("aliases", place.old, None)
        assert len(plan.problems) == 1
        before = place.versions(place.old)
        done = place.rebuild()
        assert done.corrected == plan.problems
        assert (done.index, done.replaced, done.copied) == (
            place.old,
            None,
            {"table": 0, "index": 0},
        )
        assert place.behind(place.alias) == {place.old: {"is_write_index": True}}
        assert place.behind(f"{place.alias}-live") == {place.old: {"filter": LIVE_FILTER}}
        assert (place.shown(), place.versions(place.old)) == (1, before)
        assert (done.audit.result, Rebuild(place.parts()).plan().problems) == ("equal", ())

    def test_readers_are_not_moved_to_an_index_that_lacks_too_much(self, place: Place) -> None:
        """Somebody moved the alias for writing to an empty index."""
        place.write(*(a_change(f"T{n}", 1) for n in range(20)))
        place.client.indices.delete_alias(index=place.old, name=place.alias)
        empty = {**definition(), "aliases": {place.alias: {"is_write_index": True}}}
        place.client.indices.create(index=place.new, body=empty)
        place.client.indices.refresh(index=place.old)
        assert Rebuild(place.parts()).plan().index == place.new
        with pytest.raises(NotSwitchedError, match=r"find 20 images now but would find 0 .*100 %"):
            place.rebuild(at_most=1.0)
        assert place.behind(f"{place.alias}-live") == {place.old: {"filter": LIVE_FILTER}}
        place.write(*(a_change(f"T{n}", 1) for n in range(20)), to=[place.index])
        place.client.indices.refresh(index=place.new)
        done = place.rebuild(at_most=1.0)
        assert (done.index, done.audit.result, place.shown()) == (place.new, "equal", 20)

    def test_the_aliases_are_set_before_an_interrupted_rebuild_goes_on(self, place: Place) -> None:
        place.write(a_change("T1", 1), a_change("removed", 2, None))
        indices = Indices(place.client, place.alias)
        indices.create(place.new, RebuildState(replaces=place.old, worker=this_worker()))
        hidden(place)
        done = place.rebuild()
        assert (len(done.corrected), done.index, done.replaced) == (1, place.new, place.old)
        assert place.behind(f"{place.alias}-live") == {place.new: {"filter": LIVE_FILTER}}

    def test_an_index_of_another_release_is_replaced(self, place: Place) -> None:
        place.client.indices.delete(index=place.old)
        both: dict[str, Any] = {place.alias: {}, f"{place.alias}-live": {}}
        place.client.indices.create(
            index=place.old, body={**changed(definition()), "aliases": both}
        )
        place.write(a_change("T1", 1), a_change("removed", 2, None))
        done = place.rebuild()
        assert (len(done.corrected), done.index, done.replaced) == (1, place.new, place.old)
        assert place.behind(f"{place.alias}-live") == {place.new: {"filter": LIVE_FILTER}}
        assert place.shown() == 1

    def test_an_index_in_the_place_of_an_alias_is_left_to_the_operator(self, place: Place) -> None:
        place.client.indices.delete_alias(index=place.old, name=f"{place.alias}-live")
        place.client.indices.create(index=f"{place.alias}-live")
        with pytest.raises(MisconfiguredError, match=r"is an index, not an alias: .*Delete it"):
            place.rebuild()
        place.client.indices.delete(index=f"{place.alias}-live")
        assert place.rebuild().index == place.old

    def test_an_alias_that_moves_during_a_rebuild_is_not_moved_back(self, place: Place) -> None:
        place.write(a_change("T1", 1))
        parts = place.parts()
        others = f"{place.alias}-000009"

        def moving(position: str | None) -> Iterator[WholePage]:
            body = {**definition(), "aliases": {}}
            place.client.indices.create(index=others, body=body)
            Indices(place.client, place.alias).switch(others)
            return place.parts().items.pages(position)

        items = Source(parts.items, moving)
        with pytest.raises(MisconfiguredError, match=f"moved the alias from .* to {others}"):
            place.run(msgspec.structs.replace(parts, items=items))
        assert place.behind(place.alias) == {others: {"is_write_index": True}}


class Source:
    """The table as an image source; the test decides what happens when its pages are read."""

    def __init__(
        self, table: ImageSource, pages: Callable[[str | None], Iterator[WholePage]]
    ) -> None:
        self.name = table.name
        self.count = table.count
        self.pages = pages


class TestNoIndex:
    def test_an_index_is_built_from_the_table_and_both_aliases_are_set(self, place: Place) -> None:
        place.write(*(a_change(f"T{n}", n) for n in range(1, 701)), a_change("gone", 5, None))
        place.client.indices.delete(index=place.old)
        plan = Rebuild(place.parts()).plan()
        assert (plan.stage, plan.live, plan.index, plan.replaces) == (
            "begin",
            None,
            place.old,
            None,
        )
        done = place.rebuild()
        assert (done.index, done.replaced) == (place.old, None)
        assert (done.copied, done.audit.result) == ({"table": 701, "index": 0}, "equal")
        assert place.behind(place.alias) == {place.old: {"is_write_index": True}}
        assert place.behind(f"{place.alias}-live") == {place.old: {"filter": LIVE_FILTER}}
        assert place.shown() == 700
        assert ensure_index(place.client, place.alias) == Unchanged(place.old)

    def test_a_consumer_that_writes_meanwhile_creates_no_index_and_waits(
        self, place: Place
    ) -> None:
        place.write(a_change("T1", 1))
        place.client.indices.delete(index=place.old)
        parts = place.parts()
        stopped: list[str] = []

        def pages(position: str | None) -> Iterator[WholePage]:
            for page in place.parts().items.pages(position):
                yield page
                with pytest.raises(MisconfiguredError, match=place.alias) as caught:
                    place.index.send([a_change("T1", 2)])
                stopped.append(str(caught.value))

        done = place.run(msgspec.structs.replace(parts, items=Source(parts.items, pages)))
        assert stopped
        assert done.audit.result == "equal"
        place.write(a_change("T1", 2))
        assert place.versions(place.old) == {"T1": 2}

    def test_a_rebuild_killed_after_any_change_resumes_and_shows_no_half_index(
        self, place: Place
    ) -> None:
        place.write(*(a_change(f"T{n}", 1) for n in range(30)), a_change("T30", 1, None))
        place.client.indices.delete(index=place.old)
        shown: list[int | None] = []
        indices = Indices(place.client, place.alias)
        for deaths in range(1, 100):
            with suppress(CrashError):
                place.run(place.parts(client=place.mortal(deaths)))
            if (state := indices.read().live_state) is not None and state.done:
                break
            live = place.client.indices.exists_alias(name=f"{place.alias}-live")
            assert live == place.client.indices.exists_alias(name=place.alias)
            shown.append(place.shown() if live else None)
        assert set(shown) == {None, 30}
        assert shown == sorted(shown, key=lambda count: count or 0), "first none, then all"
        assert list(place.client.indices.get(index=f"{place.alias}-*")) == [place.old]
        assert len(place.versions(place.old)) == 31
        assert not place.client.indices.exists_alias(name=f"{place.alias}-rebuild")

    def test_an_old_index_behind_no_alias_is_named_and_left_alone(self, place: Place) -> None:
        place.write(a_change("T1", 1))
        place.rebuild()
        place.client.indices.delete(index=place.new)
        place.write(a_change("T1", 2), to=[place.table])
        assert Rebuild(place.parts()).plan().ignored == (place.old,)
        done = place.rebuild()
        assert (done.index, done.replaced, done.audit.result) == (place.new, None, "equal")
        assert (place.versions(place.old), place.versions(place.new)) == ({"T1": 1}, {"T1": 2})

    def test_what_is_written_to_an_index_that_a_deployment_creates_meanwhile_is_copied(
        self, place: Place
    ) -> None:
        """The deployment creates `000001`, so the rebuild has the name of an older index + 1."""
        place.write(a_change("T1", 1))
        place.rebuild()
        for index in (place.old, place.new):
            place.client.indices.delete(index=index)
        others = f"{place.alias}-000007"
        place.client.indices.create(index=others)
        parts = place.parts()

        def pages(position: str | None) -> Iterator[WholePage]:
            yield from place.parts().items.pages(position)
            if not place.client.indices.exists(index=place.old):
                assert ensure_index(place.client, place.alias).index == place.old
                place.write(a_change("T2", 1), to=[place.index])

        done = place.run(msgspec.structs.replace(parts, items=Source(parts.items, pages)))
        assert (done.index, done.replaced) == (f"{place.alias}-000008", place.old)
        assert done.copied == {"table": 1, "index": 1}
        assert place.versions(done.index) == {"T1": 1, "T2": 1}
        assert place.behind(place.alias) == {done.index: {"is_write_index": True}}

    def test_a_deployment_during_a_rebuild_names_the_command(self, place: Place) -> None:
        place.client.indices.delete(index=place.old)
        indices = Indices(place.client, place.alias)
        indices.create(place.old, RebuildState(replaces=None, worker=this_worker()))
        with pytest.raises(MisconfiguredError, match="run `lockstep rebuild --apply`"):
            ensure_index(place.client, place.alias)
        assert place.rebuild().index == place.old
        assert ensure_index(place.client, place.alias) == Unchanged(place.old)

    def test_an_index_that_is_lost_during_its_rebuild_is_built_from_the_table(
        self, place: Place
    ) -> None:
        place.write(a_change("T1", 1), a_change("T2", 1))
        indices = Indices(place.client, place.alias)
        indices.create(place.new, RebuildState(replaces=place.old, worker=this_worker()))
        place.client.indices.delete(index=place.old)
        done = place.rebuild()
        assert (done.index, place.versions(place.new)) == (place.new, {"T1": 1, "T2": 1})
        assert place.behind(place.alias) == {place.new: {"is_write_index": True}}

    def test_a_local_stack_starts_with_a_wrong_alias_so_that_it_can_be_set(
        self, place: RealPlace, kinesis_endpoint: str
    ) -> None:
        endpoints = msgspec.structs.replace(place.stack.endpoints, kinesis=kinesis_endpoint)
        stack = msgspec.structs.replace(place.stack, endpoints=endpoints)
        hidden(place)
        told: list[str] = []
        prepare(stack, Clients(stack), shards=1, tell=told.append)
        (said,) = told
        assert "does not hide deleted images" in said
        assert "run `lockstep rebuild --apply`" in said


def changed(index: Mapping[str, Any]) -> dict[str, Any]:
    """The definition of an older release, whose names were stemmed otherwise."""
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(index))
    whole["settings"]["analysis"]["analyzer"]["stem"]["filter"] = ["lowercase"]
    del whole["mappings"]["properties"]["checksum"]
    return whole


class TestAnotherRelease:
    @pytest.fixture
    def place(self, place: Place) -> Place:
        """The live index is an older release's."""
        place.client.indices.delete(index=place.old)
        both = {place.alias: {}, f"{place.alias}-live": {"filter": LIVE_FILTER}}
        place.client.indices.create(
            index=place.old, body={**changed(definition()), "aliases": both}
        )
        place.write(a_change("T1", 1))
        return place

    def test_a_rebuild_back_leaves_two_old_indices_which_are_deleted_together(
        self, place: Place
    ) -> None:
        place.rebuild()
        note = msgspec.to_builtins(Indices(place.client, place.alias).state(place.new))
        place.client.indices.delete(index=place.new)
        both = {place.alias: {}, f"{place.alias}-live": {"filter": LIVE_FILTER}}
        older = changed(definition())
        older["mappings"]["_meta"] = {"rebuild": note}
        place.client.indices.create(index=place.new, body={**older, "aliases": both})
        done = place.rebuild()
        assert (done.index, done.kept) == (f"{place.alias}-000003", (place.new, place.old))
        assert place.rebuild(drop_old=True).dropped == (place.new, place.old)
        assert list(place.client.indices.get(index=f"{place.alias}-*")) == [done.index]

    def test_a_changed_analysis_needs_a_rebuild(self, place: Place) -> None:
        with pytest.raises(MisconfiguredError, match="lockstep rebuild"):
            ensure_index(place.client, place.alias)
        plan = Rebuild(place.parts()).plan()
        assert (plan.stage, plan.index) == ("begin", place.new)
        assert "mappings.properties.checksum is missing" in plan.differences
        assert any("analyzer.stem" in one for one in plan.differences)
        place.rebuild()
        assert str(ensure_index(place.client, place.alias)) == f"index {place.new} is up to date"

    def test_a_local_stack_starts_with_it_so_that_it_can_be_rebuilt(
        self, place: RealPlace, kinesis_endpoint: str
    ) -> None:
        endpoints = msgspec.structs.replace(place.stack.endpoints, kinesis=kinesis_endpoint)
        stack = msgspec.structs.replace(place.stack, endpoints=endpoints)
        told: list[str] = []
        prepare(stack, Clients(stack), shards=1, tell=told.append)
        (said,) = told
        assert "this needs a new index: run `lockstep rebuild`" in said
        assert place.shown() == 1
        place.rebuild()
        prepare(stack, Clients(stack), shards=1, tell=told.append)
        assert told == [said]

    def test_an_index_for_consumers_of_another_release_is_not_built_unless_told(
        self, place: Place
    ) -> None:
        parts = msgspec.structs.replace(place.parts(), refusal="another release is deployed")
        assert Rebuild(parts).plan().refused == "another release is deployed"
        with pytest.raises(OtherReleaseError, match="another release is deployed"):
            place.run(parts)
        assert list(place.client.indices.get(index=f"{place.alias}-*")) == [place.old]
        done = place.run(parts, before_deploying=True)
        assert (done.index, done.audit.result) == (place.new, "equal")

    def test_what_builds_no_index_is_not_refused(self, place: Place) -> None:
        place.rebuild()
        parts = msgspec.structs.replace(place.parts(), refusal="another release is deployed")
        assert Rebuild(parts).plan().refused is None
        assert place.run(parts).index == place.new
        place.client.indices.delete_alias(index=place.new, name=f"{place.alias}-live")
        assert place.run(parts).corrected

    def test_an_older_index_refuses_documents_so_the_consumer_stops_and_sets_nothing_aside(
        self, place: Place
    ) -> None:
        """What an older command line would do to the deployed consumer."""
        with_checksum = change("T2", 1, image=image("a", checksum=f"sha256:{'0' * 64}"))
        with pytest.raises(MisconfiguredError, match=r"strict_dynamic_mapping.*\[checksum\]"):
            place.index.send([with_checksum])
        with pytest.raises(MisconfiguredError, match="checksum is missing"):
            place.index.check()
        place.rebuild()
        place.write(with_checksum)

    def test_an_index_that_knows_more_fields_accepts_the_documents_of_an_older_consumer(
        self, place: Place
    ) -> None:
        place.rebuild()
        more = {"properties": {"added_later": {"type": "keyword"}}}
        place.client.indices.put_mapping(index=place.new, body=more)
        place.write(a_change("T2", 1))
        place.index.check()
        assert Rebuild(place.parts()).plan().differences == ()

    def test_fields_are_added_to_whichever_index_is_live(self, place: Place) -> None:
        place.rebuild()
        place.client.indices.delete(index=place.new)
        older = changed(definition())
        older["settings"] = definition()["settings"]
        both = {place.alias: {}, f"{place.alias}-live": {"filter": LIVE_FILTER}}
        place.client.indices.create(index=place.new, body={**older, "aliases": both})
        done = ensure_index(place.client, place.alias)
        assert done == Added(place.new, ("mappings.properties.checksum",))
        assert len(list(Indices(place.client, place.alias).read().differences)) == 0

    def test_an_index_that_another_release_has_begun_is_not_resumed(self, place: Place) -> None:
        note = msgspec.to_builtins(RebuildState(replaces=place.old, worker=this_worker()))
        older = changed(definition())
        older["mappings"]["_meta"] = {"rebuild": note}
        place.client.indices.create(index=place.new, body=older)
        with pytest.raises(MisconfiguredError, match=r"another release .*--abandon"):
            place.rebuild()
