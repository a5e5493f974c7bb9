"""The redrive: quarantined records back onto the stream, under the same guard as everything else.

In this order, for each record: its event is on the stream, then its objects are under `redriven/`,
then they are gone from `quarantine/`. After a crash in between it is still in quarantine, and goes
again: with the same version, which both sinks count as a duplicate.

Where the index is fed from the table's changes, what only the index's consumer set aside goes
straight to the index: the table has it already, and would tell nobody of it a second time.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import batched
from typing import Any, Literal

import msgspec
from msgspec import Raw

from lockstep.errors import UserError
from lockstep.outbox import Outgoing
from lockstep.producer import outgoing
from lockstep.quarantine.bucket import Objects, redriven_key
from lockstep.quarantine.cases import (
    Case,
    FirstArrival,
    NeedsChoice,
    NotOursError,
    Ready,
    TooOld,
    change_in,
    event_in,
    first_arrival_key,
    judge,
    read_record,
    records_of,
    said_in,
    state_of,
)
from lockstep.quarantine.contents import Stores, content_of
from lockstep.stack import INDEX_CONSUMER
from shared.event import MAX_VERSION, Event, InvalidEventError, decode
from shared.outcome import Applied, Conflict, Duplicate, Failed, Outcome, Refused, Stale
from shared.quarantine import QuarantinedRecord
from shared.record import MAX_AHEAD_US
from shared.sink import Sink, outcomes_of

# So many are on the stream, at most, before their objects move: what a crash makes go twice.
AT_ONCE = 100

# A version from here on is a stamp, microseconds since 1970: below lies the year 2001.
_FIRST_STAMP = 10**15

How = Literal["as_it_was", "mended", "chose_this", "chose_stored"]


class Trace(msgspec.Struct, frozen=True):
    """What became of a redriven record: kept with it, under `redriven/`.

    `event` is what was put onto the stream; None where nothing had to be. `at` is RFC 3339.
    """

    at: str
    how: How
    event: Event | None


class RedriveReport(msgspec.Struct, frozen=True):
    """What a redrive did: records settled, events put for them, objects moved, seconds.

    `indexed`: those that went straight into the index. `moved_meanwhile`: somebody else had settled
    these first. `kept`: what stayed, by its state, `changed_meanwhile`, or by what the index said.
    """

    redriven: int
    put: int
    indexed: int
    objects: int
    moved_meanwhile: int
    kept: Mapping[str, int]
    seconds: float


class Time(msgspec.Struct, frozen=True):
    """Clocks, passed in."""

    now: Callable[[], float]
    """Seconds since 1970."""
    elapsed: Callable[[], float]
    """Seconds, never going back."""
    sleep: Callable[[float], None]
    """Wait that many seconds."""


class Index(msgspec.Struct, frozen=True):
    """The way straight into the index, and when it is to be taken.

    `fed_from_table`: the index learns of an image only when the table changes. `horizon` is how
    long the tombstone of a removal by hand stays.
    """

    sink: Sink
    horizon: Callable[[], dt.timedelta]
    fed_from_table: bool
    changes_stream: str = ""

    def takes(self, held: QuarantinedRecord, functions: Sequence[str]) -> bool:
        """Whether this record goes straight into the index; `functions` set it aside."""
        return held.holds == "table_change" or (
            self.fed_from_table and tuple(functions) == (INDEX_CONSUMER,)
        )

    def write(self, held: QuarantinedRecord) -> Outcome:
        """Write what the record says, under the guard.

        Raises:
            MisconfiguredError: nothing can be written until the deployment is mended.
        """
        (outcome,) = outcomes_of([change_in(held, self.horizon())], self.sink.send)
        return outcome


class CannotSettleError(UserError):
    """A record cannot be settled in the way that was asked for; says why, and what can be done."""


class Settlement(msgspec.Struct, frozen=True):
    """How one case is to be settled: by this event, or, where it is None, by nothing more.

    `note` says to a person what comes of it. `first_came` is when the event first came, in
    milliseconds since 1970; None where its version is new, and so is the event.
    """

    case: Case
    how: How
    event: Event | None
    note: str
    first_came: int | None = None


class Redrive:
    """Settles cases: puts their events onto the stream and moves their objects."""

    def __init__(
        self,
        objects: Objects,
        put: Callable[[Iterable[Event | Outgoing]], object],
        consumers: Mapping[str, str],
        *,
        time: Time,
        quarantine_age: dt.timedelta,
        index: Index | None = None,
    ) -> None:
        """Prepare.

        Args:
            objects: the quarantine's bucket.
            put: puts events onto the stream, and returns when all are there: `Producer.put`.
            consumers: each consumer's name in Lambda, by its name in the quarantine.
            time: clocks.
            quarantine_age: what is older goes back only as mended.
            index: the way straight into the index, for what the stream would not bring there.
        """
        self._index = index
        self._objects = objects
        self._put = put
        self._consumers = consumers
        self._time = time
        self._age = quarantine_age

    def as_they_were(
        self,
        cases: Sequence[Case],
        fetched: Mapping[str, QuarantinedRecord],
        *,
        rate: float | None = None,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> RedriveReport:
        """Put back every case that is ready; the others stay.

        Args:
            cases: as `find` found them.
            fetched: records that lie nowhere but on the stream, by the key they are to have.
            rate: records a second, at most.
            on_progress: told how many are settled.

        Raises:
            PutError: the stream did not take a record: all that are not settled stay.
        """
        began = self._time.elapsed()
        ready = sorted(
            (case for case in cases if isinstance(case.verdict, Ready)),
            # Lower versions first: each image's effects then come in their order.
            key=lambda case: (case.version or 0, case.id),
        )
        self._secure(cases, fetched)
        kept = Counter(state_of(one.verdict) for one in cases if not isinstance(one.verdict, Ready))
        redriven = moved_meanwhile = objects = put = 0
        at_once = AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate)))
        for chunk in batched(ready, at_once, strict=False):
            if rate is not None:
                self._wait_until(began + redriven / rate)
            settling: list[tuple[Settlement, dict[str, bytes]]] = []
            sending: list[Outgoing] = []
            for case in chunk:
                bodies = self._bodies(case)
                if not bodies:
                    moved_meanwhile += 1
                    continue
                held = self._still_ready(case, bodies)
                if held is None:
                    kept["changed_meanwhile"] += 1
                    continue
                event = None
                if self._index is not None and self._index.takes(held, case.functions):
                    refusal = _refusal(self._index.write(held))
                    if refusal is not None:
                        kept[refusal] += 1
                        continue
                else:
                    event = event_in(held)
                    self._note_arrival(event, case.arrived_at)
                    # As it came: encoded anew, the largest could be too large (its times grow).
                    sending.append(Outgoing(event.image_id, said_in(held)))
                settling.append((Settlement(case, "as_it_was", event, ""), bodies))
            if sending:
                self._put(sending)
                put += len(sending)
            for settlement, bodies in settling:
                objects += self._move(settlement, bodies)
                redriven += 1
                on_progress(redriven)
        return RedriveReport(
            redriven=redriven,
            put=put,
            indexed=redriven - put,
            objects=objects,
            moved_meanwhile=moved_meanwhile,
            kept=kept,
            seconds=self._time.elapsed() - began,
        )

    def settle(
        self, settlements: Sequence[Settlement], fetched: Mapping[str, QuarantinedRecord]
    ) -> RedriveReport:
        """Settle cases by what was decided about each: mended, or chosen.

        Raises:
            PutError: the stream did not take an event: all that are not settled stay.
        """
        began = self._time.elapsed()
        self._secure([one.case for one in settlements], fetched)
        put = objects = moved_meanwhile = 0
        for one in settlements:
            bodies = self._bodies(one.case)
            if not bodies:
                moved_meanwhile += 1
                continue
            if one.event is not None:
                if one.first_came is not None:
                    self._note_arrival(one.event, one.first_came)
                self._put([one.event])
                put += 1
            objects += self._move(one, bodies)
        return RedriveReport(
            redriven=len(settlements) - moved_meanwhile,
            put=put,
            indexed=0,
            objects=objects,
            moved_meanwhile=moved_meanwhile,
            kept={},
            seconds=self._time.elapsed() - began,
        )

    def records_of(self, document: str) -> list[QuarantinedRecord]:
        """The records of a failure document; none when it was taken apart meanwhile."""
        body = self._objects.read(document)
        return [] if body is None else self._records(body)

    def _secure(self, cases: Iterable[Case], fetched: Mapping[str, QuarantinedRecord]) -> None:
        """Every record of these cases gets its own object, before anything is done with it.

        A failure document is taken apart whole; then it has nothing left to say, and moves.
        """
        taken_apart: set[str] = set()
        for case in cases:
            for key in case.keys:
                if key in fetched:
                    self._objects.write_new(key, msgspec.json.encode(fetched[key]))
            for document in case.documents:
                if document not in taken_apart:
                    taken_apart.add(document)
                    self._take_apart(document)

    def _take_apart(self, document: str) -> None:
        body = self._objects.read(document)
        if body is None:
            return
        for held in self._records(body):
            gone_back = self._objects.read(redriven_key(held.key)) is not None
            if not gone_back:
                self._objects.write_new(held.key, msgspec.json.encode(held))
        self._objects.write(redriven_key(document), body)
        self._objects.delete(document)

    def _records(self, body: bytes) -> list[QuarantinedRecord]:
        changes_stream = "" if self._index is None else self._index.changes_stream
        return records_of(body, self._consumers, changes_stream)

    def _bodies(self, case: Case) -> dict[str, bytes]:
        """The case's objects as they are now; those moved meanwhile are left out."""
        found = ((key, self._objects.read(key)) for key in case.keys)
        return {key: body for key, body in found if body is not None}

    def _still_ready(self, case: Case, bodies: Mapping[str, bytes]) -> QuarantinedRecord | None:
        """The record to put back; None when the objects are not what they were when judged."""
        now = dt.datetime.fromtimestamp(self._time.now(), dt.UTC)
        held = None
        for body in bodies.values():
            try:
                held = read_record(body)
            except NotOursError:
                return None
            verdict = judge(held, case.arrived_at, now=now, quarantine_age=self._age)
            if not isinstance(verdict, Ready):
                return None
        return held

    def _note_arrival(self, event: Event, arrived_at: int) -> None:
        noted = msgspec.json.encode(FirstArrival(arrived_at))
        self._objects.write_new(first_arrival_key(event), noted)

    def _move(self, settlement: Settlement, bodies: Mapping[str, bytes]) -> int:
        """Into `redriven/`, with the trace; out of `quarantine/` only then."""
        at = dt.datetime.fromtimestamp(self._time.now(), dt.UTC).isoformat()
        trace = Trace(at, settlement.how, settlement.event)
        for key, body in bodies.items():
            whole: dict[str, Any] = msgspec.json.decode(body)
            whole["redriven"] = trace
            self._objects.write(redriven_key(key), msgspec.json.encode(whole))
            self._objects.delete(key)
        return len(bodies)

    def _wait_until(self, moment: float) -> None:
        pause = moment - self._time.elapsed()
        if pause > 0:
            self._time.sleep(pause)


