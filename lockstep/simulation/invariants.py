"""Check I1 to I5 for every record of a drained system.

docs/internals/invariants.md defines them. invocation.py checks I6 and I8 on each invocation; a
history that does not drain breaks I7.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress

import msgspec

from lockstep.quarantine.bucket import REDRIVEN, redriven_key
from lockstep.quarantine.redrive import Trace
from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Interpretation,
    Poison,
)
from lockstep.simulation.store_views import StoredVersion
from lockstep.simulation.system import Consumer, System
from lockstep.simulation.violation import ViolationError
from shared.change import Change, Purge, Put, Remove, digest_of
from shared.event import Event, InvalidEventError, decode, digest
from shared.outcome import Held
from shared.outrun import outrun
from shared.quarantine import INDEX_CONSUMER, PREFIX, QuarantinedRecord

_REFUSES = {
    "write_to_dynamodb": frozenset({REFUSED_BY_TABLE, CONDEMNED_BY_TABLE}),
    "write_to_es": frozenset({REFUSED_BY_INDEX}),
}

# For each version of each image: its digests on the stream, in order of arrival.
type Contents = Mapping[tuple[str, int], Mapping[str | None, None]]


class _Redriven(msgspec.Struct):
    redriven: Trace


_decoder = msgspec.json.Decoder(QuarantinedRecord)
_traces = msgspec.json.Decoder(_Redriven)


def check(system: System, made: Sequence[Event]) -> None:
    """Check a drained system.

    Args:
        system: a system without pending requests.
        made: the events of the producer, in order.

    Raises:
        ViolationError: the first violation found.
    """
    _check_producer(system, made)
    accepted = _accepted(system)
    for consumer in system.consumers.values():
        purged = system.purged[consumer.function]
        given = system.given_index if consumer.function == INDEX_CONSUMER else set()
        replaced = {(image_id, held.version) for image_id, held in given}
        touched = system.touched[consumer.function]
        _check_versions_rise(consumer, purged, replaced, touched, system.may_return)
        in_bucket = list(_quarantined(system, consumer, accepted))
        quarantined = {number: meaning for number, meaning, _ in in_bucket}
        indexed = {number for number, _, is_indexed in in_bucket if is_indexed}
        _check_outrun(system, consumer, quarantined.keys())
        expected = _fold(system, consumer, quarantined.keys() - indexed)
        found = consumer.store.checked(touched.keys())
        # A refused change is applied if it is read again after the cause of the refusal ended. A
        # discarded change may be stored, although the mapping does not know it.
        allowed = set() if system.stores_refuse else set(_refused(quarantined.values(), consumer))
        allowed.update(map(_as_stored, _discarded(system, consumer)))
        allowed.update(given)
        if consumer.function == INDEX_CONSUMER:
            allowed.update(_tried(system))
        for image_id in sorted((expected.keys() | found.keys()) - touched.keys()):
            must, held = expected.get(image_id), found.get(image_id)
            gone = held is None and must is not None and must.digest is None
            if held == must or (gone and must is not None and (image_id, must.version) in purged):
                continue
            if (image_id, held) in allowed:
                continue
            if (
                must is not None
                and (image_id, must.version) in purged
                and _returned(held, image_id, system)
            ):
                continue
            raise ViolationError(
                "I3",
                f"{consumer.function}: {image_id} is {held}, but the events that are accepted and "
                f"not quarantined give {must}",
            )


def _returned(held: StoredVersion | None, image_id: str, system: System) -> bool:
    """Whether this may have come after the end of the tombstone above it."""
    return held is not None and (image_id, held.version) in system.may_return


def _accepted(system: System) -> Contents:
    """The versions and digests of all events on the stream."""
    contents: dict[tuple[str, int], dict[str | None, None]] = {}
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        if not isinstance(meaning, Poison):
            of = contents.setdefault((meaning.image_id, meaning.version), {})
            of.setdefault(digest_of(meaning))
    return contents


def _check_producer(system: System, events: Sequence[Event]) -> None:
    """I1, I5: each event is on the stream; the first arrivals of an image are in order."""
    made: dict[str, list[int]] = {}
    for event in events:
        made.setdefault(event.image_id, []).append(event.version)
    own = {(event.image_id, event.version, digest_in(event)) for event in events}
    arrived: dict[str, dict[int, None]] = {}
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        if isinstance(meaning, Poison):
            continue
        if (meaning.image_id, meaning.version, digest_of(meaning)) in own:
            arrived.setdefault(meaning.image_id, {})[meaning.version] = None
    for image_id, versions in made.items():
        if versions != sorted(set(versions)):
            raise ViolationError("I5", f"producer: {image_id} was stamped {versions}")
        there = list(arrived.get(image_id, ()))
        if there != versions:
            invariant = "I5" if sorted(there) == sorted(versions) else "I1"
            raise ViolationError(
                invariant, f"stream: {image_id} was put as {versions}, arrived as {there}"
            )


def _check_versions_rise(
    consumer: Consumer,
    purged: AbstractSet[tuple[str, int]],
    replaced: AbstractSet[tuple[str, int]],
    touched: Mapping[str, int],
    may_return: AbstractSet[tuple[str, int]],
) -> None:
    """I2, I4: each write of an image has a higher version than all writes before it.

    Only an expired tombstone may be removed, and no lower version may follow it but one that may
    return. Only what an operator gave the index may have the version that is stored. For a
    `touched` image, all begins again at that position of the journal.
    """
    function = consumer.function
    highest: dict[str, Written] = {}
    for at, written in enumerate(consumer.store.journal):
        if at < touched.get(written.image_id, 0):
            continue
        before = highest.get(written.image_id)
        if written.version is None:
            if (
                before is not None
                and before.deleted
                and (before.image_id, before.version) in purged
            ):
                continue
            raise ViolationError(
                "I4", f"{function}: {written.image_id} is deleted without a tombstone"
            )
        same = before is not None and written.version == before.version
        if same and (written.image_id, written.version) in replaced:
            continue
        if (written.image_id, written.version) in may_return and (
            before is not None and (before.image_id, before.version) in purged
        ):
            highest[written.image_id] = written
            continue
        if before is not None and before.version is not None and written.version <= before.version:
            raise ViolationError(
                "I4" if before.deleted and not written.deleted else "I2",
                f"{function}: {written.image_id} went from {before.version} to {written.version}",
            )
        highest[written.image_id] = written


def _quarantined(
    system: System, consumer: Consumer, contents: Contents
) -> Iterator[tuple[str, Interpretation, bool]]:
    """I1: each quarantined or redriven record is complete, and its reason is right.

    Returns:
        The sequence number and the meaning of each, and whether it was written to the index. All
        poison records must be among them.
    """
    first_reasons_lost = [one for one in system.bucket.overwritten if one.startswith(PREFIX)]
    if first_reasons_lost:
        raise ViolationError("I1", f"quarantine: lost the first reason of {first_reasons_lost}")
    bodies = {
        key: body
        for key, body in system.bucket.objects.items()
        if key.startswith((f"{PREFIX}{consumer.function}/", f"{REDRIVEN}{consumer.function}/"))
    }
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        key = system.quarantine_key(consumer, accepted)
        quarantined, redriven = bodies.pop(key, None), bodies.pop(redriven_key(key), None)
        if quarantined is None and redriven is None:
            discarded = accepted.sequence_number in system.discards[consumer.function].confirmed
            if discarded or isinstance(meaning, Poison):
                was = "was discarded and is" if discarded else "is"
                raise ViolationError(
                    "I1", f"{consumer.function}: {meaning} {was} not in quarantine"
                )
            continue
        for body in (quarantined, redriven):
            if body is not None:
                _check_quarantined(system, body, accepted, meaning, consumer, contents)
        indexed = redriven is not None and _is_indexed(redriven, consumer, contents)
        yield accepted.sequence_number, meaning, indexed
    if bodies:
        raise ViolationError(
            "I1", f"{consumer.function}: unknown objects in quarantine: {sorted(bodies)}"
        )


def _check_quarantined(  # noqa: PLR0917 - everything about one record
    system: System,
    body: bytes,
    accepted: AcceptedRecord,
    meaning: Interpretation,
    consumer: Consumer,
    contents: Contents,
) -> None:
    record = _decoder.decode(body)
    if msgspec.json.decode(f'"{record.payload}"', type=bytes) != accepted.data:
        raise ViolationError("I1", f"{consumer.function}: the payload of {accepted} is incomplete")
    if isinstance(meaning, Poison):
        rightly = meaning.reason == record.reason
    elif meaning.image_id in system.touched[consumer.function]:
        return  # a forged entry may be in conflict with any event, or outrun it
    elif record.reason == "given_up":
        rightly = accepted.sequence_number in system.discards[consumer.function].attempted
    else:
        rightly = _may_be_refused(system, meaning, record, consumer, contents)
    if not rightly:
        said = f"{record.reason}, {record.detail}"
        raise ViolationError("I1", f"{consumer.function}: {meaning} is in quarantine: {said}")


def _discarded(system: System, consumer: Consumer) -> Iterator[Change]:
    """The changes that the mappings of this consumer discarded or tried to discard."""
    for accepted in system.discards[consumer.function].attempted.values():
        meaning = system.interpret(accepted)
        if not isinstance(meaning, Poison):
            yield meaning


def _tried(system: System) -> Iterator[tuple[str, StoredVersion]]:
    """What an operator has tried on the index: it may be there, and still in quarantine.

    Also a record that only its partition key makes invalid.
    """
    for accepted in system.stream.accepted:
        if accepted.sequence_number in system.tried_on_index:
            with suppress(InvalidEventError):
                event = decode(accepted.data)
                yield event.image_id, StoredVersion(event.version, digest_in(event))


def _was_tried_otherwise(system: System, change: Change) -> bool:
    """Whether an operator has tried other content of this version on the index."""
    mine = _as_stored(change)
    return any(
        (image_id, held.version) == (change.image_id, change.version) and (image_id, held) != mine
        for image_id, held in _tried(system)
    )


def _as_stored(change: Change) -> tuple[str, StoredVersion]:
    return change.image_id, StoredVersion(change.version, digest_of(change))


def _is_indexed(body: bytes, consumer: Consumer, contents: Contents) -> bool:
    """I1: the event of a redriven record is on the stream, or the index has its effect.

    Returns:
        Whether the record was written to the index instead, so that it must have its effect there.
    """
    trace = _traces.decode(body).redriven
    event = trace.event
    if event is None:
        if trace.how == "as_it_was" and consumer.function != INDEX_CONSUMER:
            raise ViolationError("I1", "redriven unchanged, but nothing is on the stream")
        return trace.how == "as_it_was"
    if digest_in(event) not in contents.get((event.image_id, event.version), ()):
        raise ViolationError("I1", f"redriven, but not on the stream: {event}")
    return False


def _refused(
    meanings: Iterable[Interpretation], consumer: Consumer
) -> Iterator[tuple[str, StoredVersion]]:
    for one in meanings:
        if not isinstance(one, Poison) and _is_refused(one, consumer):
            yield _as_stored(one)


def _may_be_refused(
    system: System,
    change: Change,
    record: QuarantinedRecord,
    consumer: Consumer,
    contents: Contents,
) -> bool:
    match record.reason:
        case "conflict":
            # Both stores keep the first of two contents with one version. If that one was
            # refused or discarded, the other one may be stored when it arrives again. A redrive may
            # have written other content to the index before.
            first = next(iter(contents[change.image_id, change.version]))
            return (
                first != digest_of(change)
                or _is_refused(change, consumer)
                or _as_stored(change) in map(_as_stored, _discarded(system, consumer))
                or (consumer.function == INDEX_CONSUMER and _was_tried_otherwise(system, change))
            )
        case "refused_by_store":
            return _is_refused(change, consumer)
        case "outrun":
            return any(
                outrun(change, held)
                for accepted in system.stream.accepted
                for held in _event_held(accepted, change.image_id)
            )
        case _:
            return False


def _event_held(accepted: AcceptedRecord, image_id: str | None = None) -> Iterator[Held]:
    """What a store may hold of the event in a record, if it is about this image.

    A redrive writes a record that only the index's consumer has quarantined directly to the index,
    with the arrival of the record, also if it was poison then for its key or its version.
    """
    with suppress(InvalidEventError):
        event = decode(accepted.data)
        if image_id in {None, event.image_id}:
            yield Held(event.version, round(accepted.arrived_at * 1000), event.occurred_at)


def _check_outrun(system: System, consumer: Consumer, quarantined: AbstractSet[str]) -> None:
    """I1: a change that the stored one outran was applied before, or is in quarantine.

    Not if the stored one was quarantined, because it may be younger than its arrival says. A
    repetition of an event that arrived before the stored one is not outrun: if both are in one
    batch, they are one candidate. A discarded change may arrive again when it is out of date.
    """
    written = {(one.image_id, one.version) for one in consumer.store.journal}
    attempted = system.discards[consumer.function].attempted
    redriven = {
        held
        for accepted in system.stream.accepted
        if accepted.sequence_number in quarantined
        for held in _event_held(accepted)
    }
    first: dict[tuple[str, int, str | None], int] = {}
    for accepted in system.stream.accepted:
        change = system.interpret(accepted)
        if isinstance(change, Poison):
            continue
        content = (change.image_id, change.version, digest_of(change))
        arrived_at = first.setdefault(content, change.arrived_at)
        its = consumer.store.held(change.image_id)
        if (
            its is not None
            and change.image_id not in system.touched[consumer.function]
            and its not in redriven
            and arrived_at > its.arrived_at
            and outrun(change, its)
            and (change.image_id, change.version) not in written
            and accepted.sequence_number not in quarantined
            and accepted.sequence_number not in attempted
        ):
            raise ViolationError(
                "I1", f"{consumer.function}: {change} is outrun and not in quarantine"
            )


def _is_refused(change: Change, consumer: Consumer) -> bool:
    """Whether the store refuses this change until the cause of the refusal ends."""
    match change:
        case Put():
            return change.image.name in _REFUSES[consumer.function]
        case Remove() | Purge():
            return False


def _fold(
    system: System, consumer: Consumer, quarantined: AbstractSet[str]
) -> Mapping[str, StoredVersion]:
    """I1, I3: the highest version of each image, without the quarantined records."""
    highest: dict[str, StoredVersion] = {}
    for accepted in system.stream.accepted:
        change = system.interpret(accepted)
        if isinstance(change, Poison) or accepted.sequence_number in quarantined:
            continue
        held = StoredVersion(change.version, digest_of(change))
        there = highest.get(change.image_id)
        if there is None or held.version > there.version:
            highest[change.image_id] = held
        elif (
            held.version == there.version
            and held.digest != there.digest
            and change.image_id not in system.touched[consumer.function]
            and _settled(consumer, change)
            and (change.image_id, change.version) not in system.purged[consumer.function]
        ):
            raise ViolationError(
                "I1", f"{consumer.function}: one of two contents of {held} is lost"
            )
    return highest


def _settled(consumer: Consumer, change: Change) -> bool:
    """Whether the store holds this version, so no higher version superseded it."""
    held = consumer.store.stored_version(change.image_id)
    return held is not None and held.version == change.version


def digest_in(event: Event) -> str | None:
    """The digest of the event's image; None for a deletion."""
    return None if event.image is msgspec.UNSET else digest(event.image)
