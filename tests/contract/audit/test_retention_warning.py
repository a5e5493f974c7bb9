"""A stream that keeps records for longer than tombstones allow for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.local.engines.pins import EngineName
from lockstep.stack.stack import Endpoints
from tests.contract.kinesis.server import running
from tests.contract.redrive.conftest import Stage


@pytest.mark.parametrize("command", ["status", "audit"])
@pytest.mark.parametrize(("days", "warned"), [(30, False), (31, True)])
def test_a_retention_above_30_days_is_a_warning(
    engine: Callable[[EngineName], str], tmp_path: Path, command: str, days: int, *, warned: bool
) -> None:
    with running(tmp_path / "kinesis.db") as server:
        endpoints = Endpoints(server.url, engine("dynamodb"), engine("opensearch"), engine("s3"))
        stage = Stage(endpoints, tmp_path)
        stage.clients.kinesis.increase_stream_retention_period(
            StreamName=stage.stack.stream, RetentionPeriodHours=days * 24
        )
        line = f"stream {stage.stack.stream} keeps records for {days} days, more than 30"
        text = stage.lockstep(command)
        assert text.exit_code == 0, text.output
        assert (line in " ".join(text.stderr.split())) is warned
        warnings = stage.answer(command).get("warnings", [])
        assert [line in one for one in warnings] == [True] * warned
