"""The ledger knows what each record means, and notices a record that nobody meant."""

import json
from dataclasses import replace

import pytest

from lockstep.simulation import oracle
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import Poison, interpret
from lockstep.simulation.ledger import Ledger
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.violation import ViolationError

VERSION = 1_795_248_000_000_000
MEANT = Meaning(
    "T1", VERSION, "image.uploaded", "2026-11-21T09:00:00+01:00", {"attributes": {"b": "", "A": ""}}
)
PRODUCED = oracle.as_produced(MEANT)


def accepted(data: bytes, key: str = "T1", arrived_at: float = VERSION / 1e6) -> AcceptedRecord:
    return AcceptedRecord("shard", "1", key, arrived_at, data)


def test_a_record_means_what_its_author_said() -> None:
    ledger = Ledger()
    ledger.note_produced(PRODUCED)
    ledger.note(b"{", Poison("not_json"))
    assert ledger.meant_by(MEANT.data) == PRODUCED
    assert ledger.event_in(accepted(MEANT.data)) == PRODUCED
    assert ledger.meant_by(b"{") == Poison("not_json")
    assert ledger.event_in(accepted(b"{")) is None


@pytest.mark.parametrize(
    "changed",
    [
        replace(PRODUCED, occurred_at="2026-11-21T08:00:00Z"),
        replace(PRODUCED, event_type="image.updated"),
        replace(PRODUCED, version=VERSION + 1),
        replace(PRODUCED, image={"attributes": {"A": ""}}),
    ],
)
def test_a_record_that_nobody_meant_is_a_violation(changed: Meaning) -> None:
    ledger = Ledger()
    ledger.note_produced(PRODUCED)
    with pytest.raises(ViolationError, match="nobody meant"):
        ledger.meant_by(changed.data)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"image_id":"T1"}', b'"T1"'])
def test_what_is_no_event_is_a_violation(data: bytes) -> None:
    with pytest.raises(ViolationError, match="nobody meant"):
        Ledger().meant_by(data)


def test_an_event_without_spaces_only_is_the_producers() -> None:
    ledger = Ledger()
    ledger.note_produced(PRODUCED)
    spaced = json.dumps(json.loads(PRODUCED.data), sort_keys=True).encode()
    with pytest.raises(ViolationError, match="nobody meant"):
        ledger.meant_by(spaced)


def test_of_a_settled_event_only_the_version_is_free() -> None:
    ledger = Ledger()
    ledger.note_chosen(MEANT)
    right = replace(PRODUCED, event_type="image.updated", version=7)
    assert ledger.meant_by(right.data) == right
    with pytest.raises(ViolationError, match="nobody meant"):
        ledger.meant_by(replace(right, occurred_at="2026-11-21T08:00:00Z").data)


def test_key_and_arrival_may_make_an_event_poison() -> None:
    data = MEANT.data
    assert interpret(MEANT, accepted(data)) is MEANT
    assert interpret(MEANT, accepted(data, key="T2")) == Poison("partition_key")
    day_before = (VERSION - oracle.REFUSED_AHEAD_US) / 1e6
    assert interpret(MEANT, accepted(data, arrived_at=day_before)) is MEANT
    assert interpret(MEANT, accepted(data, arrived_at=day_before - 0.001)) == Poison(
        "version_ahead"
    )
    assert interpret(Poison("schema"), accepted(data)) == Poison("schema")
