"""What must hold once everything has drained: I1 to I5 of DESIGN.md, exactly, for every record.

I6 and I8 are held against every single invocation (invocation.py), I7 by draining at all.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from lockstep.simulation.fakes.dynamodb import Written
from lockstep.simulation.meaning import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Poison,
)
from lockstep.simulation.stores import Held
from lockstep.simulation.system import Consumer, System
from lockstep.simulation.violation import ViolationError
from shared.change import Change, Put, digest_of
from shared.event import Event
from shared.quarantine import QuarantinedRecord

_REFUSES = {
    "write_to_dynamodb": frozenset({REFUSED_BY_TABLE, CONDEMNED_BY_TABLE}),
    "write_to_es": frozenset({REFUSED_BY_INDEX}),
}
_decoder = msgspec.json.Decoder(QuarantinedRecord)


def check(system: System, made: Sequence[Event]) -> None:
    """Everything that can be said of a drained system.

    Args:
        system: where nothing is under way any more.
        made: the producer's events, in its order.

    Raises:
        ViolationError: the first thing that is not as it must be.
    """
    _producer_kept_its_word(system, made)
    for consumer in system.consumers.values():
        _never_backwards(consumer.store.journal, consumer.function)
        quarantined = set(_quarantine(system, consumer))
        expected = _fold(system, consumer, quarantined)
        found = consumer.store.sound()
        for image_id in sorted(expected.keys() | found.keys()):
            if expected.get(image_id) != found.get(image_id):
                raise ViolationError(
                    "I3",
                    f"{consumer.function}: {image_id} is {found.get(image_id)}, of what was "
                    f"accepted and not quarantined it must be {expected.get(image_id)}",
                )


def _producer_kept_its_word(system: System, events: Sequence[Event]) -> None:
    """I1, I5: every event it made is on the stream, an image's first arrivals in its order."""
    made: dict[str, list[int]] = {}
    for event in events:
        made.setdefault(event.image_id, []).append(event.version)
    own = {(event.image_id, event.version) for event in events}
    arrived: dict[str, dict[int, None]] = {}
    for accepted in system.stream.accepted:
        meaning = system.meaning(accepted)
        if not isinstance(meaning, Poison) and (meaning.image_id, meaning.version) in own:
            arrived.setdefault(meaning.image_id, {})[meaning.version] = None
    for image_id, versions in made.items():
        if versions != sorted(set(versions)):
            raise ViolationError("I5", f"producer: {image_id} was stamped {versions}")
        there = list(arrived.get(image_id, ()))
        if there != versions:
            invariant = "I5" if sorted(there) == sorted(versions) else "I1"
            raise ViolationError(invariant, f"stream: {image_id} made {versions}, came {there}")


def _never_backwards(journal: Sequence[Written], function: str) -> None:
    """I2, I4: whatever is written of an image has a higher version than all before; none goes."""
    highest: dict[str, Written] = {}
    for written in journal:
        before = highest.get(written.image_id)
        if written.version is None:
            raise ViolationError("I4", f"{function}: {written.image_id} is deleted for good")
        if before is not None and before.version is not None and written.version <= before.version:
            raise ViolationError(
                "I4" if before.deleted and not written.deleted else "I2",
                f"{function}: {written.image_id} went from {before.version} to {written.version}",
            )
        highest[written.image_id] = written


def _quarantine(system: System, consumer: Consumer) -> Iterator[str]:
    """I1: what lies in quarantine lies there whole and rightly; all poison does. Its numbers."""
    if system.bucket.overwritten:
        raise ViolationError("I1", f"quarantine: first reason lost of {system.bucket.overwritten}")
    bodies = {
        key: body
        for key, body in system.bucket.objects.items()
        if key.startswith(f"quarantine/{consumer.function}/")
    }
    first: dict[tuple[str, int], str | None] = {}  # content of a version, in order of arrival
    for accepted in system.stream.accepted:
        meaning = system.meaning(accepted)
        if not isinstance(meaning, Poison):
            first.setdefault((meaning.image_id, meaning.version), digest_of(meaning))
    for accepted in system.stream.accepted:
        meaning = system.meaning(accepted)
        body = bodies.pop(system.quarantine_key(consumer, accepted), None)
        if body is None:
            if isinstance(meaning, Poison):
                raise ViolationError("I1", f"{consumer.function}: {meaning} is not in quarantine")
            continue
        record = _decoder.decode(body)
        if msgspec.json.decode(f'"{record.payload}"', type=bytes) != accepted.data:
            raise ViolationError("I1", f"{consumer.function}: payload of {accepted} is not whole")
        rightly = (
            meaning.reason == record.reason
            if isinstance(meaning, Poison)
            else _may_be_refused(meaning, record, consumer, first)
        )
        if not rightly:
            said = f"{record.reason}, {record.detail}"
            raise ViolationError("I1", f"{consumer.function}: {meaning} in quarantine: {said}")
        yield accepted.sequence_number
    if bodies:
        raise ViolationError("I1", f"{consumer.function}: quarantine holds {sorted(bodies)}")


def _may_be_refused(
    change: Change,
    record: QuarantinedRecord,
    consumer: Consumer,
    first: Mapping[tuple[str, int], str | None],
) -> bool:
    match record.reason:
        case "conflict":
            # Of two contents under one version the first on the stream counts, in both stores.
            return first[change.image_id, change.version] != digest_of(change)
        case "refused_by_store":
            return isinstance(change, Put) and change.image.name in _REFUSES[consumer.function]
        case _:
            return False


def _fold(system: System, consumer: Consumer, quarantined: set[str]) -> Mapping[str, Held]:
    """I1, I3: the highest version of each image, of all that is not in this quarantine."""
    highest: dict[str, Held] = {}
    for accepted in system.stream.accepted:
        change = system.meaning(accepted)
        if isinstance(change, Poison) or accepted.sequence_number in quarantined:
            continue
        held = Held(change.version, digest_of(change))
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
    held = consumer.store.held(change.image_id)
    return held is not None and held.version == change.version
