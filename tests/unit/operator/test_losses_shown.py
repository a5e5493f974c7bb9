"""What people are told to do about records that a consumer could not read."""

import datetime as dt

import pytest

from lockstep.commands.losses import show_unread
from lockstep.stack.stack import REPLICA_CONSUMER
from lockstep.stream.losses import Loss
from shared.quarantine import TABLE_CONSUMER

SINCE = dt.datetime(2026, 11, 29, 10, tzinfo=dt.UTC)
UNTIL = dt.datetime(2026, 11, 29, 11, tzinfo=dt.UTC)
REMOVED = "The stream removed these records before a consumer read them."
CORRECT = "Correct the replica: `lockstep tablestore audit --repair`"
PUT = "Put their events again, and say so:"
ACKNOWLEDGE = "`lockstep audit --acknowledge 2026-11-29T10:00:00Z --reason TEXT`"


@pytest.mark.parametrize(
    ("consumers", "told"),
    [
        ([TABLE_CONSUMER], [REMOVED, PUT, ACKNOWLEDGE]),
        ([REPLICA_CONSUMER], [REMOVED, CORRECT, "Then say so:", ACKNOWLEDGE]),
        ([TABLE_CONSUMER, REPLICA_CONSUMER], [REMOVED, CORRECT, PUT, ACKNOWLEDGE]),
    ],
)
def test_a_loss_of_the_replica_is_corrected_from_the_source_and_needs_no_event(
    capsys: pytest.CaptureFixture[str], consumers: list[str], told: list[str]
) -> None:
    losses = [Loss(one, SINCE, UNTIL, 3) for one in consumers]
    show_unread(losses, [], lambda command: f"`lockstep {command}`")
    lines = capsys.readouterr().out.splitlines()
    assert lines[-len(told) :] == told
