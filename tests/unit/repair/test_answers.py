"""An operator's answers, on the real sinks over stores in memory."""

import itertools
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from lockstep.audit.ahead import AheadKind, ahead
from lockstep.audit.compare import difference
from lockstep.audit.recheck import Difference
from lockstep.audit.report import NotAReportError, ReportLine, as_line, report_lines
from lockstep.commands.answering import KINDS
from lockstep.repair.answers import Answered, Answers
from lockstep.repair.decide import Agree, Ahead
from lockstep.repair.decide_answer import Winner
from lockstep.repair.repair import OverLimitError, Repair, check_limit
from lockstep.repair.replaced import REPLACED, Replaced
from lockstep.simulation.fakes.opensearch import StoredDocument
from lockstep.stores.corrections import ItemCorrection, Removal, TableCorrections
from shared.change import Change
from shared.event import MAX_VERSION, decode
from shared.outcome import Applied, Outcome, Stale
from shared.quarantine import TABLE_CONSUMER
from shared.sink import MisconfiguredError, RequestFailedError, SinkError
from tests.unit.audit.stand import OLD, STAMP, YOUNG, Stand, a_change, a_document, an_item
from tests.unit.quarantine.stand import Crash, MemoryObjects
from tests.unit.repair.test_decide import PAIRS, T1, decided
from tests.unit.repair.test_repair import OfAnotherRelease

ALL = frozenset(KINDS)
IMAGE: frozenset[AheadKind] = frozenset({"image"})


class Desk:
    """An operator with a report of a stand."""

    def __init__(
        self, stand: Stand, *, values: bool = True, lines: list[ReportLine] | None = None
    ) -> None:
        self.stand = stand
        self.objects = MemoryObjects()
        self.runs = 0
        self.lines = report(stand, values=values) if lines is None else lines

    def answers(self, winner: Winner, kinds: frozenset[AheadKind] = IMAGE, **parts: Any) -> Answers:
        self.runs += 1
        stand = self.stand
        usual: dict[str, Any] = {
            "table": stand.table,
            "index": stand.index,
            "table_sink": stand.table_sink,
            "table_corrections": TableCorrections(cast("Any", stand.dynamodb), "images"),
            "corrections": stand.corrections,
            "repair": stand.repair,
            "replaced": Replaced(self.objects, f"run-{self.runs}"),
            "explained": lambda: frozenset(
                image_id for consumer, image_id in stand.quarantined if consumer == TABLE_CONSUMER
            ),
            "clock": stand.clock,
        }
        return Answers(winner, kinds, **usual | parts)

    def apply(self, winner: Winner, kinds: frozenset[AheadKind] = IMAGE) -> Answered:
        return self.answers(winner, kinds).apply(self.lines)

    def kept(self) -> list[Any]:
        """The lines of all replaced documents."""
        bodies = [self.objects.kept[key] for key in sorted(self.objects.kept)]
        return [msgspec.json.decode(line) for body in bodies for line in body.splitlines()]


def report(stand: Stand, *, values: bool = True) -> list[ReportLine]:
    """What `--report FILE` writes, read again."""
    _, found = stand.audited(values=values)
    lines = [msgspec.json.encode(as_line(one)) for one in found]
    return [msgspec.json.decode(line, type=ReportLine) for line in lines]


def stored(stand: Stand) -> tuple[dict[str, Any], dict[str, Any]]:
    return stand.dynamodb.items.copy(), stand.opensearch.documents.copy()


@pytest.mark.parametrize("content", ["lost by the table", None])
def test_the_index_wins_by_writing_the_table_and_touches_no_document(content: str | None) -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP + 1, content)))
    desk = Desk(stand)
    documents = stored(stand)[1]
    kinds: frozenset[AheadKind] = IMAGE if content else frozenset({"removal"})
    done = desk.apply("index", kinds)
    assert (done.written, done.left, done.not_changed) == ({"write_table": 1}, [], [])
    assert stand.audit().result == "equal"
    assert (stand.opensearch.documents, desk.kept()) == (documents, [])


