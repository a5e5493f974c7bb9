"""The cases: each quarantined record once, and what can be done about it.

What the table's consumer has quarantined goes back onto the stream. What only the index's consumer
has quarantined goes to the index alone: its role may write anything under its own prefix, and that
must not reach the table.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from lockstep.quarantine.failure_documents import Gone
from lockstep.quarantine.notes import NOTES
from lockstep.quarantine.reading import Unreadable
from lockstep.quarantine.records import (
    event_in,
    parse_time,
    payload,
)
from shared.event import Event, InvalidEventError
from shared.horizon import QUARANTINE_AGE
from shared.quarantine import (
    INDEX_CONSUMER,
    TABLE_CONSUMER,
    QuarantinedRecord,
    QuarantineReason,
)
from shared.rfc3339 import rfc3339
from shared.stamps import acceptable_from, is_late

ID_LENGTH = 10
ONLY_STORED = (
    "only the index's consumer has quarantined it: `--choose stored` gives the index the table's "
    "content; other content comes in by `lockstep put`"
)
_DAY_MS = 24 * 60 * 60 * 1000


class Ready(msgspec.Struct, frozen=True):
    """It can be put back onto the stream unchanged."""

    why: str = "can be redriven unchanged"


class Waits(msgspec.Struct, frozen=True):
    """Its version is too far ahead until the time `until` (RFC 3339)."""

    why: str
    until: str


class NeedsChoice(msgspec.Struct, frozen=True):
    """An operator must choose: a conflict, an outrun event, or the index cannot have it."""

    why: str


class NeedsCorrection(msgspec.Struct, frozen=True):
    """It is not a valid event: it stays until an operator corrects it."""

    why: str


class TooOld(msgspec.Struct, frozen=True):
    """A tombstone that should stop it may be purged: an operator must correct or choose it."""

    why: str


type Verdict = Ready | Waits | NeedsChoice | NeedsCorrection | TooOld

Action = Literal["redrive", "wait", "choose", "correct", "too_old"]


class Case(msgspec.Struct, frozen=True):
    """One record that one consumer or both have quarantined: one provenance and one payload.

    `functions` are the consumers, the table's first. If the table's consumer is among them, the
    other fields are as it wrote them: anything may be written under the index's prefix.
    `arrived_at`, in milliseconds since 1970, is the first arrival of its event, also if this record
    comes from a redrive. `keys` are its objects under `quarantine/`, the table's first; `documents`
    are the failure documents that still hold it.
    """

    id: str
    stream: str
    shard_id: str
    sequence_number: str
    partition_key: str
    arrived_at: int
    image_id: str | None
    version: int | None
    functions: tuple[str, ...]
    reasons: tuple[QuarantineReason, ...]
    detail: str
    quarantined_at: str
    bytes: int
    payload_sha256: str
    verdict: Verdict
    keys: tuple[str, ...]
    documents: tuple[str, ...]

    @property
    def of_index_only(self) -> bool:
        """Whether the table's consumer has not quarantined it."""
        return TABLE_CONSUMER not in self.functions

    def is_about(self, held: QuarantinedRecord) -> bool:
        """Whether this is a record of the same provenance, with the same payload."""
        return identity_of(held) == (
            self.stream,
            self.shard_id,
            self.sequence_number,
            self.payload_sha256,
        )

    @property
    def image(self) -> str:
        """The image ID, or the partition key if the ID is unknown."""
        return self.image_id or self.partition_key


class FoundCases(msgspec.Struct, frozen=True):
    """All cases, oldest first, and what cannot be redriven."""

    cases: Sequence[Case]
    unreadable: Sequence[Unreadable]
    gone: Sequence[Gone]
    fetched: Mapping[str, QuarantinedRecord]
    """Records that only the stream holds so far, by the key that they will have."""


class Wanted(msgspec.Struct, frozen=True):
    """A filter of cases: all conditions must hold. `ids` are prefixes of IDs."""

    ids: tuple[str, ...] = ()
    reason: str | None = None
    image: str | None = None
    since: dt.datetime | None = None

    def __contains__(self, case: Case) -> bool:
        return (
            (not self.ids or case.id.startswith(self.ids))
            and self.reason in (None, *case.reasons)
            and self.image in (None, case.image)
            and (self.since is None or parse_time(case.quarantined_at) >= self.since)
        )


