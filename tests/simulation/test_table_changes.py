"""The streams of the table's changes in a history, and the check of an index that reads them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lockstep.simulation import oracle
from lockstep.simulation.clock import START, VirtualTime
from lockstep.simulation.components import CHANGES_STREAM, REAL, Components
from lockstep.simulation.fakes.dynamodb import DynamoDB, Written
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.fakes.table_stream import RETENTION_SECONDS, SHARD_SECONDS
from lockstep.simulation.faults import Tally
from lockstep.simulation.history import History
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.invariants import check
from lockstep.simulation.plan import HistoryPlan, Route, Step, StepKind, plan
from lockstep.simulation.run import broken_by
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.table_changes import Indexed, TableChanges
from lockstep.simulation.table_changes_check import _check_against_table
from lockstep.simulation.violation import ViolationError
from tests.simulation.wrong_table_changes import WRONG

DAY = 86_400
HOUR = 3_600.0


def item(image_id: str, version: int, name: str | None = "n", **more: Any) -> dict[str, Any]:
    image = None if name is None else {"name": name, "attributes": {"b": "1", "a": "2"}}
    kind = "image.updated" if image else oracle.DELETED
    meaning = oracle.Meaning(image_id, version, kind, "2026-11-21T08:00:00Z", image)
    made = oracle.item(meaning, arrived_at=1_795_248_000_000, shard_id="s", sequence_number="1")
    return {**made, **more}


class Told:
    """A table, its changes, and a stream of copies; `draws` are the random numbers in order."""

    def __init__(self, *draws: float) -> None:
        self.time, self.tally = VirtualTime(), Tally()
        self.table = DynamoDB("images")
        self.may_return: set[tuple[str, int]] = set()
        left = iter(draws)
        self.changes = TableChanges(
            self.table,
            self.time,
            lambda: next(left, 0.99),
            self.tally,
            purged=set(),
            may_return=self.may_return,
        )

    def put(self, image_id: str, version: int, *, is_ours: bool = True) -> None:
        self.changes.put_by_hand(image_id, item(image_id, version), is_ours=is_ours)

    def meanings(self, records: Sequence[AcceptedRecord]) -> list[Indexed | Poison | None]:
        return [self.changes.meaning(one) for one in records]


def test_a_lower_version_that_came_after_a_purge_is_no_sign_that_the_purge_is_missing() -> None:
    told = Told()
    told.put("T1", 7)
    told.changes.put_by_hand("T1", item("T1", 9, None), is_ours=True)
    assert told.table.purge("T1", START + 200 * DAY)
    told.put("T1", 8)
    purge = told.changes.records[2]
    assert told.changes.meaning(purge) == Indexed("T1", 9, None)
    after = {at: told.changes.came_after(purge, StoredVersion(at, None)) for at in (7, 8, 9)}
    assert after == {7: False, 8: True, 9: False}


def test_the_highest_version_of_an_image_is_known_after_its_item_has_gone() -> None:
    told = Told()
    assert told.changes.highest("T1") == 0
    for version in (3, 9, 4):
        told.put("T1", version)
    told.changes.put_by_hand("T1", {"image_id": {"S": "T1"}, "version": {"N": "12"}}, is_ours=False)
    told.put("T2", 11)
    told.table.remove_by_hand("T1")
    assert told.changes.highest("T1") == 9


def versions(meanings: list[Indexed | Poison | None]) -> list[int | str]:
    return [one.version if isinstance(one, Indexed) else "poison" for one in meanings]


def test_the_tables_own_stream_has_each_change_once_in_order() -> None:
    told = Told()
    for version in (1, 2, 3):
        told.put("T1", version)
    told.put("T1", 3)  # changes nothing
    own = told.changes.own.accepted
    assert versions(told.meanings(own)) == [1, 2, 3]
    numbers = [int(one.sequence_number) for one in own]
    assert numbers == sorted(set(numbers))
    assert len({one.shard_id for one in own}) == 1


def test_a_child_continues_a_shard_after_four_hours() -> None:
    told = Told()
    told.put("T1", 1)
    told.time.advance(SHARD_SECONDS)
    told.put("T1", 2)
    first, second = (one.shard_id for one in told.changes.own.accepted)
    shards = told.changes.own.shards
    assert (shards[first].closed, shards[second].closed) == (True, False)
    assert shards[second].parents == {first}


def test_the_stream_forgets_after_a_day_what_nobody_needs() -> None:
    told = Told()
    told.put("T1", 1)
    told.time.advance(RETENTION_SECONDS + 60)
    told.put("T1", 2)
    own = told.changes.own
    own.needed = lambda _: 0
    own.trim(told.time.now - RETENTION_SECONDS)
    assert sum(shard.trimmed for shard in own.shards.values()) == 0
    own.needed = lambda shard: len(shard.records)
    own.trim(told.time.now - RETENTION_SECONDS)
    assert sum(shard.trimmed for shard in own.shards.values()) == 1


def test_copies_come_late_out_of_order_and_twice() -> None:
    # Of the first change: whether it is late, how late, whether it comes twice, how late then.
    told = Told(0.0, 0.5, 0.1, 0.9)
    copies = told.changes.copy_into_a_new_stream(1)
    told.put("T1", 1)
    told.put("T1", 2)
    told.time.settle()
    assert versions(told.meanings(copies.accepted)) == [2, 1, 1]
    assert told.tally["change of the table copied twice"] == 1
    assert told.tally["change of the table out of order"] == 2
    assert {one.stream for one in copies.accepted} == {CHANGES_STREAM}


def test_a_new_stream_of_copies_begins_empty_and_repeats_no_number() -> None:
    told = Told()
    first = told.changes.copy_into_a_new_stream(1)
    told.put("T1", 1)
    second = told.changes.copy_into_a_new_stream(1)
    assert not second.accepted
    told.put("T1", 2)
    numbers = [one.sequence_number for one in (*first.accepted, *second.accepted)]
    assert len(set(numbers)) == len(numbers) == 2


def test_a_removal_by_hand_is_a_tombstone_under_the_next_version_for_121_days() -> None:
    told = Told()
    told.put("T1", 7)
    told.time.advance(0.75)
    told.table.remove_by_hand("T1")
    *_, removed = told.meanings(told.changes.own.accepted)
    assert isinstance(removed, Indexed)
    # Of the table's own stream, the time is known in whole seconds.
    assert removed.document == {
        "image_id": "T1",
        "version": 8,
        "deleted": True,
        "event_type": "image.deleted",
        "occurred_at": "2026-11-21T08:00:00Z",
        "arrived_at": int(START) * 1000,
        "expires_at": int(START) + 121 * DAY,
    }


@pytest.mark.parametrize("is_named", [True, False])
def test_the_tombstone_of_a_removal_by_hand_may_follow_where_what_was_removed_may(
    *, is_named: bool
) -> None:
    told = Told()
    told.put("T1", 10**15 + 9)
    if is_named:
        told.may_return.add(("T1", 10**15 + 9))
    told.table.remove_by_hand("T1")
    named = {("T1", 10**15 + 9)} | ({("T1", 10**15 + 10)} if is_named else set())
    assert told.may_return == named


def test_a_purge_has_no_document_and_malformed_items_are_poison() -> None:
    told = Told()
    tombstone = item("T1", 7, None)
    told.changes.put_by_hand("T1", tombstone, is_ours=True)
    assert told.table.purge("T1", START + 200 * DAY)
    told.put("odd", 1, is_ours=False)
    told.table.remove_by_hand("odd")
    _, purged, put, removed = told.meanings(told.changes.own.accepted)
    assert purged == Indexed("T1", 7, None)
    assert (put, removed) == (Poison("malformed"), Poison("malformed"))
    assert told.changes.purged == {"T1": 7}


def history(route: Route, *kinds: StepKind, seed: int = 7) -> HistoryPlan:
    """A history without faults, with these steps."""
    steps = tuple(Step(kind, seed + at) for at, kind in enumerate(kinds))
    return msgspec.structs.replace(
        plan(seed),
        fault_rate=0.0,
        retries=None,
        age_seconds=None,
        second_mapping=None,
        operators=False,
        index_from=route,
        steps=steps,
    )


ROUTES: tuple[Route, ...] = ("Kinesis", "DynamoDBStreams", "KinesisDataStreamsForDynamoDB")
EVERYTHING: tuple[StepKind, ...] = (
    "put",
    "poll",
    "put by hand",
    "remove by hand",
    "poll",
    "change the source",
    "put",
    "poll",
    "index down for a day",
    "change the source",
    "put",
    "days pass",
    "poison",
)


@pytest.mark.parametrize("route", ROUTES)
def test_the_index_equals_the_table_on_each_route_and_after_changes_of_it(route: Route) -> None:
    for seed in range(30):
        assert broken_by(history(route, *EVERYTHING, seed=seed * 100)) is None


@pytest.mark.parametrize("route", ROUTES)
def test_what_an_operator_discarded_may_be_in_one_store_only(route: Route) -> None:
    """The table took what the index refused, and its record was given up (seed 7,339,419)."""
    for seed in range(40):
        planned = history(route, "poison", "days pass", "give up records", seed=seed * 100)
        assert broken_by(msgspec.structs.replace(planned, operators=True)) is None


@pytest.mark.parametrize("route", ROUTES[1:])
def test_a_change_that_is_retried_for_longer_than_allowed_is_redriven(route: Route) -> None:
    tally = Tally()
    for seed in range(20):
        planned = history(route, "put", "poll", "index down for a day", seed=seed * 100)
        assert broken_by(planned, REAL, tally) is None
    # A Kinesis stream keeps changes for days.
    assert (tally["change of the table given up"] > 0) == (route == "DynamoDBStreams")


def first_break(route: Route, wrong: Components, *kinds: StepKind) -> str | None:
    found = (broken_by(history(route, *kinds, seed=seed * 100), wrong) for seed in range(40))
    return next((one for one in found if one is not None), None)


def test_what_the_old_mapping_delivers_after_a_change_of_the_source_is_still_a_change() -> None:
    # Until the function knew the name of the stream on every route, it quarantined such records.
    wrong = WRONG["table changes: the stream of changes is not known"]
    kinds: Sequence[StepKind] = ("put", "poll", "change the source", "poll")
    found = first_break("KinesisDataStreamsForDynamoDB", wrong, *kinds)
    assert found is not None
    assert "unknown field `awsRegion`" in found
    assert first_break("KinesisDataStreamsForDynamoDB", REAL, *kinds) is None


def test_a_removal_by_hand_may_outrun_the_events_that_the_index_reads_later() -> None:
    ahead = msgspec.structs.replace(history("DynamoDBStreams"), other_skew=HOUR)
    run = History(ahead)
    system, routes = run.system, run._routes  # noqa: SLF001 - as its steps do
    assert routes is not None
    system.time.advance(0.2)  # the stream of the table tells a change by its second
    run.uploaders[-1].put([("T0", "image.updated")])
    run.drain("write_to_dynamodb")
    routes.remove_by_hand()
    run.drain("write_to_es")
    while routes.route != "Kinesis":
        routes.change(waited=True)
    run.finish()
    (event,) = map(system.interpret, system.stream.accepted)
    assert not isinstance(event, Poison)
    assert system.index.documents["T0"].version == event.version + 1
    (body,) = system.bucket.objects.values()
    assert b'"outrun"' in body


def test_an_index_that_differs_from_the_table_is_found() -> None:
    run = History(history("DynamoDBStreams", "put", "poll"))
    run.play()
    run.drain("write_to_dynamodb")
    run.drain("write_to_es")
    image_id = next(iter(run.system.table.items))
    lost = run.system.index.documents.pop(image_id)
    assert lost.source is not None
    with pytest.raises(BaseException, match=f"I[13]: index: .*{image_id}"):
        run.finish()


@pytest.mark.parametrize("route", ROUTES)
def test_an_index_that_is_down_for_two_days_does_not_keep_the_table_from_reading_in_time(
    route: Route,
) -> None:
    run = History(history(route))
    run.system.stream.retention = DAY
    for _ in range(2):
        run.system.connections["table"].down_until = run.system.time.now + HOUR
        run._steps["index down for a day"]()  # noqa: SLF001 - as `play` does
    run.finish()


def history_of_an_image_below_a_purged_tombstone(*, late: bool, is_named: bool) -> History:
    """The table purges a tombstone, and takes a lower version; so does the index that reads it.

    `late`: a request of the purge timed out, and is applied at the end.
    """
    run = History(history("DynamoDBStreams"))
    system, time = run.system, run.system.time
    assert system.changes is not None
    system.first_touched["write_to_dynamodb"]["E1"] = 0  # somebody writes it by hand
    system.touched["write_to_dynamodb"]["E1"] = 0
    tombstone = item("E1", 10**15 + 9, None, arrived_at={"N": str(int(START - 122 * DAY) * 1000)})
    ended = {**tombstone, "expires_at": {"N": str(int(START - DAY))}}
    system.changes.put_by_hand("E1", ended, is_ours=True)
    run.drain("write_to_es")
    assert system.table.purge("E1", time.now)
    if late:
        system.connections["index"].slow_down(30.0, each=HOUR)
    run.drain("write_to_es")
    assert system.index.documents["E1"].source is None
    time.advance(90.0)  # OpenSearch has forgotten the version of the tombstone
    if is_named:
        system.may_return.add(("E1", 10**15 + 8))
    system.changes.put_by_hand("E1", item("E1", 10**15 + 8), is_ours=True)
    run.drain("write_to_es")
    assert system.index.documents["E1"].version == 10**15 + 8
    time.settle()
    return run


def test_a_purge_that_comes_late_may_remove_what_the_table_took_after_it() -> None:
    run = history_of_an_image_below_a_purged_tombstone(late=True, is_named=True)
    assert run.system.index.documents["E1"].source is None
    run.finish()


@pytest.mark.parametrize(("late", "is_named"), [(True, False), (False, True)])
def test_a_lower_version_is_not_gone_without_a_late_purge_or_if_nobody_named_it(
    *, late: bool, is_named: bool
) -> None:
    run = history_of_an_image_below_a_purged_tombstone(late=late, is_named=is_named)
    del run.system.index.documents["E1"]
    with pytest.raises(ViolationError, match=r"I3: index: E1|I4: write_to_es: E1"):
        run.finish()


@pytest.mark.parametrize(
    ("route", "is_purged", "is_deleted", "violation"),
    [
        ("DynamoDBStreams", True, True, None),
        ("DynamoDBStreams", False, True, "I2"),
        ("DynamoDBStreams", True, False, "I4"),
        (None, True, True, "I2"),
    ],
)
def test_a_purged_tombstone_may_come_again_also_if_a_later_one_is_purged(
    *, route: Route | None, is_purged: bool, is_deleted: bool, violation: str | None
) -> None:
    system = History(msgspec.structs.replace(history("DynamoDBStreams"), index_from=route)).system
    ended, later = 10**15, 10**15 + 9
    gone = Written("A1", None, deleted=True)
    # A second mapping tells the first tombstone and its purge again; then comes another deletion.
    first, last = (Written("A1", version, deleted=True) for version in (ended, later))
    again = Written("A1", ended, deleted=is_deleted)
    system.index.journal.extend([first, gone, again, gone, last, gone])
    purged = {("A1", ended), ("A1", later)} if is_purged else {("A1", later)}
    system.purged["write_to_es"].update(purged)
    if violation is None:
        check(system, [])
    else:
        with pytest.raises(ViolationError, match=f"{violation}: write_to_es: A1 went"):
            check(system, [])


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize(
    ("route", "above", "is_named", "is_right"),
    [
        ("Kinesis", 1, True, True),
        ("Kinesis", 0, True, False),
        ("Kinesis", 1, False, False),
        ("DynamoDBStreams", 1, True, False),
    ],
)
def test_the_index_may_take_below_an_expired_tombstone_what_the_table_does_not(
    *, is_there: bool, route: Route, above: int, is_named: bool, is_right: bool
) -> None:
    run = History(history(route))
    system, routes = run.system, run._routes  # noqa: SLF001 - as `finish` does
    assert routes is not None
    now, version = system.time.now, 10**15
    if is_there:
        ended = {"expires_at": {"N": str(int(now - DAY))}}
        system.table.items["A1"] = item("A1", version + above, None, **ended)
    else:
        system.purged["write_to_dynamodb"].add(("A1", version + above))
    if is_named:
        system.may_return.add(("A1", version))
    event = oracle.Meaning("A1", version, "image.updated", "2026-11-21T08:00:00Z", {"name": "n"})
    source = oracle.document(event, arrived_at=int(now * 1000))
    system.index.nodes.live.keep("A1", version, source, now)
    if is_right:
        _check_against_table(system, routes, set())
    else:
        with pytest.raises(ViolationError, match="I3: index: A1"):
            _check_against_table(system, routes, set())


@pytest.mark.parametrize(
    ("route", "above", "is_named", "is_event", "is_right"),
    [
        ("Kinesis", 1, True, True, True),
        ("Kinesis", 0, True, True, False),
        ("Kinesis", 1, False, True, False),
        ("Kinesis", 1, True, False, False),
        ("DynamoDBStreams", 1, True, True, False),
    ],
)
def test_the_table_may_take_below_an_expired_tombstone_what_the_index_does_not(
    *, route: Route, above: int, is_named: bool, is_event: bool, is_right: bool
) -> None:
    run = History(history(route))
    system, routes = run.system, run._routes  # noqa: SLF001 - as `finish` does
    assert routes is not None
    version = 10**15
    # The index still had the tombstone when it read the event; then the tombstone was purged.
    system.purged["write_to_es"].add(("A1", version + above))
    system.table.items["A1"] = item("A1", version)
    if is_named:
        system.may_return.add(("A1", version))
    if is_event:
        event = oracle.Meaning(
            "A1", version, "image.updated", "2026-11-21T08:00:00Z", {"name": "n"}
        )
        system.ledger.note(b"an event", event)
        system.stream.accept("A1", b"an event")
    if is_right:
        _check_against_table(system, routes, set())
    else:
        with pytest.raises(ViolationError, match="I3: index: A1"):
            _check_against_table(system, routes, set())


@pytest.mark.parametrize(
    ("route", "is_repeated", "is_right"),
    [("Kinesis", True, True), ("Kinesis", False, False), ("DynamoDBStreams", True, False)],
)
def test_each_store_may_have_another_event_of_one_version_with_the_same_content(
    *, route: Route, is_repeated: bool, is_right: bool
) -> None:
    run = History(history(route))
    system, routes = run.system, run._routes  # noqa: SLF001 - as `finish` does
    assert routes is not None
    first = oracle.Meaning("C1", 8, "image.deleted", "2026-11-21T08:00:00Z", None)
    later = replace(first, occurred_at="2026-11-21T09:00:00Z")
    for event in (first, later)[: 1 + is_repeated]:
        system.ledger.note(event.data, event)
        system.stream.accept("C1", event.data)
    accepted = system.stream.accepted[0]
    system.table.items["C1"] = oracle.item(
        first, arrived_at=accepted.arrived_ms, shard_id="s", sequence_number="1"
    )
    source = oracle.document(later, arrived_at=accepted.arrived_ms + 3_600_000)
    system.index.nodes.live.keep("C1", 8, source, system.time.now)
    if is_right:
        _check_against_table(system, routes, set())
    else:
        with pytest.raises(ViolationError, match="I3: index: C1"):
            _check_against_table(system, routes, set())


@pytest.mark.parametrize(("held", "is_right"), [(10**15 + 8, True), (10**15 + 7, False)])
def test_a_purged_tombstone_is_settled_if_the_index_has_what_the_table_took_after_it(
    *, held: int, is_right: bool
) -> None:
    run = history_of_an_image_below_a_purged_tombstone(late=False, is_named=True)
    system = run.system
    assert system.changes is not None
    event = oracle.Meaning("E1", held, "image.updated", "2026-11-21T08:00:00Z", {"name": "n"})
    source = oracle.document(event, arrived_at=int(system.time.now * 1000))
    system.index.nodes.live.keep("E1", held, source, system.time.now)
    tombstone = system.changes.records[0]
    assert system.is_durable(system.consumers["write_to_es"], tombstone) is is_right


def test_an_image_is_uploaded_again_above_what_an_answer_made_of_its_tombstone() -> None:
    run = History(history("KinesisDataStreamsForDynamoDB"))
    routes, changes = run._routes, run.system.changes  # noqa: SLF001 - as its step does
    assert routes is not None
    assert changes is not None
    changes.put_by_hand("E10", item("E10", 1_010, None), is_ours=True)
    assert run.system.table.purge("E10", START + 200 * DAY)
    routes._upload("E10", 10)  # noqa: SLF001 - the same
    assert run.system.table.items["E10"]["version"] == {"N": "1012"}
