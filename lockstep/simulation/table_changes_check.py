"""Check the index of a history in which it reads, or has read, the table's changes.

Each record that was settled has its effect in the index, or is in quarantine for a right reason
(I1). Each document is, field by field, that of a change that was told, or of an event while the
index reads the image stream. And the index equals the table, whole, but where an image is in
quarantine or was removed by hand (I3).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from lockstep.quarantine.bucket import DISCARDED, REDRIVEN, discarded_key, redriven_key
from lockstep.simulation import oracle
from lockstep.simulation.fakes.kinesis import AcceptedRecord
from lockstep.simulation.interpretation import REFUSED_BY_INDEX, Poison
from lockstep.simulation.quarantine_checks import may_be_refused
from lockstep.simulation.routes import Routes
from lockstep.simulation.system import System
from lockstep.simulation.table_changes import Indexed, TableChanges, document_of
from lockstep.simulation.violation import ViolationError
from shared.quarantine import INDEX_CONSUMER, PREFIX, QuarantinedRecord

type Documents = Mapping[tuple[str, int], list[Mapping[str, Any]]]
"""All documents that the index may have, by image id and version."""

_OF_ARRIVAL = frozenset({"arrived_at", "expires_at"})
_OF_EVENT = _OF_ARRIVAL | {"event_type", "occurred_at"}

_decoder = msgspec.json.Decoder(QuarantinedRecord)


def check(system: System, routes: Routes) -> None:
    """Check the index of a drained system.

    Raises:
        ViolationError: the first violation found.
    """
    known = dict(_documents(system, routes))
    explained = _check_quarantine(system, routes, known)
    _check_settled(system, routes)
    _check_documents(system, known)
    _check_against_table(system, routes, explained)


def _records(system: System, routes: Routes) -> Iterator[AcceptedRecord]:
    """All records that the index's consumer may have read."""
    if routes.read_events:
        yield from system.stream.accepted
    yield from routes.changes.records


def _documents(system: System, routes: Routes) -> Documents:
    known: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for record in _records(system, routes):
        document = _document(system, routes.changes, record)
        if document is not None:
            key = document["image_id"], document["version"]
            known.setdefault(key, []).append(document)
    return known


def _document(
    system: System, changes: TableChanges, record: AcceptedRecord
) -> Mapping[str, Any] | None:
    """The document of a record; None if it has none."""
    match changes.meaning(record):
        case Indexed() as told:
            return told.document
        case Poison():
            return None
        case None:
            # An operator may write a record to the index that was poison for its key only.
            event = system.ledger.event_in(record)
            if event is None:
                return None
            return oracle.document(event, arrived_at=record.arrived_ms)


def _check_quarantine(system: System, routes: Routes, known: Documents) -> set[str]:
    """I1: each quarantined, redriven or discarded record is whole, and its reason is right.

    Returns:
        The images that such a record explains: of either consumer. A discarded record explains
        nothing to an audit, but the difference is the operator's own decision.
    """
    folders = tuple(f"{folder}{INDEX_CONSUMER}/" for folder in (PREFIX, REDRIVEN, DISCARDED))
    objects = system.bucket.objects
    bodies = {key: body for key, body in objects.items() if key.startswith(folders)}
    consumer = system.consumers["write_to_es"]
    explained: set[str] = set()
    for record in _records(system, routes):
        key = system.quarantine_key(consumer, record)
        for place in (key, redriven_key(key), discarded_key(key)):
            if (body := bodies.pop(place, None)) is not None:
                held = _decoder.decode(body)
                _check_payload(record, held)
                _check_reason(system, record, held, known)
                explained.add(_image_of(system, record))
    if bodies:
        raise ViolationError("I1", f"index: unknown objects in quarantine: {sorted(bodies)}")
    table = system.consumers["write_to_dynamodb"]
    for record in system.stream.accepted:
        key = system.quarantine_key(table, record)
        if objects.keys() & {key, redriven_key(key), discarded_key(key)}:
            # If only its key is wrong, an operator may have written it to the index before.
            event = system.ledger.event_in(record)
            explained.add(record.partition_key if event is None else event.image_id)
    return explained


def _image_of(system: System, record: AcceptedRecord) -> str:
    changes = system.changes
    change = None if changes is None else changes.told.get(record.sequence_number)
    return record.partition_key if change is None else change.image_id