def test_the_table_wins_over_a_forged_newer_document_and_the_next_event_is_not_stale() -> None:
    stand = Stand()
    rightful = a_change(STAMP, "rightful")
    stand.hold(an_item(rightful), a_document(a_change(STAMP + 13 * 3_600_000_000, "forged")))
    desk = Desk(stand)
    items = stored(stand)[0]
    done = desk.apply("table")
    assert (done.written, done.left, done.not_changed) == ({"replace_document": 1}, [], [])
    assert (stand.audit().result, stand.dynamodb.items) == ("equal", items)
    following = a_change(STAMP + 1, "the next")
    assert [sink.send([following]) for sink in (stand.table_sink, stand.index_sink)] == [
        [Applied()],
        [Applied()],
    ]


def test_the_table_wins_over_what_it_lacks_by_removing_the_document() -> None:
    stand = Stand()
    stand.hold(None, a_document(a_change(STAMP)))
    desk = Desk(stand)
    done = desk.apply("table")
    assert done.written == {"remove_document": 1}
    assert done.kept == f"{REPLACED}run-1/"
    assert (stand.audit().result, stand.audit().index) == ("equal", 0)


@pytest.mark.parametrize("error", [MisconfiguredError("the mapping"), RequestFailedError("503")])
def test_the_table_does_not_win_in_an_index_that_may_refuse_its_content(error: SinkError) -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP, "table")), a_document(a_change(STAMP + 1, "index")))
    repair = Repair(
        stand.table,
        stand.index,
        index_sink=OfAnotherRelease(stand.index_sink, error, 0),
        corrections=stand.corrections,
        clock=stand.clock,
    )
    desk, before = Desk(stand), stored(stand)
    with suppress(MisconfiguredError):
        done = desk.answers("table", repair=repair).apply(desk.lines)
        assert [one.detail for one in done.not_changed] == ["503"]
    assert stored(stand) == before


def test_a_replaced_document_is_kept_as_an_event_that_brings_it_back() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP, "old")), a_document(a_change(STAMP + 5, "replaced")))
    removed = a_change(STAMP + 6, None, image_id="T2")
    stand.opensearch.documents["T2"] = a_document(removed)
    desk = Desk(stand)
    desk.apply("table", frozenset({"image", "removal"}))
    assert stand.audit().result == "equal"
    assert list(desk.objects.kept) == [f"{REPLACED}run-1/events-000001.ndjson"]
    (body,) = desk.objects.kept.values()
    events = [decode(line) for line in body.splitlines()]
    assert [(one.image_id, one.version, one.type) for one in events] == [
        ("T1", STAMP + 5, "image.updated"),
        ("T2", STAMP + 6, "image.deleted"),
    ]
    back = [a_change(STAMP + 5, "replaced"), removed]
    stand.pass_time(100)
    stand.write(*back)
    assert stand.audit().result == "equal"
    assert stand.dynamodb.items["T1"] == an_item(back[0])


def test_a_malformed_document_is_kept_as_it_is_with_fields_that_are_not_ours() -> None:
    stand = Stand()
    forged = a_document(a_change(STAMP + 5), digest="none", somebody="was here")
    stand.hold(an_item(a_change(STAMP)), forged)
    desk = Desk(stand)
    done = desk.apply("table")
    assert done.written == {"replace_document": 1}
    assert list(desk.objects.kept) == [f"{REPLACED}run-1/documents-000001.ndjson"]
    (kept,) = desk.kept()
    assert (kept["_id"], kept["_version"], kept["_source"]) == ("T1", STAMP + 5, forged.source)
    assert stand.audit().result == "equal"


def test_nothing_is_removed_if_the_documents_cannot_be_kept() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP + 5)))
    desk = Desk(stand)
    desk.objects.crash_after = 0
    before = stored(stand)
    with pytest.raises(Crash):
        desk.apply("table")
    assert stored(stand) == before


@pytest.mark.parametrize("winner", ["index", "table"])
def test_an_image_that_has_changed_since_the_report_is_left(winner: Winner) -> None:
    for item, document in (
        (an_item(a_change(STAMP + 1)), a_document(a_change(STAMP + 5))),
        (an_item(a_change(STAMP)), a_document(a_change(STAMP + 6))),
        (an_item(a_change(STAMP)), a_document(a_change(STAMP + 5, "other"))),
        (None, a_document(a_change(STAMP + 5))),
    ):
        stand = Stand()
        stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP + 5)))
        desk = Desk(stand)
        stand.hold(item, document)
        before = stored(stand)
        done = desk.apply(winner)
        assert [one.detail for one in done.left] == [
            "it is not as the report says: audit again, also with --values"
        ]
        assert (stored(stand), done.written, desk.kept()) == (before, {}, [])


