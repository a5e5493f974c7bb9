"""Losses: which are new, and what an acknowledgement covers."""

import datetime as dt
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from lockstep.audit.acknowledgements import (
    AcknowledgementError,
    read_acknowledgements,
    write_acknowledgement,
)
from lockstep.audit.audit import Audit, with_unread
from lockstep.stream.losses import (
    Acknowledgement,
    Loss,
    StoppedConsumer,
    Unread,
    covers,
    typed,
    unacknowledged,
)

T = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
LOCAL = Loss("write_to_es", T, T + HOUR, 3, "images", "shardId-000000000000", "17")
DEPLOYED = Loss("write_to_es", T, T + HOUR)
replace = msgspec.structs.replace


def acknowledged(*losses: Loss) -> Acknowledgement:
    return Acknowledgement(T, "imported again", T, losses)


def test_an_acknowledged_loss_is_over_also_when_it_is_read_past() -> None:
    """The mapping reads on: the first record after the gap arrived later than the last lost one."""
    assert covers(LOCAL, LOCAL)
    assert covers(LOCAL, replace(LOCAL, until=T + 9 * HOUR))
    assert covers(LOCAL, replace(LOCAL, records=2))


@pytest.mark.parametrize(
    "other",
    [
        replace(LOCAL, records=4),
        replace(LOCAL, records=None),
        replace(LOCAL, after="21"),
        replace(LOCAL, shard_id="shardId-000000000001"),
        replace(LOCAL, stream="changes"),
        replace(LOCAL, consumer="write_to_dynamodb"),
    ],
    ids=["longer", "unknown size", "later", "other shard", "other stream", "other consumer"],
)
def test_another_loss_is_not_covered(other: Loss) -> None:
    assert not covers(LOCAL, other)


def test_an_unknown_number_covers_every_number_after_the_same_checkpoint() -> None:
    assert covers(replace(LOCAL, records=None), LOCAL)
    assert covers(replace(LOCAL, records=None), replace(LOCAL, records=None, until=T + 9 * HOUR))


def test_a_deployed_loss_is_covered_by_its_times() -> None:
    assert covers(DEPLOYED, DEPLOYED)
    # CloudWatch has forgotten its first hours.
    assert covers(DEPLOYED, replace(DEPLOYED, since=T + HOUR))
    assert not covers(DEPLOYED, replace(DEPLOYED, until=T + 2 * HOUR)), "it goes on"
    assert not covers(DEPLOYED, replace(DEPLOYED, since=T - HOUR))
    assert not covers(DEPLOYED, replace(DEPLOYED, consumer="write_to_dynamodb"))


def test_what_nobody_acknowledged_is_listed_from_the_earliest_on() -> None:
    later = replace(LOCAL, after="99", since=T + HOUR)
    other = replace(LOCAL, consumer="write_to_dynamodb")
    losses = [later, LOCAL, other]
    assert unacknowledged(losses, []) == (other, LOCAL, later)
    assert unacknowledged(losses, [acknowledged(LOCAL), acknowledged(later)]) == (other,)


def test_the_stores_may_lack_events_since_the_earliest_of_all() -> None:
    disabled = StoppedConsumer("write_to_es", "disabled", T - HOUR)
    missing = StoppedConsumer("write_to_es", "missing", None)
    assert Unread((LOCAL,)).since == T
    assert Unread((LOCAL,), (disabled, missing)).since == T - HOUR
    assert Unread((), (missing,)).since is None
    assert Unread((), (missing,))
    assert not Unread()


def test_a_time_is_told_as_it_is_typed() -> None:
    assert typed(T) == "2026-11-21T08:00:00Z"
    assert typed(T.astimezone(dt.timezone(HOUR))) == "2026-11-21T08:00:00Z"
    assert typed(None) == "an unknown time"


def audit_of(result: str, reason: str | None = None) -> Audit:
    return msgspec.convert(
        {"result": result, "table": 1, "index": 1, "differences": {}, "seconds": 0.1}
        | ({"reason": reason} if reason else {}),
        Audit,
    )


def test_an_audit_with_a_loss_never_says_equal() -> None:
    found = with_unread(audit_of("equal"), Unread((LOCAL,)))
    assert (found.result, found.exit_code, found.unknown_since) == ("unknown", 2, T)
    assert found.losses == (LOCAL,)
    assert found.complete, "a rebuild may end, for the stores were compared"
    missing = StoppedConsumer("write_to_es", "missing", None)
    assert with_unread(audit_of("equal"), Unread((), (missing,))).result == "unknown"


def test_what_is_proved_different_stays_different_and_can_be_repaired() -> None:
    found = with_unread(audit_of("different"), Unread((LOCAL,)))
    assert (found.result, found.exit_code) == ("different", 1)
    assert found.losses == (LOCAL,)


def test_an_audit_that_did_not_end_is_not_complete() -> None:
    found = with_unread(audit_of("unknown", "the index is red"), Unread((LOCAL,)))
    assert found.result == "unknown"
    assert not found.complete


def test_without_a_loss_an_audit_stays_as_it_is() -> None:
    assert with_unread(audit_of("equal"), Unread()) == audit_of("equal")


class Bucket:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def keys(self, prefix: str) -> Iterator[str]:
        return iter([*sorted(key for key in self.objects if key.startswith(prefix)), "gone"])

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def write(self, key: str, body: bytes) -> None:
        raise NotImplementedError

    def write_new(self, key: str, body: bytes) -> None:
        self.objects.setdefault(key, body)

    def delete(self, key: str) -> None:
        raise NotImplementedError

    def delete_all(self, keys: Sequence[str]) -> None:
        raise NotImplementedError


def test_acknowledgements_are_kept_in_the_bucket() -> None:
    bucket = Bucket()
    made: Sequence[Acknowledgement] = [
        acknowledged(LOCAL, DEPLOYED),
        replace(acknowledged(LOCAL), acknowledged_at=T + HOUR),
    ]
    keys = [write_acknowledgement(bucket, one) for one in made]
    assert keys[0] == "acknowledged/20261121T080000.000000Z.json"
    assert read_acknowledgements(bucket) == made


def test_a_damaged_acknowledgement_is_told_and_not_ignored() -> None:
    bucket = Bucket()
    bucket.objects["acknowledged/1.json"] = b"{}"
    with pytest.raises(AcknowledgementError, match=r"acknowledged/1\.json in the bucket is no"):
        read_acknowledgements(bucket)


@pytest.mark.parametrize("name", ["since", "until", "acknowledged_at"])
def test_an_acknowledgement_with_a_time_without_a_zone_is_told(name: str) -> None:
    """Somebody edited it: such a time cannot be compared."""
    bucket = Bucket()
    key = write_acknowledgement(bucket, acknowledged(LOCAL))
    found = msgspec.json.decode(bucket.objects[key])
    its = found["losses"][0] if name == "until" else found
    assert its[name].endswith("Z")
    its[name] = its[name].removesuffix("Z")
    bucket.objects[key] = msgspec.json.encode(found)
    with pytest.raises(AcknowledgementError, match="timezone"):
        read_acknowledgements(bucket)