def _check_payload(record: AcceptedRecord, held: QuarantinedRecord) -> None:
    payload = msgspec.json.decode(f'"{held.payload}"', type=bytes)
    if payload == record.data:
        return
    # Of a table's stream, the payload is the record as Lambda delivered it.
    entry = record.as_lambda_record()
    if entry["eventSource"] != "aws:dynamodb" or msgspec.json.decode(payload) != entry:
        raise ViolationError("I1", f"index: the payload of {record} is incomplete")


def _check_reason(
    system: System, record: AcceptedRecord, held: QuarantinedRecord, known: Documents
) -> None:
    meaning = system.meaning(record)
    attempted = system.discards["write_to_es"].attempted
    if isinstance(meaning, Poison):
        rightly = held.reason == meaning.reason
    elif held.reason == "given_up":
        rightly = record.sequence_number in attempted
    elif held.reason == "conflict":
        contents = {one.get("digest") for one in known[meaning.image_id, meaning.version]}
        rightly = len(contents) > 1
    elif not isinstance(meaning, Indexed):
        consumer = system.consumers["write_to_es"]
        rightly = may_be_refused(system, meaning, record, held.reason, consumer) or (
            held.reason == "outrun" and _is_outrun_by_a_change(meaning, record, known)
        )
    else:
        name = (meaning.document or {}).get("name")
        rightly = held.reason == "refused_by_store" and name == REFUSED_BY_INDEX
    if not rightly and _image_of(system, record) not in system.touched["write_to_es"]:
        said = f"{held.reason}, {held.detail}"
        raise ViolationError("I1", f"index: {meaning} is in quarantine: {said}")


def _is_outrun_by_a_change(
    meaning: oracle.Meaning, record: AcceptedRecord, known: Documents
) -> bool:
    """Whether a change of the table outran this event: a removal by hand is no record's event.

    The index sees both if it has read the table's changes, and now reads the image stream.
    """
    return any(
        oracle.outrun(
            meaning,
            record.arrived_ms,
            oracle.Holding(one["version"], one["arrived_at"], one["occurred_at"]),
        )
        for (image_id, _), documents in known.items()
        if image_id == meaning.image_id
        for one in documents
    )


def _check_settled(system: System, routes: Routes) -> None:
    """I1: every record that a mapping of the index has settled has its effect."""
    consumer = system.consumers["write_to_es"]
    given = {(image_id, held.version) for image_id, held in system.given_index}
    touched = system.touched["write_to_es"]
    for poller in routes.all_ever:
        for record in poller.settled():
            if system.is_durable(consumer, record) or _image_of(system, record) in touched:
                continue
            meaning = system.meaning(record)
            if not isinstance(meaning, Poison):
                if (meaning.image_id, meaning.version) in given:
                    continue
                if _is_over(system, routes.changes, meaning.image_id, meaning.version):
                    continue
            raise ViolationError("I1", f"index: {meaning} is settled, and has no effect")


def _is_over(system: System, changes: TableChanges, image_id: str, version: int) -> bool:
    """Whether the image's tombstone of this or a higher version has been purged, or may be."""
    if version <= changes.purged.get(image_id, 0):
        return True
    purged = (one for one in system.purged["write_to_es"] if one[0] == image_id)
    return any(version <= highest for _, highest in purged)


def _is_among(source: Mapping[str, Any], documents: Iterable[Mapping[str, Any]]) -> bool:
    return any(oracle.same(source, one) for one in documents)


def _check_documents(system: System, known: Documents) -> None:
    """I3: each document that the index ever had is that of a record, field by field."""
    touched = system.first_touched["write_to_es"]
    for at, written in enumerate(system.index.journal):
        if written.version is None or at >= touched.get(written.image_id, at + 1):
            continue
        source = written.entry.source
        if not _is_among(source, known.get((written.image_id, written.version), ())):
            raise ViolationError("I3", f"index: no record gives the document {source}")
    for image_id, document in system.index.documents.items():
        source = document.source
        if source is None or image_id in touched:
            continue
        if document.version != source.get("version"):
            raise ViolationError(
                "I3", f"index: {image_id} has _version {document.version}: {source}"
            )
        if not _is_among(source, known.get((image_id, document.version), ())):
            raise ViolationError("I3", f"index: no record gives the document {source}")


