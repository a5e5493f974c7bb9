"""Histories of a replica in Table Store: what they cover, and how their Table Store fails."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, override

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from functions.write_to_tablestore.names import escaped
from functions.write_to_tablestore.rows import RowPut
from functions.write_to_tablestore.values import number_as_text
from lockstep.cli import main
from lockstep.simulation.fakes.network import (
    AnswerError,
    CutOffError,
    NoAnswerError,
    NoAnswerInTimeError,
    PartFailure,
    PerfectConnection,
)
from lockstep.simulation.fakes.tablestore import TableStore
from lockstep.simulation.faults import FAULTS
from lockstep.simulation.kinds import IMAGES, tablestore
from lockstep.simulation.replica import oracle
from lockstep.simulation.replica.components import ReplicaComponents
from lockstep.simulation.replica.faults import FLOORS_PER_THOUSAND, SHARED
from lockstep.simulation.replica.history import ReplicaHistory
from lockstep.simulation.replica.plan import plan
from lockstep.simulation.run import broken_by, shrink, simulate
from shared.outcome import Applied, Duplicate, Failed, Refused
from shared.sink import (
    MisconfiguredError,
    RequestFailedError,
    RequestRefusedError,
    RequestTimedOutError,
)
from tests.simulation.wrong_replica import WRONG

KIND = tablestore()
SETTINGS = oracle.RowSettings(primary_key=("id",), unfit="refuse", nulls="empty")


class Breakable(PerfectConnection):
    """A connection that fails on demand."""

    def __init__(self) -> None:
        self.failure: Callable[[Any], Exception] | None = None
        self.part: PartFailure | None = None

    @override
    def part_failures(self, parts: int, codes: Sequence[str]) -> Mapping[int, PartFailure]:
        return {} if self.part is None else dict.fromkeys(range(parts), self.part)

    @override
    def send[T](self, apply: Callable[[], T]) -> T:
        answer = super().send(apply)
        if self.failure is not None:
            raise self.failure(answer)
        return answer


class Stand:
    """A table in Table Store with the key `id`, and the real sink."""

    def __init__(self) -> None:
        environment = {
            "OTS_INSTANCE": "local",
            "OTS_ENDPOINT": "https://tablestore.invalid",
            "TABLE_NAME": "any_table",
            "PRIMARY_KEY": "id",
        }
        parts = ReplicaComponents()
        settings = parts.settings_in(environment)
        self.connection = Breakable()
        self.store = TableStore(
            settings,
            [("id", "STRING")],
            refuses=lambda columns: "refused" in columns,
            condemns=lambda columns: "condemned" in columns,
        )
        client = self.store.client(self.connection)
        self.sink = parts.sink(client, settings.conversion, "tombstone")
        self.sink.check()

    def row(self, row: str) -> Mapping[str, Any] | None:
        return self.store.row([("id", row)])


@pytest.fixture
def stand() -> Iterator[Stand]:
    its = Stand()
    yield its
    its.store.close()


def change(row: str, number: int = 1, **columns: Any) -> RowPut:
    version = oracle.version("2026-11-21T08:00:00", number)
    return RowPut(row, (("id", row),), version, 1, tuple(columns.items()))


def test_a_run_breaks_nothing_and_the_report_has_its_faults_and_their_minimums() -> None:
    report = simulate(1, 60, kind=KIND)
    assert report.failure is None
    assert list(report.faults) == list(FLOORS_PER_THOUSAND) == list(report.minimums)
    assert sum(report.faults.values()) > 300


def test_the_same_seed_gives_the_same_history() -> None:
    journals = []
    for _ in range(2):
        history = ReplicaHistory(plan(5))
        history.run()
        journals.append([(one.key, one.after) for one in history.system.store.journal()])
        history.forget()
    assert journals[0] == journals[1] != []


def test_a_broken_history_is_shrunk_to_the_steps_that_break_it() -> None:
    wrong = WRONG["replica: equal versions pass"]
    report = simulate(1, 100, kind=KIND, components=wrong)
    assert report.failure is not None
    assert len(report.failure.steps) < report.failure.of_steps
    shorter = shrink(plan(report.failure.seed), wrong, kind=KIND)
    assert broken_by(shorter, wrong, kind=KIND) is not None
    assert broken_by(shorter, kind=KIND) is None


def test_the_faults_of_the_image_histories_stay_their_own() -> None:
    assert set(SHARED) < set(FAULTS) == set(IMAGES.floors)
    assert not set(FAULTS) & (set(FLOORS_PER_THOUSAND) - set(SHARED))


def test_the_command_runs_histories_of_a_replica() -> None:
    words = ["simulate", "--replica", "tablestore", "--seed", "3", "--histories", "20", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    report = msgspec.json.decode(result.stdout)
    assert (report["command"], report["histories"]) == (KIND.command, 20)
    assert report["faults"].keys() == FLOORS_PER_THOUSAND.keys()


def test_a_row_that_is_refused_leaves_the_other_rows_of_its_request(stand: Stand) -> None:
    outcomes = stand.sink.send([change("a"), change("b", refused=True), change("c")])
    assert [type(one) for one in outcomes] == [Applied, Refused, Applied]
    assert stand.row("b") is None
    assert stand.store.writes == 2


def test_a_row_that_is_refused_is_never_applied(stand: Stand) -> None:
    stand.connection.part = PartFailure("OTSTimeout", applied=True)
    outcomes = stand.sink.send([change("a"), change("b", refused=True)])
    assert [type(one) for one in outcomes] == [Failed, Refused]
    assert stand.row("a") is not None
    assert stand.row("b") is None


def test_one_row_can_refuse_its_whole_request_and_nothing_is_written(stand: Stand) -> None:
    with pytest.raises(RequestRefusedError):
        stand.sink.send([change("a"), change("b", condemned=True)])
    assert stand.row("a") is None
    assert stand.store.writes == 0


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (lambda _: NoAnswerError("reset"), RequestFailedError),
        (lambda _: NoAnswerInTimeError("late"), RequestTimedOutError),
        (lambda answer: CutOffError(answer, 0.5), RequestFailedError),
        (lambda _: AnswerError(503, "OTSServerBusy"), RequestFailedError),
        (lambda _: AnswerError(403, "OTSAuthFailed: disabled"), MisconfiguredError),
        (lambda _: AnswerError(400, "OTSParameterInvalid: too much"), RequestRefusedError),
    ],
)
def test_a_request_fails_as_the_sdk_reports_it_and_may_be_applied(
    stand: Stand, failure: Callable[[Any], Exception], error: type[Exception]
) -> None:
    stand.connection.failure = failure
    with pytest.raises(error):
        stand.sink.send([change("a")])
    stand.connection.failure = None
    assert stand.sink.send([change("a")]) == [Duplicate()]


@given(st.decimals(places=10, min_value=-(10**20), max_value=10**20))
def test_the_oracle_writes_numbers_as_the_product_does(number: Decimal) -> None:
    assert oracle.digits(number) == number_as_text(number)


@given(st.text(max_size=12))
def test_the_oracle_escapes_names_as_the_product_does(name: str) -> None:
    assert oracle.column(name, SETTINGS) == escaped(name)
