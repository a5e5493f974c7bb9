"""What must hold once everything has drained: I1 to I5, exactly, for every record.

docs/internals/invariants.md says what each means.
I6 and I8 are held against every single invocation (invocation.py), I7 by draining at all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet

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
from shared.event import Event, digest
from shared.quarantine import PREFIX, QuarantinedRecord

_REFUSES = {
    "write_to_dynamodb": frozenset({REFUSED_BY_TABLE, CONDEMNED_BY_TABLE}),
    "write_to_es": frozenset({REFUSED_BY_INDEX}),
}

# The contents of each image's versions that are on the stream, in their order there.
type Contents = Mapping[tuple[str, int], Mapping[str | None, None]]


class _Redriven(msgspec.Struct):
    redriven: Trace


_decoder = msgspec.json.Decoder(QuarantinedRecord)
_traces = msgspec.json.Decoder(_Redriven)


def check(system: System, made: Sequence[Event]) -> None:
    """Everything that can be said of a drained system.

    Args:
        system: where nothing is under way any more.
        made: the producer's events, in its order.

    Raises:
        ViolationError: the first thing that is not as it must be.
    """
    _producer_kept_its_word(system, made)
    accepted = _accepted(system)
    for consumer in system.consumers.values():
        purged = system.purged[consumer.function]
        _never_backwards(consumer.store.journal, consumer.function, purged)
        aside = dict(_set_aside(system, consumer, accepted))
        expected = _fold(system, consumer, aside.keys())
        found = consumer.store.checked()
        # What was refused, and is read again once the store refuses no more, is taken after all;
        # and what was given up may have been written before, unknown to the mapping.
        taken = set() if system.stores_refuse else set(_refused(aside.values(), consumer))
        taken.update(map(_held_by, _given_up(system, consumer)))
        for image_id in sorted(expected.keys() | found.keys()):
            must, held = expected.get(image_id), found.get(image_id)
            gone = held is None and must is not None and must.digest is None
            if held == must or (gone and must is not None and (image_id, must.version) in purged):
                continue
            if (image_id, held) in taken:
                continue
            raise ViolationError(
                "I3",
                f"{consumer.function}: {image_id} is {held}, of what was accepted and not "
                f"quarantined it must be {must}",
            )


def _accepted(system: System) -> Contents:
    """Every event on the stream."""
    contents: dict[tuple[str, int], dict[str | None, None]] = {}
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        if not isinstance(meaning, Poison):
            of = contents.setdefault((meaning.image_id, meaning.version), {})
            of.setdefault(digest_of(meaning))
    return contents


def _producer_kept_its_word(system: System, events: Sequence[Event]) -> None:
    """I1, I5: every event it made is on the stream, an image's first arrivals in its order."""
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
            raise ViolationError(invariant, f"stream: {image_id} made {versions}, came {there}")


def _never_backwards(
    journal: Sequence[Written], function: str, purged: AbstractSet[tuple[str, int]]
) -> None:
    """I2, I4: whatever is written of an image has a higher version than all before.

    None goes, but a tombstone after its time; and not even then does a lower version come.
    """
    highest: dict[str, Written] = {}
    for written in journal:
        before = highest.get(written.image_id)
        if written.version is None:
            if (
                before is not None
                and before.deleted
                and (before.image_id, before.version) in purged
            ):
                continue
            raise ViolationError("I4", f"{function}: {written.image_id} is deleted for good")
        if before is not None and before.version is not None and written.version <= before.version:
            raise ViolationError(
                "I4" if before.deleted and not written.deleted else "I2",
                f"{function}: {written.image_id} went from {before.version} to {written.version}",
            )
        highest[written.image_id] = written


def _set_aside(
    system: System, consumer: Consumer, contents: Contents
) -> Iterator[tuple[str, Interpretation]]:
    """I1: what lies in quarantine, or is redriven from there, lies there whole and rightly.

    Returns:
        Number and meaning of each. All poison is there.
    """
    first_reasons_lost = [one for one in system.bucket.overwritten if one.startswith(PREFIX)]
    if first_reasons_lost:
        raise ViolationError("I1", f"quarantine: first reason lost of {first_reasons_lost}")
    bodies = {
        key: body
        for key, body in system.bucket.objects.items()
        if key.startswith((f"{PREFIX}{consumer.function}/", f"{REDRIVEN}{consumer.function}/"))
    }
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        key = system.quarantine_key(consumer, accepted)
        lies, went = bodies.pop(key, None), bodies.pop(redriven_key(key), None)
        if lies is None and went is None:
            given_up = accepted.sequence_number in system.given_up[consumer.function].kept
            if given_up or isinstance(meaning, Poison):
                why = "was given up, and " if given_up else ""
                raise ViolationError("I1", f"{consumer.function}: {meaning} {why}lies nowhere")
            continue
        for body in (lies, went):
            if body is not None:
                _lies_rightly(system, body, accepted, meaning, consumer, contents)
        if went is not None:
            _went_back(went, contents)
        yield accepted.sequence_number, meaning
    if bodies:
        raise ViolationError("I1", f"{consumer.function}: quarantine holds {sorted(bodies)}")


