"""Check the quarantine: each object is complete, its reason is right, and no poison is missing."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lockstep.quarantine.bucket import DISCARDED, REDRIVEN, discarded_key, redriven_key
from lockstep.simulation import oracle
from lockstep.simulation.components import STREAM
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import (
    CONDEMNED_BY_TABLE,
    REFUSED_BY_INDEX,
    REFUSED_BY_TABLE,
    Interpretation,
    Poison,
)
from lockstep.simulation.oracle import Holding, Meaning, outrun
from lockstep.simulation.system import Consumer, System
from lockstep.simulation.violation import ViolationError
from shared.quarantine import INDEX_CONSUMER, PREFIX

_REFUSES = {
    "write_to_dynamodb": frozenset({REFUSED_BY_TABLE, CONDEMNED_BY_TABLE}),
    "write_to_es": frozenset({REFUSED_BY_INDEX}),
}
# What is free in an object: words for people, and what an operator did.
_FREE = frozenset({"reason", "detail", "quarantined_at", "redriven", "discarded"})

_PLACES = (PREFIX, REDRIVEN, DISCARDED)


def check(system: System, consumer: Consumer) -> Iterator[tuple[str, Interpretation, bool]]:
    """I1: each quarantined, redriven or discarded record is complete, and its reason is right.

    Returns:
        The sequence number and the meaning of each, and whether it was written to the index. All
        poison records must be among them.
    """
    first_reasons_lost = [one for one in system.bucket.overwritten if one.startswith(PREFIX)]
    if first_reasons_lost:
        raise ViolationError("I1", f"quarantine: lost the first reason of {first_reasons_lost}")
    bodies = _objects_of(system, consumer)
    for accepted in system.stream.accepted:
        meaning = system.interpret(accepted)
        key = system.quarantine_key(consumer, accepted)
        if key in system.forged:
            yield accepted.sequence_number, meaning, False
            continue
        quarantined, redriven = bodies.pop(key, None), bodies.pop(redriven_key(key), None)
        given_up = bodies.pop(discarded_key(key), None)
        if quarantined is None and redriven is None and given_up is None:
            _check_not_missing(system, consumer, accepted, meaning)
            continue
        indexed = False
        for body in (quarantined, given_up):
            if body is not None:
                _check_object(system, body, accepted, meaning, consumer)
        if redriven is not None:
            found = _check_object(system, redriven, accepted, meaning, consumer)
            indexed = _is_indexed(system, found["redriven"], accepted, consumer)
        yield accepted.sequence_number, meaning, indexed
    if bodies:
        raise ViolationError(
            "I1", f"{consumer.function}: unknown objects in quarantine: {sorted(bodies)}"
        )


def _objects_of(system: System, consumer: Consumer) -> dict[str, bytes]:
    """What this consumer quarantined, wherever it is now, without what was forged."""
    places = tuple(f"{one}{consumer.function}/" for one in _PLACES)
    bodies = {key: body for key, body in system.bucket.objects.items() if key.startswith(places)}
    for key in system.forged:
        bodies.pop(key, None)
        bodies.pop(redriven_key(key), None)
        # Another payload of one position has its ID in the key, too.
        place = discarded_key(key).removesuffix(".json")
        for one in [one for one in bodies if one.startswith((f"{place}.", f"{place}-"))]:
            del bodies[one]
    return bodies


def _check_not_missing(
    system: System, consumer: Consumer, accepted: AcceptedRecord, meaning: Interpretation
) -> None:
    """I1: what was discarded is in quarantine, and so is poison that was not lost before."""
    discarded = accepted.sequence_number in system.discards[consumer.function].confirmed
    is_poison = isinstance(meaning, Poison)
    if discarded or (is_poison and not system.losses.is_lost(consumer.function, accepted)):
        was = "was discarded and is" if discarded else "is"
        raise ViolationError("I1", f"{consumer.function}: {meaning} {was} not in quarantine")


def is_refused(meaning: Meaning, consumer: Consumer) -> bool:
    """Whether the store refuses this event until the cause of the refusal ends."""
    return meaning.image is not None and meaning.image["name"] in _REFUSES[consumer.function]


def tried_on_index(system: System) -> Iterator[Meaning]:
    """What an operator has tried on the index, also if only its partition key was wrong."""
    for accepted in system.stream.accepted:
        if accepted.sequence_number in system.tried_on_index:
            event = system.ledger.event_in(accepted)
            if event is not None:
                yield event


def _check_object(
    system: System,
    body: bytes,
    accepted: AcceptedRecord,
    meaning: Interpretation,
    consumer: Consumer,
) -> Mapping[str, Any]:
    """Check an object of the bucket, and return its fields."""
    found: Mapping[str, Any] = msgspec.json.decode(body)
    must = {
        "function": consumer.function,
        "stream": STREAM,
        "shard_id": accepted.shard_id,
        "sequence_number": accepted.sequence_number,
        "partition_key": accepted.partition_key,
        "arrived_at": accepted.arrived_ms,
        "image_id": None if isinstance(meaning, Poison) else meaning.image_id,
        "version": None if isinstance(meaning, Poison) else meaning.version,
        "payload": base64.b64encode(accepted.data).decode(),
    }
    if {name: value for name, value in found.items() if name not in _FREE} != must:
        raise ViolationError(
            "I1",
            f"{consumer.function}: the quarantine object of {accepted} is {found}, must be {must}",
        )
    reason = found["reason"]
    if isinstance(meaning, Poison):
        rightly = meaning.reason == reason
    elif meaning.image_id in system.touched[consumer.function]:
        return found  # a forged entry may be in conflict with any event, or outrun it
    elif reason == "given_up":
        rightly = accepted.sequence_number in system.discards[consumer.function].attempted
    else:
        rightly = may_be_refused(system, meaning, accepted, reason, consumer)
    if not rightly:
        said = f"{reason}, {found['detail']}"
        raise ViolationError("I1", f"{consumer.function}: {meaning} is in quarantine: {said}")
    return found


def _is_indexed(
    system: System, trace: Mapping[str, Any], accepted: AcceptedRecord, consumer: Consumer
) -> bool:
    """I1: the event of a redriven record is on the stream, or the index has its effect.

    Returns:
        Whether the record was written to the index instead, so that it must have its effect there.
    """
    event: Mapping[str, Any] | None = trace["event"]
    as_it_was: bool = trace["how"] == "as_it_was"
    if event is None:
        if as_it_was and consumer.function != INDEX_CONSUMER:
            raise ViolationError("I1", "redriven unchanged, but nothing is on the stream")
        return as_it_was
    data = oracle.canonical(event)
    others = (one for one in system.stream.accepted if one is not accepted)
    if all(_data_on_stream(system, one) != data for one in others):
        raise ViolationError("I1", f"redriven, but not on the stream: {event}")
    return False


def _data_on_stream(system: System, accepted: AcceptedRecord) -> bytes | None:
    """The event of a record that a consumer takes, or refuses until the clock has its version.

    An operator whose clock is ahead puts back an event that is ahead of the stream's clock again.
    """
    meaning: Interpretation | None = system.interpret(accepted)
    if meaning == Poison("version_ahead"):
        meaning = system.ledger.event_in(accepted)
    return meaning.data if isinstance(meaning, Meaning) else None


def may_be_refused(
    system: System,
    meaning: Meaning,
    accepted: AcceptedRecord,
    reason: str,
    consumer: Consumer,
) -> bool:
    """Whether the consumer may have quarantined this event, for a reason other than a discard."""
    match reason:
        case "conflict":
            # Both stores keep the first of two contents with one version. If that one was
            # refused or discarded, the other one may be stored when it arrives again. An operator
            # may have written other content to the index before: by a redrive, or what the table
            # holds. A replay since a moment between the two delivers only the second, so that the
            # first one is in conflict, and so is each later record of it.
            return (
                _first_content(system, meaning) != meaning.digest
                or is_refused(meaning, consumer)
                or _is_among(meaning, discarded(system, consumer))
                or any(
                    arrived_ms < since * 1000
                    for _, arrived_ms in _twins(system, meaning)
                    for since in system.replayed_since
                )
                or (consumer.function == INDEX_CONSUMER and _was_written_otherwise(system, meaning))
            )
        case "refused_by_store":
            return is_refused(meaning, consumer)
        case "outrun":
            # Records of one batch that have version and content in common are settled together.
            return any(
                outrun(one, arrived_at, held)
                for one, arrived_at in [(meaning, accepted.arrived_ms), *_twins(system, meaning)]
                for held in _ever_held(system, meaning.image_id)
            )
        case _:
            return False


def _twins(system: System, meaning: Meaning) -> Iterator[tuple[Meaning, int]]:
    """The events on the stream with this version and content, each with its arrival."""
    for accepted in system.stream.accepted:
        one = system.interpret(accepted)
        if not isinstance(one, Poison) and _is_among(one, iter([meaning])):
            yield one, accepted.arrived_ms


def _first_content(system: System, meaning: Meaning) -> str | None:
    """The digest of the first event on the stream that has this version of this image."""
    for accepted in system.stream.accepted:
        one = system.interpret(accepted)
        if not isinstance(one, Poison) and (one.image_id, one.version) == (
            meaning.image_id,
            meaning.version,
        ):
            return one.digest
    return meaning.digest


def _ever_held(system: System, image_id: str) -> Iterator[Holding]:
    """What a store may ever have held of this image.

    A redrive writes a record that only the index's consumer has quarantined directly to the index,
    with the arrival of the record, also if it was poison then for its key or its version.
    """
    for accepted in system.stream.accepted:
        event = system.ledger.event_in(accepted)
        if event is not None and event.image_id == image_id:
            yield Holding(event.version, accepted.arrived_ms, event.time)


def discarded(system: System, consumer: Consumer) -> Iterator[Meaning]:
    """What the mappings of this consumer discarded or tried to discard."""
    for accepted in system.discards[consumer.function].attempted.values():
        meaning = system.interpret(accepted)
        if not isinstance(meaning, Poison):
            yield meaning


def _was_written_otherwise(system: System, meaning: Meaning) -> bool:
    """Whether an operator may have written other content of this version to the index.

    By a redrive, or by a repair, which gives the index what the table holds.
    """
    written = {(one.image_id, one.version, one.digest) for one in tried_on_index(system)}
    written |= {(image_id, held.version, held.digest) for image_id, held in system.given_index}
    return any(
        (image_id, version) == (meaning.image_id, meaning.version) and digest != meaning.digest
        for image_id, version, digest in written
    )


def _is_among(meaning: Meaning, others: Iterator[Meaning]) -> bool:
    """Whether one of the others is the same content at the same version of the same image."""
    return any(
        (one.image_id, one.version, one.digest)
        == (meaning.image_id, meaning.version, meaning.digest)
        for one in others
    )