def _compared(
    system: System, document: Mapping[str, Any] | None, routes: Routes
) -> Mapping[str, Any] | None:
    """What must be equal in both stores.

    Of two records of one event on the image stream, each store may have taken another one. The same
    holds for two events of one version with the same content, if a replay was faster than the
    index's consumer.
    """
    if document is None or not routes.read_events:
        return document
    of_version = {
        event.data
        for one in system.stream.accepted
        if (event := system.ledger.event_in(one)) is not None
        and (event.image_id, event.version) == (document["image_id"], document["version"])
    }
    free = _OF_EVENT if len(of_version) > 1 else _OF_ARRIVAL
    return {name: value for name, value in document.items() if name not in free}


def _may_return(system: System, document: Mapping[str, Any]) -> bool:
    """Whether this may come after the end of a tombstone above it: it was named, or is a count."""
    image_id, version = document["image_id"], document["version"]
    return (image_id, version) in system.may_return or version < oracle.FIRST_STAMP


def _may_be_below(system: System, must: Mapping[str, Any], tombstone: Mapping[str, Any]) -> bool:
    """Whether the table took this below an expired tombstone that the index keeps until a purge."""
    return must["version"] < tombstone["version"] and _may_return(system, must)


def _may_be_alone(
    system: System,
    routes: Routes,
    source: Mapping[str, Any],
    tombstone: Mapping[str, Any] | None,
) -> bool:
    """Whether the index took this event, and the table did not: it still had the tombstone.

    The tombstone had expired, and the index's was purged already. Only an index that reads the
    image stream takes what the table does not. `tombstone`: the table's, if it is there still.
    """
    image_id, version = source["image_id"], source["version"]
    ended = {highest for one, highest in system.purged["write_to_dynamodb"] if one == image_id}
    if tombstone is not None:
        ended.add(tombstone["version"])
    may_return = _may_return(system, source)
    return routes.read_events and may_return and version < max(ended, default=0)


def _may_be_missing(system: System, routes: Routes, must: Mapping[str, Any]) -> bool:
    """Whether the table took this below an expired tombstone, and the index does not have it.

    Either the index read the event from the image stream while it still had the tombstone, which
    was purged later. Or a purge that came late removed it again: the version check cannot tell,
    because the version is lower than that of the tombstone. An audit finds both. A purge comes late
    if its request is applied late, if it is copied late or twice, or if two mappings of the index
    deliver it.
    """
    image_id, version = must["image_id"], must["version"]
    changes = routes.changes
    if not _may_return(system, must) or not _is_over(system, changes, image_id, version):
        return False
    comes_late = image_id in system.removed_late or changes.copied or len(routes.all_ever) > 1
    was_there = any(
        (one.image_id, one.version) == (image_id, version) for one in system.index.journal
    )
    if comes_late and was_there:
        return True
    accepted = (system.ledger.event_in(one) for one in system.stream.accepted)
    is_event = any(
        event is not None and (event.image_id, event.version) == (image_id, version)
        for event in accepted
    )
    is_below = version < changes.ended().get(image_id, 0)
    return routes.read_events and is_event and is_below


def _check_against_table(system: System, routes: Routes, explained: set[str]) -> None:
    """I3: index and table are equal, whole, but for what the guide names."""
    items, documents = system.table.items, system.index.documents
    removed = {image_id for image_id, _ in routes.changes.removed}
    # The promises of operators hold for what they or somebody else changed in the index.
    touched = system.touched["write_to_es"].keys()
    explained = explained | removed | routes.changes.foreign | touched
    for image_id in sorted(items.keys() | documents.keys()):
        if image_id in explained:
            continue
        item, document = items.get(image_id), documents.get(image_id)
        source = None if document is None else document.source
        must = None if item is None else document_of(item)
        tombstone: Mapping[str, Any] | None = None
        if source is not None and source.get("expires_at", system.time.now) < system.time.now:
            if must is not None and _may_be_below(system, must, source):
                continue
            source = None  # an expired tombstone counts as absent
        if must is not None and must.get("expires_at", system.time.now) < system.time.now:
            tombstone, must = must, None
        if source is not None and must is None and _may_be_alone(system, routes, source, tombstone):
            continue
        is_gone = document is None or document.source is None
        if is_gone and must is not None and _may_be_missing(system, routes, must):
            continue
        if _compared(system, source, routes) != _compared(system, must, routes):
            raise ViolationError("I3", f"index: {image_id} is {source}, the table gives {must}")