def _refusal(outcome: Outcome) -> str | None:
    """Why the index does not hold what it was given, or None if it does, or holds a newer one."""
    match outcome:
        case Applied() | Duplicate() | Stale():
            return None
        case Conflict():
            return "conflict"
        case Refused():
            return "refused_by_store"
        case Failed():
            return "not_for_now"


def choose(
    what: Literal["this", "stored"], case: Case, record: bytes, stores: Stores, *, now: float
) -> Settlement:
    """Settle a conflict: by what was set aside, or by what is stored.

    Args:
        what: `this` content wins, under a new version; or what is `stored` stays.
        case: the conflict.
        record: its payload.
        stores: to see what is there now.
        now: in seconds since 1970.

    Raises:
        CannotSettleError: there is no conflict, what is stored has moved on, or what was chosen
            is no event that can go onto the stream.
        MalformedContentError: what is stored is nothing that any event could say.
    """
    if not isinstance(case.verdict, NeedsChoice) or case.version is None or case.image_id is None:
        raise CannotSettleError(f"{case.id} is no conflict: {case.verdict.why}")
    found = stores.contents(case.image_id)
    there = [content for content in found.values() if content is not None]
    newest = max((content.version for content in there), default=0)
    if what == "this":
        with _told_of(case):
            this = content_of(decode(record))
        if len(there) == len(found) and all(content.same_as(this) for content in there):
            return Settlement(case, "chose_this", None, "both stores say this already")
        if newest > case.version:
            raise CannotSettleError(
                f"{case.id}: version {newest} is stored meanwhile, above this conflict's "
                f"{case.version}: settle it with `--choose stored`, or put this content in with "
                "`--mend` and a version of your own"
            )
        version = new_version(max(newest, case.version), now)
        event = this.event(case.image_id, version)
        with _told_of(case):
            outgoing(event, now)
        return Settlement(case, "chose_this", event, f"this content, as version {version}")
    if not there:
        raise CannotSettleError(f"{case.id}: nothing is stored: `--choose this`")
    first, *rest = there
    if len(there) == len(found) and all(
        first.version == other.version and first.same_as(other) for other in rest
    ):
        return Settlement(case, "chose_stored", None, f"version {first.version} stays as stored")
    # The stores disagree: the system of record decides, and both meet it under a new version.
    chosen = found["table"]
    if chosen is None:
        raise CannotSettleError(
            f"{case.id}: only the index holds the image: `--choose this`, or see `lockstep audit`"
        )
    version = new_version(max(newest, case.version), now)
    event = chosen.event(case.image_id, version)
    with _told_of(case):
        outgoing(event, now)
    note = f"the stores differ: the table's content, as version {version}"
    return Settlement(case, "chose_stored", event, note)