@pytest.mark.parametrize("winner", ["index", "table"])
def test_only_the_kinds_that_were_named_are_answered(winner: Winner) -> None:
    stand = Stand()
    for image_id, content, arrived in (
        ("image", "a", YOUNG),
        ("removal", None, YOUNG),
        ("outlived", "a", OLD),
        ("explained", "a", YOUNG),
    ):
        change = a_change(STAMP, content, image_id=image_id, arrived=arrived)
        stand.opensearch.documents[image_id] = a_document(change)
    stand.quarantined = [(TABLE_CONSUMER, "explained")]
    desk = Desk(stand)
    plan = desk.answers(winner).plan(desk.lines, images=4)
    assert (plan.changes, plan.left, plan.settled) == (1, 0, 0)
    assert plan.other_kinds == {"explained": 1, "outlived": 1, "removal": 1}
    assert sum(desk.apply(winner).written.values()) == 1
    assert stand.audit().ahead == {"explained": 1, "outlived": 1, "removal": 1}
    done = desk.apply(winner, frozenset({"outlived", "explained"}))
    assert sum(done.written.values()) == 2
    assert stand.audit().ahead == {"removal": 1}


def test_an_image_whose_record_was_quarantined_since_the_report_is_left() -> None:
    stand = Stand()
    stand.hold(None, a_document(a_change(STAMP)))
    desk = Desk(stand)
    stand.quarantined = [(TABLE_CONSUMER, "T1")]
    done = desk.apply("table")
    assert [one.detail for one in done.left] == [
        "it is explained by now: audit again, or add --kind explained"
    ]
    assert "T1" in stand.opensearch.documents


@pytest.mark.parametrize(
    ("item", "written", "left"),
    [
        ({"deleted": {"N": "0"}}, {"overwrite_table": 1}, None),
        ({"version": {"S": "x"}}, {"overwrite_table": 1}, None),
        ({"version": {"N": "1E+100"}}, {"overwrite_table": 1}, None),
        ({"version": {"N": f"{STAMP}.5"}}, {"overwrite_table": 1}, None),
        ({"version": None}, {"overwrite_table": 1}, None),
        ({"version": {"N": str(STAMP + 1)}, "digest": None}, {}, "above the document's"),
    ],
)
def test_the_index_wins_over_a_malformed_item_at_its_own_version(
    item: dict[str, Any], written: dict[str, int], left: str | None
) -> None:
    stand = Stand()
    fields = an_item(a_change(STAMP)) | item | {"somebody": {"S": "was here"}}
    held = {name: value for name, value in fields.items() if value is not None}
    stand.hold(held, a_document(a_change(STAMP)))
    desk = Desk(stand)
    assert desk.apply("index").written == {}
    done = desk.apply("index", frozenset({"malformed"}))
    assert (done.written, done.not_changed) == (written, [])
    if left is None:
        assert stand.audit().result == "equal"
        assert stand.dynamodb.items["T1"]["somebody"] == {"S": "was here"}
    else:
        (told,) = done.left
        assert left in told.detail


def test_a_malformed_item_that_was_written_meanwhile_is_not_overwritten() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)) | {"version": {"S": "x"}}, None)
    newer = an_item(a_change(STAMP + 9, "newer"))
    corrections = TableCorrections(cast("Any", stand.dynamodb), "images")
    correction = ItemCorrection(a_change(STAMP), {"S": "x"})
    stand.dynamodb.items["T1"] = newer
    assert corrections.overwrite([correction]) == [Stale()]
    assert corrections.overwrite([ItemCorrection(a_change(STAMP), None)]) == [Stale()]
    assert stand.dynamodb.items["T1"] == newer


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (a_document(a_change(MAX_VERSION)), "more than a day ahead"),
        (a_document(a_change(STAMP + 5), digest="none"), "only --table-wins can answer"),
        (a_document(a_change(STAMP + 5), occurred_at="yesterday"), "not a valid event"),
    ],
)
def test_the_index_does_not_win_with_what_no_producer_can_have_sent(
    document: StoredDocument, why: str
) -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), document)
    desk = Desk(stand)
    before = stored(stand)
    (told,) = desk.apply("index").left
    assert why in told.detail
    assert stored(stand) == before
    assert desk.apply("table").written == {"replace_document": 1}
    assert stand.audit().result == "equal"


