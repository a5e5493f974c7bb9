"""The services of a local stack."""

import datetime as dt
from pathlib import Path

import pytest

from lockstep.local.services import audits
from tests.unit.operator.command import assert_one_line, lockstep


def test_a_stack_audits_itself_only_at_an_interval() -> None:
    assert audits(None)(Path("state")) == []
    (service,) = audits(dt.timedelta(hours=12))(Path("state"))
    assert service.command[-5:] == [
        "lockstep.nightly.local",
        *("--state", "state", "--every", "43200"),
    ]


@pytest.mark.parametrize("interval", ["0m", "12", "1w", "soon"])
def test_an_interval_that_is_none_is_told(tmp_path: Path, interval: str) -> None:
    result = lockstep("up", "--audit-every", interval, "--state", tmp_path)
    assert_one_line(result, "--audit-every", "write 1d, 12h or 30m")
