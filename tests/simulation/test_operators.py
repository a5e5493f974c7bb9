"""Operators in the simulation: their share, what they do, and that broken promises are seen."""

import itertools
import math
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from opensearchpy.exceptions import ConnectionTimeout

from lockstep.rebuild.indices import AnotherRebuildError
from lockstep.rebuild.worker import RebuildWorker
from lockstep.repair.purge import Purged
from lockstep.simulation.components import REAL
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.network import NoAnswerInTimeError
from lockstep.simulation.faults import Tally
from lockstep.simulation.history import History
from lockstep.simulation.interpretation import REFUSED_BY_INDEX
from lockstep.simulation.operators.answering import KINDS, AnswerSteps
from lockstep.simulation.operators.audits import Audits
from lockstep.simulation.operators.forgeries import Forgeries
from lockstep.simulation.operators.harm import Harm
from lockstep.simulation.operators.limits import DAY, HORIZON_DAYS, AgeLimits
from lockstep.simulation.operators.new_index import NewIndexChecks
from lockstep.simulation.operators.promises import Promise, Promises
from lockstep.simulation.operators.purges import Purges
from lockstep.simulation.operators.rebuilds import Rebuilds
from lockstep.simulation.operators.redrives import Redrives
from lockstep.simulation.operators.repairs import Repairs
from lockstep.simulation.operators.tools import Tools
from lockstep.simulation.oracle import DELETED, Meaning, item
from lockstep.simulation.plan import HistoryPlan, Step, plain, plan
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.table_changes import TableChanges
from lockstep.simulation.violation import ViolationError
from lockstep.stores.corrections import Removal
from shared.outcome import Applied, Conflict, Failed
from tests.unit.audit.stand import STAMP, a_change


def quiet(*kinds: Any, seed: int = 0) -> HistoryPlan:
    """A plan of these steps, with operators and without faults."""
    return HistoryPlan(
        seed=1,
        fault_rate=0.0,
        shards=1,
        batch_size=1,
        window_seconds=0,
        function_seconds=60.0,
        bisect=False,
        honours_parameters=True,
        parallelization_factor=2,
        second_mapping=None,
        steps=tuple(Step(kind, seed + at) for at, kind in enumerate(kinds)),
        retries=None,
        age_seconds=None,
        index_shards=3,
        operators=True,
        index_from=None,
        other_skew=None,
    )


def test_operators_work_in_a_third_of_the_histories_and_the_other_steps_stay() -> None:
    plans = [*map(plan, range(1_000))]
    assert 270 < sum(one.operators for one in plans) < 400
    for one in plans:
        assert not plain(one).operators
        assert set(plain(one).steps) <= set(one.steps)


@pytest.mark.parametrize(
    ("kind", "counted"),
    [
        ("repair", "repaired"),
        ("answer", "index won"),
        ("answer", "table won"),
        ("restore", "table restored"),
        ("purge", "purged by an operator"),
    ],
)
def test_an_operator_does_it_and_the_guide_ends_with_equal_stores(kind: Any, counted: Any) -> None:
    tally = Tally()
    for seed in range(30):
        history = History(quiet("put", "poll", "put", "poll", kind, seed=seed * 100), REAL, tally)
        history.run()
        if any(history.system.touched.values()):
            assert history.system.table.items.keys() == {
                image_id
                for image_id, document in history.system.index.documents.items()
                if document.source is not None
            } | {
                image_id
                for image_id, item in history.system.table.items.items()
                if "expires_at" in item
            }
    assert tally[counted]
    assert tally["guide followed to its end"] or kind == "purge"


def stocked() -> tuple[History, Tools, Promises]:
    """A system whose stores hold the same images, and its operator's tools."""
    history = History(quiet("put", "poll", "put", "poll", "put"))
    history.play()
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    history.system.time.advance(8 * 86_400)  # the stream has forgotten all
    tools = Tools(history.system)
    tools.begin(faulty=False)
    assert history.system.table.items
    return history, tools, Promises(tools)


