"""An audit with the rights of template.yaml's AuditorPolicy, and with fewer.

`tests/gate/` shows that each command needs exactly the rights on its page.
"""

import datetime as dt
from collections.abc import Iterator
from contextlib import closing

import msgspec
import pytest

from doors.quarantine import BucketQuarantine
from lockstep.local.mapping.invocation import stream_arn
from lockstep.local.mapping.translation import translated
from lockstep.stack.clients import Clients
from lockstep.stack.stack import Endpoints, read_local, write_local
from lockstep.stack.use_cases.audit import sizes
from lockstep.stack.use_cases.losses import acknowledge
from lockstep.stream.checkpoints import Checkpoints, Gap
from shared.change import Change
from shared.quarantine import QuarantinedRecord
from tests.contract.redrive.conftest import Stage
from tests.contract.repair.hand import DAY, Hand, a_change, stamp
from tests.gate.gate import ENGINES, Gate
from tests.gate.policies import rendered
from tests.package.tools import TEMPLATE


@pytest.fixture
def gate(stage: Stage) -> Iterator[Gate]:
    """The stage behind a proxy that enforces the policy."""
    stack = stage.stack
    policies = rendered(translated(TEMPLATE, stack.region), stack)
    gate = Gate(stack, [policies.managed("AuditorPolicy")])
    engines = {name: getattr(stack.endpoints, name) for name in ENGINES}
    with gate.before(engines) as urls:
        write_local(msgspec.structs.replace(stack, endpoints=Endpoints(**urls)), stage.state)
        yield gate


@pytest.fixture
def hand(stage: Stage) -> Hand:
    """A writer; some images differ, one of them because of a quarantined record."""
    hand = Hand(stage)
    images = [a_change(f"T{n}", stamp(DAY), f"image {n}") for n in range(150)]
    hand.write_both(*images)
    hand.delete_document(images[0])
    hand.newer_in_index(images[1])
    hand.name_changed_in_index(images[2])
    quarantine = BucketQuarantine(hand.clients.s3.put_object, stage.stack.bucket, longest_put=1)
    quarantine.put(_record(images[0]))
    # Only its key is of a failure document: it explains nothing.
    hand.clients.s3.put_object(Bucket=stage.stack.bucket, Key="aws/lambda/u/s/1", Body=b"{}")
    # A note of a redrive.
    note = msgspec.json.encode({"records": []})
    hand.clients.s3.put_object(Bucket=stage.stack.bucket, Key="redriven/notes/1.json", Body=note)
    _acknowledge_a_loss(stage)
    return hand


def _acknowledge_a_loss(stage: Stage) -> None:
    """A mapping that fed the index before has a gap, and an operator has acknowledged it."""
    path, at = stage.state / "checkpoints.db", 1_795_248_000.0
    arn = stream_arn("former", stage.stack.region)
    with closing(Checkpoints(path, uuid="u", function="write_to_es", stream_arn=arn)) as former:
        former.lost(Gap("shardId-000000000000", "", "", at, at, 1))
    since = dt.datetime.fromtimestamp(at, dt.UTC)
    acknowledge(Clients(stage.stack), since, "put again")


def _record(change: Change) -> QuarantinedRecord:
    return QuarantinedRecord(
        function="write_to_es",
        stream="images",
        shard_id="shardId-000000000000",
        sequence_number="1",
        partition_key=change.image_id,
        arrived_at=change.arrived_at,
        image_id=change.image_id,
        version=change.version,
        reason="refused_by_store",
        detail="too large",
        quarantined_at="2026-11-21T08:00:00Z",
        payload="",
    )


@pytest.mark.usefixtures("hand")
def test_an_auditor_may_run_each_kind_of_audit(stage: Stage, gate: Gate) -> None:
    def differences(*words: str) -> dict[str, int]:
        result = stage.lockstep("audit", *words, "--json")
        assert result.exit_code == 1, result.output
        found: dict[str, int] = msgspec.json.decode(result.stdout)["differences"]
        return found

    expected = {"explained_by_quarantine": 1, "missing_in_index": 1, "table_behind": 1}
    assert differences() == expected
    assert differences("--rate", "100000") == expected
    assert differences("--since", "7d") == expected
    assert differences("--values") == expected | {"malformed": 1}
    assert differences("--sample", "1000") == expected
    shown = stage.lockstep("audit", "--repair")
    assert "1 image would be written" in shown.stdout
    assert sizes(Clients(read_local(stage.state))) == {"table": 150, "index": 149}
    assert gate.refused == set()


def test_an_audit_that_may_not_refresh_sees_what_the_last_refresh_saw(
    stage: Stage, hand: Hand, gate: Gate
) -> None:
    hand.opensearch.indices.refresh(index=hand.index)
    refresh = f"arn:aws:es:*:*:domain/*/{hand.index}/_refresh"
    denied = {"Effect": "Deny", "Action": "es:ESHttpPost", "Resource": refresh}
    gate.policies = [*gate.policies, {"Statement": [denied]}]
    result = stage.lockstep("audit", "--json")
    assert result.exit_code == 1, result.output
    (refused,) = gate.refused
    assert refused.resource.endswith("/_refresh")


@pytest.mark.parametrize("words", [(), ("--sample", "1000"), ("--repair",)])
def test_an_audit_that_cannot_read_the_aliases_says_so_beside_the_differences(
    stage: Stage, hand: Hand, gate: Gate, words: tuple[str, ...]
) -> None:
    aliases = f"arn:aws:es:*:*:domain/*/{hand.index},{hand.index}-live"
    denied = {"Effect": "Deny", "Action": "es:ESHttpGet", "Resource": aliases}
    gate.policies = [*gate.policies, {"Statement": [denied]}]
    result = stage.lockstep("audit", *words)
    assert result.exit_code == 1, result.output
    assert gate.refused
    said = " ".join(result.stderr.split())
    assert "warning: the aliases of the index could not be read: " in said


def test_a_repair_without_write_access_is_refused_in_one_line_and_writes_nothing(
    stage: Stage, hand: Hand, gate: Gate
) -> None:
    result = stage.lockstep("audit", "--repair", "--apply", "--at-most", "100")
    assert result.exit_code == 2
    assert "AuthorizationException" in result.stderr.splitlines()[-1]
    assert any(one.resource.endswith(f"/{hand.index}/_bulk") for one in gate.refused)
    assert stage.names("T0") == {"image 0", None}
    assert stage.names("T1") == {"image 1", "newer"}


def test_an_index_that_nobody_may_write_can_be_audited(stage: Stage, hand: Hand) -> None:
    hand.opensearch.indices.put_settings(index=hand.index, body={"index.blocks.write": True})
    result = stage.lockstep("audit", "--values", "--json")
    assert result.exit_code == 1, result.output
    assert msgspec.json.decode(result.stdout)["differences"]["malformed"] == 1
