"""What the consumer of a replica has quarantined: the keys of items whose rows may be behind.

A quarantined record, and each record of a failure document, says only: this key. What else it says
is shown, and never written: a record may be late, come twice, or be forged.
"""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from lockstep.quarantine.failure_documents import document_in, given_up, table_records_in
from lockstep.quarantine.reading import Unreadable, read_documents, read_objects
from lockstep.quarantine.records import ForeignObjectError, parse_time, read_record
from lockstep.stores.objects import Objects
from shared.quarantine import QuarantinedRecord
from shared.table_stream import keys_as_text

ID_LENGTH = 10
_TYPES = frozenset({"S", "N", "B"})


class QuarantinedKey(msgspec.Struct, frozen=True):
    """A quarantined key, with all of its records.

    Attributes:
        id: short, always the same for one key.
        key: the key of the item as JSON, in DynamoDB's typed form.
        reasons: why, the first one first.
        detail: that of the first record.
        records: how many.
        arrived_at: when the first change was, in milliseconds since 1970.
        quarantined_at: when the first record was quarantined, in RFC 3339.
        objects: the quarantined records.
        documents: the failure documents that have records of this key.
    """

    id: str
    key: str
    reasons: tuple[str, ...]
    detail: str
    records: int
    arrived_at: int
    quarantined_at: str
    objects: tuple[str, ...]
    documents: tuple[str, ...]

    @property
    def item_key(self) -> Mapping[str, Any]:
        """The key of the item, for a repair."""
        return item_key_in(self.key)


class FoundKeys(msgspec.Struct, frozen=True):
    """All quarantined keys, the oldest first, and what cannot be read."""

    keys: Sequence[QuarantinedKey]
    unreadable: Sequence[Unreadable]


class WantedKeys(msgspec.Struct, frozen=True):
    """A filter of keys: all conditions must hold. `ids` are prefixes of IDs."""

    ids: tuple[str, ...] = ()
    reason: str | None = None
    since: dt.datetime | None = None

    def __contains__(self, one: QuarantinedKey) -> bool:
        return (
            (not self.ids or one.id.startswith(self.ids))
            and self.reason in (None, *one.reasons)
            and (self.since is None or parse_time(one.quarantined_at) >= self.since)
        )


class KeyQuarantine:
    """The bucket of a replica's quarantine."""

    def __init__(self, objects: Objects, executor: Executor, consumer: str) -> None:
        """Prepare to read.

        Args:
            objects: the bucket.
            executor: reads objects, several at the same time.
            consumer: the name of the consumer in the keys of the bucket.
        """
        self._objects = objects
        self._executor = executor
        self._consumer = consumer

    def find(self, wanted: WantedKeys) -> FoundKeys:
        """The keys that are quarantined now. Reads every object once, and keeps no payload."""
        seen: defaultdict[str, list[_SeenRecord]] = defaultdict(list)
        unreadable: list[Unreadable] = []

        def see(held: QuarantinedRecord, place: str | None, document: str | None) -> None:
            bare = msgspec.structs.replace(held, payload="")
            seen[held.partition_key].append(_SeenRecord(bare, place, document))

        for place, held in read_objects(self._objects, self._executor, self.record_in):
            if isinstance(held, Unreadable):
                unreadable.append(held)
            else:
                see(held, place, None)
        for place, records in read_documents(self._objects, self._executor, self.records_in):
            if isinstance(records, Unreadable):
                unreadable.append(records)
            else:
                for held in records:
                    see(held, None, place)
        keys = [one for one in (_key(text, some) for text, some in seen.items()) if one in wanted]
        return FoundKeys(sorted(keys, key=lambda one: (one.arrived_at, one.id)), unreadable)

    def record_in(self, place: str, body: bytes) -> QuarantinedRecord:
        """The record in a quarantined object; its partition key is the item's key as JSON.

        Raises:
            ForeignObjectError: the consumer did not write it.
        """
        return _of_one_key(read_record(place, body, [self._consumer]))

    def records_in(self, place: str, body: bytes) -> Sequence[QuarantinedRecord]:  # noqa: ARG002 - see `read_documents`
        """The records of a failure document, as the consumer would have quarantined them.

        Raises:
            NotADocumentError: it has no records of a table's stream.
            ForeignObjectError: a record has no key of an item.
        """
        document = document_in(body)
        return [
            _of_one_key(given_up(document, one, self._consumer))
            for one in table_records_in(document)
        ]

    def held(self, one: QuarantinedKey) -> Iterable[QuarantinedRecord]:
        """The records of a key with their payloads, as far as nobody has moved them."""
        for place in one.objects:
            body = self._objects.read(place)
            if body is not None:
                yield self.record_in(place, body)
        for place in one.documents:
            body = self._objects.read(place)
            if body is not None:
                records = self.records_in(place, body)
                yield from (held for held in records if held.partition_key == one.key)


def item_key_in(text: str) -> Mapping[str, Any]:
    """The key of an item, in DynamoDB's typed form.

    Raises:
        ForeignObjectError: the text is no key of an item.
    """
    try:
        key = msgspec.json.decode(text, type=dict[str, dict[str, str]])
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        key = {}
    if not key or any(len(value) != 1 or not _TYPES.issuperset(value) for value in key.values()):
        raise ForeignObjectError("its partition key is not the key of an item")
    return key


def key_id(key: str) -> str:
    """A short ID, always the same for one key."""
    return hashlib.sha256(key.encode()).hexdigest()[:ID_LENGTH]


def _of_one_key(held: QuarantinedRecord) -> QuarantinedRecord:
    """The record, its key in the one form that a key has."""
    key = keys_as_text(item_key_in(held.partition_key))
    return msgspec.structs.replace(held, partition_key=key)


class _SeenRecord(msgspec.Struct, frozen=True):
    """A record without its payload, and its object, or the failure document that has it."""

    held: QuarantinedRecord
    place: str | None
    document: str | None


def _key(text: str, seen: Sequence[_SeenRecord]) -> QuarantinedKey:
    seen = sorted(seen, key=lambda one: parse_time(one.held.quarantined_at))
    first = seen[0].held
    return QuarantinedKey(
        id=key_id(text),
        key=text,
        reasons=tuple(dict.fromkeys(one.held.reason for one in seen)),
        detail=first.detail,
        # A record has one key in the bucket, so it counts once, also if a document has it, too.
        records=len({one.held.key for one in seen}),
        arrived_at=min(one.held.arrived_at for one in seen),
        quarantined_at=first.quarantined_at,
        objects=tuple(one.place for one in seen if one.place is not None),
        documents=tuple(dict.fromkeys(one.document for one in seen if one.document is not None)),
    )
