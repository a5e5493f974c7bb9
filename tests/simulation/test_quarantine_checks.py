"""What excuses a record in quarantine: each excuse, and its limits."""

from dataclasses import replace

import pytest

from lockstep.simulation.history import History
from lockstep.simulation.interpretation import REFUSED_BY_TABLE, Poison
from lockstep.simulation.oracle import DELETED, REFUSED_AHEAD_US, Meaning, time_of
from lockstep.simulation.quarantine_checks import check, may_be_refused
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.system import Function
from lockstep.simulation.violation import ViolationError
from tests.simulation.test_operators import quiet


def test_a_repair_with_the_tables_content_excuses_a_conflict_in_the_index_only() -> None:
    history = History(quiet())
    system = history.system
    history.uploaders[0].put([("T0", "image.updated")])
    (accepted,) = system.stream.accepted
    first = system.interpret(accepted)
    assert not isinstance(first, Poison)
    other = replace(first, image={"name": "other content"})

    def is_right(function: Function) -> bool:
        consumer = system.consumers[function]
        return may_be_refused(system, first, accepted, "conflict", consumer)

    assert not is_right("write_to_es")
    # The repair gave the index this content, another version, or another image.
    system.given_index.add(("T0", StoredVersion(first.version, first.digest)))
    system.given_index.add(("T0", StoredVersion(first.version + 1, other.digest)))
    system.given_index.add(("T1", StoredVersion(first.version, other.digest)))
    assert not is_right("write_to_es")
    system.given_index.add(("T0", StoredVersion(first.version, other.digest)))
    assert is_right("write_to_es")
    assert not is_right("write_to_dynamodb")


@pytest.mark.parametrize("has_twin", [False, True])
def test_a_record_is_outrun_with_the_record_of_its_batch_that_has_its_content(
    has_twin: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    system = History(quiet()).system
    at_the_same_time = Meaning("C0", 8, DELETED, time_of(1_000_000), None)
    later = replace(at_the_same_time, occurred_at=time_of(1_000_001))
    stored = replace(at_the_same_time, version=9)
    for one in (stored, *([later] if has_twin else []), at_the_same_time):
        system.ledger.note(one.data, one)
        system.stream.accept("C0", one.data)
        system.time.advance(1.0)
    accepted = system.stream.accepted[-1]
    consumer = system.consumers["write_to_dynamodb"]
    assert may_be_refused(system, at_the_same_time, accepted, "outrun", consumer) is has_twin


@pytest.mark.parametrize("since", [0.5, 1.5])
def test_a_replay_from_between_two_contents_excuses_each_record_of_the_first(since: float) -> None:
    system = History(quiet()).system
    first = Meaning("C0", 8, "image.uploaded", time_of(1_000_000), {"name": "first"})
    second = replace(first, image={"name": "second"})
    begin = system.time.now
    for one in (first, second, first):
        system.time.advance(1.0)
        system.ledger.note(one.data, one)
        system.stream.accept("C0", one.data)
    again = system.stream.accepted[-1]
    consumer = system.consumers["write_to_dynamodb"]
    assert not may_be_refused(system, first, again, "conflict", consumer)
    system.replayed_since.append(begin + since)
    assert may_be_refused(system, first, again, "conflict", consumer) is (since > 1)


def rebuilt(*, lags: bool, history: History) -> None:
    """The table refuses one content of a version, and takes another; the index is rebuilt.

    `lags`: the index's consumer reads both contents after the rebuild only, else before it.
    """
    system, operators = history.system, history._operators  # noqa: SLF001 - as steps do
    assert operators is not None
    history.uploaders[0].put([("T0", "image.updated")])
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    seen = system.interpret(system.stream.accepted[0])
    assert not isinstance(seen, Poison)
    stamp = history.uploaders[0].stamp()
    for name in (REFUSED_BY_TABLE, "other content"):
        event = replace(seen, image_id="T1", version=stamp, image={"name": name})
        system.ledger.note(event.data, event)
        system.stream.accept("T1", event.data)
    history.drain("write_to_dynamodb")
    if not lags:
        history.drain("write_to_es")
    operators.tools.begin(faulty=False)
    rebuilds = operators.rebuilds
    rebuilds._is_concerned = True  # noqa: SLF001 - as in a step: one that broke off is finished
    rebuilds._attempt(rebuilds._options(0.0, settle=0.0))  # noqa: SLF001 - the same
    source = system.index.documents["T1"].source
    assert source is not None
    assert source["name"] == "other content"
    history.drain("write_to_es")


@pytest.mark.parametrize("lags", [False, True])
def test_a_rebuild_with_the_tables_content_excuses_a_conflict_in_the_index(
    lags: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    history = History(quiet())
    rebuilt(lags=lags, history=history)
    system, redrives = history.system, history._redrives  # noqa: SLF001 - as a step does
    system.accept_all()
    redrives._put_back(redrives._redriver(), redrives.found())  # noqa: SLF001 - the same
    history.finish()
    assert len([key for key in system.bucket.objects if "/write_to_es/" in key]) == 2


def test_without_the_rebuilds_gift_the_conflict_is_a_violation() -> None:
    history = History(quiet())
    rebuilt(lags=True, history=history)
    history.system.given_index.clear()
    with pytest.raises(ViolationError, match=r"I1: write_to_es: .* in quarantine: conflict"):
        history.finish()


def put_back_what_was_ahead(history: History, *, operator_is_ahead_by: float) -> None:
    """Put back an event as soon as the operator's clock has its version."""
    system, redrives = history.system, history._redrives  # noqa: SLF001 - as a step does
    history._programs.put_poison("poison version_ahead")  # noqa: SLF001 - so that there is a case
    history.drain("write_to_dynamodb")
    history.drain("write_to_es")
    system.time.advance(REFUSED_AHEAD_US / 1_000_000 - operator_is_ahead_by)
    system.skew = operator_is_ahead_by
    redrives._put_back(redrives._redriver(), redrives.found())  # noqa: SLF001 - as a step does
    system.skew = 0.0


def test_an_event_put_back_by_a_clock_that_is_ahead_may_be_ahead_of_the_stream_again() -> None:
    history = History(quiet())
    put_back_what_was_ahead(history, operator_is_ahead_by=100.0)
    system = history.system
    meanings = [system.interpret(one) for one in system.stream.accepted]
    assert meanings == [Poison("version_ahead")] * 2
    history.finish()


def test_an_event_that_was_put_back_must_be_on_the_stream_once_more() -> None:
    history = History(quiet())
    put_back_what_was_ahead(history, operator_is_ahead_by=0.0)
    del history.system.stream.accepted[-1]
    with pytest.raises(ViolationError, match="I1: redriven, but not on the stream"):
        history.finish()


def test_an_object_forged_at_the_start_of_a_number_hides_no_discarded_record() -> None:
    """The number 4 begins each real one (seed 8,001,266)."""
    history = History(quiet("poison", "give up records", seed=200))
    history.run()
    system = history.system
    consumer = system.consumers["write_to_es"]
    discarded = [one for one in system.bucket.objects if one.startswith("discarded/write_to_es/")]
    assert discarded
    before = list(check(system, consumer))
    folder = discarded[0].replace("discarded/", "quarantine/", 1).rpartition("/")[0]
    system.forged.add(f"{folder}/4.json")
    assert list(check(system, consumer)) == before
