"""`lockstep tablestore audit`, typed: what it prints, its exit codes, and its brake."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from functions.write_to_tablestore import guard
from lockstep.commands.tablestore import audit as command
from lockstep.local.tablestore.faults import SERVER_BUSY, Fault
from lockstep.local.tablestore.store import TableFile
from lockstep.stores.readers import StoreUnreadableError
from lockstep.stores.segments import SegmentPage
from lockstep.stream.losses import Loss, StoppedConsumer, Unread
from lockstep.tablestore.audit import audit_replica
from lockstep.tablestore.readers import ReplicaReader, SourceReader
from lockstep.tablestore.repair import RowRepair
from tests.builders import clock
from tests.unit.operator.command import assert_one_line, lockstep
from tests.unit.replica_repair.interleaved import gone, rows_of, written
from tests.unit.write_to_tablestore.replica import BY_ID, LABEL, Replica, row_record

WORDS = ("tablestore", "audit", "--stack", "replica")
SINCE = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
LOSS = Loss("write_to_tablestore", SINCE, SINCE + dt.timedelta(hours=2))
STOPPED = StoppedConsumer("write_to_tablestore", "disabled", SINCE)


class Source:
    """A source in memory, and what is known of the consumer."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.items: dict[str, dict[str, Any]] = {}
        self.now = 1_800_000_000.0
        self.settled = math.inf
        self.unread = Unread()
        self.is_broken = False
        self.its_clock = clock(now=lambda: self.now, elapsed=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def put(self, *numbers: int) -> None:
        """Put items, and let the consumer deliver them."""
        for at in numbers:
            content = {"n": {"N": f"{at}"}}
            self.items[f"{at}"] = {"id": {"S": f"{at}"}, **content}
            self.replica.deliver(row_record(at, f"{at}", content))

    def harm(self, at: int, **columns: Any) -> None:
        found = self.replica.row(f"{at}")
        assert found is not None
        written(self.replica, [("id", f"{at}")], **{**found, **columns})

    def page(self, segment: int, position: str | None) -> SegmentPage:
        assert (segment, position) == (0, None)
        if self.is_broken:
            raise StoreUnreadableError("table orders: it does not answer")
        return SegmentPage([*self.items.values()], None, 1.0)

    def lookup(self, keys: Sequence[Any]) -> list[Mapping[str, Any]]:
        wanted = [key["id"]["S"] for key in keys]
        return [self.items[one] for one in wanted if one in self.items]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[Source]:
    with TableFile.open(None) as store:
        replica = Replica(store)
        source = Source(replica)
        label = guard.normalized_label(LABEL)

        class ItsStack:
            class settings:  # noqa: N801 - a field of the stack
                conversion = BY_ID

        class ItsClients:
            clock = source.its_clock

        def its_audit(_: Any, __: Any, options: Any, **given: Any) -> Any:
            values = options.values
            return audit_replica(
                SourceReader(source, source, conversion=BY_ID, values=values),
                ReplicaReader(rows_of(replica), label=label, values=values, clock=source.its_clock),
                values=values,
                unread=lambda: source.unread,
                clock=source.its_clock,
                settled=lambda: source.settled,
                watermark=30 if options.watermark is None else options.watermark,
                budget=options.within,
                **given,
            )

        def its_repair(*_: Any) -> RowRepair:
            return RowRepair(
                source,
                rows_of(replica),
                conversion=BY_ID,
                key_types={"id": "S"},
                label=label,
                clock=source.its_clock,
            )

        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        monkeypatch.setattr(command, "replica_of", lambda *_, **__: (ItsClients, ItsStack))
        monkeypatch.setattr(command, "replica_audit", its_audit)
        monkeypatch.setattr(command, "row_repair", its_repair)
        yield source


def json_of(*words: object, code: int = 0) -> Any:
    done = lockstep(*WORDS, "--json", *words)
    assert done.exit_code == code, done.output
    return msgspec.json.decode(done.stdout)


def test_an_equal_replica_is_told_with_exit_code_0(source: Source) -> None:
    source.put(1, 2)
    said = lockstep(*WORDS, "--values")
    assert said.exit_code == 0
    assert said.stdout.splitlines()[-1].startswith("audit of keys and values: equal (")
    found = json_of()
    assert (found["result"], found["source"], found["replica"]) == ("equal", 2, 2)
    assert lockstep(*WORDS).stdout.splitlines()[-1].startswith("audit of keys: equal (")


def test_each_difference_is_a_line_of_the_report(source: Source, tmp_path: Path) -> None:
    source.put(1, 2, 3)
    source.harm(1, n=5)
    gone(source.replica, [("id", "2")], {})
    source.harm(3, lockstep_at="now")
    file = tmp_path / "report.ndjson"
    found = json_of("--values", "--report", file, code=1)
    kinds = {"malformed_version": 1, "missing_in_replica": 1, "other_values": 1}
    assert found["differences"] == kinds
    lines = [msgspec.json.decode(line) for line in file.read_bytes().splitlines()]
    lines.sort(key=lambda one: str(one["key"]))
    version = lines[0].pop("version")
    assert version.startswith(guard.normalized_label(LABEL))
    assert lines[0] == {
        "key": '[{"id":{"S":"1"}}]',
        "kind": "other_values",
        "columns": ["n"],
        "arrived_at": "2026-11-21T08:00:01Z",
    }
    assert lines[1] == {"key": '[{"id":{"S":"2"}}]', "kind": "missing_in_replica"}
    assert lines[2]["detail"] == "lockstep_at is no Integer"


def test_a_repair_is_shown_and_made_only_with_apply(source: Source) -> None:
    source.put(*range(1, 11))
    source.harm(1, n=5)
    del source.items["2"]
    source.items["3"] |= {"huge": {"N": "12345678901234567890123"}}
    shown = lockstep(*WORDS, "--values", "--repair")
    assert shown.exit_code == 1
    for line in (
        "2 rows would be changed (20 % of all); nothing is changed yet: add --apply",
        'for example, other_values: [{"id":{"S":"1"}}]',
    ):
        assert line in shown.stdout.splitlines()
    row = source.replica.row("1")
    assert row is not None
    assert row["n"] == 5

    done = json_of("--values", "--repair", "--apply", "--at-most", 20, code=1)
    assert done["audit"]["differences"] == {
        "missing_in_source": 1,
        "other_values": 1,
        "unconvertible": 1,
    }
    assert done["repaired"] == {"changed": 2, "equal": 0, "not_repaired": [], "error": None}
    assert done["after"]["differences"] == {"unconvertible": 1}
    source.items["3"] = {"id": {"S": "3"}, "n": {"N": "3"}}
    assert json_of("--values")["result"] == "equal"


def test_a_wrong_source_does_not_empty_the_replica(source: Source) -> None:
    source.put(*range(1, 11))
    source.items.clear()
    refused = lockstep(*WORDS, "--repair", "--apply")
    assert_one_line(
        refused, "10 of 10 rows would be written: 100 % is more than 1 %", "--at-most 100"
    )
    row = source.replica.row("1")
    assert row is not None
    assert row["lockstep_deleted"] is False


@pytest.mark.parametrize("words", [["--apply"], ["--at-most", 5]])
def test_the_options_of_a_repair_need_it(source: Source, words: list[object]) -> None:
    assert_one_line(lockstep(*WORDS, *words), "requires --repair")
    assert source.items == {}


def test_while_the_consumer_lags_a_difference_is_unknown(source: Source) -> None:
    source.put(1)
    source.harm(1, n=5)
    source.settled = source.now - 1
    found = json_of("--values", code=2)
    assert (found["result"], found["under_way"]) == ("unknown", 1)
    assert "within 30 s" in found["reason"]
    assert json_of("--values", "--repair", "--apply", code=2).keys() == {
        "format",
        "applied",
        "audit",
    }


def test_losses_make_equal_keys_unknown_but_not_equal_values(source: Source) -> None:
    source.put(1)
    source.unread = Unread((LOSS,))
    said = lockstep(*WORDS)
    assert said.exit_code == 2
    assert "from 2026-11-30T00:00:00Z to 2026-11-30T02:00:00Z" in said.stdout
    assert "audit with --values" in said.stdout.replace("\n", " ")
    assert json_of("--values")["result"] == "equal"


@pytest.mark.parametrize("values", [[], ["--values"]])
def test_a_consumer_that_does_not_read_makes_equal_unknown(
    source: Source, values: list[str]
) -> None:
    source.put(1)
    source.unread = Unread((), (STOPPED,))
    found = json_of(*values, code=2)
    assert found["stopped"][0]["state"] == "disabled"
    assert found["unknown_since"] == "2026-11-30T00:00:00Z"
    source.harm(1, lockstep_at="now")
    assert json_of(*values, code=1)["result"] == "different"


def test_a_source_that_cannot_be_read_makes_the_result_unknown(source: Source) -> None:
    source.put(1)
    source.is_broken = True
    assert json_of(code=2)["reason"] == "table orders: it does not answer"


def test_a_busy_table_store_is_asked_again_and_given_up_after_two_minutes(source: Source) -> None:
    source.put(1)
    source.harm(1, n=5)
    with source.replica.failing("BatchGetRow", Fault(SERVER_BUSY)):
        source.replica.stop_failing_after("BatchGetRow")
        assert json_of("--values", code=1)["result"] == "different"
    before = source.now
    with source.replica.failing("BatchGetRow", Fault(SERVER_BUSY)):
        found = json_of("--values", code=2)
    assert "OTSServerBusy" in found["reason"]
    assert source.now - before >= 120


def test_a_repair_that_table_store_does_not_take_says_so(source: Source) -> None:
    source.put(1)
    source.harm(1, n=5)
    with source.replica.failing("BatchWriteRow", Fault(SERVER_BUSY)):
        done = json_of("--values", "--repair", "--apply", "--at-most", 100, code=1)
    assert "OTSServerBusy" in done["repaired"]["error"]
    assert done["after"]["differences"] == {"other_values": 1}
