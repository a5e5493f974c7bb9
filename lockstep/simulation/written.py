"""Check that each entry that a store ever had is, whole, the entry of a record on the stream."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lockstep.simulation import oracle
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import Poison
from lockstep.simulation.oracle import Meaning
from lockstep.simulation.system import Consumer, System
from lockstep.simulation.violation import ViolationError
from shared.quarantine import TABLE_CONSUMER


def check_written(system: System, consumer: Consumer) -> None:
    """I3: compare all that was written to this store with what the oracle writes of the stream.

    Images whose entry was changed by hand are compared until then.

    Raises:
        ViolationError: no record on the stream has this entry.
    """
    if consumer.function == TABLE_CONSUMER:
        check = partial(_check_item, by_position=_by_position(system))
    else:
        check = partial(_check_document, by_version=_by_version(system))
    touched = system.first_touched[consumer.function]
    last: dict[str, Any] = {}
    for at, written in enumerate(consumer.store.journal):
        if written.version is not None and at < touched.get(written.image_id, at + 1):
            check(written.image_id, written.entry)
        last[written.image_id] = written.entry
    for image_id, entry in consumer.store.entries().items():
        if entry is not last.get(image_id) and image_id not in touched:
            check(image_id, entry)


type _Event = tuple[AcceptedRecord, Meaning]


def _by_position(system: System) -> Mapping[str, _Event]:
    """The valid events on the stream, by sequence number."""
    return {
        accepted.sequence_number: (accepted, meaning)
        for accepted in system.stream.accepted
        if not isinstance(meaning := system.interpret(accepted), Poison)
    }


def _by_version(system: System) -> Mapping[tuple[str, int], Sequence[_Event]]:
    """The events on the stream, by image and version.

    An operator may write a record to the index that was poison for its key only.
    """
    found: dict[tuple[str, int], list[_Event]] = {}
    for accepted in system.stream.accepted:
        event = system.ledger.event_in(accepted)
        if event is not None:
            found.setdefault((event.image_id, event.version), []).append((accepted, event))
    return found


def _check_item(
    image_id: str, item: Mapping[str, Any], *, by_position: Mapping[str, _Event]
) -> None:
    found = by_position.get(item["sequence_number"]["S"])
    if found is None:
        raise ViolationError("I3", f"item {image_id}: no such record on the stream: {item}")
    accepted, event = found
    must = oracle.item(
        event,
        arrived_at=accepted.arrived_ms,
        shard_id=accepted.shard_id,
        sequence_number=accepted.sequence_number,
    )
    if item != must:
        raise ViolationError("I3", f"item {image_id}: {_differences(item, must)}")


def _check_document(
    image_id: str, document: Any, *, by_version: Mapping[tuple[str, int], Sequence[_Event]]
) -> None:
    source = document.source
    if source is None:
        return
    wrong = "no such record on the stream"
    for accepted, event in by_version.get((image_id, document.version), ()):
        if accepted.arrived_ms == source.get("arrived_at"):
            must = oracle.document(event, arrived_at=accepted.arrived_ms)
            if oracle.same(source, must):
                return
            wrong = _differences(source, must)
    raise ViolationError("I3", f"document {image_id}: {wrong}")


def _differences(found: Mapping[str, Any], must: Mapping[str, Any]) -> str:
    """The fields that differ, with what they are and what they must be."""
    return "; ".join(
        f"{name} is {found.get(name)!r}, must be {must.get(name)!r}"
        for name in sorted(found.keys() | must.keys())
        if (its := found.get(name)) != (right := must.get(name)) or type(its) is not type(right)
    )
