"""The lines of batches are read while a stack writes them."""

from pathlib import Path

from benchmarks.batch_lines import batch_lines

LINE = '{"message": "batch", "timestamp": "2026-11-30T16:00:01Z", "records": 7}\n'


def test_a_consumer_without_an_invocation_has_no_log(tmp_path: Path) -> None:
    assert [*batch_lines(tmp_path, "write_to_es", since=0)] == []


def test_a_line_that_is_being_written_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "write_to_es.log").write_text(LINE + LINE[:40])
    assert [one.records for one in batch_lines(tmp_path, "write_to_es", since=0)] == [7]
