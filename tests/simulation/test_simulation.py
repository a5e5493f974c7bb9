"""The simulation: the invariants hold, and a run with too few faults fails."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import msgspec
import opensearchpy
import pytest

from lockstep import quarantine
from lockstep.audit.audit import Audit, audit
from lockstep.audit.recheck import EXPLAINED
from lockstep.simulation.components import BUCKET, INDEX, TABLE, Components
from lockstep.simulation.faults import FAULTS, FLOORS_PER_THOUSAND, ReplicaFault, Tally, missed
from lockstep.simulation.history import History
from lockstep.simulation.plan import plain, plan, without
from lockstep.simulation.run import broken_by, shrink, simulate
from lockstep.stores.index import IndexReader
from lockstep.stores.objects import BucketObjects
from lockstep.stores.table import TableReader
from shared.quarantine import TABLE_CONSUMER
from tests.builders import clock
from tests.simulation.wrong_components import WRONG

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client


def test_under_all_faults_nothing_is_lost_and_no_version_goes_down() -> None:
    report = simulate(seed=1, histories=1_000)
    assert report.failure is None
    assert report.missed == {}
    assert report.histories == 1_000
    assert all(report.faults.values())


def test_content_that_a_redrive_wrote_to_the_index_may_make_a_later_record_a_conflict() -> None:
    # Found by a seed. The index's consumer had quarantined that record for its partition key.
    assert broken_by(plain(plan(34_646))) is None


def test_an_outrun_record_waits_for_the_quarantine() -> None:
    # Found by a seed: the quarantine failed, so the record was reported, as it must be.
    assert broken_by(plain(plan(2_783_924))) is None


def test_the_same_seed_gives_the_same_history_to_the_byte() -> None:
    for seed in range(20):
        assert fingerprint(seed) == fingerprint(seed)


def test_histories_differ() -> None:
    assert len(set(map(fingerprint, range(20)))) > 15  # some put nothing


def fingerprint(seed: int) -> str:
    history = History(plan(seed))
    history.run()
    return history.system.fingerprint()


def test_the_steps_of_a_plan_do_not_depend_on_each_other() -> None:
    whole = plan(3)
    shorter = without(whole, 0)
    assert shorter.steps == whole.steps[1:]
    assert msgspec.structs.replace(shorter, steps=whole.steps) == whole


@pytest.mark.parametrize(
    "name", ["table: no version check", "quarantine: a failed write is ignored"]
)
def test_a_failing_history_is_shrunk_to_the_steps_it_needs(name: str) -> None:
    wrong = WRONG[name]
    report = simulate(seed=1, histories=200, components=wrong)
    failure = report.failure
    assert failure is not None
    assert not report.succeeded
    assert len(failure.steps) < failure.of_steps
    shortest = shrink(plan(failure.seed), wrong)
    assert tuple(map(str, shortest.steps)) == failure.steps
    assert broken_by(shortest, wrong) == failure.violation
    for at in range(len(shortest.steps)):
        assert broken_by(without(shortest, at), wrong) is None


def test_a_failing_history_fails_again_alone() -> None:
    wrong = WRONG["delivery: checkpoint one too high"]
    first = simulate(seed=1, histories=200, components=wrong).failure
    assert first is not None
    again = simulate(seed=first.seed, histories=1, components=wrong).failure
    assert again == first


def test_a_run_that_misses_a_fault_fails() -> None:
    everything = Tally({fault: FLOORS_PER_THOUSAND[fault] for fault in FAULTS})
    assert missed(everything, 1000) == {}
    everything["zombie request"] -= 1
    assert missed(everything, 1000) == {"zombie request": FLOORS_PER_THOUSAND["zombie request"]}
    assert set(missed(Tally(), 1000)) == set(FAULTS)


def test_the_documentation_names_every_fault_and_no_other() -> None:
    documentation = Path(__file__).parents[2] / "docs" / "internals" / "simulation.md"
    table = [line for line in documentation.read_text().splitlines() if line.startswith("| ")]
    named = [name for line in table for name in re.findall("`([^`]+)`", line)]
    assert {*FAULTS, *get_args(ReplicaFault)} == {
        name for name in named if not name.endswith(".py")
    }


def test_the_audit_of_the_operator_agrees() -> None:
    results = set()
    for seed in range(40):
        history = History(plain(plan(seed)))
        history.run()
        found = audited(history)
        assert sum(found.differences.values()) == 2 * found.differences.get(EXPLAINED, 0)
        results.add(found.result)
    assert results == {"equal", "different"}


def audited(history: History) -> Audit:
    bucket = BucketObjects(cast("S3Client", history.system.bucket), BUCKET)
    return audit(
        TableReader(cast("DynamoDBClient", history.system.table), TABLE),
        IndexReader(cast("opensearchpy.OpenSearch", history.system.index), INDEX),
        quarantined_images=lambda: quarantine.images(bucket, TABLE_CONSUMER),
        clock=clock(
            now=lambda: history.system.time.now,
            elapsed=lambda: history.system.time.now,
            sleep=history.system.time.advance,
        ),
    )


@pytest.mark.parametrize("function", ["table", "index"])
def test_a_parts_exception_is_a_finding(function: str) -> None:
    class Raising:
        longest_send = 1.0

        def requests(self, _: object) -> object:
            raise ZeroDivisionError

    wrong = Components(**{function: lambda _: Raising()})  # type: ignore[arg-type]  # that is the point
    failure = simulate(seed=1, histories=50, components=wrong).failure
    assert failure is not None
    assert "ZeroDivisionError" in failure.violation
