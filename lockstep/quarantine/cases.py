"""The cases: each quarantined record once, and what can be done about it.

What the table's consumer has quarantined goes back onto the stream. What only the index's consumer
has quarantined goes to the index alone: its role may write anything under its own prefix, and that
must not reach the table.
"""

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import Annotated

import msgspec
from msgspec import Meta

from lockstep.quarantine.bucket import GIVEN_UP, REDRIVEN, consumer_of_document, redriven_key
from lockstep.quarantine.failure_documents import Fetched, Gone, NotADocumentError, records_of
from lockstep.quarantine.records import (
    ForeignObjectError,
    check_record,
    event_in,
    parse_time,
    payload,
    read_record,
)
from lockstep.stores.objects import Objects
from shared.event import Event, InvalidEventError
from shared.horizon import QUARANTINE_AGE
from shared.quarantine import (
    INDEX_CONSUMER,
    PREFIX,
    TABLE_CONSUMER,
    QuarantinedRecord,
    QuarantineReason,
)
from shared.stamps import acceptable_from, is_late

ID_LENGTH = 10
# Each object takes one or two requests, in parallel within a client's ten connections. Few objects
# are read ahead, so that large payloads do not fill the memory.
READERS = 8
READ_AHEAD = 64
ONLY_STORED = (
    "only the index's consumer has quarantined it: `--choose stored` gives the index the table's "
    "content; other content comes in by `lockstep put`"
)
_DAY_MS = 24 * 60 * 60 * 1000


class Ready(msgspec.Struct, frozen=True, tag_field="state", tag="ready"):
    """It can be put back onto the stream unchanged."""

    why: str = "can be redriven unchanged"


class Waits(msgspec.Struct, frozen=True, tag_field="state", tag="waits"):
    """Its version is too far ahead until the time `until` (RFC 3339)."""

    why: str
    until: str


class NeedsChoice(msgspec.Struct, frozen=True, tag_field="state", tag="choose"):
    """An operator must choose: a conflict, an outrun event, or the index cannot have it."""

    why: str


class NeedsCorrection(msgspec.Struct, frozen=True, tag_field="state", tag="mend"):
    """It is not a valid event: it stays until an operator corrects it."""

    why: str


class TooOld(msgspec.Struct, frozen=True, tag_field="state", tag="too_old"):
    """A tombstone that should stop it may be purged: an operator must correct or choose it."""

    why: str


type Verdict = Ready | Waits | NeedsChoice | NeedsCorrection | TooOld


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
        return _identity(held) == (
            self.stream,
            self.shard_id,
            self.sequence_number,
            self.payload_sha256,
        )

    @property
    def image(self) -> str:
        """The image ID, or the partition key if the ID is unknown."""
        return self.image_id or self.partition_key


class Unreadable(msgspec.Struct, frozen=True):
    """An object or a pointer's line that cannot be read: it is left unchanged."""

    where: str
    why: str


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


type _Identity = tuple[str, str, str, str]


def _identity(held: QuarantinedRecord) -> _Identity:
    """What makes two objects one case: their provenance, and the SHA-256 of their payload.

    It alone is not sufficient: an object under the index's prefix may state any provenance.
    """
    sha256 = hashlib.sha256(payload(held)).hexdigest()
    return held.stream, held.shard_id, held.sequence_number, sha256


def _case_id(identity: _Identity) -> str:
    """A short, stable ID, the same for both consumers."""
    return hashlib.sha256("/".join(identity).encode()).hexdigest()[:ID_LENGTH]


def first_arrival_key(event: Event) -> str:
    """The key of the object that says when an event first arrived.

    A redriven record that is quarantined again has a new arrival time. But its age counts from the
    first arrival, because that decides whether the tombstones that should stop it still exist.
    """
    return f"{REDRIVEN}first-arrival/{event.image_id}/{event.version}.json"


class FirstArrival(msgspec.Struct, frozen=True):
    """When an event first arrived, in milliseconds since 1970."""

    arrived_at: Annotated[int, Meta(ge=0)]


