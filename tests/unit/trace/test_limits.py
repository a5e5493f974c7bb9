"""What a trace cannot know about a stack is told, with the sources that it could not read."""

from typing import get_args

import pytest

from lockstep.commands.trace import show_trace
from lockstep.stack.stack import IndexFrom
from lockstep.stack.use_cases.trace import ImageTrace, NotRead, limits_of


def test_a_trace_reads_the_stream_of_an_index_that_reads_it() -> None:
    assert limits_of("Kinesis") == []


@pytest.mark.parametrize("index_from", [one for one in get_args(IndexFrom) if one != "Kinesis"])
def test_a_trace_says_that_it_does_not_read_the_changes_of_the_table(
    index_from: IndexFrom, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = limits_of(index_from)
    found = ImageTrace("T1", "T1", [], None, None, 0, 0, [NotRead("logs", "no answer")], limits)
    show_trace(found)
    shown = capsys.readouterr().out.splitlines()
    assert f"IndexFrom is {index_from}" in " ".join(shown)
    assert any(line.startswith("limit: the index reads the table's changes") for line in shown)
    assert shown[-1] == "NOT read: logs: no answer"