@contextmanager
def _told_of(case: Case) -> Iterator[None]:
    """Turns the reason why an event is none into one why its case cannot be settled so."""
    try:
        yield
    except InvalidEventError as invalid:
        raise CannotSettleError(f"{case.id}: {invalid}") from None


class Mending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of a mending file: the id of what is set aside, and the event it should have been."""

    id: str
    event: Raw


def mending_in(line: bytes) -> Mending:
    """What a line says.

    Raises:
        CannotSettleError: it says something else.
    """
    try:
        return msgspec.json.decode(line, type=Mending)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CannotSettleError(
            f'{error}: one line each, {{"id": "...", "event": {{...}}}}'
        ) from None


def mend(
    case: Case,
    record: bytes,
    event: Raw,
    stores: Stores,
    *,
    now: float,
    quarantine_age: dt.timedelta,
) -> Settlement:
    """Settle a case by the event that it should have been.

    A missing `version` is the old one, a missing `occurred_at` the time when the record came. The
    version is a new one where the old one is not known, is taken by other content, is too far
    ahead, or is too old to be safe (DESIGN.md, Deletes).

    Args:
        case: what is mended.
        record: its payload.
        event: the corrected event.
        stores: to see which versions are taken.
        now: in seconds since 1970.
        quarantine_age: what is older gets a new version.

    Raises:
        CannotSettleError: it is no event still, or one of another image.
    """
    said = _plain(event)
    _check_image(case, record, said.get("image_id"))
    old = _old_version(case, record)
    asked = "version" in said
    said.setdefault("version", old or 1)
    said.setdefault("occurred_at", dt.datetime.fromtimestamp(case.arrived_at / 1000, dt.UTC))
    age = now - case.arrived_at / 1000
    too_old = isinstance(case.verdict, TooOld) or age > quarantine_age.total_seconds()
    with _told_of(case):
        mended = decode(msgspec.json.encode(said))
        there = [one for one in stores.contents(mended.image_id).values() if one is not None]
        newest = max((content.version for content in there), default=0)
        if newest > mended.version and (asked or old is not None):
            # Under a new version it would undo what came after it.
            note = f"nothing to do: version {newest} is stored (a higher one would win)"
            return Settlement(case, "mended", None, note)
        this = content_of(mended)
        ahead = mended.version > int(now * 1_000_000) + MAX_AHEAD_US
        is_new = mended.version > (old or mended.version)
        if not asked and old is None:
            why = "its version is not known"
        elif any(one.version == mended.version and not one.same_as(this) for one in there):
            why = f"version {mended.version} is taken by other content"
        elif too_old and not is_new:
            why = f"version {mended.version} is too old"
        elif ahead and not asked:
            why = f"version {mended.version} is too far ahead"
        else:
            outgoing(mended, now)
            first_came = None if is_new else case.arrived_at
            return Settlement(case, "mended", mended, f"as version {mended.version}", first_came)
        # A version too far ahead says no more than that versions are stamps here.
        said_before = _FIRST_STAMP if ahead else mended.version
        above = newest if not asked and old is None else max(newest, said_before)
        version = new_version(above or None, now)
        renewed = msgspec.structs.replace(mended, version=version)
        outgoing(renewed, now)
    return Settlement(case, "mended", renewed, f"as version {version}: {why}")


def new_version(above: int | None, now: float) -> int:
    """A version above this one: stamped where versions are stamps, else the next number.

    A stamp on an image whose versions are counted would make every later revision stale.
    """
    stamp = int(now * 1_000_000)
    if above is None:
        return stamp
    version = max(stamp, above + 1) if above >= _FIRST_STAMP else above + 1
    return min(version, MAX_VERSION)


def _plain(event: Raw) -> dict[str, Any]:
    try:
        return msgspec.json.decode(event, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CannotSettleError(f"the event is no JSON object: {error}") from None


def _check_image(case: Case, record: bytes, image_id: object) -> None:
    """A slip of the pen must not overwrite another image."""
    known = [case.image_id, case.partition_key, _leniently(record).get("image_id")]
    if image_id not in known:
        names = " or ".join(sorted({repr(one) for one in known if one is not None}))
        raise CannotSettleError(f"{case.id}: image_id is {image_id!r}, the record's is {names}")


def _old_version(case: Case, record: bytes) -> int | None:
    """The version that the record has, or was meant to have."""
    if case.version is not None:
        return case.version
    match _leniently(record).get("version"):
        case bool():
            return None
        case int(version) if 1 <= version <= MAX_VERSION:
            return version
        case _:
            return None


def _leniently(record: bytes) -> dict[str, Any]:
    """What can still be read out of a record that is no event."""
    try:
        return msgspec.json.decode(record, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
