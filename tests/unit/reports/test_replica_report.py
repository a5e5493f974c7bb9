"""The report of an audit of a replica: its words, and a row beside its item."""

from lockstep.reports.page import html_of
from lockstep.reports.replica_audit import ROWS, with_repair
from lockstep.reports.row_words import ROW_ACTIONS, ROW_KINDS
from lockstep.tablestore.audit import ReplicaAudit
from lockstep.tablestore.repairing import ACTIONS, RepairedRows, UnrepairedRow
from tests.audited_rows import SCRIPT, harmed_rows, replica_report_of
from tests.unit.reports.elements import Elements, words

REPORT = replica_report_of(harmed_rows())


def marked(key: str) -> dict[str, tuple[str | None, str | None]]:
    """What the report shows of the fields that tell the difference of this row."""
    (found,) = [one for one in REPORT.examples.some if one.key == f'["{key}"]']
    return {one.name: (one.record, one.replica) for one in found.shown}


def test_it_says_what_the_audit_the_repair_and_the_losses_say() -> None:
    text = words(REPORT)
    assert "Audit of orders" in text
    assert "source 200 replica 199" in text
    assert "5 rows differ" in text
    assert "4 of 200 rows would be changed (2 %)" in text
    for kind, meaning in ROW_KINDS.items():
        assert f"{kind} {meaning} 1" in text
        assert f"{kind} {ROW_ACTIONS[ACTIONS[kind]]} 1" in text
    assert "Of 3 rows, the time is unknown: there is no row" in text
    assert "write_to_tablestore 3 2026-11-19" in text
    assert "Made by lockstep tablestore audit --html" in text
    assert "image" not in text


def test_exactly_the_columns_that_differ_are_marked_with_their_types_if_they_look_the_same() -> (
    None
):
    assert marked("o-1") == {
        "name": (SCRIPT, "Sea"),
        "size": ("1 (Integer)", "1 (String)"),
        "data": ("AP8=", None),
    }


def test_a_row_or_an_item_that_is_missing_is_said_so() -> None:
    assert marked("o-2") == {"state": ("item", "absent")}
    assert marked("o-3") == {"state": ("absent", "row")}
    text = words(REPORT)
    assert "Repair: remove the row: the source has no such item." in text
    assert "Repair: write the row as the source says." in text


def test_a_flaw_of_the_version_is_shown_with_its_columns() -> None:
    assert marked("o-4")["lockstep_at"] == (None, "x")
    assert "The audit found: lockstep_at is no Integer." in words(REPORT)


def test_an_item_that_cannot_become_a_row_is_shown_with_its_types() -> None:
    (found,) = [one for one in REPORT.examples.some if one.kind == "unconvertible"]
    assert ("n", '{"N": "0.1"}') in [(one.name, one.record) for one in found.others]


def test_text_of_a_row_makes_no_element() -> None:
    assert SCRIPT in words(REPORT)
    assert "script" not in {tag for tag, _ in Elements(html_of(REPORT).decode()).found}


def test_a_repair_is_told_with_the_audit_after_it() -> None:
    done = RepairedRows(4, 1, [UnrepairedRow('["o-5"]', "too large")], "Table Store is busy")
    after = ReplicaAudit("equal", source=200, replica=200, differences={}, seconds=1.0)
    text = words(with_repair(REPORT, done, after, []))
    assert "After the repair equal The source and the replica are equal" in text
    assert "4 rows were changed; 1 had become equal before." in text
    assert "The repair did not come to its end: Table Store is busy." in text
    assert 'not repaired: ["o-5"] : too large' in text


def test_its_words_are_those_of_rows() -> None:
    assert set(ROWS.meanings) == set(ACTIONS)
