"""The alarms of a local stack: each condition has the name of an alarm, and its own page."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from lockstep.watching.conditions import LAGS_MS, conditions
from lockstep.watching.seen import (
    SeenAlarms,
    SeenAudit,
    SeenIndex,
    SeenLosses,
    SeenQuarantine,
)
from tests.unit.watching.states import NONE_DISCARDED, consumer, stream
from tools.template.updates import TEMPLATE

# What no alarm of AWS sees: docs/guides/alarms.md.
OWN = {"records-lost"}


def looked(**said: Any) -> SeenAlarms:
    usual: dict[str, Any] = {
        "stream": stream(),
        "losses": SeenLosses(),
        "quarantine": SeenQuarantine(0, NONE_DISCARDED, 0),
        "index": SeenIndex(),
        "audit": SeenAudit("equal", dt.datetime.now(dt.UTC), images=1, different=0),
    }
    return conditions(**usual | said)


def troubled(**said: Any) -> Any:
    return stream(consumers={**stream().consumers, "write_to_es": consumer(**said)})


TROUBLE: dict[str, tuple[dict[str, Any], str]] = {
    "not-reading-index": ({"stream": troubled(reads=False)}, "write_to_es does not read"),
    "lags-index": (
        {"stream": troubled(lag_ms=LAGS_MS + 1)},
        "write_to_es is over 15 minutes behind",
    ),
    "records-lost": (
        {"losses": SeenLosses(("write_to_es",))},
        "write_to_es cannot read some records any more",
    ),
    "quarantine-waiting": (
        {"quarantine": SeenQuarantine(1, NONE_DISCARDED, 0)},
        "records wait for somebody to look at them",
    ),
    "quarantine-old": (
        {"quarantine": SeenQuarantine(0, NONE_DISCARDED, 1)},
        "something is over 60 days old: redrive it",
    ),
    "aliases-astray": ({"index": SeenIndex(("alias a is wrong",))}, "alias a is wrong"),
    "index-empty": ({"index": SeenIndex((), ("index i is empty",))}, "index i is empty"),
    "audit-different": (
        {"audit": SeenAudit("different", None, images=9, different=2)},
        "2 images differ",
    ),
    "audit-unknown": (
        {"audit": SeenAudit("unknown", None, images=9, different=0)},
        "the last audit could not be finished",
    ),
}


@pytest.mark.parametrize("name", TROUBLE)
def test_a_trouble_sets_off_its_alarm_and_no_other(name: str) -> None:
    quiet, said = looked(), TROUBLE[name][0]
    assert (quiet.on, quiet.unknown) == ((), 0)
    found = looked(**said)
    assert [(one.name, one.says) for one in found.on] == [(name, TROUBLE[name][1])]
    assert found.off == quiet.off - 1


def test_a_discarded_batch_waits_for_somebody_too() -> None:
    found = looked(quarantine=SeenQuarantine(0, NONE_DISCARDED | {"write_to_es": 2}, 0))
    assert [one.name for one in found.on] == ["quarantine-waiting", "discarded-index"]
    assert found.on[1].says == "batches of write_to_es were discarded: 2"


def test_a_lag_of_fifteen_minutes_is_none_yet_and_an_unknown_lag_is_none() -> None:
    assert looked(stream=troubled(lag_ms=LAGS_MS)).on == ()
    assert looked(stream=troubled(lag_ms=None)).on == ()


def test_the_consumer_of_a_replica_has_no_alarms_here() -> None:
    late = consumer(lag_ms=LAGS_MS + 1, reads=False)
    consumers = {**stream().consumers, "write_to_tablestore": late}
    assert looked(stream=stream(consumers=consumers)) == looked()


@pytest.mark.parametrize("part", ["stream", "losses", "quarantine", "index", "audit"])
def test_the_state_of_what_could_not_be_read_is_unknown(part: str) -> None:
    quiet, found = looked(), looked(**{part: None})
    assert found.unknown == quiet.off - found.off > 0


def names_of_the_template() -> Iterator[str]:
    prefix = "AlarmName: !Sub ${AWS::StackName}-"
    for line in TEMPLATE.read_text().splitlines():
        if line.strip().startswith(prefix):
            yield line.strip().removeprefix(prefix)


def test_each_alarm_has_the_name_of_one_of_the_template() -> None:
    named = set(names_of_the_template())
    assert len(named) > 40
    assert TROUBLE.keys() | {"discarded-index", "discarded-table"} <= named | OWN


def test_a_consumer_lags_after_as_long_as_on_aws() -> None:
    lines = TEMPLATE.read_text().splitlines()
    (at,) = [at for at, line in enumerate(lines) if line.endswith("-lags-table")]
    (threshold,) = [line for line in lines[at : at + 12] if "Threshold:" in line]
    assert int(threshold.split()[1]) == LAGS_MS