type Identity = tuple[str, str, str, str]


def identity_of(held: QuarantinedRecord) -> Identity:
    """What makes two objects one case: their provenance, and the SHA-256 of their payload.

    It alone is not sufficient: an object under the index's prefix may state any provenance.
    """
    sha256 = hashlib.sha256(payload(held)).hexdigest()
    return held.stream, held.shard_id, held.sequence_number, sha256


def case_id(identity: Identity) -> str:
    """A short, stable ID, the same for both consumers."""
    return hashlib.sha256("/".join(identity).encode()).hexdigest()[:ID_LENGTH]


def judge(
    held: QuarantinedRecord,
    first_arrival: int | None,
    *,
    now: dt.datetime,
) -> Verdict:
    """What can be done about a record, by the current rules and at the current time.

    A wrong partition key does not matter: a redriven event gets its image ID as the key. What only
    the index's consumer has quarantined is tried on the index, also a conflict: it may be over. If
    that is not possible, only the table's content remains to be chosen.

    Args:
        held: the record; its `function` is the consumer by its key.
        first_arrival: in milliseconds since 1970; None if unknown, which counts as too long ago.
        now: the current time.
    """
    return judge_event(held, event_or_flaw(held), first_arrival, now=now)


def event_or_flaw(held: QuarantinedRecord) -> Event | InvalidEventError:
    """The event in a record, or why there is none."""
    try:
        return event_in(held)
    except InvalidEventError as invalid:
        return invalid


def judge_event(
    held: QuarantinedRecord,
    event: Event | InvalidEventError,
    first_arrival: int | None,
    *,
    now: dt.datetime,
) -> Verdict:
    """As `judge`, of a record that is decoded already."""
    of_index = held.function == INDEX_CONSUMER
    verdict: Verdict
    if isinstance(event, InvalidEventError):
        verdict = NeedsCorrection(f"{event.reason}: {event.detail}")
    else:
        verdict = _judge(held, event, first_arrival, now, conflicts=not of_index)
    match verdict:
        case Ready() if of_index:
            return Ready("only the index's consumer has quarantined it: it is tried on the index")
        case NeedsCorrection() | TooOld() if of_index:
            return NeedsChoice(f"{verdict.why}; {ONLY_STORED}")
        case _:
            return verdict


def _judge(
    held: QuarantinedRecord,
    event: Event,
    first_arrival: int | None,
    now: dt.datetime,
    *,
    conflicts: bool,
) -> Verdict:
    if first_arrival is None:
        return TooOld(
            f"its first arrival is unknown, because a note under {NOTES} cannot be read, so a "
            "tombstone that should stop it may be purged"
        )
    if conflicts and held.reason in {"conflict", "outrun"}:
        return NeedsChoice(held.detail)
    age_ms = now.timestamp() * 1000 - first_arrival
    if age_ms > QUARANTINE_AGE.total_seconds() * 1000:
        return TooOld(
            f"it arrived {age_ms / _DAY_MS:.0f} days ago, more than {QUARANTINE_AGE.days}, so a "
            "tombstone that should stop it may be purged"
        )
    now_ms = int(now.timestamp() * 1000)
    # The index gets a change of the table directly, so that does not arrive once more.
    if held.holds == "event" and is_late(event.version, event.occurred_at, now_ms):
        return TooOld(
            f"its version and its time are from {event.occurred_at:%Y-%m-%d}, more than "
            f"{QUARANTINE_AGE.days} days ago, so a tombstone that should stop it may be purged"
        )
    ahead_ms = acceptable_from(event.version) - now_ms
    if ahead_ms > 0:
        try:
            until = rfc3339(now + dt.timedelta(milliseconds=ahead_ms))
        except OverflowError:
            return NeedsCorrection(f"version {event.version} is not a valid timestamp")
        return Waits(f"version {event.version} is more than a day ahead, until {until}", until)
    return Ready()


def action_of(verdict: Verdict) -> Action:
    """What to do, in one word."""
    match verdict:
        case Ready():
            return "redrive"
        case Waits():
            return "wait"
        case NeedsChoice():
            return "choose"
        case NeedsCorrection():
            return "correct"
        case TooOld():
            return "too_old"
