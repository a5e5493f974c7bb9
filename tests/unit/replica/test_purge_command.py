"""`lockstep tablestore purge`, typed: what it prints, and its exit code."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from functions.write_to_tablestore.purge import TombstonePurge
from lockstep.commands.tablestore import purge as command
from lockstep.local.tablestore.faults import SERVER_BUSY, Fault
from lockstep.local.tablestore.store import TableFile
from tests.builders import clock
from tests.unit.operator.command import lockstep
from tests.unit.write_to_tablestore.replica import Replica, row_record
from tests.unit.write_to_tablestore.test_purge import (
    EXPIRES_AT,
    put_by_hand,
    tombstone,
    tombstones,
)

WORDS = ("tablestore", "purge", "--stack", "replica")


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    """The table that the command purges, without a network."""
    with TableFile.open(None) as store:
        replica = Replica(store)

        def its_purge(_: Any, its_clock: Any, **given: Any) -> TombstonePurge:
            assert (given.pop("rate"), given.pop("write_rate")) == (None, None)
            return TombstonePurge(tombstones(replica), its_clock, **given)

        class ItsClients:
            clock = clock(now=lambda: EXPIRES_AT)

        monkeypatch.setattr(command, "replica_of", lambda *_, **__: (ItsClients, None))
        monkeypatch.setattr(command, "replica_purge", its_purge)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield replica


def test_without_apply_it_counts_and_deletes_nothing(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"), row_record(2, "later"))
    done = lockstep(*WORDS)
    assert done.exit_code == 0
    assert done.stdout == "1 expired tombstone\nnothing is changed yet: add --apply\n"
    assert replica.row("a") is not None
    lockstep(*WORDS, "--apply")
    assert lockstep(*WORDS).stdout == "0 expired tombstones\n"


def test_it_deletes_and_lists_what_is_malformed(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"))
    put_by_hand(replica, "odd", **tombstone(lockstep_version=None))
    said = lockstep(*WORDS, "--apply")
    assert said.exit_code == 0
    assert said.stdout == (
        "1 malformed tombstone: never deleted\n"
        "1 expired tombstone\n"
        "1 deleted, 0 changed meanwhile, 0 failed\n"
    )
    flaw = "lockstep_version is missing, or no version"
    assert f"""[{{"id":{{"S":"odd"}}}}]: malformed: {flaw}""" in said.stderr
    again = lockstep(*WORDS, "--apply", "--json")
    assert msgspec.json.decode(again.stdout) == {
        "format": 1,
        "applied": True,
        "expired": 0,
        "purged": 0,
        "changed_meanwhile": 0,
        "failed": 0,
        "malformed": [{"key": '[{"id":{"S":"odd"}}]', "detail": flaw, "reason": "malformed"}],
        "finished": True,
    }


def test_what_could_not_be_deleted_now_is_exit_code_1(replica: Replica) -> None:
    replica.deliver(row_record(1, "a"))
    with replica.failing("DeleteRow", Fault(SERVER_BUSY), "a"):
        done = lockstep(*WORDS, "--apply")
    assert done.exit_code == 1
    assert "0 deleted, 0 changed meanwhile, 1 failed" in done.stdout