@pytest.mark.parametrize("is_removed", [False, True])
def test_another_program_may_write_an_item_while_a_command_runs(
    is_removed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, tools, promises = stocked()
    table = history.system.table
    image_id = min(table.items)
    with promises.kept("O2"):
        if is_removed:
            table.remove_by_hand(image_id)
        else:
            table.put_by_hand(image_id, {**table.items[image_id]})
    with pytest.raises(ViolationError, match="O2"), promises.kept("O2"):
        table.items[image_id] = {"image_id": {"S": image_id}}
    assert not tools.own_in_table


def changes_an_item(history: History, _: Tools) -> None:
    items = history.system.table.items
    image_id = min(items)
    items[image_id] = {**items[image_id]}


def lowers_a_document(history: History, _: Tools) -> None:
    documents = history.system.index.documents
    image_id = min(documents)
    source = documents[image_id].source or {}
    lower = {**source, "version": source["version"] - 1}
    documents[image_id] = msgspec.structs.replace(documents[image_id], source=lower)


def removes_a_document(history: History, _: Tools) -> None:
    del history.system.index.documents[min(history.system.index.documents)]


def loses_everything(history: History, _: Tools) -> None:
    image_id = min(history.system.table.items)
    history.system.table.items.pop(image_id)
    history.system.index.documents.pop(image_id)


@pytest.mark.parametrize(
    ("promise", "breaks"),
    [
        ("O2", changes_an_item),
        ("O2", lowers_a_document),
        ("O2", removes_a_document),
        ("O1", loses_everything),
    ],
)
def test_a_broken_promise_is_a_violation(
    promise: Promise, breaks: Callable[[History, Tools], None]
) -> None:
    history, tools, promises = stocked()
    with promises.kept(promise):
        pass
    with pytest.raises(ViolationError, match=promise), promises.kept(promise):
        breaks(history, tools)


@pytest.mark.parametrize(("days", "is_held"), [(1, False), (7, False), (30, True)])
def test_the_stream_holds_by_its_present_retention(
    days: int,
    is_held: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, tools, promises = stocked()  # eight days ago
    history.system.stream.retention = days * 86_400.0
    if is_held:
        with promises.kept("O1"):
            loses_everything(history, tools)
        return
    with pytest.raises(ViolationError, match="O1"), promises.kept("O1"):
        loses_everything(history, tools)


def test_what_expires_during_a_command_was_held_by_the_stream() -> None:
    history, tools, promises = stocked()
    history.system.stream.retention = 9 * 86_400.0
    with promises.kept("O1"):
        loses_everything(history, tools)
        history.system.time.advance(86_400.0)


def test_a_promise_is_checked_also_if_the_command_raises() -> None:
    history, tools, promises = stocked()

    def broken() -> None:
        changes_an_item(history, tools)
        raise ZeroDivisionError

    with pytest.raises(ViolationError, match="O2"), promises.kept("O2"):
        broken()
    with pytest.raises(ZeroDivisionError), promises.kept("O2"):
        raise ZeroDivisionError


def commands(
    history: History, tools: Tools, promises: Promises
) -> tuple[Audits, Repairs, AnswerSteps]:
    """The commands of an operator of this system, in which nothing else happens."""
    around: Any = SimpleNamespace(oldest_unread=lambda: None)
    limits, harm = AgeLimits(history.system, around), Harm(tools, promises, around)
    audits = Audits(tools, promises, limits, around)
    repairs = Repairs(tools, promises, audits, harm, limits, around)
    return audits, repairs, AnswerSteps(tools, promises, audits, repairs, harm, around)


def test_an_answer_acts_where_the_line_of_a_malformed_entry_would_be_the_same() -> None:
    history, tools, promises = stocked()
    audits, _, answering = commands(history, tools, promises)
    table = history.system.table
    image_id = min(one for one, item in table.items.items() if "digest" in item)
    whole = table.items[image_id]
    malformed = {name: its for name, its in whole.items() if name != "version"}
    table.put_by_hand(image_id, malformed)
    differences = audits.audit(whole=True, faulty=False) or ()
    assert [one.image_id for one in differences] == [image_id]
    seen = promises.raw()
    table.put_by_hand(image_id, {**malformed, "digest": {"S": "0" * 64}})
    answering.answer("index", KINDS, differences, seen, limit=100.0, faulty=False)
    assert table.items[image_id]["version"] == whole["version"]
    assert table.items[image_id]["digest"] == whole["digest"]


@pytest.mark.parametrize("is_of_the_same_millisecond", [True, False])
def test_an_event_put_during_an_audit_may_be_one_that_the_index_has_already(
    is_of_the_same_millisecond: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, tools, promises = stocked()
    audits, *_ = commands(history, tools, promises)
    system = history.system
    system.time.advance(math.ceil(system.time.now) - system.time.now)
    image_id = min(one for one, item in system.table.items.items() if "digest" in item)
    system.table.remove_by_hand(image_id)
    document, now = system.index.documents[image_id], system.time.now
    source = {**(document.source or {}), "arrived_at": int(now * 1000)}
    system.index.nodes.live.keep(image_id, document.version, source, now)
    arrived_at = now if is_of_the_same_millisecond else now + 1.0
    arrivals = itertools.chain([None], itertools.repeat(arrived_at))
    audits._around = cast("Any", SimpleNamespace(oldest_unread=lambda: next(arrivals)))  # noqa: SLF001 - others put meanwhile
    named = audits.audit(whole=True, faulty=False)
    assert (named is None) == is_of_the_same_millisecond


def test_a_second_repair_may_remove_what_the_first_one_left_to_an_operator() -> None:
    history, tools, promises = stocked()
    audits, repairs, _ = commands(history, tools, promises)
    table, index = history.system.table, history.system.index
    image_id = min(table.items)
    item, document = table.items[image_id], index.documents[image_id]
    table.remove_by_hand(image_id)
    index.nodes.live.keep(image_id, document.version + 1, document.source, 0.0)
    differences = audits.audit(whole=True, faulty=False) or ()
    repairs.repair(differences, limit=100.0, faulty=False)
    assert index.documents[image_id].version == document.version + 1
    table.put_by_hand(image_id, item)
    repairs._check_again(differences)  # noqa: SLF001 - as its step does
    assert index.documents[image_id].version == document.version
    # The rules of versions begin again after the removal, with what is written again.
    assert history.system.touched["write_to_es"][image_id] == len(index.journal) - 1


@pytest.mark.parametrize("is_written_again", [False, True])
def test_a_removal_may_take_effect_after_its_answer_was_late(
    is_written_again: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, tools, _ = stocked()
    index = history.system.index
    image_id = min(index.documents)
    document = index.documents[image_id]
    index.nodes.live.keep(image_id, document.version + 1, document.source, 0.0)
    late: list[Callable[[], object]] = []

    def send(apply: Callable[[], object]) -> object:
        late.append(apply)
        raise NoAnswerInTimeError

    tools.connection("index").send = send  # type: ignore[assignment, method-assign]
    (outcome,) = tools.corrections.remove([Removal(image_id, document.version + 1)])
    assert isinstance(outcome, Failed)
    assert image_id not in history.system.touched["write_to_es"]
    if is_written_again:  # by another repair, which removed it first
        index.nodes.live.keep(image_id, document.version, document.source, 0.0)
    removal = late[0]
    removal()
    assert index.documents[image_id].source is None
    assert history.system.touched["write_to_es"][image_id] == len(index.journal)


def test_the_look_of_a_second_rebuild_is_not_one_of_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, tools, promises = stocked()
    rebuilds = Rebuilds(tools, promises, cast("Any", None))
    live = history.system.index.nodes.live
    live.look()
    live.keep("T9", 1, {"version": 1}, 0.0)

    def refuse(_: object) -> None:
        raise AnotherRebuildError("a rebuild runs")

    monkeypatch.setattr(rebuilds, "_rebuild", refuse)
    with rebuilds._working(RebuildWorker("operators", 99, 0.0)):  # noqa: SLF001 - the first one
        rebuilds._second()  # noqa: SLF001 - as its step does
    assert not live.was_looked_at("T9")


def after_a_rebuild() -> tuple[History, Rebuilds]:
    history, tools, promises = stocked()
    around: Any = SimpleNamespace(oldest_unread=lambda: None)
    rebuilds = Rebuilds(tools, promises, around)
    rebuilds._run(rebuilds._options(0.0))  # noqa: SLF001 - as its step does
    return history, rebuilds


def test_a_second_rebuild_may_write_what_the_table_took_after_the_first_one_read_it() -> None:
    history, rebuilds = after_a_rebuild()
    table = history.system.table
    writes = len(table.journal)
    rebuilds._check_again(writes)  # noqa: SLF001 - as its step does
    image_id = min(table.items)
    table.journal.append(Written(image_id, 1, deleted=False, entry=table.items[image_id]))
    del history.system.index.documents[image_id]
    rebuilds._check_again(writes)  # noqa: SLF001 - the same
    assert image_id in history.system.index.documents


@pytest.mark.parametrize("is_purged", [True, False])
def test_a_second_rebuild_writes_only_what_is_below_a_purged_tombstone(*, is_purged: bool) -> None:
    history, rebuilds = after_a_rebuild()
    image_id = min(history.system.table.items)
    del history.system.index.documents[image_id]
    if is_purged:
        history.system.purged["write_to_es"].add((image_id, STAMP))
    expected = (
        nullcontext()
        if is_purged
        else pytest.raises(ViolationError, match="O4: a second rebuild wrote again")
    )
    with expected:
        rebuilds._check_again(len(history.system.table.journal))  # noqa: SLF001 - as its step does


def test_a_request_from_before_a_switch_holds_no_record_after_one_in_the_new_index() -> None:
    history, *_ = stocked()
    nodes, sink = history.system.index.nodes, history.system.consumers["write_to_es"].sink
    old = nodes.live
    new = nodes.add("images-000002", old.mappings, old.settings)
    old.aliases, new.aliases = {}, old.aliases
    nodes.aliases_changed()
    assert sink.send([a_change(STAMP, "a", image_id="T9")]) == [Applied()]
    nodes.pinned = old
    assert sink.send([a_change(STAMP + 1, "b", image_id="T8")]) == [Applied()]
    assert "T8" in old.documents
    (outcome,) = sink.send([a_change(STAMP, "other", image_id="T9")])
    assert isinstance(outcome, Conflict)
    assert "T9" not in old.documents


@pytest.mark.parametrize("is_looked_at_before", [False, True])
def test_a_switch_that_comes_late_is_judged_by_what_its_own_rebuild_had_seen(
    is_looked_at_before: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, tools, promises = stocked()
    Rebuilds(tools, promises, cast("Any", None))
    nodes = history.system.index.nodes
    old = nodes.live
    new = nodes.add("images-000002", old.mappings, old.settings)
    new.documents = old.documents.copy()
    source = next(one.source for one in old.documents.values() if one.source is not None)
    if is_looked_at_before:
        old.keep("T9", 1, {**source, "image_id": "T9", "version": 1}, 0.0)
    old.look()
    late: list[Callable[[], object]] = []

    def send(apply: Callable[[], object]) -> object:
        late.append(apply)
        raise NoAnswerInTimeError

    tools.connection("index").send = send  # type: ignore[assignment, method-assign]
    actions = [
        {"remove": {"index": old.name, "alias": "images"}},
        {"add": {"index": new.name, "alias": "images", "is_write_index": True}},
    ]
    with pytest.raises(ConnectionTimeout):
        tools.index_client.indices.update_aliases(body={"actions": actions})
    if not is_looked_at_before:
        old.keep("T9", 1, {**source, "image_id": "T9", "version": 1}, 0.0)
        old.look()  # that of another rebuild
    switch = late[0]
    if is_looked_at_before:
        with pytest.raises(ViolationError, match=r"O2: after the switch, .* of T9"):
            switch()
    else:
        switch()
    assert nodes.live is new


def test_a_case_forged_at_the_position_of_a_chosen_one_may_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(12):
        history, _, promises = stocked()
        system = history.system
        forgeries = Forgeries(system, promises, cast("Any", None))
        monkeypatch.setattr(forgeries, "_position", partial(min, system.stream.accepted, key=str))
        system.conditions.chance.seed(seed)
        for _ in range(2):
            forgeries._failure_document()  # noqa: SLF001 - as its step does
        forgeries._object()  # noqa: SLF001 - the same
        Redrives(system, lambda: None).redrive()


def test_documents_may_come_while_all_of_them_are_put_again() -> None:
    history, tools, promises = stocked()
    live = history.system.index.nodes.live
    put: list[str] = []

    def put_while_others_write(image_id: str) -> None:
        put.append(image_id)
        live.keep(f"new {image_id}", 1, {"version": 1}, 0.0)

    before = [*live.documents]
    around: Any = SimpleNamespace(put=put_while_others_write, meanwhile=lambda: None)
    Rebuilds(tools, promises, around)._work_twice()  # noqa: SLF001 - as its step does
    assert put == before


@pytest.mark.parametrize("is_above", [False, True])
def test_what_the_index_alone_held_may_leave_by_the_purge_of_a_tombstone_of_its_version(
    is_above: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history, _, promises = stocked()
    system = history.system
    changes = system.changes = TableChanges(
        system.table, system.time, lambda: 0.9, Tally(), purged=set(), may_return=set()
    )
    image_id = min(one for one, its in system.table.items.items() if "digest" in its)
    version = int(system.table.items[image_id]["version"]["N"]) - is_above
    deletion = Meaning(image_id, version, DELETED, "2026-11-21T08:00:00Z", None)
    ended = item(deletion, arrived_at=0, shard_id="by hand", sequence_number="1")
    changes.put_by_hand(image_id, ended, is_ours=True)
    assert system.table.purge(image_id, system.time.now)
    if is_above:
        with pytest.raises(ViolationError, match="O1"), promises.kept("O1"):
            del system.index.documents[image_id]
    else:
        with promises.kept("O1"):
            del system.index.documents[image_id]


@pytest.mark.parametrize(("name", "is_seen"), [(REFUSED_BY_INDEX, False), ("another", True)])
def test_a_new_index_may_lack_only_what_it_refuses(
    name: str,
    is_seen: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    system = History(quiet()).system
    system.table.items["T0"] = {
        "image_id": {"S": "T0"},
        "version": {"N": "1"},
        "image": {"M": {"name": {"S": name}}},
    }
    expected = pytest.raises(ViolationError, match="T0") if is_seen else nullcontext()
    with expected:
        NewIndexChecks(system).has_the_table()


@pytest.mark.parametrize("other", ["the same", "another"])
def test_two_contents_of_one_version_in_the_old_and_the_new_index_are_a_conflict(
    other: str,
) -> None:
    system = History(quiet()).system
    nodes, now = system.index.nodes, system.time.now
    old = nodes.live
    old.keep("T0", 1, {"version": 1, "digest": "the same"}, now)
    nodes.live = nodes.add("images-000002", {}, {"number_of_shards": 1})
    nodes.live.keep("T0", 1, {"version": 1, "digest": other}, now)
    NewIndexChecks(system).note_conflicts()
    held = ("T0", StoredVersion(1, other))
    assert system.given_index == (set() if other == "the same" else {held})


@pytest.mark.parametrize("expires_meanwhile", [False, True])
def test_a_second_purge_writes_only_if_the_table_has_lost_an_item_meanwhile(
    expires_meanwhile: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, tools, promises = stocked()
    unused: Any = None
    purges = Purges(tools, promises, commands(history, tools, promises)[0], *[unused] * 4)
    applied = iter((False, True))

    def apply() -> Purged:
        if next(applied):
            image_id = min(one for one, it in history.system.index.documents.items() if it.source)
            tools.own_in_index.append(Written(image_id, None, deleted=True))
            if expires_meanwhile:
                history.system.table.items.popitem()
        return Purged(0, 0, {}, [])

    monkeypatch.setattr(purges, "_apply", apply)
    expected = nullcontext() if expires_meanwhile else pytest.raises(ViolationError, match="O4")
    with expected:
        purges.purge(faulty=False)


def test_a_request_of_a_purge_may_arrive_after_the_purge_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history = History(quiet())
    system, tools = history.system, Tools(history.system)
    history.uploaders[0].put([("T0", "image.deleted")])
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    system.time.advance(HORIZON_DAYS * DAY)
    promises = Promises(tools)
    unused: Any = None
    purges = Purges(tools, promises, commands(history, tools, promises)[0], *[unused] * 4)

    def unanswered() -> Purged:
        version = system.index.documents["T0"].version
        system.time.later(1.0, partial(REAL.purge, cast("Any", system.index), "T0", version))
        raise ConnectionTimeout

    monkeypatch.setattr(purges, "_apply", unanswered)
    purges.purge(faulty=True)
    system.time.advance(2.0)
    assert system.index.documents["T0"].source is None
    history.finish()


def test_a_rebuild_that_was_killed_after_its_end_copies_nothing_more() -> None:
    history = History(quiet("put", "rebuild"))
    history.play()
    history._drain_all()  # noqa: SLF001 - as a step does
    operators, nodes = history._operators, history.system.index.nodes  # noqa: SLF001 - the same
    assert operators is not None
    operators.rebuilds.finish()
    nodes.followed = nodes.add("images-000900", {}, {"number_of_shards": 1})
    operators.rebuilds.finish()
    assert nodes.followed is None


@pytest.mark.parametrize("left", [0.01, 3_600.0])
def test_a_tombstone_may_end_during_the_audit_of_the_guide(left: float) -> None:
    history = History(quiet())
    system, operators = history.system, history._operators  # noqa: SLF001 - as `finish` does
    assert operators is not None
    history.uploaders[0].put([("T0", "image.deleted")])
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    operators.promises.touch("T0")
    del system.index.documents["T0"]
    end = int(system.table.items["T0"]["expires_at"]["N"])
    system.time.advance(end - left - system.time.now)
    operators.finish()
    assert ("T0" in system.index.documents) == (left > 1.0)


def test_a_second_purge_may_remove_a_tombstone_that_ended_since_the_first() -> None:
    history, tools, promises = stocked()
    system = history.system
    history.uploaders[0].put([("T0", "image.deleted")])
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    unused: Any = None
    purges = Purges(tools, promises, commands(history, tools, promises)[0], *[unused] * 4)
    end = int(system.table.items["T0"]["expires_at"]["N"])
    system.time.advance(end - 0.01 - system.time.now)
    purges.purge(faulty=False)
    assert system.index.documents["T0"].source is None