def find(
    objects: Objects,
    table_mapping: str,
    *,
    now: dt.datetime,
    pointers: Iterable[bytes] = (),
    fetch: Callable[[bytes], Fetched] | None = None,
    wanted: Wanted | None = None,
    readers: int = READERS,
    changes_stream: str = "",
) -> FoundCases:
    """All quarantined records: those of both consumers, and those of failure documents.

    Reads every object once. Keeps no payloads in memory, except of records that only the stream
    holds.

    Args:
        objects: the quarantine's bucket.
        table_mapping: the UUID of the event source mapping of the table's consumer.
        now: the current time.
        pointers: failure documents without payload, one a line.
        fetch: gets what such a line points at; see `failure_documents.fetch`.
        wanted: which cases to return; None: all.
        readers: the number of threads that read objects; 1: the caller's thread reads them.
        changes_stream: the Kinesis stream that carries the table's changes, if there is one.
    """
    gathering = _Gathering(objects, now)
    gathering.read_objects(readers)
    gathering.read_documents(table_mapping, changes_stream)
    if fetch is not None:
        gathering.follow(pointers, fetch)
    cases = sorted(gathering.cases.values(), key=lambda case: (case.arrived_at, case.id))
    return FoundCases(
        cases=[case for case in cases if wanted is None or case in wanted],
        unreadable=[*gathering.unreadable, *gathering.damaged_first_arrivals()],
        gone=gathering.gone,
        fetched=gathering.fetched,
    )


class _Gathering:
    """The state of one `find`."""

    def __init__(self, objects: Objects, now: dt.datetime) -> None:
        self._objects = objects
        self._now = now
        self.cases: dict[_Identity, Case] = {}
        self.unreadable: list[Unreadable] = []
        self.gone: list[Gone] = []
        self.fetched: dict[str, QuarantinedRecord] = {}
        self._damaged: dict[
            str, Unreadable
        ] = {}  # by key: the records of both consumers have the same key

    def damaged_first_arrivals(self) -> list[Unreadable]:
        """The first arrivals that cannot be read, in the order of their keys."""
        return [self._damaged[key] for key in sorted(self._damaged)]

    def read_objects(self, readers: int) -> None:
        """Read what the consumers quarantined."""
        keys = self._objects.keys(PREFIX)
        if readers == 1:
            self._add_all(map(self._read_object, keys))
            return
        with ThreadPoolExecutor(readers) as pool:
            for some in batched(keys, READ_AHEAD):
                self._add_all(pool.map(self._read_object, some))

    def _add_all(self, objects: Iterable[Case | Unreadable | None]) -> None:
        for read in objects:
            match read:
                case Case():
                    self._add(read)
                case Unreadable():
                    self.unreadable.append(read)
                case None:  # redriven after it was listed
                    pass

    def _read_object(self, key: str) -> Case | Unreadable | None:
        body = self._objects.read(key)
        if body is None:
            return None
        try:
            case = self._case(read_record(key, body))
        except ForeignObjectError as error:
            return Unreadable(key, str(error))
        # The actual key, even if somebody moved the object: a settlement moves it from there.
        return msgspec.structs.replace(case, keys=(key,))

    def read_documents(self, table_mapping: str, changes_stream: str) -> None:
        """Read failure documents that hold their records."""
        for key in self._objects.keys(GIVEN_UP):
            body = self._objects.read(key)
            if body is None:
                continue
            consumer = consumer_of_document(key, table_mapping)
            try:
                held = records_of(body, consumer, changes_stream)
                for one in held:
                    check_record(one)
            except (NotADocumentError, ForeignObjectError) as error:
                self.unreadable.append(Unreadable(key, str(error)))
                continue
            for one in self._not_redriven(held):
                self._add(self._case(one, documents=(key,)))

    def follow(self, pointers: Iterable[bytes], fetch: Callable[[bytes], Fetched]) -> None:
        """Read the records that failure documents point at."""
        for number, line in enumerate(pointers, start=1):
            if not line.strip():
                continue
            try:
                fetched = fetch(line)
            except NotADocumentError as error:
                self.unreadable.append(Unreadable(f"pointer in line {number}", str(error)))
                continue
            if fetched.gone is not None:
                self.gone.append(fetched.gone)
            for one in self._not_redriven(fetched.records):
                self._add(self._case(one))
                self.fetched[one.key] = one

    def _not_redriven(self, records: Iterable[QuarantinedRecord]) -> Iterator[QuarantinedRecord]:
        """The records that were not redriven; a record that is still in quarantine was not."""
        for one in records:
            was_redriven = self._objects.read(redriven_key(one.key)) is not None
            if not was_redriven or self._objects.read(one.key) is not None:
                yield one

    def _add(self, case: Case) -> None:
        identity = (case.stream, case.shard_id, case.sequence_number, case.payload_sha256)
        known = self.cases.get(identity)
        self.cases[identity] = case if known is None else _merged(known, case)

    def _case(self, held: QuarantinedRecord, documents: tuple[str, ...] = ()) -> Case:
        identity = _identity(held)
        first: int | None
        try:
            event = event_in(held)
        except InvalidEventError:
            first, image_id, version = held.arrived_at, held.image_id, held.version
        else:
            first = self._first_arrival(event, held.arrived_at)
            image_id, version = event.image_id, event.version
        return Case(
            id=_case_id(identity),
            stream=held.stream,
            shard_id=held.shard_id,
            sequence_number=held.sequence_number,
            partition_key=held.partition_key,
            arrived_at=held.arrived_at if first is None else first,
            image_id=image_id,
            version=version,
            functions=(held.function,),
            reasons=(held.reason,),
            detail=held.detail,
            quarantined_at=held.quarantined_at,
            bytes=len(payload(held)),
            payload_sha256=identity[-1],
            verdict=judge(held, first, now=self._now),
            keys=(held.key,),
            documents=documents,
        )

    def _first_arrival(self, event: Event, arrived_at: int) -> int | None:
        """The first arrival of the event of a record; None if it cannot be read."""
        key = first_arrival_key(event)
        noted = self._objects.read(key)
        if noted is None:
            return arrived_at
        try:
            first = msgspec.json.decode(noted, type=FirstArrival)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._damaged[key] = Unreadable(key, f"not a first arrival: {error}")
            return None
        return min(first.arrived_at, arrived_at)


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
    of_index = held.function == INDEX_CONSUMER
    verdict = _judge(held, first_arrival, now, conflicts=not of_index)
    match verdict:
        case Ready() if of_index:
            return Ready("only the index's consumer has quarantined it: it is tried on the index")
        case NeedsCorrection() | TooOld() if of_index:
            return NeedsChoice(f"{verdict.why}; {ONLY_STORED}")
        case _:
            return verdict