def test_the_index_does_not_win_over_an_expired_tombstone_of_the_same_or_a_higher_version() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP + 1, None, arrived=OLD)), a_document(a_change(STAMP)))
    desk = Desk(stand)
    (told,) = desk.apply("index", ALL).left
    assert told.detail == f"the table has an expired tombstone of version {STAMP + 1}"
    assert desk.apply("table", ALL).written == {"remove_document": 1}
    assert stand.audit().result == "equal"


def test_the_table_does_not_win_with_a_malformed_item() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)) | {"deleted": {"N": "0"}}, a_document(a_change(STAMP)))
    desk = Desk(stand)
    (told,) = desk.apply("table", ALL).left
    assert "only --index-wins can answer" in told.detail


def test_a_report_without_values_answers_a_forged_document_that_only_values_show() -> None:
    stand = Stand()
    stand.hold(an_item(a_change(STAMP)), a_document(a_change(STAMP + 5), name="forged"))
    desk = Desk(stand, values=False)
    assert desk.apply("table").written == {"replace_document": 1}
    assert stand.audit().result == "equal"


class Killed:
    """Removes documents, and is killed after so many calls."""

    def __init__(self, stand: Stand, calls: int) -> None:
        self._stand = stand
        self._calls = calls

    def remove(self, removals: Sequence[Removal]) -> Sequence[Outcome]:
        done = self._stand.corrections.remove(removals)
        self._calls -= 1
        if not self._calls:
            raise KeyboardInterrupt
        return done

    def overwrite(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        raise NotImplementedError


@pytest.mark.parametrize("calls", [1, 2])
def test_a_killed_answer_of_the_table_can_be_repeated(calls: int) -> None:
    stand = Stand()
    stand.write(*(a_change(STAMP, f"image {n}", image_id=f"i{n:03d}") for n in range(250)))
    for n in range(250):
        newer = a_change(STAMP + 5, "forged", image_id=f"i{n:03d}")
        stand.opensearch.documents[newer.image_id] = a_document(newer)
    desk = Desk(stand)
    items = stored(stand)[0]
    with pytest.raises(KeyboardInterrupt):
        desk.answers("table", corrections=Killed(stand, calls)).apply(desk.lines)
    plan = desk.answers("table").plan(desk.lines, images=250)
    assert [(row.action, row.images) for row in plan.planned] == [
        ("replace_document", 250 - 100 * calls),
        ("write_index", 100 * calls),
    ]
    done = desk.apply("table")
    assert (done.left, done.not_changed) == ([], [])
    assert (stand.audit().result, stand.dynamodb.items) == ("equal", items)
    assert {one["image_id"] for one in desk.kept()} == items.keys()
    plan = desk.answers("table").plan(desk.lines, images=250)
    assert (plan.changes, plan.settled) == (0, 250)


class KilledSink:
    """The sink of the table, killed at its second request."""

    longest_send = 0.0

    def __init__(self, stand: Stand) -> None:
        self._sink = stand.table_sink
        self._calls = 0

    def requests(self, changes: Sequence[Change]) -> Any:
        return self._sink.requests(changes)

    def send(self, changes: Sequence[Change], within: float | None = None) -> Sequence[Outcome]:
        self._calls += 1
        if self._calls > 1:
            raise KeyboardInterrupt
        return self._sink.send(changes, within)

    def check(self) -> None:
        raise NotImplementedError


def test_a_killed_answer_of_the_index_can_be_repeated() -> None:
    stand = Stand()
    for n in range(60):
        only = a_change(STAMP, f"image {n}", image_id=f"i{n:03d}")
        stand.opensearch.documents[only.image_id] = a_document(only)
    desk = Desk(stand)
    with pytest.raises(KeyboardInterrupt):
        desk.answers("index", table_sink=KilledSink(stand)).apply(desk.lines)
    assert 0 < len(stand.dynamodb.items) < 60
    done = desk.apply("index")
    assert (done.left, done.not_changed) == ([], [])
    assert (stand.audit().result, len(stand.dynamodb.items)) == ("equal", 60)


def test_answers_mend_whatever_a_plain_repair_leaves_or_change_nothing() -> None:
    """Every pair that two stores may hold. Without an answer stays only what nobody can know."""
    unanswered = 0
    for item, document in PAIRS:
        if not isinstance(decided(item, document), Ahead):
            continue
        equal = []
        for winner in cast("tuple[Winner, ...]", ("index", "table")):
            stand = Stand()
            stand.hold(item, document)
            before = stored(stand)
            desk = Desk(stand, lines=[line_of(stand)])
            done = desk.apply(winner, ALL)
            assert done.not_changed == [], (item, document, done)
            if done.left:
                assert stored(stand) == before
                continue
            if stand.decision() != Agree():
                stand.mend(T1)  # the document's own `_version`, which was moved as well
                assert stand.decision() == Agree(), (item, document, done)
            equal.append(winner)
            if winner == "table":
                assert stand.dynamodb.items == before[0]
                assert len(desk.kept()) == 1
        if not equal:
            unanswered += 1
            assert line_of(stand).ahead == "malformed", (item, document)
    assert unanswered


def line_of(stand: Stand) -> ReportLine:
    """The line of T1 in a report, without a whole audit."""
    table, index = (store.lookup(["T1"]).get("T1") for store in stand.whole_stores)
    kind = difference(table, index, now=stand.at)
    assert kind is not None
    is_ahead = ahead(table, index, now=stand.at, explained=False)
    found = Difference("T1", kind, is_ahead, False, table, index)  # noqa: FBT003 - a record's field
    return msgspec.json.decode(msgspec.json.encode(as_line(found)), type=ReportLine)


def test_the_limit_counts_what_an_answer_would_change() -> None:
    stand = Stand()
    stand.hold(None, a_document(a_change(STAMP)))
    desk = Desk(stand)
    plan = desk.answers("table").plan(desk.lines, images=50)
    assert (plan.changes, plan.percent) == (1, 2.0)
    check_limit(plan, 2)
    with pytest.raises(OverLimitError, match="1 of 50 images would be written"):
        check_limit(plan, 1)


@pytest.mark.parametrize("line", [b"{}", b"[]", b"x", b"\xff", b'{"image_id": 1}'])
def test_a_file_that_is_no_report_is_named_with_its_line(tmp_path: Path, line: bytes) -> None:
    stand = Stand()
    stand.hold(None, a_document(a_change(STAMP)))
    good = msgspec.json.encode(as_line(stand.audited()[1][0]))
    file = tmp_path / "report.ndjson"
    file.write_bytes(good + b"\n\n" + line + b"\n")
    with pytest.raises(NotAReportError, match=re.escape(f"{file}, line 3: not a line of a report")):
        list(report_lines(file))


def test_a_report_that_names_an_image_twice_answers_it_once() -> None:
    stand = Stand()
    stand.hold(None, a_document(a_change(STAMP)))
    desk = Desk(stand)
    desk.lines = list(itertools.chain(desk.lines, desk.lines))
    assert desk.apply("index").written == {"write_table": 1}
    assert stand.audit().result == "equal"


def test_a_report_twice_in_one_file_is_answered_once_across_batches() -> None:
    stand = Stand()
    for number in range(60):  # so that the second half begins in the first batch
        image_id = f"T{number}"
        stand.dynamodb.items[image_id] = an_item(a_change(STAMP, image_id=image_id))
        stand.opensearch.documents[image_id] = a_document(a_change(STAMP + 5, image_id=image_id))
    desk = Desk(stand)
    desk.lines = desk.lines * 2
    done = desk.apply("table")
    assert (done.written["replace_document"], done.not_changed) == (60, [])
    assert (stand.audit().result, len(desk.kept())) == ("equal", 60)