def _lies_rightly(  # noqa: PLR0917 - all that is known of one record
    system: System,
    body: bytes,
    accepted: AcceptedRecord,
    meaning: Interpretation,
    consumer: Consumer,
    contents: Contents,
) -> None:
    record = _decoder.decode(body)
    if msgspec.json.decode(f'"{record.payload}"', type=bytes) != accepted.data:
        raise ViolationError("I1", f"{consumer.function}: payload of {accepted} is not whole")
    if isinstance(meaning, Poison):
        rightly = meaning.reason == record.reason
    elif record.reason == "given_up":
        rightly = accepted.sequence_number in system.given_up[consumer.function].tried
    else:
        rightly = _may_be_refused(system, meaning, record, consumer, contents)
    if not rightly:
        said = f"{record.reason}, {record.detail}"
        raise ViolationError("I1", f"{consumer.function}: {meaning} in quarantine: {said}")


def _given_up(system: System, consumer: Consumer) -> Iterator[Change]:
    """The changes that this consumer's mappings gave up, or tried to."""
    for accepted in system.given_up[consumer.function].tried.values():
        meaning = system.interpret(accepted)
        if not isinstance(meaning, Poison):
            yield meaning


def _held_by(change: Change) -> tuple[str, StoredVersion]:
    return change.image_id, StoredVersion(change.version, digest_of(change))


def _went_back(body: bytes, contents: Contents) -> None:
    """I1: a redriven record's event is on the stream, unless a choice needed none."""
    trace = _traces.decode(body).redriven
    event = trace.event
    if event is None:
        if trace.how == "as_it_was":
            raise ViolationError("I1", "redriven as it was, and nothing was put")
    elif digest_in(event) not in contents.get((event.image_id, event.version), ()):
        raise ViolationError("I1", f"redriven, and not on the stream: {event}")


def _refused(
    meanings: Iterable[Interpretation], consumer: Consumer
) -> Iterator[tuple[str, StoredVersion]]:
    for one in meanings:
        if not isinstance(one, Poison) and _is_refused(one, consumer):
            yield _held_by(one)


def _may_be_refused(
    system: System,
    change: Change,
    record: QuarantinedRecord,
    consumer: Consumer,
    contents: Contents,
) -> bool:
    match record.reason:
        case "conflict":
            # Of two contents under one version the first on the stream counts, in both stores;
            # unless it was refused or given up at first, and its place is taken when it comes back.
            first = next(iter(contents[change.image_id, change.version]))
            return (
                first != digest_of(change)
                or _is_refused(change, consumer)
                or _held_by(change) in map(_held_by, _given_up(system, consumer))
            )
        case "refused_by_store":
            return _is_refused(change, consumer)
        case _:
            return False


def _is_refused(change: Change, consumer: Consumer) -> bool:
    """Whether the store takes this only once somebody has mended it."""
    match change:
        case Put():
            return change.image.name in _REFUSES[consumer.function]
        case Remove() | Purge():
            return False


def _fold(
    system: System, consumer: Consumer, quarantined: AbstractSet[str]
) -> Mapping[str, StoredVersion]:
    """I1, I3: the highest version of each image, of all that is not in this quarantine."""
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
            and _settled(consumer, change)
        ):
            raise ViolationError(
                "I1", f"{consumer.function}: one of two contents of {held} is lost"
            )
    return highest


def _settled(consumer: Consumer, change: Change) -> bool:
    """Whether the version in doubt is the one that the store holds: not superseded."""
    held = consumer.store.stored_version(change.image_id)
    return held is not None and held.version == change.version


def digest_in(event: Event) -> str | None:
    """The digest of what an event says; a removal has none."""
    return None if event.image is msgspec.UNSET else digest(event.image)
