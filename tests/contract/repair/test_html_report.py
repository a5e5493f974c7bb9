"""`audit --html` on the real engines: the report says what the command says."""

from itertools import islice
from pathlib import Path

import msgspec

from lockstep.reports.page import html_of
from lockstep.stack.clients import Clients
from lockstep.stack.use_cases import audit as use_case
from lockstep.stack.use_cases.audit_report import ImageReport
from shared.change import Change
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import Hand, a_change, stamp


def three_kinds(stage: Stage) -> list[Change]:
    """Thirty images in both stores; three kinds of differences have two images each."""
    hand = Hand(stage)
    images = [a_change(f"i-{n}", stamp(1000) + n, f"image {n}") for n in range(30)]
    hand.write_both(*images)
    each = iter(images)
    for harm in (hand.delete_document, hand.newer_in_table, hand.newer_in_index):
        for one in islice(each, 2):
            harm(one)
    hand.clients.opensearch.indices.refresh(index=hand.index)
    return images


def test_the_report_and_the_json_of_an_audit_agree_and_nothing_is_changed(
    stage: Stage, tmp_path: Path
) -> None:
    three_kinds(stage)
    file = tmp_path / "audit.html"
    result = stage.lockstep("audit", "--values", "--html", file, "--json")
    assert result.exit_code == 1, result.output
    found = msgspec.json.decode(result.stdout)
    assert found["differences"] == {"index_behind": 2, "missing_in_index": 2, "table_behind": 2}
    html = file.read_text("utf-8")
    assert "6 images differ" in html
    assert "4 of 30 images would be written" in html
    assert html.count('<article class="example"') == 6
    assert f"{file}: the report for people\n" in result.stderr
    again = msgspec.json.decode(stage.lockstep("audit", "--values", "--json").stdout)
    assert again["differences"] == found["differences"]
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".html"] == ["audit.html"]


def test_a_repair_that_is_refused_leaves_the_report_of_what_it_found(
    stage: Stage, tmp_path: Path
) -> None:
    three_kinds(stage)
    file = tmp_path / "audit.html"
    refused = stage.lockstep("audit", "--repair", "--apply", "--html", file)
    assert refused.exit_code == 2, refused.output
    assert "nothing is written" in refused.output
    assert "What a repair would do" in file.read_text("utf-8")


def test_a_repair_is_reported_with_the_audit_after_it(stage: Stage, tmp_path: Path) -> None:
    three_kinds(stage)
    file = tmp_path / "audit.html"
    done = stage.lockstep("audit", "--repair", "--apply", "--at-most", 50, "--html", file)
    assert done.exit_code == 1, done.output
    html = file.read_text("utf-8")
    assert "What the repair did" in html
    assert "4 images were written" in html
    before, after = html.split("After the repair", 1)
    assert "6 images differ" in before
    assert "2 images differ" in after


def test_a_quarantined_record_that_explains_a_difference_is_in_the_report(
    stage: Stage, tmp_path: Path
) -> None:
    hand = Hand(stage)
    hand.write(hand.table_sink, a_change("i-1", stamp(1000), "image"))
    key = f"quarantine/write_to_es/{stage.stack.stream}/shardId-000000000000/1.json"
    held = {
        "function": "write_to_es",
        "stream": stage.stack.stream,
        "shard_id": "shardId-000000000000",
        "sequence_number": "1",
        "partition_key": "i-1",
        "arrived_at": stage.now_ms(),
        "image_id": "i-1",
        "version": stamp(1000),
        "reason": "refused_by_store",
        "detail": "<b>too deep</b>",
        "quarantined_at": "2026-11-21T08:00:00Z",
        "payload": "",
    }
    stage.write(key, held)
    file = tmp_path / "audit.html"
    result = stage.lockstep("audit", "--html", file)
    assert result.exit_code == 1, (result.output, result.exception)
    html = file.read_text("utf-8")
    assert "Quarantined records of these images" in html
    assert "&lt;b&gt;too deep&lt;/b&gt;" in html
    assert "A record of this image is in quarantine." in html


def test_a_report_says_so_if_a_store_answers_no_more_when_examples_are_read(stage: Stage) -> None:
    three_kinds(stage)
    gone = msgspec.structs.replace(stage.stack, table="no-such-table")
    report = ImageReport(Clients(gone), "museum", values=False, since=None)
    found = use_case.audit(stage.clients, lambda _store, _count: None, report.add)
    content = report.content(found, None)
    assert content.examples.some == []
    assert "no-such-table" in (content.examples.unread or "")
    assert b"The examples could not be read: " in html_of(content)