def _judge(
    held: QuarantinedRecord, first_arrival: int | None, now: dt.datetime, *, conflicts: bool
) -> Verdict:
    try:
        event = event_in(held)
    except InvalidEventError as invalid:
        return NeedsCorrection(f"{invalid.reason}: {invalid.detail}")
    if first_arrival is None:
        return TooOld(
            f"its first arrival cannot be read from {first_arrival_key(event)}, so a tombstone "
            "that should stop it may be purged"
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
            until = (now + dt.timedelta(milliseconds=ahead_ms)).isoformat()
        except OverflowError:
            return NeedsCorrection(f"version {event.version} is not a valid timestamp")
        return Waits(f"version {event.version} is more than a day ahead, until {until}", until)
    return Ready()


def _merged(one: Case, other: Case) -> Case:
    """Merge two cases of one record: of both consumers, or of an object and a failure document."""
    first, second = (other, one) if one.of_index_only and not other.of_index_only else (one, other)
    merged = msgspec.structs.replace(
        first,
        functions=_union(first.functions, second.functions),
        reasons=_union(first.reasons, second.reasons),
        keys=_union(first.keys, second.keys),
        documents=_union(first.documents, second.documents),
    )
    if first.of_index_only != second.of_index_only:
        return merged  # what the index's consumer wrote changes nothing about it
    # A choice settles all objects, so a choice is kept.
    choice = next((case for case in (one, other) if isinstance(case.verdict, NeedsChoice)), one)
    return msgspec.structs.replace(
        merged,
        arrived_at=min(one.arrived_at, other.arrived_at),
        detail=choice.detail,
        verdict=choice.verdict,
    )


def _union[T](one: tuple[T, ...], other: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*one, *other)))


def state_of(verdict: Verdict) -> str:
    """The verdict's name in JSON."""
    return str(type(verdict).__struct_config__.tag)
