"""A case as it is in the bucket now: others may have settled or replaced it since it was found."""

from lockstep.quarantine.bucket import consumer_of_object
from lockstep.quarantine.cases import Case
from lockstep.quarantine.records import ForeignObjectError, read_record
from lockstep.stores.objects import Objects
from shared.quarantine import TABLE_CONSUMER, QuarantinedRecord

type There = tuple[QuarantinedRecord | None, dict[str, bytes]] | None


def there_of(objects: Objects, case: Case) -> There:
    """The record of a case and its objects, by key, as they are now.

    Objects that somebody has replaced since the case was found are left out: they stay. So the
    record is None if its own object is among them. The whole is None if another operator has moved
    that object.
    """
    record = None
    bodies = {}
    own = moved = 0
    for key in case.keys:
        decides = case.of_index_only or consumer_of_object(key) == TABLE_CONSUMER
        own += decides
        body = objects.read(key)
        if body is None:
            moved += decides
            continue
        try:
            held = read_record(key, body)
        except ForeignObjectError:
            continue
        if case.is_about(held):
            bodies[key] = body
            record = held if decides and record is None else record
    return None if own == moved else (record, bodies)
